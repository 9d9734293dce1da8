use std::io::Write as _;
use std::process::Stdio;

use proptest::prelude::*;

use super::*;

/// What git itself lists of a file; `None` when it refuses it.
#[expect(
    clippy::disallowed_types,
    reason = "only git knows what git reads; the crate itself runs nothing"
)]
fn listed_by_git(file: &[u8]) -> Option<Vec<u8>> {
    let mut git = std::process::Command::new("git")
        .args(["config", "--file", "-", "--list", "-z", "--no-includes"])
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git runs");
    // Git may end before it has read all.
    let _ = git.stdin.take().expect("it is piped").write_all(file);
    let output = git.wait_with_output().expect("git ends");
    output.status.success().then_some(output.stdout)
}

fn listed(entries: &[Entry]) -> Vec<u8> {
    let mut list = Vec::new();
    for entry in entries {
        list.extend(entry.key());
        if let Some(value) = &entry.value {
            list.push(b'\n');
            list.extend(value);
        }
        list.push(0);
    }
    list
}

fn agrees_with_git(file: &[u8]) -> Result<(), TestCaseError> {
    let ours = parse(file).map(|entries| listed(&entries));
    let shown = crate::repo_path::escaped(file);
    match (listed_by_git(file), ours) {
        (Some(theirs), Ok(ours)) => {
            prop_assert_eq!(
                theirs.escape_ascii().to_string(),
                ours.escape_ascii().to_string(),
                "{}",
                shown
            );
        }
        (None, Err(_)) => {}
        (theirs, ours) => prop_assert!(false, "{}: git {:?}, we {:?}", shown, theirs, ours),
    }
    Ok(())
}

#[test]
fn files_are_read_as_git_reads_them() {
    for file in [
        b"".as_slice(),
        b"\n\n",
        b"# only\n; comments\0",
        b"[core]\n\tbare = false\n\trepositoryformatversion = 0\n",
        b"[CORE]BARE=TRUE",
        b"[a] b = 1\n[c]d=2 [e]",
        b"[a]b\n[a]\nb=\n",
        b"[a \"B.c\\\"d\\\\e\\f\"]\nx-Y = 1",
        b"[a.B]\nc = 1\n[a.B \"C\"]\nd = 2",
        b"[a]\nb = \"quoted # ; \" and # comment\n",
        b"[a]\nb = x \\\n  y\\\n\nc = 1",
        b"[a]\nb = \\t\\n\\b\\\\\\\"\n",
        b"[a]\nb =   inner   space \t \n",
        b"[a]\r\nb = c\r\nd\r\n",
        b"[a]\nb = c\rd\r",
        b"\xef\xbb\xbf[a]\nb = c",
        b"[a]\nb = \"\"  x",
        b"[a]\nb = x\\",
        b"[a \"\"]\nb",
        b"[a.]\nb",
        b"[.a]\nb\n[ \"s\"]\nc",
        b"b = 1\n[a]\nb = 1",
        b"[filter \"\xff\"]\nclean = \xfe",
        b"[include]\npath = /etc/passwd\n[includeIf \"gitdir:/\"]\npath = ../x",
    ] {
        assert!(parse(file).is_ok(), "{}", file.escape_ascii());
        agrees_with_git(file).expect("the same");
    }
}

#[test]
fn what_git_refuses_is_refused_with_its_line() {
    for (file, line, problem) in [
        (b"[a]\nb = \"x\n".as_slice(), 2, Problem::OpenQuote),
        (b"[a]\n\nb = \\x\n", 3, Problem::Escape),
        (b"[a]\nb c\n", 2, Problem::NoEquals),
        (b"[a]\nb_c = 1\n", 2, Problem::NoEquals),
        (b"[a]\n1b = 1\n", 2, Problem::Unexpected),
        (b"[a]\n= 1\n", 2, Problem::Unexpected),
        (b"[a\nb]\n", 1, Problem::Section),
        (b"[]\n", 1, Problem::Section),
        (b"[a_b]\n", 1, Problem::Section),
        (b"[a b]\n", 1, Problem::Section),
        (b"[a \"b\" ]\n", 1, Problem::Section),
        (b"[a \"b\n\"]\n", 1, Problem::Section),
        (b"[a \"b\\\n\"]\n", 1, Problem::Section),
        (b"[a", 1, Problem::Section),
        (b"\xef\xbb[a]", 1, Problem::ByteOrderMark),
        (b"\n\xef\xbb\xbf[a]", 2, Problem::Unexpected),
    ] {
        let found = parse(file).expect_err("git refuses it");
        assert_eq!(
            (found.line, found.problem),
            (line, problem),
            "{}",
            file.escape_ascii()
        );
        agrees_with_git(file).expect("git refuses it too");
    }
    let error = parse(b"[a]\nb = \"x").expect_err("git refuses it");
    assert_eq!(
        error.to_string(),
        "line 2 has a quoted text that does not end"
    );
}

#[test]
fn a_nul_byte_is_refused_where_git_would_cut_at_it() {
    for file in [
        b"[a]\nb = x\0y".as_slice(),
        b"[a]\nb = \"x\0y\"",
        b"[a \"x\0y\"]\nb",
        b"[a \"x\\\0y\"]\nb",
        b"[a]\nb\0=1",
        b"[a]\n\0",
    ] {
        let found = parse(file).map_err(|error| error.problem);
        assert_eq!(found, Err(Problem::Nul), "{}", file.escape_ascii());
    }
    assert!(parse(b"[a]\nb = 1 # x\0y\n").is_ok());
}

#[test]
fn files_beyond_the_limits_are_refused() {
    let head = b"[a]\n".to_vec();
    let with = |rest: Vec<u8>| parse(&[head.clone(), rest].concat()).map(|entries| entries.len());
    let problem = |rest: Vec<u8>| with(rest).map_err(|error| error.problem);
    assert_eq!(problem(b"b\n".repeat(MAX_ENTRIES)), Ok(MAX_ENTRIES));
    assert_eq!(
        problem(b"b\n".repeat(MAX_ENTRIES + 1)),
        Err(Problem::ManyEntries)
    );
    assert_eq!(problem(vec![b'\n'; MAX_FILE]), Err(Problem::LargeFile));
    let value = |length| [b"b=".to_vec(), vec![b'x'; length]].concat();
    assert_eq!(problem(value(MAX_TEXT)), Ok(1));
    assert_eq!(problem(value(MAX_TEXT + 1)), Err(Problem::LongText));
    assert_eq!(problem(vec![b'x'; MAX_TEXT + 1]), Err(Problem::LongText));
    let section = [b"[".to_vec(), vec![b'x'; MAX_TEXT + 1], b"]".to_vec()].concat();
    assert_eq!(problem(section), Err(Problem::LongText));
}

#[test]
fn booleans_are_gits() {
    let on = |text: &str| {
        let entries = parse(format!("[a]\nb{text}").as_bytes()).expect("valid");
        assert!(entries[0].is("a", "b"));
        entries[0].boolean()
    };
    for text in ["", "=true", "=YES", "=on", "=1", "=-1", "=2k"] {
        assert_eq!(on(text), Some(true), "{text:?}");
    }
    for text in ["=", "=false", "=No", "=off", "=0", "=0k"] {
        assert_eq!(on(text), Some(false), "{text:?}");
    }
    for text in ["=maybe", "=1x", "=99999999999"] {
        assert_eq!(on(text), None, "{text:?}");
    }
}

/// Pieces of which files are made that are nearly, or wholly, valid.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"[a]",
        b"[A.b]",
        b"[a \"B c\"]",
        b"[a\t \"\\\"\\x\\\\\"]",
        b"[",
        b"]",
        b".",
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\t",
        b"  ",
        b"key",
        b"K-1",
        b"x",
        b"=",
        b"=",
        b" = ",
        b"\"",
        b"\"q \"",
        b"\\",
        b"\\\n",
        b"\\\r\n",
        b"\\n",
        b"\\t",
        b"\\b",
        b"\\\\",
        b"\\\"",
        b"#",
        b";",
        b" # c\n",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\x0b",
        b"-",
        b"1",
        b"_",
    ];
    let piece = proptest::sample::select(pieces).prop_map(<[u8]>::to_vec);
    let line = prop_oneof![
        3 => proptest::collection::vec(piece.clone(), 0..6).prop_map(|parts| {
            [b"v = ".to_vec(), parts.concat(), b"\n".to_vec()].concat()
        }),
        1 => Just(b"[a \"b\"]\n".to_vec()),
        1 => piece,
    ];
    let lines = proptest::collection::vec(line, 0..8);
    (any::<bool>(), lines).prop_map(|(head, lines)| {
        let head = if head { b"[a]\n".to_vec() } else { Vec::new() };
        [head, lines.concat()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_file_is_taken_or_refused_as_by_git(file in file()) {
        agrees_with_git(&file)?;
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}

use proptest::prelude::*;

use super::*;

fn rule(bytes: &[u8]) -> Option<PathRule> {
    RepoPath::new(bytes).err().map(|error| error.rule)
}

#[test]
fn names_that_git_on_linux_takes_pass() {
    for path in [
        b"a".as_slice(),
        b"a/b/c.txt",
        b"\xff\xfe/\xed\xa0\x80",
        b"line\nbreak",
        b"\"quoted\" 'too'",
        b"...",
        b"....",
        b".gitignore",
        b".gitmodules",
        b".gitattributes",
        b".github/workflows/ci.yml",
        b"git",
        b"git/config",
        b"git~2",
        b"git~10",
        b".git2",
        b".gita",
        b".gi",
        b"a.git",
        b"repo.git/config",
        b"x.git ",
        b"back\\slash",
        b"..\\x",
        b"C:\\x",
        b"C:",
        b" .git",
        b"-option",
        b"~",
        b"a:b",
        "\u{200c}a".as_bytes(),
        ".gıt".as_bytes(),
        ".\u{ff47}it".as_bytes(),
        b".g\xffit",
    ] {
        assert_eq!(rule(path), None, "{}", escaped(path));
    }
}

#[test]
fn what_leads_out_is_refused_with_its_rule() {
    for (path, expected) in [
        (b"".as_slice(), PathRule::Empty),
        (b"/", PathRule::Absolute),
        (b"/etc/passwd", PathRule::Absolute),
        (b"//a", PathRule::Absolute),
        (b"a//b", PathRule::EmptyComponent),
        (b"a/", PathRule::EmptyComponent),
        (b".", PathRule::Dot),
        (b"a/./b", PathRule::Dot),
        (b"..", PathRule::Climbs),
        (b"../a", PathRule::Climbs),
        (b"a/../../b", PathRule::Climbs),
        (b"a/..", PathRule::Climbs),
        (b"a\0b", PathRule::Nul),
        (b"../\0", PathRule::Nul),
    ] {
        assert_eq!(rule(path), Some(expected), "{}", escaped(path));
    }
}

#[test]
fn every_spelling_of_a_git_directory_is_refused_at_every_depth() {
    let spellings = [
        ".git",
        ".GIT",
        ".Git",
        ".giT",
        "git~1",
        "GIT~1",
        ".git.",
        ".git ",
        ".git . . ",
        "git~1 .",
        ".git:stream",
        ".git::$INDEX_ALLOCATION",
        ".GIT::$INDEX_ALLOCATION",
        ".git :x",
        "git~1::$DATA",
        ".g\u{200c}it",
        "\u{200d}.git",
        ".git\u{200e}",
        ".gi\u{200f}t",
        ".\u{202a}git",
        ".g\u{202e}it",
        ".g\u{206a}it",
        ".g\u{206f}it",
        "\u{feff}.git",
        ".G\u{200b}I\u{2060}T",
        ".g\u{ad}it",
        ".g\u{fe0f}it",
        ".gi\u{e0001}t",
        ".git\\config",
        "a\\.git",
        "a\\.GIT\\hooks",
        "git~1\\config",
        "a\\git~1",
    ];
    for spelling in spellings {
        for place in [
            spelling.to_owned(),
            format!("{spelling}/config"),
            format!("a/{spelling}"),
            format!("a/{spelling}/hooks/x"),
        ] {
            let found = rule(place.as_bytes());
            assert_eq!(found, Some(PathRule::GitDirectory), "{place:?}");
            assert!(SubmoduleName::new(place.as_bytes()).is_err(), "{place:?}");
        }
    }
}

#[test]
fn a_link_as_gitmodules_is_known_in_every_spelling() {
    for name in [
        ".gitmodules",
        ".GitModules",
        ".gitmodules ",
        ".gitmodules.",
        ".gitmodules:x",
        "gitmod~1",
        "GITMOD~4",
        "gi7eba~1",
        "GI7EB~12",
        "gi7e~123",
        "~1000000",
        ".gitmod\u{200c}ules",
    ] {
        assert!(is_dot_gitmodules(name.as_bytes()), "{name:?}");
    }
    for name in [
        ".gitmodule",
        ".gitmodulesx",
        "gitmod~5",
        "gi7eba~0",
        "gi7eba~1x",
        "gitmodules",
    ] {
        assert!(!is_dot_gitmodules(name.as_bytes()), "{name:?}");
    }
}

#[test]
fn lengths_are_limited() {
    assert_eq!(rule(&[b'a'; 255]), None);
    assert_eq!(rule(&[b'a'; 256]), Some(PathRule::LongComponent));
    let longest = [b"ab/".repeat(1365), b"a".to_vec()].concat();
    assert_eq!(longest.len(), 4096);
    assert_eq!(rule(&longest), None);
    assert_eq!(
        rule(&[longest, b"b".to_vec()].concat()),
        Some(PathRule::Long)
    );
}

#[test]
fn a_message_names_the_path_and_the_rule_and_steers_no_terminal() {
    let error = RepoPath::new("a/../\u{1b}[2J\u{202e}\n\u{9b}x".as_bytes()).expect_err("it climbs");
    assert_eq!(
        error.to_string(),
        r#""a/../\u{1b}[2J\u{202e}\n\u{9b}x" leads out of its directory by "..""#
    );
    let error = RepoPath::new(b"/\xff\"".as_slice()).expect_err("it is absolute");
    assert_eq!(error.to_string(), r#""/\xff\"" is an absolute path"#);
    let error = RepoPath::new(vec![b'a'; 100_000]).expect_err("it is long");
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn submodule_names_do_not_climb_by_backslashes() {
    for name in [
        "..\\a", "a\\..\\b", "a\\..", "..", "a/../b", "", "/a", "a\\.git",
    ] {
        assert!(SubmoduleName::new(name.as_bytes()).is_err(), "{name:?}");
    }
    for name in ["lib", "lib/a", "lib\\a", "a..b", "..a", "-x"] {
        let taken = SubmoduleName::new(name.as_bytes()).expect(name);
        assert_eq!(taken.as_bytes(), name.as_bytes());
    }
}

#[test]
fn a_path_knows_its_parts() {
    let path: RepoPath = "a/b/c".parse().expect("a path");
    assert_eq!(path.components().collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    assert_eq!(path.name(), b"c");
    let parent = path.parent().expect("it is not at the top");
    assert_eq!(parent.as_bytes(), b"a/b");
    assert!(path.is_within(&parent) && path.is_within(&path) && !parent.is_within(&path));
    let beside: RepoPath = "a/bc".parse().expect("a path");
    assert!(!beside.is_within(&parent));
    assert_eq!(parent.join(&beside).expect("short").as_bytes(), b"a/b/a/bc");
    assert_eq!(RepoPath::new(*b"a").expect("a path").parent(), None);
}

proptest! {
    #[test]
    fn what_passes_stays_beneath_its_directory(path in r"[./\\gGiItT~1: ab\x00\u{200c}]{0,12}") {
        if let Ok(path) = RepoPath::new(path.as_bytes()) {
            let text = std::str::from_utf8(path.as_bytes()).expect("it was text");
            prop_assert!(!text.starts_with('/') && !text.contains('\0'));
            for part in text.split('/') {
                prop_assert!(!matches!(part, "" | "." | ".."));
                let bare = part.replace('\u{200c}', "").to_lowercase();
                let bare = bare.split(':').next().unwrap_or_default();
                let bare = bare.trim_end_matches(['.', ' ']);
                prop_assert!(bare != ".git" && bare != "git~1", "{:?}", text);
            }
        }
    }
}

use proptest::prelude::*;

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "BBBBbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn oid(hex: &str) -> Oid {
    Oid::from_hex(ObjectFormat::Sha1, hex.as_bytes()).expect("a name")
}

fn one(bytes: &[u8]) -> Result<Target, InvalidRefFile> {
    parse_ref(bytes, ObjectFormat::Sha1)
}

fn packed(text: &str) -> Result<Vec<PackedRef>, InvalidRefFile> {
    parse_packed(text.as_bytes(), ObjectFormat::Sha1)
}

fn name(text: &str) -> RefName {
    RefName::new(text.as_bytes()).expect("a ref")
}

#[test]
fn a_ref_is_symbolic_or_an_object() {
    let main = Target::Symbolic(name("refs/heads/main"));
    for text in [
        "ref: refs/heads/main\n",
        "ref:refs/heads/main",
        "ref: \t refs/heads/main \r\n\n",
    ] {
        assert_eq!(one(text.as_bytes()), Ok(main.clone()), "{text:?}");
    }
    let odd = Target::Symbolic(RefName::new(*b"refs/heads/\xff").expect("a ref"));
    assert_eq!(one(b"ref: refs/heads/\xff\n"), Ok(odd));
    for text in [format!("{A}\n"), A.to_owned(), format!("{A}\tbranch 'x'\n")] {
        assert_eq!(one(text.as_bytes()), Ok(Target::Object(oid(A))), "{text:?}");
    }
}

#[test]
fn a_ref_that_is_not_understood_is_refused() {
    let content = Err(InvalidRefFile::Content(ObjectFormat::Sha1));
    for text in [
        String::new(),
        "\n".to_owned(),
        format!(" {A}\n"),
        format!("{A}x\n"),
        A[1..].to_owned(),
        format!("{A}{}\n", &A[..24]),
        "reff: refs/heads/main".to_owned(),
    ] {
        assert_eq!(one(text.as_bytes()), content, "{text:?}");
    }
    for target in [
        "../../../etc/passwd",
        "refs/../config",
        "config",
        "HEAD",
        "/etc/passwd",
        "refs/heads/.invalid",
        "refs/heads/a\nb",
        "",
    ] {
        let found = one(format!("ref: {target}\n").as_bytes());
        assert!(
            matches!(found, Err(InvalidRefFile::Target(_))),
            "{target:?}: {found:?}"
        );
    }
    let long = [b"ref: refs/heads/".as_slice(), &[b'a'; MAX_REF_FILE]].concat();
    assert!(matches!(one(&long), Err(InvalidRefFile::Large { .. })));
}

#[test]
fn packed_refs_are_read_with_what_tags_lead_to() {
    let text = format!(
        "# pack-refs with: peeled fully-peeled sorted \n{A} refs/heads/main\n{B} refs/tags/v1\n^{A}\n"
    );
    let refs = packed(&text).expect("valid");
    assert_eq!(refs.len(), 2);
    assert_eq!(
        (&refs[0].name, refs[0].oid, refs[0].peeled),
        (&name("refs/heads/main"), oid(A), None)
    );
    assert_eq!(
        (&refs[1].name, refs[1].oid, refs[1].peeled),
        (&name("refs/tags/v1"), oid(B), Some(oid(A)))
    );
    assert_eq!(packed(""), Ok(Vec::new()));
    let unsorted = packed(&format!("{A} refs/heads/b\n{B} refs/heads/a\n")).expect("valid");
    assert_eq!(unsorted[0].name, name("refs/heads/a"));
}

#[test]
fn a_line_of_packed_refs_that_is_not_understood_is_named() {
    let problem = |text: &str| match packed(text) {
        Err(InvalidRefFile::Line { line, problem }) => (line, problem),
        other => panic!("{text:?}: {other:?}"),
    };
    let shape = LineProblem::Shape(ObjectFormat::Sha1);
    let head = "# pack-refs with: peeled \n";
    for (text, line, expected) in [
        ("# other\n".to_owned(), 1, LineProblem::Head),
        (format!("{head}# again\n"), 2, shape.clone()),
        (format!("{head}\n"), 2, shape.clone()),
        (format!("{head}{A}\n"), 2, shape.clone()),
        (format!("{head}{A}\trefs/heads/main\n"), 2, shape.clone()),
        (
            format!("{head}{} refs/heads/main\n", &A[1..]),
            2,
            shape.clone(),
        ),
        (format!("{head}^{A}\n"), 2, LineProblem::Peeled),
        (
            format!("{A} refs/tags/a\n^{A}\n^{A}\n"),
            3,
            LineProblem::Peeled,
        ),
        (format!("{A} refs/tags/a\n^{A}x\n"), 2, shape.clone()),
        (format!("{A} refs/tags/a"), 1, LineProblem::Cut),
        (
            format!("{A} refs/a\n{A} refs/a\n"),
            2,
            LineProblem::Twice(name("refs/a")),
        ),
        (
            format!("{A} refs/b\n{A} refs/a\n{A} refs/b\n"),
            3,
            LineProblem::Twice(name("refs/b")),
        ),
    ] {
        assert_eq!(problem(&text), (line, expected), "{text:?}");
    }
    for bad in [
        "refs/../../x",
        "../x",
        "HEAD",
        "/x",
        "refs/heads/a b",
        "refs/heads/x.lock",
    ] {
        let (line, found) = problem(&format!("{head}{A} {bad}\n"));
        assert!(
            line == 2 && matches!(found, LineProblem::Name(_)),
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn a_name_of_the_other_hash_is_refused() {
    let long = format!("{A}{}", &A[..24]);
    assert!(parse_ref(long.as_bytes(), ObjectFormat::Sha256).is_ok());
    assert!(parse_ref(A.as_bytes(), ObjectFormat::Sha256).is_err());
    assert!(packed(&format!("{long} refs/heads/main\n")).is_err());
    let text = format!("{long} refs/heads/main\n");
    assert!(parse_packed(text.as_bytes(), ObjectFormat::Sha256).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        changes in proptest::collection::vec((0_usize..300, any::<u8>()), 0..6)
    ) {
        let mut bytes = format!(
            "# pack-refs with: peeled \n{A} refs/heads/a\n{B} refs/tags/b\n^{A}\n{A} refs/tags/c\n"
        )
        .into_bytes();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(refs) = parse_packed(&bytes, ObjectFormat::Sha1) {
            prop_assert!(refs.is_sorted_by(|a, b| a.name < b.name));
        }
        let _ = parse_ref(&bytes, ObjectFormat::Sha1);
    }
}

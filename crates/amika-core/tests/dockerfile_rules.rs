//! What a repository may say of a Dockerfile, and what each mistake is answered with.

use amika_core::budget;
use amika_core::config::report::Report;
use amika_core::config::{Parsed, RepoFile, parse};
use pretty_assertions::assert_eq;

fn parsed(text: &str) -> Parsed {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"))
}

#[test]
fn a_dockerfile_is_named_with_what_its_arguments_are_given() {
    let text =
        "[sandbox]\ndockerfile = \"ci/Dockerfile\"\nbuild_args = { A = \"1\", b_2 = \"\" }\n";
    let parsed = parsed(text);
    assert!(parsed.valid(), "{parsed:?}");
    let dockerfile = parsed.config.sandbox.dockerfile().expect("it is named");
    let RepoFile::Path(path) = &dockerfile.file else {
        panic!("{dockerfile:?}");
    };
    assert_eq!(
        (path.value.as_str(), path.line, path.column),
        ("ci/Dockerfile", 2, 14)
    );
    let report = serde_json::to_value(Report::new(&parse(text))).expect("JSON");
    assert_eq!(report["sandbox"]["dockerfile"], "ci/Dockerfile");
    assert_eq!(
        report["sandbox"]["build_args"],
        serde_json::json!({ "A": "1", "b_2": "" })
    );
}

#[test]
fn one_that_leaves_the_repository_is_refused_with_its_place_and_the_rest_holds() {
    for (path, reason) in [
        (
            "/etc/Dockerfile",
            "is absolute: it must stand in the repository",
        ),
        (
            "../Dockerfile",
            "has \"..\" in it: it must stand in the repository",
        ),
        (
            "a/../../x",
            "has \"..\" in it: it must stand in the repository",
        ),
        (".git/Dockerfile", "stands in \".git\""),
        ("", "is empty"),
        ("./", "names a directory"),
    ] {
        let text = format!("[sandbox]\ndockerfile = \"{path}\"\nlimits = {{ pids = 9 }}\n");
        let parsed = parsed(&text);
        let refused = parsed.refused().next().unwrap_or_else(|| panic!("{path}"));
        assert_eq!(refused.message, format!("dockerfile \"{path}\" {reason}"));
        assert_eq!((refused.line, refused.column), (2, 14));
        assert!(!parsed.valid());
        assert_eq!(parsed.warnings.len(), 1, "it is told once");
        assert_eq!(parsed.config.sandbox.limits.pids, Some(9));
    }
}

#[test]
fn every_other_mistake_leaves_the_section_out() {
    let mut many = "dockerfile = \"x\"\n[sandbox.build_args]\n".to_owned();
    for n in 0..=budget::BUILD_ARGS {
        many.extend(["A", &n.to_string(), " = \"\"\n"]);
    }
    for (text, expected) in [
        (
            "preset = \"coder\"\ndockerfile = \"x\"",
            "preset and dockerfile exclude each other",
        ),
        (
            "dockerfile = \"x\"\nimage = \"y\"",
            "image and dockerfile exclude each other",
        ),
        (
            "build_args = { A = \"1\" }",
            "build_args are for a dockerfile, and none is named",
        ),
        (
            "dockerfile = 1",
            "dockerfile must be a string, not an integer",
        ),
        (
            "dockerfile = \"x\"\nbuild_args = 1",
            "build_args must be a table, not an integer",
        ),
        (
            "dockerfile = \"x\"\nbuild_args = { A = 1 }",
            "build_args.A must be a string, not an integer",
        ),
        (
            "dockerfile = \"x\"\nbuild_args = { \"1A\" = \"\" }",
            "build_args: \"1A\" is no name of an ARG",
        ),
        (
            "dockerfile = \"x\"\nbuild_args = { A = \"a\\nb\" }",
            "build_args.A has control characters in it",
        ),
        (
            &many,
            "build_args: 101 are too many, at most 100 are allowed",
        ),
    ] {
        let parsed = parsed(&format!("[sandbox]\n{text}\n"));
        assert_eq!(parsed.ignored, ["sandbox"], "{text}");
        let problems = parsed.warnings.iter().flat_map(|it| &it.problems);
        let messages: Vec<&str> = problems.map(|it| it.message.as_str()).collect();
        assert_eq!(messages, [expected], "{text}");
    }
}

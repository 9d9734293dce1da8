//! What a repository may say of its scripts and of OpenCode, and what each mistake is answered with.

use amika_core::config::report::Report;
use amika_core::config::{MAX_ONCE_FILES, Parsed, RepoFile, parse};
use amika_core::opencode::OpenCodeStart;
use pretty_assertions::assert_eq;
use serde_json::Value;

fn parsed(text: &str) -> Parsed {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"))
}

fn report(text: &str) -> Value {
    serde_json::to_value(Report::new(&parse(text))).expect("a report has nothing that JSON lacks")
}

/// The problems of a section that is ignored, with their columns.
fn problems(section: &str, text: &str) -> Vec<String> {
    let parsed = parsed(text);
    assert_eq!(parsed.ignored, [section], "{text}\n{:?}", parsed.warnings);
    let problems = parsed.warnings.iter().flat_map(|it| &it.problems);
    problems
        .map(|it| format!("{}: {}", it.column, it.message))
        .collect()
}

#[test]
fn a_script_stays_in_the_repository() {
    for (path, reason) in [
        (
            "/etc/passwd",
            "is absolute: it must stand in the repository",
        ),
        (
            "../setup.sh",
            "has \"..\" in it: it must stand in the repository",
        ),
        (
            "scripts/../../x",
            "has \"..\" in it: it must stand in the repository",
        ),
        ("a/..", "has \"..\" in it: it must stand in the repository"),
        ("", "is empty"),
        (".", "names a directory"),
        ("./", "names a directory"),
        (".git/hooks/x", "stands in \".git\""),
        ("a\\u0000b", "has control characters in it"),
    ] {
        let text = format!("[lifecycle]\nsetup_script = \"{path}\"\n[services.a]\nport = 80\n");
        let parsed = parsed(&text);
        let refused = parsed.refused().next().unwrap_or_else(|| panic!("{path}"));
        assert!(refused.message.ends_with(reason), "{}", refused.message);
        assert_eq!((refused.line, refused.column), (2, 16));
        assert!(!parsed.valid());
        assert_eq!(parsed.config.services.len(), 1);
        let report = report(&text);
        assert_eq!(report["lifecycle"]["setup_script"], Value::Null);
        assert_eq!(report["warnings"][0]["line"], 2);
    }
    for path in [
        "setup.sh",
        "./scripts/setup.sh",
        "a..b/..c",
        "ünï cödé/s",
        "~/x",
    ] {
        let parsed = parsed(&format!("lifecycle.setup_script = \"{path}\"\n"));
        let Some(RepoFile::Path(script)) = &parsed.config.lifecycle.setup_script else {
            panic!("{parsed:?}");
        };
        assert_eq!(script.value, path);
        assert_eq!((script.line, script.column), (1, 26));
        assert!(parsed.valid());
    }
    let parsed = parsed("[lifecycle]\nsetup_script = [\"a\"]\n");
    assert_eq!(parsed.ignored, ["lifecycle"]);
    assert_eq!(parsed.config.lifecycle.setup_script, None);
}

#[test]
fn what_is_wrong_with_either_script_is_said_by_its_key() {
    let text = "[lifecycle]\nsetup_script = \"a\"\nstart_script = \"../b\"\n";
    let parsed = parsed(text);
    let refused = parsed.refused().next().expect("it is refused");
    assert_eq!((refused.line, refused.column), (3, 16));
    assert!(
        refused.message.starts_with("start_script \"../b\" has"),
        "{refused:?}"
    );
    let report = report("lifecycle.start_script = \"bin/up\"\n");
    assert_eq!(report["lifecycle"]["start_script"], "bin/up");
}

#[test]
fn a_script_runs_once_until_it_or_files_that_it_names_change() {
    let once = |value: &str| {
        let parsed = parsed(&format!("[lifecycle]\nsetup_once = {value}\n"));
        assert!(parsed.valid(), "{value}");
        let once = parsed.config.lifecycle.setup_once;
        once.map(|once| once.files.join(" "))
    };
    for (value, files) in [
        ("false", None),
        ("true", Some("")),
        ("[]", Some("")),
        ("\"package-lock.json\"", Some("package-lock.json")),
        ("[\"a.lock\", \"apps/b.lock\"]", Some("a.lock apps/b.lock")),
    ] {
        assert_eq!(once(value).as_deref(), files, "{value}");
    }
    let wrong =
        |value: &str| problems("lifecycle", &format!("[lifecycle]\nsetup_once = {value}\n"));
    assert_eq!(
        wrong("1"),
        ["14: setup_once must be true, a file or a list of files, not an integer"]
    );
    assert_eq!(
        wrong("[\"a\", \"/etc/shadow\", \"../b\"]"),
        [
            "20: setup_once: \"/etc/shadow\" is absolute: it must stand in the repository",
            "35: setup_once: \"../b\" has \"..\" in it: it must stand in the repository",
        ]
    );
    let many = vec!["\"a\""; MAX_ONCE_FILES + 1].join(",");
    assert_eq!(
        wrong(&format!("[{many}]")),
        ["14: setup_once has more than 32 files"]
    );
}

#[test]
fn when_opencode_is_started_is_one_of_three_words() {
    for start in OpenCodeStart::ALL {
        let text = format!("[sandbox]\nopencode = \"{start}\"\n");
        assert_eq!(parsed(&text).config.sandbox.opencode, Some(start));
        assert_eq!(report(&text)["sandbox"]["opencode"], start.as_str());
    }
    assert_eq!(
        problems("sandbox", "[sandbox]\nopencode = \"lazy\"\n"),
        ["12: opencode: \"lazy\" is not one of auto, on-demand, off"]
    );
    assert_eq!(
        problems("sandbox", "[sandbox]\nopencode = false\n").len(),
        1
    );
}

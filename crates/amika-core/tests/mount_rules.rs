//! What a repository may mount, and what each mistake is answered with.

use amika_core::budget;
use amika_core::config::report::Report;
use amika_core::config::{ConfiguredMount, Parsed, parse};
use pretty_assertions::assert_eq;

fn parsed(text: &str) -> Parsed {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"))
}

fn of(entries: &str) -> Parsed {
    parsed(&format!(
        "[sandbox]\nmounts = [{entries}]\nlimits = {{ pids = 9 }}\n"
    ))
}

#[test]
fn volumes_and_paths_are_mounted_in_the_order_of_the_file() {
    let parsed =
        of("\"pip-cache:/home/amika/.cache/pip\", \"./conf:/etc/app:rwcopy\", \"v1:/v:ro\"");
    assert!(parsed.valid(), "{parsed:?}");
    let mounts = parsed.config.sandbox.mounts.iter();
    let mounts: Vec<String> = mounts
        .filter_map(|mount| Some(mount.mount()?.to_string()))
        .collect();
    let expected = [
        "pip-cache:/home/amika/.cache/pip:rw",
        "./conf:/etc/app:rwcopy",
        "v1:/v:ro",
    ];
    assert_eq!(mounts, expected);
    let ConfiguredMount::Mount(second) = &parsed.config.sandbox.mounts[1] else {
        panic!("{parsed:?}");
    };
    assert_eq!((second.line, second.column), (2, 47));
    let text = "[sandbox]\nmounts = [\"v1:/v\"]\n";
    let report = serde_json::to_value(Report::new(&parse(text))).expect("JSON");
    assert_eq!(report["sandbox"]["mounts"], serde_json::json!(["v1:/v:rw"]));
    let none = serde_json::to_value(Report::new(&parse("[sandbox]\n"))).expect("JSON");
    assert_eq!(none["sandbox"].get("mounts"), None);
}

#[test]
fn what_is_not_the_repositorys_is_refused_with_its_place_and_the_rest_holds() {
    for (entry, reason) in [
        ("/etc:/x", "is absolute: it must stand in the repository"),
        (
            "../x:/x",
            "has \"..\" in it: it must stand in the repository",
        ),
        (
            "./a/../../x:/x",
            "has \"..\" in it: it must stand in the repository",
        ),
        ("~/x:/x", "names a home: it must stand in the repository"),
        ("~:/x", "names a home: it must stand in the repository"),
        ("./.git/hooks:/x", "stands in \".git\""),
        (
            "amika-home-teal-tokyo-1:/x",
            "begins with \"amika-\", as volumes do that are Amika's own",
        ),
    ] {
        let parsed = of(&format!("\"v1:/v\", \"{entry}\""));
        let refused = parsed.refused().next().unwrap_or_else(|| panic!("{entry}"));
        let message = format!("mounts \"{entry}\": the source {reason}");
        assert_eq!(refused.message, message);
        assert_eq!((refused.line, refused.column), (2, 20));
        assert_eq!(refused.label.as_deref(), Some(reason));
        assert!(!parsed.valid());
        assert_eq!(parsed.warnings.len(), 1, "it is told once");
        assert_eq!(parsed.config.sandbox.limits.pids, Some(9));
    }
}

#[test]
fn an_entry_that_means_nothing_makes_the_section_not_apply() {
    let many: Vec<String> = (0..=budget::FILE_MOUNTS)
        .map(|at| format!("\"v{at}:/v{at}\""))
        .collect();
    for (entries, problem) in [
        (
            "\"v1\"",
            "mounts \"v1\": target is missing: write source:/path/in/the/sandbox",
        ),
        (
            "\"./x:/x:rw\"",
            "mounts \"./x:/x:rw\": a path of the repository is mounted as a copy: leave \":rw\" out",
        ),
        (
            "\"v1:/home/amika\"",
            "mounts \"v1:/home/amika\": target \"/home/amika\" is the agent's home, which is a volume of its own: name \
             a directory in it",
        ),
        (
            "\"v1:/var/lib/amikad/x\"",
            "mounts \"v1:/var/lib/amikad/x\": target \"/var/lib/amikad/x\" is in /var/lib/amikad, which Amika uses itself",
        ),
        (
            "\"v1:/x\", \"v2:/x/\"",
            "mounts \"v2:/x/\": its target is used before",
        ),
        ("1", "an entry of mounts must be a string, not an integer"),
        (
            &many.join(", "),
            "mounts: 21 are too many, at most 20 are allowed",
        ),
    ] {
        let parsed = of(entries);
        assert_eq!(parsed.ignored, ["sandbox"], "{entries}");
        let message = &parsed.warnings[0].message;
        assert!(message.contains(problem), "{message}");
        assert_eq!(parsed.config.sandbox.limits.pids, None);
    }
    let single = parsed("[sandbox]\nmounts = \"v1:/v\"\n");
    let message = &single.warnings[0].message;
    let problem = "mounts must be a list of strings, not a string";
    assert!(message.contains(problem), "{message}");
}

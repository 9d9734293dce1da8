//! `amika completion`: the words that a shell is offered, asked for as its script asks.

use crate::support::{DEBIAN, Stage, docker, eventually};

/// What is offered for the last of the words.
fn offered(stage: &Stage, words: &[&str]) -> Vec<String> {
    let all = [&["--", "amika"], words].concat();
    let output = stage
        .amika(&all)
        .env("AMIKA_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", &words.len().to_string())
        .env("_CLAP_IFS", "\n")
        .output();
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout_text().lines().map(str::to_owned).collect()
}

#[test]
fn sandboxes_and_volumes_are_offered_where_each_is_wanted() {
    let stage = Stage::new();
    let repository = stage.repository("repo", &[("file", "x")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let own = format!("label={}", stage.label());
    let git = ["volume", "ls", "-q", "--filter", "label=dev.amika.kind=git"];
    let volume = docker(&[&git[..], &["--filter", &own]].concat());
    let volume = volume.stdout_text().trim().to_owned();
    let place = format!("{}:", sandbox.name);
    let cases = [
        (&["sandbox", "stop", ""][..], &sandbox.name, &volume),
        (&["rm", ""], &sandbox.name, &volume),
        (&["credentials", "pull", ""], &sandbox.name, &volume),
        (&["volume", "delete", ""], &volume, &sandbox.name),
        (&["volume", "inspect", ""], &volume, &sandbox.name),
        (&["sandbox", "cp", ""], &place, &volume),
        (&["sandbox", "cp", "notes.md", ""], &place, &volume),
    ];
    for (words, wanted, unwanted) in cases {
        // An engine that is busy with others may be too slow for a person who pressed Tab.
        eventually("the engine's names are offered", || {
            let offered = offered(&stage, words);
            assert!(!offered.contains(unwanted), "{words:?}: {offered:?}");
            offered.contains(wanted)
        });
    }
    let begun = &sandbox.name[..sandbox.name.len() - 1];
    eventually("a name that was begun is ended with its colon", || {
        offered(&stage, &["sandbox", "cp", begun]).contains(&place)
    });
}

#[test]
fn paths_are_offered_where_a_repository_or_a_mount_is_named() {
    let stage = Stage::new();
    stage.file("place/file", "x");
    let begun = format!("{}/pla", stage.home().display());
    let ended = format!("{}/place/", stage.home().display());
    for flag in ["--git", "--mount"] {
        let offered = offered(&stage, &["sandbox", "create", flag, &begun]);
        assert_eq!(offered.join("\n"), ended, "{flag}");
    }
}

#[test]
fn what_is_left_of_a_sandbox_is_offered_to_what_removes_it() {
    let stage = Stage::new();
    let repository = stage.repository("repo", &[("file", "x")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let offers = |words: &[&str]| offered(&stage, words).contains(&sandbox.name);
    let prune = ["volume", "prune", "--sandbox-name", ""];
    eventually("an engine answers in time", || offers(&["rm", ""]));
    assert!(!offers(&prune));
    assert_eq!(docker(&["rm", "--force", &sandbox.name]).code, 0);
    for words in [&["rm", ""][..], &["sandbox", "delete", ""], &prune] {
        eventually("what is left is offered", || offers(words));
    }
    assert!(!offers(&["sandbox", "start", ""]));
    let deleted = sandbox.verb("delete", &["--volumes", "--force"]).output();
    assert_eq!(deleted.code, 0, "{deleted:?}");
    assert!(!offers(&prune));
}

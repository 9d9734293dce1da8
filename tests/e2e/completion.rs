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
        (
            &["volume", "prune", "--sandbox-name", ""],
            &sandbox.name,
            &volume,
        ),
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

//! Names that nothing can have: not found or refused, and never part of what the engine is asked.

use std::time::Duration;

use crate::support::{SCRATCH, Stage, docker};

/// What no container or volume can be called. Some lead to another path of the engine's API.
const IMPOSSIBLE: [&str; 7] = ["/", "/a", "a/", "a%2f", "../images", "..", "x y"];

#[test]
fn what_can_be_no_name_is_not_found_and_leaves_no_lock() {
    let stage = Stage::new();
    let runtime = stage.home().join("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let runtime_dir = runtime.to_str().unwrap();
    for name in IMPOSSIBLE.into_iter().chain(["no-such"]) {
        for command in [
            &["sandbox", "inspect"][..],
            &["sandbox", "delete"],
            &["sandbox", "logs"],
            &["sandbox", "wait"],
            &["sandbox", "start"],
            &["sandbox", "stop"],
            &["sandbox", "restart"],
            &["sandbox", "stats", "--no-stream"],
            &["credentials", "status"],
            &["volume", "inspect"],
            &["volume", "delete"],
        ] {
            let args: Vec<&str> = ["-o", "json"]
                .iter()
                .chain(command)
                .copied()
                .chain([name])
                .collect();
            let run = stage.amika(&args).env("XDG_RUNTIME_DIR", runtime_dir);
            let output = run.limit(Duration::from_secs(20)).output();
            assert_eq!(output.code, 3, "{args:?}: {output:?}");
            let error = output.json()["error"].clone();
            assert_eq!(error["code"], "not_found", "{error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(name), "{error}");
            assert!(error["hint"].is_string(), "{error}");
        }
    }
    let locks = runtime.join("amika/locks");
    let left: Vec<_> = std::fs::read_dir(locks)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_would_be_waited_or_looked_for_in_vain_is_refused() {
    let stage = Stage::new();
    for name in IMPOSSIBLE {
        for command in [
            &["events", name][..],
            &["volume", "prune", "--sandbox-name", name],
        ] {
            let output = stage.amika(command).limit(Duration::from_secs(20)).output();
            assert_eq!(output.code, 2, "{command:?}: {output:?}");
        }
    }
}

#[test]
fn a_volume_is_reached_by_its_own_name_alone() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    let listed = stage.amika(&["-o", "json", "volume", "list"]).output();
    let listed = listed.json();
    let volume = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|volume| volume["sandbox"] == sandbox.name.as_str())
        .and_then(|volume| volume["name"].as_str())
        .unwrap();
    assert_eq!(docker(&["rm", "--force", &sandbox.name]).code, 0);
    let encoded = volume.replacen('-', "%2d", 1);
    for path in [format!("../volumes/{volume}"), encoded] {
        for verb in ["inspect", "delete"] {
            let output = stage.amika(&["volume", verb, &path]).output();
            assert_eq!(output.code, 3, "{verb} {path}: {output:?}");
        }
    }
    assert_eq!(docker(&["volume", "inspect", volume]).code, 0);
    let deleted = stage.amika(&["sandbox", "delete", &sandbox.name]).output();
    assert_eq!(deleted.code, 0, "{deleted:?}");
}

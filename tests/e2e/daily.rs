//! The commands of every day: list, rename, restart, stats, several at once, and what all takes.

use std::time::Duration;

use serde_json::Value;

use crate::support::{DEBIAN, Output, Stage, docker, eventually};

fn listed<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array()
        .unwrap()
        .iter()
        .find(|sandbox| sandbox["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not in {list}"))
}

fn results(output: &Output) -> Vec<(String, String)> {
    let json = output.json();
    let list = json
        .as_array()
        .or_else(|| json["error"]["results"].as_array());
    list.unwrap_or_else(|| panic!("no results: {output:?}"))
        .iter()
        .map(|done| {
            let word = |key: &str| done[key].as_str().unwrap().to_owned();
            (word("name"), word("result"))
        })
        .collect()
}

#[test]
fn a_list_tells_more_when_asked() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let wrote = sandbox.docker_exec(&["sh", "-c", "head -c 3000000 /dev/zero >/big"]);
    assert_eq!(wrote.code, 0, "{wrote:?}");
    for command in [
        &["ls"][..],
        &["ps"],
        &["sandbox", "list"],
        &["sandbox", "ls"],
        &["sandbox", "ps"],
    ] {
        let list = stage.amika(command).output();
        assert_eq!(list.code, 0, "{list:?}");
        assert!(list.stdout_text().contains(&sandbox.name), "{list:?}");
    }
    let short = stage.amika(&["-o", "json", "ls"]).output().json();
    assert_eq!(listed(&short, &sandbox.name)["details"], Value::Null);
    let long = stage.amika(&["-o", "json", "ls", "-l"]).output().json();
    let details = &listed(&long, &sandbox.name)["details"];
    assert!(
        details["size_bytes"].as_u64().unwrap() >= 3_000_000,
        "{details}"
    );
    let volumes = details["volumes"].as_array().unwrap();
    let home = format!("amika-home-{}-", sandbox.name);
    assert!(
        volumes
            .iter()
            .any(|volume| volume.as_str().unwrap().starts_with(&home)),
        "{details}"
    );
    let text = stage.amika(&["ls", "-l"]).output().stdout_text();
    for word in ["IMAGE", "SIZE", "VOLUMES", DEBIAN, "3.0 MB"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_rename_keeps_everything_but_the_name() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", "exec sleep 4321"]);
    let other = stage.sandbox(DEBIAN, &[]);
    let before = sandbox.verb("inspect", &["-o", "json"]).output().json();
    let taken = sandbox.verb("rename", &[&other.name]).output();
    assert_eq!(taken.code, 4, "{taken:?}");
    let bad = sandbox.verb("rename", &["Not A Name"]).output();
    assert_eq!(bad.code, 2, "{bad:?}");
    let absent = stage.sandbox_verb(&["rename", "no-such-sandbox", "another"]);
    assert_eq!(absent.code, 3, "{absent:?}");

    let new = stage.adopt(stage.name());
    let renamed = sandbox.verb("rename", &[&new.name, "-o", "json"]).output();
    assert_eq!(renamed.code, 0, "{renamed:?}");
    assert!(renamed.stderr_text().contains("host name"), "{renamed:?}");
    assert_eq!(renamed.json()["old_name"], sandbox.name);
    let after = new.verb("inspect", &["-o", "json"]).output().json();
    assert_eq!(
        (&after["id"], &after["state"]),
        (&before["id"], &before["state"])
    );
    let host_name = new.exec(&["cat", "/etc/hostname"]).output();
    assert_eq!(host_name.stdout_text().trim(), sandbox.name);
    let gone = sandbox.verb("inspect", &[]).output();
    assert_eq!(gone.code, 3, "{gone:?}");
    // The first name is the host's still, also after another change; no change is no news.
    let third = stage.adopt(stage.name());
    let renamed = new.verb("rename", &[&third.name]).output();
    let note = format!("stays \"{}\"", sandbox.name);
    assert!(renamed.stderr_text().contains(&note), "{renamed:?}");
    let same = third.verb("rename", &[&third.name]).output();
    assert_eq!((same.code, same.stderr_text().as_str()), (0, ""));
    let back = third.verb("rename", &[&new.name]).output();
    assert_eq!(back.code, 0, "{back:?}");
    let restarted = new.verb("restart", &["--stop-timeout", "1s"]).output();
    assert_eq!(restarted.code, 0, "{restarted:?}");
    // All that is its own goes with it, under whatever name.
    let deleted = new.verb("delete", &["--force", "--volumes"]).output();
    assert_eq!(deleted.code, 0, "{deleted:?}");
    let filter = format!("label=dev.amika.id={}", before["id"].as_str().unwrap());
    let volumes = docker(&["volume", "ls", "-q", "--filter", &filter]);
    assert_eq!(volumes.stdout_text(), "");
}

#[test]
fn who_looks_on_sees_what_takes_time_and_nobody_else() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let file = stage.script("notes.md", "x");
    let place = format!("{}:/tmp/", sandbox.name);
    for (words, step) in [
        (&["sandbox", "cp", &file, &place][..], "copy"),
        (&["sandbox", "restart", &sandbox.name], "stop"),
        (&["sandbox", "stop", &sandbox.name], "stop"),
    ] {
        let (code, shown) = stage.on_terminal(words).end();
        assert_eq!(code, 0, "{shown}");
        let plain: String = shown.split("\u{1b}[0m").collect();
        assert!(
            plain.contains(&format!("✓ {step} ")),
            "{words:?}: {plain:?}"
        );
        for quiet in [&["-q"][..], &["-o", "json"]] {
            let start = stage.sandbox_verb(&["start", &sandbox.name]);
            assert_eq!(start.code, 0, "{start:?}");
            if step == "stop" && words[1] == "restart" && quiet[0] == "-o" {
                // The start's own steps are shown, as `start` shows them.
                continue;
            }
            let (code, shown) = stage.on_terminal(&[quiet, words].concat()).end();
            assert_eq!(code, 0, "{shown}");
            assert!(!shown.contains('✓') && !shown.contains('…'), "{shown}");
        }
        let piped = stage.amika(words).output();
        assert_eq!(piped.code, 0, "{piped:?}");
        assert!(
            !piped.stderr_text().contains(&format!("✓ {step}")),
            "{piped:?}"
        );
        let start = stage.sandbox_verb(&["start", &sandbox.name]);
        assert_eq!(start.code, 0, "{start:?}");
    }
}

#[test]
fn a_restart_runs_a_mended_setup_script() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho one >>/var/log/ran\n");
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    stage.script("setup.sh", "#!/bin/sh\necho two >>/var/log/ran\n");
    let args = ["--stop-timeout", "1s", "-o", "json"];
    let restarted = sandbox.verb("restart", &args).output();
    assert_eq!(restarted.code, 0, "{restarted:?}");
    assert_eq!(
        results(&restarted),
        [(sandbox.name.clone(), "restarted".to_owned())]
    );
    let ran = sandbox.docker_exec(&["cat", "/var/log/ran"]);
    assert_eq!(ran.stdout_text(), "one\ntwo\n", "{ran:?}");
    // A stopped one is started.
    assert_eq!(sandbox.verb("stop", &["-t", "1s"]).output().code, 0);
    let again = sandbox.verb("restart", &["--skip-setup"]).output();
    assert_eq!(again.code, 0, "{again:?}");
    let ran = sandbox.docker_exec(&["cat", "/var/log/ran"]);
    assert_eq!(ran.stdout_text(), "one\ntwo\n", "{ran:?}");
}

#[test]
fn several_are_worked_on_at_once_with_one_result_each() {
    let stage = Stage::new();
    // A CMD that ignores the request to end: each stop takes its whole grace.
    let stubborn = ["--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
    let sandboxes: Vec<_> = (0..3).map(|_| stage.sandbox(DEBIAN, &stubborn)).collect();
    let names: Vec<&str> = sandboxes
        .iter()
        .map(|sandbox| sandbox.name.as_str())
        .collect();
    let mut stop = vec!["stop", "-o", "json", "-t", "3s"];
    stop.extend(&names);
    stop.push("no-such-sandbox");
    let stopped = stage.sandbox_verb(&stop);
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(
        stopped.took < Duration::from_secs(8),
        "one after the other: {stopped:?}"
    );
    let results = results(&stopped);
    for name in &names {
        assert!(
            results.contains(&((*name).to_owned(), "stopped".to_owned())),
            "{results:?}"
        );
    }
    assert!(
        results.contains(&("no-such-sandbox".to_owned(), "failed".to_owned())),
        "{results:?}"
    );
    for sandbox in &sandboxes {
        assert_eq!(sandbox.engine_state(), "exited");
    }
    let mut start = vec!["start"];
    start.extend(&names);
    let started = stage.sandbox_verb(&start);
    assert_eq!(started.code, 0, "{started:?}");
    for name in &names {
        assert!(started.stdout_text().contains(name), "{started:?}");
    }
}

/// What it does is tried in `alone.rs`, on an engine without the sandboxes of other tests.
#[test]
fn all_stands_for_names_and_not_beside_them() {
    let stage = Stage::new();
    for verb in ["start", "stop", "restart", "delete"] {
        let neither = stage.sandbox_verb(&[verb]);
        assert_eq!(neither.code, 2, "{verb}: {neither:?}");
        let both = stage.sandbox_verb(&[verb, "--all", "name"]);
        assert_eq!(both.code, 2, "{verb}: {both:?}");
        let help = stage.sandbox_verb(&[verb, "--help"]);
        assert!(help.stdout_text().contains("--all"), "{help:?}");
    }
}

#[test]
fn stats_are_one_document_or_lines_without_an_end() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", "while :; do :; done"]);
    let once = stage.sandbox_verb(&["stats", "--no-stream", "-o", "json", &sandbox.name]);
    assert_eq!(once.code, 0, "{once:?}");
    let sample = &once.json()[0];
    assert_eq!(sample["sandbox"], sandbox.name);
    assert!(
        sample["memory_bytes"].as_u64().unwrap() > 100_000,
        "{sample}"
    );
    assert!(sample["pids"].as_u64().unwrap() >= 2, "{sample}");
    assert!(sample["cpu_percent"].as_f64().unwrap() > 1.0, "{sample}");
    let table = stage.sandbox_verb(&["stats", "--no-stream", &sandbox.name]);
    assert!(table.stdout_text().starts_with("NAME"), "{table:?}");

    // Lines, until the sandbox ends.
    let live = stage
        .amika(&["sandbox", "stats", "-o", "json", &sandbox.name])
        .start();
    eventually("two samples came", || live.said() > 500);
    assert_eq!(docker(&["kill", &sandbox.name]).code, 0);
    let ended = live.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    let samples: Vec<Value> = ended
        .stdout_text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(samples.len() >= 2, "{ended:?}");
    assert!(samples.last().unwrap()["cpu_percent"].is_f64(), "{ended:?}");

    let stopped = sandbox.verb("stats", &["--no-stream"]).output();
    assert_eq!(stopped.code, 4, "{stopped:?}");
    let absent = stage.sandbox_verb(&["stats", "no-such-sandbox"]);
    assert_eq!(absent.code, 3, "{absent:?}");
}

#[test]
fn a_reader_of_stats_that_leaves_has_seen_enough() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let script = r#""$0" -o json sandbox stats "$1" | head -n 1 | wc -l; echo ${PIPESTATUS[0]}"#;
    let output = stage.shell(script, &[&sandbox.name]).output();
    assert_eq!(output.stdout_text(), "1\n0\n", "{output:?}");
}

#[test]
fn what_is_taken_on_disk_is_told() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let wrote = sandbox.docker_exec(&[
        "sh",
        "-c",
        "head -c 2000000 /dev/zero >/big; head -c 5000000 /dev/zero >/home/amika/big",
    ]);
    assert_eq!(wrote.code, 0, "{wrote:?}");
    let df = stage.amika(&["-o", "json", "system", "df"]).output();
    assert_eq!(df.code, 0, "{df:?}");
    let json = df.json();
    let item = |kind: &str| {
        json["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["kind"] == kind && item["sandbox"] == sandbox.name)
            .unwrap_or_else(|| panic!("no {kind}: {json}"))
    };
    assert!(item("sandboxes")["size_bytes"].as_u64().unwrap() >= 2_000_000);
    assert!(item("home")["size_bytes"].as_u64().unwrap() >= 5_000_000);
    assert_eq!(item("home")["in_use"], true);
    assert_eq!(item("state")["in_use"], true);
    // The mark that a volume is complete is no volume that anybody would ask for.
    let marks = docker(&["volume", "ls", "-q", "--filter", "name=-complete"]).stdout_text();
    let amikad = marks
        .lines()
        .find(|name| name.starts_with("amikad-"))
        .unwrap();
    let marked = amikad.strip_suffix("-complete").unwrap();
    let text = stage.amika(&["system", "df", "-v"]).output().stdout_text();
    assert!(text.contains(marked) && !text.contains(amikad), "{text}");
    for word in ["home volumes", "5.0 MB", sandbox.name.as_str()] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

//! What reaches everything on an engine, tried on one where everything is the test's: `--all`, `prune`.

use serde_json::{Value, json};

use crate::support::{Output, PrivateEngine, SCRATCH, Stage};

fn amika(stage: &Stage, engine: &PrivateEngine, args: &[&str]) -> Output {
    let mut all = vec!["-o", "json"];
    all.extend(args);
    let output = stage
        .amika(&all)
        .env("DOCKER_HOST", &engine.host())
        .output();
    println!("{args:?} {output:?}");
    output
}

/// Runs a command that must succeed; returns its document.
fn done(stage: &Stage, engine: &PrivateEngine, args: &[&str]) -> Value {
    let output = amika(stage, engine, args);
    assert_eq!(output.code, 0, "{args:?} {output:?}");
    output.json()
}

fn create(stage: &Stage, engine: &PrivateEngine, name: &str, options: &[&str]) {
    let mut args = vec!["sandbox", "create", "--name", name, "--image", SCRATCH];
    args.extend(["--network", "none"]);
    args.extend(options);
    done(stage, engine, &args);
}

/// Name and `key` of each thing in a document, sorted.
fn pairs(document: &Value, key: &str) -> Vec<(String, String)> {
    let word = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    let items = document.as_array().unwrap().iter();
    let mut pairs: Vec<_> = items
        .map(|item| (word(item, "name"), word(item, key)))
        .collect();
    pairs.sort();
    pairs
}

#[test]
fn all_is_every_sandbox_and_no_strangers_container() {
    let stage = Stage::new();
    let engine = PrivateEngine::start(&stage, &[SCRATCH]);
    let repository = stage.repository("repo", &[("file", "x")]);
    let stranger = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "stranger",
        SCRATCH,
    ];
    assert_eq!(engine.docker(&stranger).code, 0);
    let stranger = || {
        let format = "{{.State.Status}} {{.State.StartedAt}} {{.RestartCount}}";
        engine
            .docker(&["inspect", "-f", format, "stranger"])
            .stdout_text()
    };
    let untouched = stranger();
    assert!(untouched.starts_with("running"), "{untouched}");
    create(&stage, &engine, "ann", &["--git", &repository]);
    create(&stage, &engine, "bob", &[]);
    create(&stage, &engine, "cleo", &[]);
    done(&stage, &engine, &["sandbox", "stop", "cleo"]);

    let each = |words: [&str; 3]| -> Vec<(String, String)> {
        let names = ["ann", "bob", "cleo"].map(str::to_owned);
        names.into_iter().zip(words.map(str::to_owned)).collect()
    };
    let states = || {
        pairs(
            &done(&stage, &engine, &["sandbox", "list", "--all"]),
            "state",
        )
    };
    let all = |verb: &str, options: &[&str]| {
        let mut args = vec!["sandbox", verb, "--all"];
        args.extend(options);
        pairs(&done(&stage, &engine, &args), "result")
    };
    assert_eq!(states(), each(["running", "running", "stopped"]));
    // What is stopped needs no stop.
    assert_eq!(all("stop", &[]), each(["stopped"; 3])[..2]);
    assert_eq!(states(), each(["stopped"; 3]));
    assert_eq!(all("start", &[]), each(["started"; 3]));
    assert_eq!(states(), each(["running"; 3]));
    done(&stage, &engine, &["sandbox", "stop", "bob"]);
    assert_eq!(all("start", &[]), each(["started"; 3])[1..2]);
    let boots = || {
        let format = "{{.State.StartedAt}}";
        ["ann", "bob", "cleo"].map(|name| {
            engine
                .docker(&["inspect", "-f", format, name])
                .stdout_text()
        })
    };
    let before = boots();
    assert_eq!(all("restart", &[]), each(["restarted"; 3]));
    assert_eq!(states(), each(["running"; 3]));
    let after = boots();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before != after)
    );
    assert_eq!(all("delete", &["--force"]), each(["deleted"; 3]));
    assert_eq!(states(), []);
    // Of nothing, all is nothing: no failure.
    for verb in ["start", "stop", "restart", "delete"] {
        assert_eq!(all(verb, &[]), [], "{verb}");
    }
    assert_eq!(stranger(), untouched);

    // What outlives its sandbox is the repository, until it is pruned.
    let volumes = done(&stage, &engine, &["volume", "list"]);
    let kept = &pairs(&volumes, "kind")[..];
    assert!(
        matches!(kept, [(name, kind)] if kind == "git" && name.starts_with("amika-git-ann-repo-")),
        "{kept:?}"
    );
    let refused = amika(&stage, &engine, &["volume", "prune"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(refused.json()["error"]["volumes"], json!([kept[0].0]));
    let pruned = done(&stage, &engine, &["volume", "prune", "--force"]);
    assert!(pruned.to_string().contains(&kept[0].0), "{pruned}");
    assert_eq!(done(&stage, &engine, &["volume", "list"]), json!([]));
    done(&stage, &engine, &["volume", "prune", "--force"]);
}

#[test]
fn images_of_earlier_recipes_are_pruned_and_no_others() {
    let stage = Stage::new();
    let engine = PrivateEngine::start(&stage, &[SCRATCH]);
    let label = format!(
        "LABEL dev.amika.kind=image dev.amika.preset=coder dev.amika.recipe=000000000000 {}",
        stage.label()
    );
    let made = engine.docker(&["create", "--network", "none", "--name", "of", SCRATCH]);
    assert_eq!(made.code, 0, "{made:?}");
    let old = engine.docker(&[
        "commit",
        "--change",
        &label,
        "of",
        "amika/coder:000000000000",
    ]);
    assert_eq!(old.code, 0, "{old:?}");
    let pruned = done(&stage, &engine, &["image", "prune"]);
    assert_eq!(pruned["removed"], json!(["amika/coder:000000000000"]));
    let images = engine.docker(&["images", "--format", "{{.Repository}}"]);
    assert_eq!(images.stdout_text(), format!("{SCRATCH}\n"));
    assert_eq!(
        done(&stage, &engine, &["image", "prune"])["removed"],
        json!([])
    );
}

//! Who decided what holds for a sandbox: told before it is made, and of one that is there.

use serde_json::json;

use super::World;
use crate::support::DEBIAN;

#[test]
fn each_value_is_told_with_who_decided_it_before_and_after() {
    let world = World::new();
    let repository = world.make(
        "app",
        "git init -q; mkdir .amika; printf '%s\n' '[lifecycle]' 'setup_script = \"s.sh\"' '[sandbox.limits]' \
         'memory = \"512m\"' 'pids = 200' '[env]' 'A = 1' 'B = 1' '[services.web]' 'port = 3123' >.amika/config.toml
         printf '#!/bin/sh\n' >s.sh; chmod +x s.sh; git add .; git commit -qm first",
    );
    let flags = [
        "--image", DEBIAN, "--pids", "300", "--env", "B=2", "--env", "C=2",
    ];
    let expected = json!({
        "image": "request",
        "setup_script": "file",
        "env": {"A": "file", "AMIKA_OPENCODE_WEB": "request", "B": "request", "C": "request"},
        "services": "file",
        "limits": {"cpus": "default", "memory": "file", "pids": "request"},
    });

    let sandbox = world.stage.adopt(world.stage.name());
    let dry = world
        .create(
            &sandbox,
            &[&flags[..], &["--dry-run", "-o", "json"]].concat(),
        )
        .dir(&repository)
        .output();
    dry.ended(0, &[]);
    let plan = dry.json();
    assert_eq!(plan["origins"], expected, "{plan}");
    assert_eq!(plan["setup_script"], "s.sh", "{plan}");
    assert_eq!(plan["services"], json!(["web"]), "{plan}");

    let created = world.create(&sandbox, &flags).dir(&repository).output();
    created.ended(0, &[]);
    let view = sandbox.inspect();
    assert_eq!(view["origins"], expected, "{view}");
    let told = world.stage.amika(&["sandbox", "inspect", &sandbox.name]);
    let told = told.output();
    for line in [
        format!("Image         {DEBIAN} (requested)"),
        "Services      web (.amika/config.toml)".to_owned(),
        "Variable      A (.amika/config.toml)".to_owned(),
        "Variable      B (requested)".to_owned(),
    ] {
        assert!(told.stdout_text().contains(&line), "{line}: {told:?}");
    }

    // `--no-setup` ignores the file's script, variables and services too.
    let bare = world.stage.adopt(world.stage.name());
    let dry = world
        .create(
            &bare,
            &["--no-setup", "--image", DEBIAN, "--dry-run", "-o", "json"],
        )
        .dir(&repository)
        .output();
    let plan = dry.json();
    assert_eq!(plan["origins"]["setup_script"], "request", "{plan}");
    assert_eq!(
        plan["origins"]["env"],
        json!({"AMIKA_OPENCODE_WEB": "request"}),
        "{plan}"
    );
}

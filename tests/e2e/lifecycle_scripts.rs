//! The scripts that a repository's `[lifecycle]` names: setup that runs once, and what runs at each start.

use crate::support::{DEBIAN, Sandbox, Stage};

const ONCE: &str = "[lifecycle]\nsetup_script = \"bin/setup\"\nsetup_once = \"app.lock\"\nstart_script = \"bin/up\"\n\
    [services.web]\ncommand = \"cat /home/amika/started > /home/amika/found; exec sleep 1000\"\n";

/// Makes a repository of files of which those in `bin` are executable.
fn repository(stage: &Stage, files: &[(&str, &str)]) -> String {
    for (path, text) in files.iter().filter(|(path, _)| path.starts_with("bin/")) {
        stage.script(&format!("app/{path}"), text);
    }
    stage.repository("app", files)
}

fn lines(sandbox: &Sandbox<'_>, file: &str) -> Vec<String> {
    let said = sandbox.docker_exec(&["cat", file]).stdout_text();
    said.lines().map(str::to_owned).collect()
}

fn start_again(sandbox: &Sandbox<'_>) {
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
}

#[test]
fn setup_runs_once_until_a_file_that_it_names_changes_and_the_start_script_each_time() {
    let stage = Stage::new();
    let app = repository(
        &stage,
        &[
            (".amika/config.toml", ONCE),
            ("app.lock", "1\n"),
            (
                "bin/setup",
                "#!/bin/sh\necho \"$(id -u) $PWD\" >> /home/amika/set-up\necho changed by setup >> app.lock\n",
            ),
            (
                "bin/up",
                "#!/bin/sh\nsleep 0.3\necho \"$(id -u) $PWD\" >> /home/amika/started\n",
            ),
        ],
    );
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN useradd -u 4711 coder\nUSER coder\n"
    ));
    let sandbox = stage.sandbox(&image, &["--git", &app]);
    let setup = "0 /home/amika/workspace/app";
    let start = "4711 /home/amika/workspace/app";
    assert_eq!(lines(&sandbox, "/home/amika/set-up"), [setup]);
    assert_eq!(lines(&sandbox, "/home/amika/started"), [start]);
    // It ended before a service of the repository began.
    assert_eq!(lines(&sandbox, "/home/amika/found"), [start]);
    let listed = ["service", "list", "--sandbox-name", &sandbox.name];
    let listed = stage.amika(&listed).output().ended(0, &[]).stdout_text();
    let row = listed.lines().find(|line| line.starts_with("start-script"));
    assert!(row.is_some_and(|row| row.contains("done")), "{listed}");
    start_again(&sandbox);
    assert_eq!(lines(&sandbox, "/home/amika/set-up"), [setup]);
    assert_eq!(lines(&sandbox, "/home/amika/started"), [start; 2]);
    // What the agent does to the file is reason enough; what setup did is not.
    let change = ["sh", "-c", "echo new >> /home/amika/workspace/app/app.lock"];
    sandbox.docker_exec(&change).ended(0, &[]);
    start_again(&sandbox);
    start_again(&sandbox);
    assert_eq!(lines(&sandbox, "/home/amika/set-up"), [setup; 2]);
    assert_eq!(lines(&sandbox, "/home/amika/started"), [start; 4]);
}

#[test]
fn a_start_script_that_fails_is_told_with_its_last_words_and_the_sandbox_stays() {
    let stage = Stage::new();
    let app = repository(
        &stage,
        &[
            (
                ".amika/config.toml",
                "[lifecycle]\nstart_script = \"bin/up\"\n[services.web]\ncommand = \"exec sleep 1000\"\nready = \"log:x\"\n",
            ),
            ("bin/up", "#!/bin/sh\necho no database here\nexit 3\n"),
        ],
    );
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--git", &app]);
    created.ended(21, &["start-script", "exit code 3", "no database here"]);
    assert_eq!(sandbox.engine_state(), "running");
    let target = format!("{}/start-script", sandbox.name);
    let log = stage.amika(&["service", "logs", &target]).output();
    assert_eq!(log.ended(0, &[]).stdout_text(), "no database here\n");
    // Mended inside, it is run again by whoever asks.
    let mend = "printf '#!/bin/sh\\necho up\\n' > /home/amika/workspace/app/bin/up";
    sandbox.docker_exec(&["sh", "-c", mend]).ended(0, &[]);
    stage
        .amika(&["service", "restart", &target])
        .output()
        .ended(0, &[]);
    crate::support::eventually("it is run again", || {
        let log = stage.amika(&["service", "logs", &target]).output();
        log.stdout_text().ends_with("up\n")
    });
}

#[test]
fn a_start_script_that_cannot_be_run_is_refused_with_its_place_unless_it_is_not_wanted() {
    let stage = Stage::new();
    let config = "[lifecycle]\nstart_script = \"bin/missing\"\n";
    let app = repository(&stage, &[(".amika/config.toml", config)]);
    let sandbox = stage.adopt(stage.name());
    let refused = sandbox.create(DEBIAN, &["--git", &app]);
    refused.ended(
        2,
        &[
            "start_script \"bin/missing\" does not exist",
            ".amika/config.toml:2:16",
        ],
    );
    let checked = stage.amika(&["config", "check", &app]).output();
    checked.ended(2, &["start_script \"bin/missing\" does not exist"]);
    let without = sandbox.create(DEBIAN, &["--git", &app, "--no-setup"]);
    without.ended(0, &[]);
}

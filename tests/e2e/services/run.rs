//! Services that Amika runs because the repository says how: seen, reached, stopped, found again after a stop.

use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Repository, ask_http, free_ports};
use super::table;
use crate::support::{Sandbox, Stage, eventually_within};

/// How long a service may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// How a service stands, as `service list -o json` has it.
fn run_of(sandbox: &Sandbox<'_>, service: &str) -> Value {
    let listed = sandbox.services();
    let services = listed.as_array().unwrap();
    let found = services.iter().find(|it| it["service"] == service).unwrap();
    found["run"].clone()
}

fn until(sandbox: &Sandbox<'_>, service: &str, state: &str) {
    eventually_within(LIMIT, &format!("{service} to be {state}"), || {
        run_of(sandbox, service)["state"] == state
    });
}

/// What a service has written.
fn log_of(sandbox: &Sandbox<'_>, target: &str) -> String {
    let output = sandbox.stage.amika(&["service", "logs", target]).output();
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout_text()
}

#[test]
fn what_a_repository_runs_is_up_when_create_returns_and_again_after_a_stop() {
    let stage = Stage::new();
    let [web, lazy, plain] = free_ports();
    let repository = Repository::new(
        &stage,
        &format!(
            "[services.db]\ncommand = \"sleep 0.3; echo up with $KIND; exec sleep 1000\"\nenv = {{ KIND = \"care\" }}\nready = \"log:^up\"\n\
             [services.web]\nport = {web}\nurl_scheme = \"http\"\ncommand = [\"perl\", \"serve.pl\", \"http:{web}\"]\n\
             ready = \"http:/\"\ndepends_on = [\"db\"]\n\
             [services.lazy]\nport = {lazy}\ncommand = \"exec perl serve.pl http:{lazy}\"\nstart = \"on-demand\"\n\
             [services.plain]\nport = {plain}\n"
        ),
    );
    let sandbox = stage.adopt(stage.name());
    let created = repository.create(&sandbox, &[], &[]);
    assert_eq!(created.code, 0, "{created:?}");
    let name = sandbox.name.clone();
    assert_eq!(ask_http(&format!("http://localhost:{web}")), name);
    let listed = table(&stage, &name);
    assert_eq!(listed[0], ["SERVICE", "SANDBOX", "PORTS", "URL", "STATE"]);
    let states: Vec<&str> = listed[1..]
        .iter()
        .map(|row| row.last().unwrap().as_str())
        .collect();
    assert_eq!(states, ["running", "on demand", "-", "listening"]);
    assert_eq!(log_of(&sandbox, &format!("{name}/db")), "up with care\n");
    assert!(
        stage.amika(&["service", "logs", &name]).output().code == 2,
        "it runs several"
    );

    // The one that nobody came to is started by whoever comes.
    assert_eq!(run_of(&sandbox, "lazy")["pid"], Value::Null);
    assert_eq!(ask_http(&format!("http://localhost:{lazy}")), name);
    until(&sandbox, "lazy", "ready");

    sandbox.verb("stop", &[]).output().ended(0, &[]);
    assert_eq!(
        log_of(&sandbox, &format!("{name}/db")),
        "up with care\n",
        "of one that is stopped"
    );
    sandbox.verb("start", &[]).output().ended(0, &[]);
    assert_eq!(ask_http(&format!("http://localhost:{web}")), name);
    assert_eq!(run_of(&sandbox, "lazy")["state"], "listening");
}

#[test]
fn one_that_is_not_up_is_told_of_with_its_last_words_and_the_sandbox_stays() {
    let stage = Stage::new();
    let config = "[services.web]\ncommand = \"echo no such database; exit 3\"\nready = \"tcp:8080\"\nready_timeout = 2\n";
    let repository = Repository::new(&stage, config);
    let sandbox = stage.adopt(stage.name());
    let created = repository.create(&sandbox, &["-o", "json"], &[]);
    assert_eq!(created.code, 21, "{created:?}");
    let error = created.json()["error"].clone();
    assert_eq!(error["code"], "not_ready", "{error}");
    assert_eq!(error["service"], "web", "{error}");
    assert!(error.to_string().contains("no such database"), "{error}");
    assert!(error.to_string().contains("exit code 3"), "{error}");
    assert_eq!(sandbox.engine_says("{{.State.Status}}"), "running");
    let row = table(&stage, &sandbox.name)[1].clone();
    assert_eq!(row.last().unwrap(), "failed (3)");
    // Whoever does not want to wait is not told.
    sandbox
        .verb("restart", &["--no-wait-services"])
        .output()
        .ended(0, &[]);
    sandbox
        .verb("restart", &[])
        .output()
        .ended(21, &["is not up", "no such database"]);
}

#[test]
fn services_are_stopped_and_started_one_by_one() {
    let stage = Stage::new();
    let config = "[services.a]\ncommand = \"exec sleep 1000\"\n[services.b]\ncommand = \"exec sleep 1000\"\n[services.c]\n";
    let repository = Repository::new(&stage, config);
    let sandbox = stage.adopt(stage.name());
    assert_eq!(repository.create(&sandbox, &[], &[]).code, 0);
    let name = &sandbox.name;
    let change = |verb: &str, target: &str| stage.amika(&["service", verb, target]).output();
    let b = format!("{name}/b");
    let stopped = change("stop", &b);
    assert_eq!(
        (stopped.code, stopped.stdout_text()),
        (0, format!("{b}\n")),
        "{stopped:?}"
    );
    until(&sandbox, "b", "stopped");
    assert_eq!(run_of(&sandbox, "a")["state"], "ready");
    assert_eq!(change("start", &b).code, 0);
    until(&sandbox, "b", "ready");
    let before = run_of(&sandbox, "a")["pid"].clone();
    assert_eq!(
        change("restart", name).stdout_text(),
        format!("{name}/a\n{b}\n")
    );
    eventually_within(LIMIT, "another process", || {
        let now = run_of(&sandbox, "a");
        now["state"] == "ready" && now["pid"] != before
    });
    for (target, code, words) in [
        (format!("{name}/nope"), 3, "has no service"),
        (format!("{name}/c"), 3, "has neither command nor image"),
        (format!("{name}/"), 2, "NAME/SERVICE"),
        ("nobody/a".to_owned(), 3, "there is no sandbox"),
    ] {
        let refused = change("stop", &target);
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.stderr_text().contains(words), "{refused:?}");
    }
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    assert_eq!(change("stop", &b).code, 4, "it does not run");
}

#[test]
fn without_setup_no_command_of_the_repository_runs() {
    let stage = Stage::new();
    let config = "[services.web]\nport = 8080\ncommand = \"touch /tmp/ran; exec sleep 1000\"\n";
    let repository = Repository::new(&stage, config);
    let sandbox = stage.adopt(stage.name());
    let created = repository.create(&sandbox, &["--no-setup"], &[]);
    assert_eq!(created.code, 0, "{created:?}");
    assert!(
        created.stderr_text().contains("commands of services"),
        "{created:?}"
    );
    let listed = table(&stage, &sandbox.name);
    assert_eq!(
        listed[0],
        ["SERVICE", "SANDBOX", "PORTS", "URL"],
        "nothing is run"
    );
    sandbox
        .exec(&["test", "!", "-e", "/tmp/ran"])
        .output()
        .ended(0, &[]);
}

#[test]
fn what_is_wrong_is_shown_where_it_stands() {
    let stage = Stage::new();
    let config =
        "[services.web]\ncommand = \"x\"\ndepends_on = [\"db\"]\n[services.db]\ncommand = \"\"\n";
    let repository = Repository::new(&stage, config);
    let path = repository.path();
    let checked = stage.amika(&["config", "check", &path]).output();
    assert_eq!(checked.code, 2, "{checked:?}");
    let told = checked.stderr_text();
    for words in [
        "line 3, column 15",
        "line 5, column 11: the command is empty",
        "[services] is ignored",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let good = "[services.web]\nport = 80\ncommand = \"npm start\"\nready = \"http:/\"\n";
    std::fs::write(std::path::Path::new(&path).join(".amika/config.toml"), good).unwrap();
    let checked = stage
        .amika(&["config", "check", &path, "-o", "json"])
        .output();
    let run = checked.json()["services"][0]["run"].clone();
    assert_eq!(run["command"], json!(["sh", "-c", "npm start"]), "{run}");
    assert_eq!(
        run["ready"],
        json!({ "http": { "port": 80, "path": "/" } }),
        "{run}"
    );
}

//! Networks that are removed under a stopped sandbox: it starts again once they are there, and until then
//! is told which one is missing.

use crate::support::{PrivateEngine, SCRATCH, Stage, docker};

/// A network that goes with the test.
struct Network(String);

impl Network {
    fn new(stage: &Stage) -> Self {
        let network = Self(format!("net-{}", stage.name()));
        network.make();
        network
    }

    fn make(&self) {
        let made = docker(&["network", "create", &self.0]);
        assert_eq!(made.code, 0, "{made:?}");
    }

    fn remove(&self) {
        let removed = docker(&["network", "rm", &self.0]);
        assert_eq!(removed.code, 0, "{removed:?}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.0]);
    }
}

#[test]
fn a_sandbox_starts_on_a_network_that_was_made_again() {
    let stage = Stage::new();
    let network = Network::new(&stage);
    let sandbox = stage.sandbox(SCRATCH, &["--network", &network.0, "--port", "8080"]);
    let stopped = sandbox.verb("stop", &[]).output();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    network.remove();

    for options in [&[][..], &["--reassign-ports"]] {
        let refused = sandbox.verb("start", options).output();
        assert_eq!(refused.code, 4, "{refused:?}");
        let told = refused.stderr_text();
        assert!(
            told.contains(&format!("network \"{}\"", network.0)),
            "{told}"
        );
        let command = format!("docker network create {}", network.0);
        assert!(told.contains(&command), "{told}");
    }
    let told = stage.amika(&["-o", "json", "doctor"]).output().json();
    let checks = told["checks"]
        .as_array()
        .or(told["error"]["report"]["checks"].as_array());
    let warned = checks.unwrap().iter().any(|check| {
        check["name"] == "networks"
            && check["result"] == "warning"
            && check["message"].to_string().contains(&sandbox.name)
            && check["hint"].to_string().contains(&network.0)
    });
    assert!(warned, "{told}");

    network.make();
    let started = sandbox.verb("start", &[]).output();
    assert_eq!(started.code, 0, "{started:?}");
    let joined = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(sandbox.engine_says(joined).trim(), network.0);
    let port = "{{(index .NetworkSettings.Ports \"8080/tcp\" 0).HostPort}}";
    assert_ne!(sandbox.engine_says(port).trim(), "");
    let deleted = sandbox.verb("delete", &["--force"]).output();
    assert_eq!(deleted.code, 0, "{deleted:?}");
}

#[test]
fn the_network_of_all_sandboxes_is_made_again_at_start() {
    let stage = Stage::new();
    let engine = PrivateEngine::start(&stage, &[SCRATCH]);
    let name = stage.name();
    let run = |args: &[&str]| {
        stage
            .amika(args)
            .env("DOCKER_HOST", &engine.host())
            .output()
    };
    let done = |args: &[&str]| {
        let output = run(args);
        assert_eq!(output.code, 0, "{args:?}: {output:?}");
    };
    // Ports of an engine in a network namespace of its own are not this one's: nothing is ready from here.
    done(&[
        "sandbox",
        "create",
        "--no-wait",
        "--image",
        SCRATCH,
        "--name",
        &name,
    ]);
    let network = |template: &str| {
        let told = engine.docker(&["network", "inspect", "--format", template, "amika"]);
        assert_eq!(told.code, 0, "{told:?}");
        told.stdout_text()
    };
    let settings = "{{.Driver}} {{json .Options}} {{json .Labels}}";
    let before = network(settings);
    for verb in ["start", "restart"] {
        done(&["sandbox", "stop", &name]);
        let pruned = engine.docker(&["network", "prune", "--force"]);
        assert!(pruned.stdout_text().contains("amika"), "{pruned:?}");
        done(&["sandbox", verb, "--no-wait", &name]);
        let inspected = engine.docker(&["inspect", "--format", "{{.State.Status}}", &name]);
        assert_eq!(inspected.stdout_text().trim(), "running", "{inspected:?}");
        assert_eq!(network(settings), before);
    }
    done(&["sandbox", "delete", "--force", &name]);
}

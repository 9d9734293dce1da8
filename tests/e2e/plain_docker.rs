//! The preset image without the command line: plain `docker run`, `--user`, and what a compose file
//! asks for.

use std::time::{Duration, Instant};

use crate::support::{Stage, Stranger, docker, eventually, preset};

/// Starts a container and waits until amikad says that it is ready.
fn start(container: &Stranger) {
    container.docker(&["start"]).ended(0, &[]);
    ready(container);
}

fn ready(container: &Stranger) {
    eventually("amikad is ready", || {
        container.exec(&["amikad", "health", "--ready"]).code == 0
    });
}

fn stops_quickly(container: &Stranger) {
    let begun = Instant::now();
    container.docker(&["stop"]).ended(0, &[]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "stopped after {took:?}");
}

const QUIET: [&str; 2] = ["-e", "AMIKA_OPENCODE_WEB=0"];
const SETUP: &str = "/usr/local/etc/amikad/setup/setup.sh";

#[test]
fn what_docker_run_was_told_wins_over_the_preset() {
    let stage = Stage::new();
    let preset = preset(&stage);
    let ask = [preset.as_str(), "sh", "-c", "pwd; id -u; echo $HOME"];
    for (options, expected) in [
        (&[][..], "/home/amika/workspace\n1000\n/home/amika\n"),
        (&["-w", "/tmp"], "/tmp\n1000\n/home/amika\n"),
        // What the image starts as: nobody can tell it from none.
        (&["-u", "0"], "/home/amika/workspace\n1000\n/home/amika\n"),
        (
            &["-u", "4321"],
            "/home/amika/workspace\n4321\n/home/amika\n",
        ),
        (&["-e", "HOME=/tmp"], "/home/amika/workspace\n1000\n/tmp\n"),
    ] {
        let container = stage.stranger(&[&QUIET, options].concat(), &ask);
        container.docker(&["start"]).ended(0, &[]);
        assert_eq!(container.exit_code(), "0", "{options:?}");
        let log = container.log();
        // Not a word of amikad's where nothing is wrong; another user cannot make its directories, and is told so once.
        let words: Vec<&str> = log
            .lines()
            .filter(|line| line.starts_with("amikad: "))
            .collect();
        let told = log.replace(words.concat().as_str(), "");
        assert_eq!(
            told.trim_start_matches('\n').trim_end(),
            expected.trim_end(),
            "{options:?}: {log}"
        );
        let is_refused = options == ["-u", "4321"];
        assert_eq!(words.len(), usize::from(is_refused), "{options:?}: {log}");
        assert!(
            !is_refused || words[0].contains("user 4321 may not write /run/amikad"),
            "{log}"
        );
    }
}

#[test]
fn docker_run_of_the_preset_stays_up_in_the_agents_directory_with_a_token() {
    let stage = Stage::new();
    let container = stage.stranger(&QUIET, &[&preset(&stage)]);
    start(&container);
    let cmd = container.exec(&[
        "sh",
        "-c",
        "cat /proc/1/cmdline | tr '\\0' ' '; pwd; id -un",
    ]);
    let text = cmd.stdout_text();
    assert!(text.contains("amikad run"), "{text}");
    assert!(text.contains("/home/amika/workspace\n"), "{text}");
    let token = container.exec(&["stat", "-c", "%a %u %s", "/var/lib/amikad/token"]);
    token.ended(0, &[]);
    assert!(token.stdout_text().starts_with("600 0 "), "{token:?}");
    // Nobody who can only look at the container learns it.
    let secret = container
        .exec(&["cat", "/var/lib/amikad/token"])
        .stdout_text();
    assert!(secret.trim().len() >= 32, "{}", secret.len());
    assert!(
        !container
            .docker(&["inspect"])
            .text()
            .contains(secret.trim())
    );
    assert!(!container.log().contains(secret.trim()));
    // On the port the token alone opens nothing, since it never travels; root's socket asks for none.
    let ask = |options: &[&str]| {
        let asked = ["curl", "-sm5", "-o", "/dev/null", "-w", "%{http_code}"];
        container.exec(&[&asked, options].concat()).stdout_text()
    };
    let header = format!("Authorization: Bearer {}", secret.trim());
    let port = "http://127.0.0.1:60999/v1/status";
    assert_eq!(ask(&["-H", &header, port]), "401");
    let socket = "/run/amikad/amikad.sock";
    assert_eq!(ask(&["--unix-socket", socket, "http://d/v1/status"]), "200");
    stops_quickly(&container);
}

#[test]
fn docker_run_with_a_cmd_runs_it_as_the_agent_and_ends_with_its_code() {
    let stage = Stage::new();
    let cmd = "id -un; pwd; echo $HOME; exit 7";
    let container = stage.stranger(&QUIET, &[&preset(&stage), "sh", "-c", cmd]);
    container.docker(&["start"]).ended(0, &[]);
    assert_eq!(container.exit_code(), "7");
    let log = docker(&["logs", &container.name]).stdout_text();
    assert_eq!(log, "amika\n/home/amika/workspace\n/home/amika\n");
}

#[test]
fn docker_run_has_the_same_gate() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/bash\nset -e\necho preparing; pwd; id -u\nexit 3\n",
    );
    let mount = format!("{script}:{SETUP}:ro");
    let args = [&QUIET[..], &["-v", &mount]].concat();
    let image = preset(&stage);
    let failing = stage.stranger(&args, &[&image, "echo", "CMD-RAN"]);
    failing.docker(&["start"]).ended(0, &[]);
    assert_eq!(failing.exit_code(), "3");
    let log = failing.log();
    assert!(
        log.contains("preparing\n/home/amika/workspace\n0\n"),
        "{log}"
    );
    assert!(!log.contains("CMD-RAN"), "{log}");

    stage.script("setup.sh", "#!/bin/bash\necho prepared >made\n");
    let passing = stage.stranger(
        &args,
        &[&image, "sh", "-c", "cat made; rm made && echo mine"],
    );
    passing.docker(&["start"]).ended(0, &[]);
    assert_eq!(passing.exit_code(), "0");
    assert_eq!(passing.docker(&["logs"]).stdout_text(), "prepared\nmine\n");
}

#[test]
fn docker_run_with_a_user_of_its_own_works_the_same() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho setup as $(id -u)\n");
    let mount = format!("{script}:{SETUP}:ro");
    let image = preset(&stage);
    for user in ["4321", "1000:1000", "amika"] {
        let args = [&QUIET[..], &["--user", user, "-v", &mount]].concat();
        let container = stage.stranger(&args, &[&image]);
        start(&container);
        let log = container.log();
        let uid = if user == "4321" { "4321" } else { "1000" };
        assert!(log.contains(&format!("setup as {uid}")), "{user}: {log}");
        let pwd = container.exec(&["pwd"]);
        assert_eq!(
            pwd.stdout_text(),
            "/home/amika/workspace\n",
            "{user}: {pwd:?}"
        );
        stops_quickly(&container);
        // The gate holds for this user too.
        let failing = stage.script("failing.sh", "#!/bin/sh\nexit 9\n");
        let mount = format!("{failing}:{SETUP}:ro");
        let args = [&QUIET[..], &["--user", user, "-v", &mount]].concat();
        let gated = stage.stranger(&args, &[&image, "echo", "CMD-RAN"]);
        gated.docker(&["start"]).ended(0, &[]);
        assert_eq!(gated.exit_code(), "9", "{user}: {}", gated.log());
        assert!(!gated.log().contains("CMD-RAN"));
    }
}

#[test]
fn what_a_compose_file_asks_for_works() {
    let stage = Stage::new();
    stage.file("project/file", "of the host\n");
    let bind = format!(
        "{}:/home/amika/workspace",
        stage.home().join("project").display()
    );
    // init, restart, stop_grace_period, hostname, environment, volumes, tmpfs, ports, healthcheck.
    let options = [
        "--init",
        "--restart",
        "unless-stopped",
        "--stop-timeout",
        "20",
        "--hostname",
        "agent",
        "-e",
        "AMIKA_OPENCODE_WEB=0",
        "-e",
        "OF_COMPOSE=1",
        "-v",
        &bind,
        "--tmpfs",
        "/tmp",
        "-p",
        "127.0.0.1::60999",
        "--health-interval",
        "1s",
        "-i",
        "-t",
    ];
    let container = stage.stranger(
        &options,
        &[
            &preset(&stage),
            "sh",
            "-c",
            "cat file; echo $OF_COMPOSE $(hostname); exec cat",
        ],
    );
    start(&container);
    eventually("CMD spoke", || {
        container
            .log()
            .replace('\r', "")
            .contains("of the host\n1 agent\n")
    });
    eventually("it is healthy", || {
        container
            .docker(&["inspect", "-f", "{{.State.Health.Status}}"])
            .stdout_text()
            .trim()
            == "healthy"
    });
    let published = container.docker(&["port"]).stdout_text();
    assert!(published.contains("60999/tcp -> 127.0.0.1:"), "{published}");
    stops_quickly(&container);
    start(&container);
    stops_quickly(&container);
}

#[test]
fn a_read_only_root_without_capabilities_still_runs_cmd() {
    let stage = Stage::new();
    let options = [
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "-e",
        "AMIKA_OPENCODE_WEB=0",
    ];
    let image = preset(&stage);
    let container = stage.stranger(&options, &[&image, "sh", "-c", "echo here; exit 5"]);
    container.docker(&["start"]).ended(0, &[]);
    assert_eq!(container.exit_code(), "5", "{}", container.log());
    assert!(container.log().contains("here"), "{}", container.log());
}

//! How the OpenCode server is supervised; a program that dies on purpose stands in for it.
//!
//! That a real one becomes ready is for the tests with the preset image.

use crate::support::{Builder, PROOF, Sandbox, eventually};

const PROGRAM: &str = "/usr/local/bin/opencode";

fn opencode(sandbox: &Sandbox) -> serde_json::Value {
    sandbox.api("/v1/status").json()["services"]["opencode"].clone()
}

#[test]
fn it_runs_as_the_agent_in_the_agents_directory_with_its_password() {
    let sandbox = Builder::new()
        .with_token()
        .program(PROGRAM, "#!/bin/sh\n(id -u; pwd; echo $* $BROWSER $OPENCODE_SERVER_PASSWORD) > /tmp/said\nexec sleep 60\n")
        .start_idle();
    sandbox.until_file_has("/tmp/said", "web");
    let password = sandbox.read("/var/lib/amikad/opencode-password");
    assert_eq!(password.len(), 64);
    assert_eq!(
        sandbox.read("/tmp/said"),
        format!(
            "1000\n/home/amika/workspace\nweb --port 60998 --hostname 0.0.0.0 true {password}\n"
        )
    );
    assert_eq!(sandbox.read("/run/amikad/opencode-web.port"), "60998");
    let access = sandbox.api("/v1/services/opencode").json();
    assert_eq!(access["port"], 60998);
    assert_eq!(access["username"], "opencode");
    assert_eq!(access["password"], password);
    assert!(
        !sandbox
            .read("/var/log/amikad/amikad.log")
            .contains(&password)
    );
    assert_eq!(
        opencode(&sandbox)["state"],
        "starting",
        "it runs, and answers nothing"
    );
}

#[test]
fn a_password_of_the_user_is_used() {
    let sandbox = Builder::new()
        .with_token()
        .env("OPENCODE_SERVER_PASSWORD", "chosen-one")
        .program(
            PROGRAM,
            "#!/bin/sh\necho $OPENCODE_SERVER_PASSWORD > /tmp/said\nexec sleep 60\n",
        )
        .start_idle();
    sandbox.until_file_has("/tmp/said", "chosen-one\n");
    assert_eq!(
        sandbox.api("/v1/services/opencode").json()["password"],
        "chosen-one"
    );
}

#[test]
fn a_password_that_the_host_put_into_the_state_directory_is_used_whatever_its_length() {
    let sandbox = Builder::new()
        .with_token()
        .file("/var/lib/amikad/opencode-password", "abc", 0o600)
        .start_idle();
    assert_eq!(
        sandbox.api("/v1/services/opencode").json()["password"],
        "abc"
    );
}

#[test]
fn it_is_off_where_the_environment_says_so_or_it_is_not_installed() {
    let off = Builder::new()
        .with_token()
        .env("AMIKA_OPENCODE_WEB", "0")
        .program(PROGRAM, "#!/bin/sh\ntouch /tmp/ran\nexec sleep 60\n")
        .start_idle();
    off.until_status("running", |status| status["phase"] == "running");
    let state = opencode(&off);
    assert_eq!(
        (state["enabled"].as_bool(), state["state"].as_str()),
        (Some(false), Some("off"))
    );
    assert!(!off.path("/tmp/ran").exists() && !off.path("/run/amikad/opencode-web.port").exists());
    let missing = Builder::new().with_token().start_idle();
    missing.until_status("running", |status| status["phase"] == "running");
    assert_eq!(opencode(&missing)["installed"], false);
}

#[test]
fn it_starts_while_setup_runs_or_right_after_setup_installed_it() {
    let during = Builder::new()
        .program(PROGRAM, "#!/bin/sh\ntouch /tmp/up\nexec sleep 60\n")
        .setup("#!/bin/sh\nuntil [ -e /tmp/up ]; do sleep 0.02; done\n")
        .start("exit 6")
        .wait();
    assert_eq!(during.code, 6);
    let after = Builder::new()
        .setup("#!/bin/sh\nprintf '#!/bin/sh\\ntouch /tmp/up\\nexec sleep 60\\n' > /usr/local/bin/opencode\nchmod +x /usr/local/bin/opencode\n")
        .program("/usr/local/bin/other", "")
        .start("until [ -e /tmp/up ]; do sleep 0.02; done; exit 6")
        .wait();
    assert_eq!(after.code, 6);
}

#[test]
fn a_dying_server_is_started_again_with_growing_pauses_and_never_takes_cmd_down() {
    let mut sandbox = Builder::new()
        .with_token()
        .program(
            PROGRAM,
            "#!/bin/sh\necho start >> /tmp/starts\necho some words\nexit 3\n",
        )
        .start("until [ -e /tmp/end ]; do sleep 0.02; done; exit 9");
    eventually("four starts", || {
        (sandbox.read("/tmp/starts").lines().count() >= 4).then_some(())
    });
    sandbox.until_status("a pause", |status| {
        let opencode = &status["services"]["opencode"];
        opencode["state"] == "backoff"
            && opencode["restarts"].as_u64() >= Some(3)
            && opencode["next_retry_ms"].as_u64() > Some(0)
            && opencode["last_exit"] == "exit code 3"
    });
    assert!(
        sandbox
            .api("/v1/logs/opencode")
            .body
            .starts_with("some words\n")
    );
    std::fs::write(sandbox.path("/tmp/end"), "").unwrap();
    assert_eq!(sandbox.wait().code, 9);
}

#[test]
fn a_restart_ends_its_whole_tree_first() {
    let sandbox = Builder::new()
        .with_token()
        .program(
            PROGRAM,
            "#!/bin/sh\necho $$ >> /tmp/starts\n\
             (trap '' TERM; touch /tmp/stubborn; while :; do sleep 0.05; done) &\n\
             setsid sh -c 'touch /tmp/apart; exec sleep 77' &\nwait\n",
        )
        .start_idle();
    for file in ["/tmp/stubborn", "/tmp/apart"] {
        eventually(file, || sandbox.path(file).exists().then_some(()));
    }
    let json = "Content-Type: application/json";
    let answer = sandbox.request(
        "POST",
        "/v1/services/opencode/restart",
        &[PROOF, json],
        "{}",
    );
    assert_eq!(answer.status, 202);
    eventually("a second start", || {
        (sandbox.read("/tmp/starts").lines().count() == 2).then_some(())
    });
    eventually("one tree only", || {
        let output = sandbox
            .exec(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
            .output();
        let lines = String::from_utf8(output.unwrap().stdout).unwrap();
        (lines.matches("sleep 77").count() == 1).then_some(())
    });
    assert_eq!(opencode(&sandbox)["restarts"], 1);
}

#[test]
fn a_server_that_ignores_term_does_not_hold_up_the_end() {
    let mut sandbox = Builder::new()
        .program(
            PROGRAM,
            "#!/bin/sh\ntrap '' TERM\ntouch /tmp/up\nwhile :; do sleep 0.05; done\n",
        )
        .start("until [ -e /tmp/up ]; do sleep 0.02; done; exit 2");
    assert_eq!(sandbox.wait().code, 2);
}

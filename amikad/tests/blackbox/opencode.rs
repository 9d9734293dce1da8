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

/// Serves files on the port that it is told, and says that it is up.
const SERVER: &str = "#!/bin/sh\necho \"$@\" >> /tmp/starts\nmkdir -p /tmp/www/global\n\
    echo '{\"healthy\":true}' > /tmp/www/global/health\n\
    exec python3 -m http.server \"$3\" --bind \"$5\" -d /tmp/www\n";

fn health(sandbox: &Sandbox) -> String {
    let url = "http://127.0.0.1:60998/global/health";
    let asked = sandbox.exec(&["curl", "-sS", "--max-time", "20", url]);
    let output = { asked }.output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn on_demand_it_is_started_by_whoever_comes_first_who_is_served() {
    let sandbox = Builder::new()
        .with_token()
        .env("AMIKA_OPENCODE_WEB", "on-demand")
        .program(PROGRAM, SERVER)
        .setup("#!/bin/sh\nuntil [ -e /tmp/go ]; do sleep 0.02; done\n")
        .start_idle();
    sandbox.until_file_has("/run/amikad/opencode-web.port", "60998");
    assert!(health(&sandbox).contains("Failed to connect"), "setup runs");
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    let it = eventually("its port to be held", || {
        Some(opencode(&sandbox)).filter(|it| it["state"] == "listening")
    });
    assert_eq!((&it["pid"], &it["port"]), (&().into(), &60998.into()));
    assert_eq!(sandbox.get("/readyz?require=opencode").status, 200);
    assert_eq!(sandbox.read("/tmp/starts"), "");
    // Several at once, all before it is there.
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| health(&sandbox))).collect();
        for one in asked {
            assert_eq!(one.join().unwrap(), "{\"healthy\":true}\n");
        }
    });
    let begun = "web --port 60997 --hostname 127.0.0.1\n";
    assert_eq!(sandbox.read("/tmp/starts"), begun);
    let pid = opencode(&sandbox)["pid"].as_u64().unwrap();
    // Where it ends, whoever comes waits for the next.
    let killed = { sandbox.exec(&["kill", "-9", &pid.to_string()]) }.status();
    assert!(killed.unwrap().success());
    eventually("its end to be seen", || {
        (opencode(&sandbox)["pid"] != pid).then_some(())
    });
    assert_eq!(health(&sandbox), "{\"healthy\":true}\n");
    assert_eq!(sandbox.read("/tmp/starts"), begun.repeat(2));
}

#[test]
fn on_demand_where_it_is_not_installed_nobody_has_its_port() {
    let sandbox = Builder::new()
        .with_token()
        .env("AMIKA_OPENCODE_WEB", "on-demand")
        .start_idle();
    sandbox.until_status("running", |status| status["phase"] == "running");
    let it = opencode(&sandbox);
    assert_eq!(
        (&it["installed"], &it["state"]),
        (&false.into(), &"off".into())
    );
    assert!(health(&sandbox).contains("Failed to connect"));
    assert!(!sandbox.path("/run/amikad/opencode-web.port").exists());
}

#[test]
fn it_starts_once_setup_is_done_with_which_may_install_it() {
    let during = Builder::new()
        .program(PROGRAM, "#!/bin/sh\ntouch /tmp/up\nexec sleep 60\n")
        .setup("#!/bin/sh\nuntil [ -e /run/amikad/opencode-web.port ]; do sleep 0.02; done\n[ ! -e /tmp/up ]\n")
        .start("until [ -e /tmp/up ]; do sleep 0.02; done; exit 6")
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

/// Listens on OpenCode's port and notes what it is told.
const IMPOSTOR: &str = "import os, socket, sys\n\
    if len(sys.argv) > 1: os.setgid(2000); os.setuid(2000)\n\
    server = socket.create_server(('0.0.0.0', 60998))\n\
    open('/tmp/impostor-up', 'w').close()\n\
    while True:\n  peer = server.accept()[0]; said = peer.recv(9999); open('/tmp/said', 'ab').write(said + b'!')\n\
    \x20 peer.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 16\\r\\n\\r\\n{\"healthy\":true}')\n";

#[test]
fn another_program_on_its_port_is_told_of_and_is_neither_taken_for_it_nor_given_its_password() {
    // One of another user, which came before it; and one of the very user that it runs as.
    for words in [
        &["python3", "/impostor", "other"][..],
        &["python3", "/impostor"],
    ] {
        let starts =
            "#!/bin/sh\nuntil [ -e /tmp/impostor-up ]; do sleep 0.02; done\nexec sleep 600\n";
        let builder = Builder::new()
            .with_token()
            .file("/impostor", IMPOSTOR, 0o644)
            .program(PROGRAM, starts);
        let sandbox = if words.len() > 2 {
            builder
                .setup("#!/bin/sh\npython3 /impostor other >/dev/null 2>&1 &\nuntil [ -e /tmp/impostor-up ]; do sleep 0.02; done\n")
                .start_idle()
        } else {
            builder.start_words(words)
        };
        sandbox.until_file_has(
            "/var/log/amikad/amikad.log",
            // Of another's that changed its user no more can be seen than that.
            if words.len() > 2 {
                "port 60998 is OpenCode's and "
            } else {
                "port 60998 is OpenCode's and `python3` (process "
            },
        );
        // Some checks later it is no other.
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert_eq!(opencode(&sandbox)["state"], "starting", "{words:?}");
        assert_eq!(sandbox.api("/v1/activity").status, 200);
        assert_eq!(sandbox.get("/readyz?require=opencode").status, 503);
        assert_eq!(sandbox.read("/tmp/said"), "", "{words:?}");
        let log = sandbox.read("/var/log/amikad/amikad.log");
        assert_eq!(log.matches("not taken for OpenCode").count(), 1, "{log}");
    }
}

#[test]
fn a_server_that_listens_in_a_child_of_its_own_is_itself() {
    let program = "#!/bin/sh\nsetsid python3 /impostor & wait\n";
    let sandbox = Builder::new()
        .with_token()
        .file("/impostor", IMPOSTOR, 0o644)
        .program(PROGRAM, program)
        .start_idle();
    eventually("OpenCode", || {
        (opencode(&sandbox)["state"] == "ready").then_some(())
    });
    let said = sandbox.read("/tmp/said").to_lowercase();
    assert!(said.contains("authorization: basic "), "{said}");
}

//! The `OpenCode` web server: the real one in the preset, and one that setup installs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Browser, DEBIAN, Sandbox, Stage, eventually, eventually_within, preset};

/// Makes a sandbox of the preset; the image is there already.
fn coder<'a>(stage: &'a Stage, args: &[&str]) -> Sandbox<'a> {
    preset(stage);
    let sandbox = stage.adopt(stage.name());
    let mut all = vec!["create", "--name", &sandbox.name];
    all.extend(args);
    stage.sandbox_verb(&all).ended(0, &[]);
    sandbox
}

fn server(sandbox: &Sandbox<'_>) -> Value {
    sandbox.inspect()["status"]["services"]["opencode"].clone()
}

/// It is ready in three seconds where nothing else runs, and in a minute and a half beside three others.
const PATIENCE: Duration = Duration::from_mins(4);

fn ready(sandbox: &Sandbox<'_>) {
    eventually_within(PATIENCE, "OpenCode is ready", || {
        server(sandbox)["state"] == "ready"
    });
}

/// Status and body of a GET, with a password where one is given.
fn get(url: &str, password: Option<&str>) -> (u16, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let sign_in = password.map_or_else(String::new, |password| {
        let pair = base64(format!("opencode:{password}").as_bytes());
        format!("Authorization: Basic {pair}\r\n")
    });
    write!(
        stream,
        "GET /{path} HTTP/1.0\r\nHost: {authority}\r\n{sign_in}\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let given = digit <= chunk.len();
            text.push(if given {
                DIGITS[index as usize] as char
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn the_preset_serves_opencode_to_who_knows_its_password() {
    let stage = Stage::new();
    let sandbox = coder(&stage, &[]);
    ready(&sandbox);
    let hidden = sandbox.inspect();
    assert_eq!(hidden["opencode"]["password"], Value::Null);
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        text.contains("  password    (--show-secrets shows it)"),
        "{text}"
    );
    let port = sandbox.docker_exec(&["cat", "/run/amikad/opencode-web.port"]);
    assert_eq!(port.stdout_text().trim(), "60998");
    let access = sandbox.secrets();
    let (url, password) = (
        access["url"].as_str().unwrap(),
        access["password"].as_str().unwrap(),
    );
    assert_eq!(access["username"], "opencode");
    let health = format!("{url}/global/health");
    assert_eq!(get(&health, None).0, 401);
    assert_eq!(get(&health, Some("wrong")).0, 401);
    let (status, body) = get(&health, Some(password));
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("healthy"), "{body}");
    // It runs as the agent, in the agent's directory, and nobody else is told its password.
    let pid = server(&sandbox)["pid"].to_string();
    let owner = sandbox.docker_exec(&["stat", "-c", "%U", &format!("/proc/{pid}")]);
    assert_eq!(owner.stdout_text(), "amika\n", "{owner:?}");
    let cwd = sandbox
        .exec(&["readlink", &format!("/proc/{pid}/cwd")])
        .output();
    assert_eq!(cwd.stdout_text(), "/home/amika/workspace\n", "{cwd:?}");
    let env = sandbox.exec(&["env"]).output().stdout_text();
    assert!(
        !env.contains(password) && !env.contains("PASSWORD"),
        "{env}"
    );
    for told in ["{{json .Config}}", "{{json .HostConfig}}"] {
        assert!(!sandbox.engine_says(told).contains(password));
    }
}

#[test]
fn no_address_is_told_where_nothing_answers() {
    let stage = Stage::new();
    let off = coder(&stage, &["--env", "AMIKA_OPENCODE_WEB=0"]);
    let absent = stage.sandbox(DEBIAN, &[]);
    for (sandbox, told) in [
        (&off, "OpenCode      off\n"),
        (&absent, "OpenCode      off (not"),
    ] {
        let inspected = sandbox.inspect();
        assert_eq!(inspected["opencode_url"], Value::Null, "{inspected:#}");
        let text = sandbox.verb("inspect", &[]).output().stdout_text();
        assert_eq!(text.matches(told).count(), 1, "{text}");
        assert!(!text.contains("  state"), "{text}");
        eventually("the list has no address either", || {
            let list = stage.amika(&["-o", "json", "ls"]).output().json();
            let row = list.as_array().unwrap().iter();
            let mut row = row.filter(|row| row["name"] == sandbox.name.as_str());
            row.next().unwrap()["opencode_url"] == Value::Null
        });
    }
    let made = stage.adopt(stage.name());
    let created = made.create(DEBIAN, &["-o", "json"]).json();
    assert_eq!(created["opencode_url"], Value::Null, "{created:#}");
}

#[test]
fn a_killed_opencode_comes_back_and_a_stale_port_file_does_not() {
    let stage = Stage::new();
    let sandbox = coder(&stage, &["--env", "OPENCODE_SERVER_PASSWORD=of the user"]);
    ready(&sandbox);
    let access = sandbox.secrets();
    assert_eq!(access["password"], "of the user");
    assert!(
        !sandbox
            .engine_says("{{json .Config}}")
            .contains("of the user")
    );
    let pid = server(&sandbox)["pid"].clone();
    let kill = ["kill", "-9", &pid.to_string()];
    sandbox.docker_exec(&kill).ended(0, &[]);
    eventually_within(PATIENCE, "OpenCode is ready again", || {
        let now = server(&sandbox);
        now["state"] == "ready" && now["pid"] != pid
    });
    assert_eq!(server(&sandbox)["restarts"], 1);
    assert_eq!(sandbox.engine_state(), "running");

    let takeaway = "mv $(command -v opencode) /root/ && echo 12345 >/run/amikad/opencode-web.port";
    sandbox.docker_exec(&["sh", "-c", takeaway]).ended(0, &[]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    assert_eq!(server(&sandbox)["state"], "off");
    let file = sandbox.docker_exec(&["test", "-e", "/run/amikad/opencode-web.port"]);
    assert_eq!(file.code, 1, "{file:?}");
}

#[test]
fn opencode_is_off_when_the_environment_says_so() {
    let stage = Stage::new();
    let sandbox = coder(&stage, &["--env", "AMIKA_OPENCODE_WEB=0"]);
    let now = server(&sandbox);
    assert_eq!(
        (&now["state"], &now["enabled"]),
        (&"off".into(), &false.into())
    );
    let file = sandbox.docker_exec(&["test", "-e", "/run/amikad/opencode-web.port"]);
    assert_eq!(file.code, 1, "{file:?}");
    assert_eq!(sandbox.inspect()["opencode"], Value::Null);
    // The clone of the preset is CMD-less: it stays up until told to stop, and then goes quickly.
    let stopped = sandbox.verb("stop", &[]).output();
    stopped.ended(0, &[]);
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");
}

#[test]
fn on_demand_opencode_is_started_by_whoever_asks_it_first() {
    let stage = Stage::new();
    let sandbox = coder(&stage, &["--opencode", "on-demand"]);
    eventually("its port is held", || {
        server(&sandbox)["state"] == "listening"
    });
    assert_eq!(server(&sandbox)["pid"], Value::Null);
    // To look at it, and to ask for its address, is not to need it.
    let access = sandbox.secrets();
    let url = access["url"].as_str().unwrap();
    sandbox.verb("inspect", &[]).output().ended(0, &[]);
    assert_eq!(server(&sandbox)["state"], "listening");
    let open = sandbox.verb("open", &["--print-url"]).start();
    let browser = Browser::sign_in(&open);
    eventually_within(PATIENCE, "whoever came is answered", || {
        let page = browser.get("global/health");
        page.is_some_and(|page| page.contains("healthy"))
    });
    ready(&sandbox);
    let health = format!("{url}/global/health");
    assert_eq!(get(&health, None).0, 401);
    assert_eq!(get(&health, access["password"].as_str()).0, 200);
    let inner = sandbox.docker_exec(&[
        "sh",
        "-c",
        "tr '\\0' ' ' </proc/$0/cmdline",
        &server(&sandbox)["pid"].to_string(),
    ]);
    assert!(
        inner
            .stdout_text()
            .contains("--port 60997 --hostname 127.0.0.1"),
        "{inner:?}"
    );
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    eventually("its port is held again", || {
        server(&sandbox)["state"] == "listening"
    });
}

#[test]
fn a_repository_may_say_when_opencode_is_started_and_a_flag_wins() {
    let stage = Stage::new();
    stage.repository(
        "app",
        &[(".amika/config.toml", "[sandbox]\nopencode = \"off\"\n")],
    );
    let app = stage.home().join("app").display().to_string();
    let plan = |more: &[&str]| {
        let args = [
            &[
                "-o",
                "json",
                "create",
                "--dry-run",
                "--preset",
                "coder",
                "--git",
                &app,
            ],
            more,
        ]
        .concat();
        stage.sandbox_verb(&args).ended(0, &[]).json()
    };
    let origin = |plan: &Value| plan["origins"]["env"]["AMIKA_OPENCODE_WEB"].clone();
    let of_file = plan(&[]);
    assert_eq!(origin(&of_file), "file", "{of_file:#}");
    assert_eq!(of_file["taken"]["opencode"], "off");
    let of_flag = plan(&["--opencode", "auto"]);
    assert_eq!(origin(&of_flag), "request", "{of_flag:#}");
    assert_eq!(of_flag["taken"]["opencode"], Value::Null);
    let refused = stage.sandbox_verb(&["create", "--opencode", "never"]);
    refused.ended(2, &["--opencode", "auto, on-demand, off"]);
}

#[test]
fn an_opencode_that_setup_installs_starts_right_after_it() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        r#"#!/bin/bash
cat >/usr/local/bin/opencode <<'END'
#!/bin/bash
echo "started: $*" >/home/amika/opencode-args
exec sleep 4321
END
chmod +x /usr/local/bin/opencode
"#,
    );
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    let args = || {
        sandbox
            .docker_exec(&["cat", "/home/amika/opencode-args"])
            .stdout_text()
    };
    eventually("OpenCode was started", || !args().is_empty());
    assert_eq!(args(), "started: web --port 60998 --hostname 0.0.0.0\n");
    let now = server(&sandbox);
    assert_eq!(
        (&now["installed"], &now["restarts"]),
        (&true.into(), &0.into())
    );
    assert_eq!(sandbox.inspect()["state"], "running");
}

#[test]
fn opencode_begins_after_setup_and_never_holds_cmd_back() {
    let stage = Stage::new();
    let image = stage.image(
        "FROM amika-test/debian\nRUN printf '#!/bin/sh\\necho up >/tmp/opencode-up\\nexec sleep 4321\\n' >/usr/local/bin/opencode && chmod +x /usr/local/bin/opencode\n",
    );
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\n[ -e /run/amikad/opencode-web.port ] && sleep 1 && [ ! -e /tmp/opencode-up ]\n",
    );
    // It never answers, and CMD runs all the same.
    let sandbox = stage.sandbox(
        &image,
        &[
            "--setup-script",
            &script,
            "--",
            "sh",
            "-c",
            "while [ ! -e /tmp/opencode-up ]; do sleep 0.05; done; echo CMD-RAN; exec cat",
        ],
    );
    sandbox.logs("CMD-RAN");
    assert_ne!(server(&sandbox)["state"], "ready");
}

/// A sandbox with what stands in for `OpenCode`, which is asked for what it was told.
fn standing_in<'a>(stage: &'a Stage, args: &[&str]) -> Sandbox<'a> {
    let setup = stage.script("setup.sh", crate::impostor::SETUP);
    let all = [
        &["--setup-script", setup.as_str()],
        args,
        &["--", "sleep", "600"],
    ]
    .concat();
    stage.sandbox(DEBIAN, &all)
}

#[test]
fn open_needs_no_port_of_this_machine_that_opencode_is_published_on() {
    let stage = Stage::new();
    let args = ["--expose-opencode", "--port-host-ip", "127.0.0.2"];
    let sandbox = standing_in(&stage, &args);
    let place = |field: &str| {
        sandbox.engine_says(&format!(
            r#"{{{{(index (index .NetworkSettings.Ports "60998/tcp") 0).{field}}}}}"#
        ))
    };
    assert_eq!(place("HostIp"), "127.0.0.2");
    // Whoever has that number of another address is not asked: this test, or a sandbox beside it that was first.
    let port: u16 = place("HostPort").parse().unwrap();
    let other = TcpListener::bind(("127.0.0.1", port))
        .inspect_err(|error| assert_eq!(error.kind(), ErrorKind::AddrInUse))
        .ok();
    let open = sandbox.verb("open", &["--print-url"]).start();
    let page = Browser::sign_in(&open).get("").unwrap();
    assert!(page.contains("healthy"), "{page}");
    if let Some(other) = other {
        other.set_nonblocking(true).unwrap();
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn open_survives_more_callers_than_it_may_have_files() {
    let stage = Stage::new();
    let sandbox = standing_in(&stage, &[]);
    let script = format!(
        "ulimit -n 48; exec \"$0\" sandbox open --print-url {}",
        sandbox.name
    );
    let open = stage.shell(&script, &[]).start();
    let browser = Browser::sign_in(&open);
    let files = || {
        std::fs::read_dir(format!("/proc/{}/fd", open.id()))
            .unwrap()
            .count()
    };
    let callers: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(("127.0.0.1", browser.port())).unwrap())
        .collect();
    eventually("it has all the files that it may have", || files() >= 47);
    drop(callers);
    eventually("it answers again", || {
        browser.get("").is_some_and(|page| page.contains("healthy"))
    });
}

//! What a list, `url` and `port` tell of sandboxes as they are now, and how it is shown.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::services::free_ports;
use crate::support::{DEBIAN, Sandbox, Stage, eventually, preset};

/// The row of a sandbox, in a list of JSON.
fn row(list: &Value, name: &str) -> Value {
    let mut rows = list.as_array().unwrap().iter();
    rows.find(|row| row["name"] == name).unwrap().clone()
}

fn listed(sandbox: &Sandbox<'_>) -> Value {
    let list = sandbox.stage.amika(&["ls", "-o", "json"]).output().json();
    row(&list, &sandbox.name)
}

/// The line of a sandbox, as it is piped.
fn line(sandbox: &Sandbox<'_>, args: &[&str]) -> String {
    let all = [&["ls"], args].concat();
    let text = sandbox.stage.amika(&all).output().stdout_text();
    let line = text.lines().find(|line| line.starts_with(&sandbox.name));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn a_list_tells_where_a_repository_is_now() {
    let stage = Stage::new();
    let repository = stage.repository("app", &[("file", "x")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let began = listed(&sandbox)["repository"].clone();
    assert_eq!(began["branch"], "main");
    assert_eq!(began["head"], json!({ "branch": "main" }));
    let set = |head: &str| {
        let script = format!("printf '{head}' >.git/HEAD");
        sandbox.exec(&["sh", "-c", &script]).output().ended(0, &[]);
    };
    set("ref: refs/heads/fix/it\\n");
    assert!(line(&sandbox, &[]).contains(" app    fix/it "));
    let now = listed(&sandbox)["repository"].clone();
    assert_eq!(
        (&now["branch"], &now["head"]),
        (&json!("main"), &json!({ "branch": "fix/it" }))
    );
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        text.contains("branch      fix/it (began on main)"),
        "{text}"
    );
    let commit = "0123456789abcdef0123456789abcdef01234567";
    set(commit);
    assert!(line(&sandbox, &[]).contains(" app    0123456 "));
    assert_eq!(listed(&sandbox)["repository"]["head"]["commit"], commit);
    // What is no HEAD, or not told, is none: the list says what it knows.
    for head in ["root:x:0:0", "ref: refs/heads/\\033[2J"] {
        set(head);
        assert!(line(&sandbox, &[]).contains(" app    main "), "{head}");
    }
    let fifo = "rm .git/HEAD && mkfifo .git/HEAD";
    sandbox.exec(&["sh", "-c", fifo]).output().ended(0, &[]);
    assert!(line(&sandbox, &[]).contains(" app    main "));
    sandbox.exec(&["rm", ".git/HEAD"]).output().ended(0, &[]);
    set("ref: refs/heads/last\\n");
    let stop = sandbox.verb("stop", &["--timeout", "0s"]).output();
    stop.ended(0, &[]);
    assert!(line(&sandbox, &[]).contains(" app    main "));
    assert_eq!(listed(&sandbox)["repository"]["head"], Value::Null);
}

#[test]
fn a_usual_row_fits_80_columns_on_a_terminal_and_is_whole_in_a_pipe() {
    let stage = Stage::new();
    let [port] = free_ports();
    let config = format!("[services.web]\nport = {port}\nurl_scheme = \"http\"\n");
    let files = [(".amika/config.toml", config.as_str())];
    let repository = stage.repository("app", &files);
    // A name as long as most are.
    let sandbox = stage.adopt(format!("t{}", std::process::id()));
    sandbox
        .create(
            DEBIAN,
            &[
                "--git",
                &repository,
                "--new-branch",
                "a-branch-with-a-long-name",
            ],
        )
        .ended(0, &[]);
    let filter = format!("name={}", sandbox.name);
    let args = ["ls", "--filter", &filter];
    let (code, text) = stage.on_terminal_of(80, &[("NO_COLOR", "1")], &args).end();
    assert_eq!(code, 0, "{text}");
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_end_matches('\r'))
        .collect();
    let url = format!("http://localhost:{port}");
    assert_eq!(lines.len(), 2, "{text}");
    for line in &lines {
        assert!(line.chars().count() <= 80, "{text}");
    }
    for part in [&sandbox.name, "running", " app ", "a-branch-", "…", &url] {
        assert!(lines[1].contains(part), "{part}: {text}");
    }
    let (_, coloured) = stage.on_terminal_of(80, &[], &args).end();
    assert!(
        coloured.contains("\u{1b}[32mrunning\u{1b}[0m"),
        "{coloured:?}"
    );
    let piped = line(&sandbox, &[]);
    for part in [
        "a-branch-with-a-long-name ",
        &format!("127.0.0.1:{port}->{port}/tcp "),
    ] {
        assert!(piped.contains(part), "{piped}");
    }
    assert!(!piped.contains(['…', '\u{1b}']), "{piped:?}");
}

#[test]
fn a_list_is_of_what_is_asked_for() {
    let stage = Stage::new();
    let repository = stage.repository("one", &[("file", "x")]);
    let [with, without] = [
        stage.sandbox(DEBIAN, &["--git", &repository]),
        stage.sandbox(DEBIAN, &[]),
    ];
    let stop = without.verb("stop", &["--timeout", "0s"]).output();
    stop.ended(0, &[]);
    let both = [&with, &without].map(|sandbox| format!("name={}", sandbox.name));
    let names = |filters: &[&str]| {
        let mut args = vec!["-q", "ls"];
        let filters = both
            .iter()
            .map(String::as_str)
            .chain(filters.iter().copied());
        args.extend(filters.flat_map(|filter| ["--filter", filter]));
        let output = stage.amika(&args).output();
        output.ended(0, &[]);
        let text = output.stdout_text();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut all = [with.name.clone(), without.name.clone()];
    all.sort();
    assert_eq!(names(&[]), all);
    assert_eq!(names(&["state=running", "state=stopped"]), all);
    assert_eq!(names(&["state=running"]), [with.name.as_str()]);
    assert_eq!(names(&["state=stopped", "repo=one"]), [""; 0]);
    assert_eq!(names(&["branch=main"]), [with.name.as_str()]);
    let json = ["ls", "-q", "-o", "json", "--filter", &both[0]];
    let json = stage.amika(&json).output().json();
    assert_eq!(json.as_array().unwrap().len(), 1, "{json}");
    assert_eq!(row(&json, &with.name)["state"], "running");
    for (filter, told) in [
        (
            "state=rnning",
            "states are creating, interrupted, setup, running",
        ),
        ("stat=running", "keys are name, state, repo, branch"),
        ("running", "keys are name, state, repo, branch"),
    ] {
        let refused = stage.amika(&["ls", "--filter", filter]).output();
        refused.ended(2, &[told]);
        let json = stage.amika(&["-o", "json", "ls", "--filter", filter]);
        assert_eq!(json.output().json()["error"]["code"], "usage");
    }
}

#[test]
fn a_watched_list_is_shown_anew_as_something_happens() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\nuntil [ -e /go ]; do sleep 0.1; done\n",
    );
    let sandbox = stage.adopt(stage.name());
    let filter = format!("name={}", sandbox.name);
    let args = ["-o", "json", "ls", "--watch", "--filter", &filter];
    let watching = stage.amika(&args).start();
    watching.says("[]\n");
    let args = ["--setup-script", &script, "--no-wait"];
    sandbox.create(DEBIAN, &args).ended(0, &[]);
    watching.says("\"state\":\"setup\"");
    // amikad says so, long before the engine's next health check.
    sandbox.docker_exec(&["touch", "/go"]).ended(0, &[]);
    watching.says("\"state\":\"running\"");
    let mut terminal = stage.on_terminal_of(100, &[], &["ls", "-w", "--filter", &filter]);
    terminal.shows("running");
    let stop = sandbox.verb("stop", &["--timeout", "0s"]).output();
    stop.ended(0, &[]);
    watching.says("\"state\":\"stopped\"");
    terminal.shows("stopped");
    terminal.signal(Signal::INT);
    assert_eq!(terminal.wait(), 130);
    watching.signal(Signal::INT);
    let output = watching.wait();
    assert_eq!(output.code, 130, "{output:?}");
    let text = output.stdout_text();
    let documents: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, lists) = documents.split_last().unwrap();
    assert_eq!(last["error"]["code"], "interrupted");
    for pair in lists.windows(2) {
        assert_ne!(pair[0], pair[1], "nothing changed");
    }
}

#[test]
fn what_was_done_in_a_repository_is_counted_inside_and_is_no_activity() {
    let stage = Stage::new();
    preset(&stage);
    let repository = stage.repository("app", &[("file", "x")]);
    let sandbox = stage.adopt(stage.name());
    let mut create = vec!["create", "--name", &sandbox.name, "--git", &repository];
    create.extend(["--no-credentials", "--env", "AMIKA_OPENCODE_WEB=0"]);
    stage.sandbox_verb(&create).ended(0, &[]);
    let details = || {
        let list = stage.amika(&["ls", "-l", "-o", "json"]).output().json();
        row(&list, &sandbox.name)["details"].clone()
    };
    let counts = |ahead: u64, changed: bool| {
        eventually("git said it in time", || {
            let details = details();
            details["commits_ahead"] == ahead && details["changed"] == changed
        });
    };
    counts(0, false);
    let run = |script: &str| {
        let ran = sandbox.exec(&["sh", "-ec", script]).output();
        ran.ended(0, &[]);
    };
    run("echo x >new");
    counts(0, true);
    run(
        "git config user.name T; git config user.email t@e.org; git add new; git commit -qm two; \
         git commit -q --allow-empty -m three; echo y >>new",
    );
    counts(2, true);
    eventually("it is shown", || line(&sandbox, &["-l"]).contains(" +2* "));
    // What the agent's git would run of its own accord it runs as the agent, and our look is not counted.
    let slow = "printf '#!/bin/sh\\nid -un >/tmp/ran; while :; do :; done\\n' >/tmp/slow; chmod +x /tmp/slow; \
                git config core.fsmonitor /tmp/slow";
    run(slow);
    eventually("nobody is at work", || {
        details()["activity"]["active_because"] == json!([])
    });
    for _ in 0..12 {
        let details = details();
        assert_eq!(details["changed"], Value::Null, "{details}");
        assert_eq!(
            details["activity"]["active_because"],
            json!([]),
            "{details}"
        );
    }
    let ran = sandbox.exec(&["cat", "/tmp/ran"]).output();
    assert_eq!(ran.stdout_text(), "amika\n", "{ran:?}");
    eventually("nothing is left of the looks", || {
        let left = sandbox.exec(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]);
        !left.output().stdout_text().contains("sh /tmp/slow")
    });
    eventually("memory is told", || {
        details()["memory_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0)
    });
}

#[test]
fn urls_and_ports_are_told_as_a_script_wants_them() {
    let stage = Stage::new();
    let [web, db] = free_ports();
    let config = format!(
        "[services.web]\nport = {web}\nurl_scheme = \"http\"\n[services.db]\nport = \"{db}/udp\"\n[services.notes]\n"
    );
    let repository = stage.repository("app", &[(".amika/config.toml", config.as_str())]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let said = |verb: &str, args: &[&str]| {
        let output = sandbox.verb(verb, args).output();
        output.ended(0, &[]);
        output.stdout_text()
    };
    let url = format!("http://localhost:{web}\n");
    assert_eq!(said("url", &[]), url);
    assert_eq!(said("url", &["web"]), url);
    let documents = sandbox.verb("url", &["-o", "json"]).output().json();
    assert_eq!(documents[0]["service"], "web");
    let mut ports: Vec<String> = [
        format!("{web}/tcp -> 127.0.0.1:{web}"),
        format!("{db}/udp -> 127.0.0.1:{db}"),
    ]
    .into();
    let all = said("port", &[]);
    let mut all: Vec<&str> = all.lines().collect();
    all.sort_unstable();
    ports.sort();
    assert_eq!(all, ports);
    let inside = web.to_string();
    assert_eq!(said("port", &[&inside]), format!("127.0.0.1:{web}\n"));
    let udp = format!("{db}/udp");
    assert_eq!(said("port", &[&udp]), format!("127.0.0.1:{db}\n"));
    let refused = |verb: &str, args: &[&str], code: i32, told: &[&str]| {
        sandbox.verb(verb, args).output().ended(code, told);
    };
    refused("url", &["db"], 3, &["has no URL", "url_scheme"]);
    refused("url", &["notes"], 3, &["has no URL"]);
    refused(
        "url",
        &["wep"],
        3,
        &["has no service \"wep\"", "did you mean `web`?"],
    );
    refused("url", &["opencode"], 3, &["OpenCode does not run"]);
    let forward = format!("`amika forward {} {db}`", sandbox.name);
    refused(
        "port",
        &[&db.to_string()],
        3,
        &["is not published", &forward],
    );
    refused("port", &["0"], 2, &[]);
    let stop = sandbox.verb("stop", &["--timeout", "0s"]).output();
    stop.ended(0, &[]);
    let start = format!("`amika sandbox start {}`", sandbox.name);
    refused("url", &[], 4, &["is not running", &start]);
    refused("port", &[], 4, &["is not running", &start]);
    let plain = stage.sandbox(DEBIAN, &[]);
    let none = plain.verb("url", &[]).output();
    none.ended(3, &["no service of sandbox", "amika forward"]);
    let none = plain.verb("port", &[]).output();
    assert_eq!((none.code, none.stdout_text().as_str()), (0, ""));
}

#[test]
fn inspect_tells_what_runs() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", "sleep 4321"]);
    assert_eq!(sandbox.inspect()["cmd"], json!(["sh", "-c", "sleep 4321"]));
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    assert!(
        text.contains("\nCMD           sh -c 'sleep 4321'\n"),
        "{text}"
    );
}

#[test]
fn a_step_that_takes_long_says_on_a_terminal_how_long() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\necho begun\nuntil [ -e /go ]; do sleep 0.1; done\n",
    );
    let sandbox = stage.adopt(stage.name());
    let name = sandbox.name.as_str();
    let args = [
        "sandbox",
        "create",
        "--name",
        name,
        "--image",
        DEBIAN,
        "--setup-script",
        &script,
    ];
    let mut terminal = stage.on_terminal(&args);
    terminal
        .shows("begun")
        .shows("setup 1 s")
        .shows("setup 2 s");
    sandbox.docker_exec(&["touch", "/go"]).ended(0, &[]);
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    // Taken away before anything else is said.
    let last = screen.rfind("setup 2 s").unwrap();
    assert!(screen[last..].contains("\r\u{1b}[K"), "{screen:?}");
    let restarted = sandbox.verb("restart", &["--stop-timeout", "0s"]).output();
    restarted.ended(0, &[]);
    assert!(
        !restarted.text().contains(['⠋', '\r', '\u{1b}']),
        "{restarted:?}"
    );
}

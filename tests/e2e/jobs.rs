//! Jobs as the command line has them: started without anybody who waits, listed, read, and waited for.

use serde_json::Value;

use crate::support::{DEBIAN, Sandbox, Stage};

/// Starts one; its id.
fn start(sandbox: &Sandbox<'_>, options: &[&str], script: &str) -> String {
    let options = [options, &["-d"]].concat();
    let started = sandbox.exec_with(&options, &["sh", "-c", script]).output();
    started.ended(0, &[]);
    let id = started.stdout_text().trim_end().to_owned();
    assert!(!id.is_empty() && !id.contains(char::is_whitespace), "{id}");
    id
}

#[test]
fn a_job_is_started_listed_read_and_waited_for_and_its_code_is_passed_on() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--env", "GREETING=hello"]);
    let script = "echo $GREETING $TWO; pwd; id -u; cat; echo oops >&2; \
                  until [ -e /tmp/go ]; do sleep 0.05; done; echo last; exit 7";
    let options = ["--env", "TWO=too", "--workdir", "/tmp", "--user", "0"];
    let id = start(&sandbox, &options, script);

    let listed = sandbox.verb("jobs", &[]).output();
    let text = listed.stdout_text();
    let row = text.lines().find(|row| row.starts_with(&id));
    let row = row.unwrap_or_else(|| panic!("{text}"));
    assert!(
        row.contains("running") && row.contains("echo $GREETING $TWO"),
        "{text}"
    );
    let header: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["ID", "STATE", "COMMAND", "STARTED", "TOOK"]);

    // It is waited for no longer than is wanted, and reading its log ends when it does.
    let condition = format!("job:{id}");
    let wait = |more: &[&str]| {
        let args = [&["--for", &condition], more].concat();
        sandbox.verb("wait", &args)
    };
    let late = wait(&["--timeout", "0"]).output();
    late.ended(21, &["did not end", &format!("--job {id}`")]);
    let reading = sandbox.verb("logs", &["-f", "--job", &id]).start();
    reading.says("hello too\n/tmp\n0\noops\n");
    let waiting = wait(&["-o", "json"]).start();
    sandbox.exec(&["touch", "/tmp/go"]).output().ended(0, &[]);
    let waited = waiting.wait();
    assert_eq!(waited.code, 7, "{waited:?}");
    let document = waited.json();
    assert_eq!(document["condition"], condition.as_str());
    assert_eq!(document["exit_code"], 7);
    let read = reading.wait();
    assert_eq!(
        (read.code, read.stdout_text().as_str()),
        (0, "hello too\n/tmp\n0\noops\nlast\n")
    );
    let tail = sandbox.verb("logs", &["--job", &id, "--tail", "1", "-o", "json"]);
    let tail = tail.output().json();
    assert_eq!(
        (&tail["log"], &tail["job"]),
        (&"job".into(), &id.as_str().into())
    );
    assert_eq!(tail["lines"], serde_json::json!(["last"]));

    let killed = start(&sandbox, &[], "kill -TERM $$");
    let waited = sandbox.verb("wait", &["--for", &format!("job:{killed}")]);
    waited.output().ended(143, &[]);
    let missing = sandbox.exec_with(&["-d"], &["/no/such/program"]).output();
    let missing = format!("job:{}", missing.stdout_text().trim_end());
    sandbox
        .verb("wait", &["--for", &missing])
        .output()
        .ended(127, &[]);
    let all = sandbox.verb("jobs", &["-o", "json"]).output().json();
    let states: Vec<&Value> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["state"])
        .collect();
    assert_eq!(states, ["ended", "ended", "ended"]);
    assert_eq!(
        (&all[0]["exit_code"], &all[1]["signal"]),
        (&7.into(), &15.into())
    );
    let text = sandbox.verb("jobs", &[]).output().stdout_text();
    assert!(
        ["ended (7)", "ended (143)", "ended (127)"]
            .iter()
            .all(|it| text.contains(it)),
        "{text}"
    );
}

#[test]
fn a_job_that_is_not_there_and_a_sandbox_that_does_not_run_are_told_apart() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let running = start(&sandbox, &[], "exec sleep 1000");
    let hint = format!("`amika sandbox jobs {}`", sandbox.name);
    for id in ["0", "../status", "a b", &"x".repeat(100)] {
        let unknown = sandbox.verb("logs", &["--job", id]).output();
        unknown.ended(3, &["has no job", &hint]);
        let unknown = sandbox
            .verb("wait", &["--for", &format!("job:{id}")])
            .output();
        unknown.ended(3, &["has no job", &hint]);
    }
    sandbox
        .verb("wait", &["--for", "job:"])
        .output()
        .ended(2, &["job:ID"]);

    // It ends with the sandbox, and who waits is told.
    let condition = format!("job:{running}");
    let waiting = sandbox.verb("wait", &["--for", &condition]).start();
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let code = waiting.wait().code;
    assert!([4, 143].contains(&code), "{code}");
    let stopped = ["is not running", "`amika sandbox start"];
    sandbox.verb("jobs", &[]).output().ended(4, &stopped);
    sandbox
        .verb("logs", &["--job", &running])
        .output()
        .ended(4, &stopped);
    sandbox
        .verb("wait", &["--for", &condition])
        .output()
        .ended(4, &stopped);
    sandbox
        .exec_with(&["-d"], &["true"])
        .output()
        .ended(125, &stopped);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    sandbox
        .verb("wait", &["--for", &condition])
        .output()
        .ended(3, &["has no job", &hint]);
    let none = sandbox.verb("jobs", &["-o", "json"]).output().json();
    assert_eq!(none, serde_json::json!([]));
}

#[test]
fn a_job_is_ended_and_sent_a_signal() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let [one, two] = [(); 2].map(|()| start(&sandbox, &[], "sleep 1000 & wait"));
    let stubborn = start(&sandbox, &[], "trap '' TERM; while :; do sleep 0.05; done");
    let catches = start(
        &sandbox,
        &[],
        "trap 'exit 3' INT; echo up; while :; do sleep 0.05; done",
    );
    let both = ["--stop", &one, "--stop", &two];
    let stopped = sandbox.verb("jobs", &both).output();
    stopped.ended(0, &[]);
    assert_eq!(stopped.stdout_text(), format!("{one}\n{two}\n"));
    // Nothing of them is left.
    let left = sandbox.exec(&["pgrep", "-x", "sleep", "-a"]).output();
    assert!(!left.stdout_text().contains("1000"), "{left:?}");
    let killed = sandbox.verb("jobs", &["--stop", &stubborn, "-o", "json"]);
    assert_eq!(killed.output().json()[0]["signal"], 9);
    let reading = sandbox.verb("logs", &["-f", "--job", &catches]).start();
    reading.says("up\n");
    let told = sandbox.verb("jobs", &["--stop", &catches, "--signal", "INT"]);
    told.output().ended(0, &[]);
    assert_eq!(reading.wait().code, 0);
    let condition = format!("job:{catches}");
    let waited = sandbox.verb("wait", &["--for", &condition]).output();
    waited.ended(3, &[]);
    // One that has ended is let be, and cannot be sent anything.
    sandbox
        .verb("jobs", &["--stop", &one])
        .output()
        .ended(0, &[]);
    for (args, code, words) in [
        (&["--stop", &one, "--signal", "INT"][..], 4, "has ended"),
        (&["--stop", "no-such"], 3, "has no job \"no-such\""),
        (&["--stop", "../x"], 3, "has no job"),
        (&["--stop", ""], 2, "--stop"),
        (&["--signal", "INT"], 2, "--stop"),
    ] {
        sandbox.verb("jobs", args).output().ended(code, &[words]);
    }
    let running = start(&sandbox, &[], "exec sleep 1000");
    let none = ["--stop", &running, "--signal", "NOPE"];
    let none = sandbox.verb("jobs", &none).output();
    none.ended(2, &["\"NOPE\" is no signal", "`INT`"]);
}

#[test]
fn docker_s_words_for_a_program_are_understood() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    for options in ["-it", "-ti", "-t"] {
        let args = [
            "sandbox",
            "exec",
            options,
            &sandbox.name,
            "sh",
            "-c",
            "tty; read line; echo got $line; exit 5",
        ];
        let mut terminal = stage.on_terminal(&args);
        terminal
            .shows("/dev/pts/")
            .types("typed\r")
            .shows("got typed");
        assert_eq!(terminal.wait(), 5, "{options}");
    }
    let read = sandbox.exec_with(&["-i"], &["cat"]).input("given").output();
    assert_eq!(read.stdout_text(), "given");
    for option in ["-dt", "-di"] {
        let refused = sandbox.exec_with(&[option], &["true"]).output();
        refused.ended(125, &["cannot be used with"]);
    }
}

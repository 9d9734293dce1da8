//! Terminals that stay when nobody looks at them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::idle;
use crate::support::{Answer, Builder, PATIENCE, PROOF, Sandbox, eventually, one_answer};

/// A terminal with a shell that says nothing by itself.
fn shell(sandbox: &Sandbox, name: &str) -> Value {
    start(
        sandbox,
        &json!({"name": name, "cmd": ["sh"], "env": {"PS1": ""}}),
    )
}

fn start(sandbox: &Sandbox, body: &Value) -> Value {
    let started = sandbox.post("/v1/terminals", body);
    assert_eq!(started.status, 201, "{started:?}");
    started.json()
}

fn record(sandbox: &Sandbox, name: &str) -> Value {
    let answer = sandbox.api(&format!("/v1/terminals/{name}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn ended(sandbox: &Sandbox, name: &str) -> Value {
    eventually("the terminal's end", || {
        let record = record(sandbox, name);
        (record["state"] == "ended").then_some(record)
    })
}

fn screen(sandbox: &Sandbox, name: &str) -> String {
    let answer = sandbox.api(&format!("/v1/terminals/{name}/screen"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("text/plain"), "{answer:?}");
    answer.body
}

fn shows(sandbox: &Sandbox, name: &str, text: &str) {
    eventually(&format!("`{text}` on the screen"), || {
        screen(sandbox, name).contains(text).then_some(())
    });
}

/// Somebody who looks at a terminal.
struct Viewer {
    stream: TcpStream,
    /// All that it was sent to show.
    seen: String,
    /// The words about it.
    told: Vec<Value>,
}

impl Viewer {
    fn attach(sandbox: &Sandbox, name: &str, query: &str) -> Self {
        Self::try_attach(sandbox, name, query).unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    fn try_attach(sandbox: &Sandbox, name: &str, query: &str) -> Result<Self, Answer> {
        let (mut stream, proof) = sandbox.prove();
        write!(
            stream,
            "POST /v1/terminals/{name}/attach{query} HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\
             Connection: Upgrade\r\nUpgrade: terminal\r\n\r\n"
        )
        .unwrap();
        let answer = one_answer(&mut stream);
        if answer.status != 101 {
            return Err(answer);
        }
        assert!(answer.head.contains("upgrade: terminal"), "{answer:?}");
        Ok(Self {
            stream,
            seen: String::new(),
            told: Vec::new(),
        })
    }

    fn send(&mut self, kind: u8, content: &[u8]) {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let head = [kind, length[0], length[1]];
        self.stream.write_all(&[&head, content].concat()).unwrap();
    }

    fn types(&mut self, text: &str) {
        self.send(0, text.as_bytes());
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        let word = json!({ "resize": [columns, rows] }).to_string();
        self.send(3, word.as_bytes());
    }

    /// Takes in one frame; false at the end.
    fn read(&mut self) -> bool {
        let mut head = [0; 3];
        if self.stream.read_exact(&mut head).is_err() {
            return false;
        }
        let mut content = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        self.stream.read_exact(&mut content).unwrap();
        match head[0] {
            0 => self.seen.push_str(&String::from_utf8_lossy(&content)),
            3 => self.told.push(serde_json::from_slice(&content).unwrap()),
            kind => panic!("a frame of kind {kind}"),
        }
        true
    }

    fn sees(&mut self, text: &str) {
        let mut from = 0;
        while !self.seen.as_bytes()[from..]
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
        {
            from = self.seen.len().saturating_sub(text.len());
            assert!(self.read(), "{text:?} in {:?}", self.seen);
        }
    }

    fn is_told(&mut self, word: &Value) {
        while !self.told.contains(word) {
            assert!(self.read(), "{word} in {:?}", self.told);
        }
    }

    /// Reads to the end; the last word.
    fn last_word(&mut self) -> Value {
        while self.read() {}
        self.told.last().cloned().unwrap_or_default()
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_terminal_is_one_for_the_agent_s_program_and_shows_what_it_writes() {
    let sandbox = idle();
    let script = "tty; id -u; stat -c %u $(tty); stty size; echo $TERM $HOME; env | grep -c EXEC_ENV; read line; echo \"got $line\"";
    let begun = start(
        &sandbox,
        &json!({"name": "main", "shell": script, "columns": 100, "rows": 30}),
    );
    assert_eq!(begun["name"], "main");
    assert_eq!(begun["state"], "running");
    assert_eq!(
        (&begun["columns"], &begun["rows"]),
        (&json!(100), &json!(30))
    );
    let mut viewer = Viewer::attach(&sandbox, "main", "");
    viewer.is_told(&json!({"size": [100, 30]}));
    viewer.sees("xterm-256color /home/amika");
    let text = screen(&sandbox, "main");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("/dev/pts/"), "{text}");
    let rest = ["1000", "1000", "30 100", "xterm-256color /home/amika", "0"];
    assert_eq!(lines[1..], rest);
    viewer.types("words\r");
    viewer.sees("got words");
    assert_eq!(viewer.last_word(), json!({"exit_code": 0}));
    let last = ended(&sandbox, "main");
    assert_eq!(last["exit_code"], 0);
    assert!(screen(&sandbox, "main").ends_with("words\ngot words\n"));
    assert_eq!(sandbox.api("/v1/terminals").json(), json!([last]));
}

#[test]
fn the_usual_program_is_the_user_s_login_shell_with_job_control() {
    let sandbox = idle();
    let begun = start(&sandbox, &json!({}));
    let name = begun["name"].as_str().unwrap();
    assert_eq!(begun["command"], "login shell");
    assert_eq!(
        (&begun["columns"], &begun["rows"]),
        (&json!(80), &json!(24))
    );
    let mut viewer = Viewer::attach(&sandbox, name, "");
    viewer.types("echo $0 $((40+2)); sh -c 'echo in front $((40+1)); exec sleep 1000'\r");
    viewer.sees("-sh 42");
    viewer.sees("in front 41");
    // Ctrl-C goes to the program in front, and not to the shell.
    viewer.types("\x03");
    viewer.types("echo again $((40+3))\r");
    viewer.sees("again 43");
    viewer.types("exit 9\r");
    assert_eq!(viewer.last_word(), json!({"exit_code": 9}));
}

#[test]
fn whoever_comes_back_sees_the_last_screen_and_goes_on() {
    let sandbox = idle();
    shell(&sandbox, "main");
    let mut first = Viewer::attach(&sandbox, "main", "?columns=60&rows=10");
    first.types("stty -echo; printf '\\033[31mred\\033[m\\n'; cat\r");
    first.sees("red");
    first.types("one line\r");
    first.sees("one line");
    // Lost without a word.
    drop(first);
    eventually("nobody", || {
        (record(&sandbox, "main")["viewers"] == 0).then_some(())
    });
    let mut second = Viewer::attach(&sandbox, "main", "");
    second.sees("one line");
    assert!(second.seen.contains("\x1b[31mred"), "{:?}", second.seen);
    assert_eq!(second.told[0], json!({"size": [60, 10]}), "as it was left");
    second.types("more\r");
    second.sees("more");
    // Its own word about leaving is the end of its connection.
    second.stream.shutdown(Shutdown::Write).unwrap();
    assert!(!second.read());
    assert_eq!(record(&sandbox, "main")["state"], "running");
    shows(&sandbox, "main", "more");
}

#[test]
fn several_look_at_once_and_the_smallest_decides() {
    let sandbox = idle();
    let script = "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done";
    start(&sandbox, &json!({"name": "main", "shell": script}));
    let mut large = Viewer::attach(&sandbox, "main", "?columns=120&rows=40");
    large.sees("up");
    large.sees("40 120");
    let mut small = Viewer::attach(&sandbox, "main", "?columns=90&rows=50");
    small.is_told(&json!({"size": [90, 40]}));
    large.is_told(&json!({"size": [90, 40]}));
    // One who says nothing of its size has no say.
    let mut silent = Viewer::attach(&sandbox, "main", "");
    for viewer in [&mut large, &mut small, &mut silent] {
        viewer.sees("40 90");
    }
    small.resize(70, 20);
    for viewer in [&mut large, &mut small, &mut silent] {
        viewer.is_told(&json!({"size": [70, 20]}));
        viewer.sees("20 70");
    }
    assert_eq!(record(&sandbox, "main")["viewers"], 3);
    drop(small);
    large.is_told(&json!({"size": [120, 40]}));
    // Larger and smaller than a terminal can be.
    large.resize(u16::MAX, 0);
    large.is_told(&json!({"size": [500, 1]}));
    let told = record(&sandbox, "main");
    assert_eq!((&told["columns"], &told["rows"]), (&json!(500), &json!(1)));
    // Both type.
    drop((large, silent));
    shell(&sandbox, "both");
    let mut one = Viewer::attach(&sandbox, "both", "");
    let mut other = Viewer::attach(&sandbox, "both", "");
    one.types("echo from $((1+0))\r");
    other.sees("from 1");
    other.types("echo from $((1+1))\r");
    one.sees("from 2");
}

#[test]
fn one_who_never_reads_stalls_nobody_and_sees_the_picture_when_he_does() {
    let sandbox = idle();
    shell(&sandbox, "main");
    let mut stalled = Viewer::attach(&sandbox, "main", "");
    stalled.sees("\x1b[");
    let mut reader = Viewer::attach(&sandbox, "main", "");
    // More than all buffers on the way hold.
    reader.types("stty -echo; seq 700000 >/tmp/much; cat /tmp/much; echo the $((40+2)) end\r");
    reader.sees("the 42 end");
    assert!(reader.seen.len() > 5_000_000, "he missed nothing");
    assert_eq!(sandbox.get("/livez").status, 200);
    // What was on its way to him comes first; then what is there, and not all that there was.
    stalled.sees("the 42 end");
    assert!(stalled.seen.len() < 5_000_000, "{}", stalled.seen.len());
    assert!(stalled.told.len() > 1, "told anew: {:?}", stalled.told);
    stalled.types("echo and $((1+1))\r");
    stalled.sees("and 2");
}

#[test]
fn input_that_nobody_reads_is_held_back_and_holds_up_nobody_else() {
    let sandbox = idle();
    let script = "stty raw -echo; echo up; until [ -e /tmp/go ]; do sleep 0.05; done; head -c 200000 | wc -c";
    start(&sandbox, &json!({"name": "deaf", "shell": script}));
    let mut viewer = Viewer::attach(&sandbox, "deaf", "");
    viewer.sees("up");
    let mut typing = viewer.stream.try_clone().unwrap();
    let typist = std::thread::spawn(move || {
        for _ in 0..20 {
            let frame = [&[0, 0x27, 0x10][..], &[b'x'; 10_000]].concat();
            typing.write_all(&frame).unwrap();
        }
    });
    let mut other = Viewer::attach(&sandbox, "deaf", "");
    other.sees("up");
    assert_eq!(sandbox.get("/livez").status, 200);
    assert_eq!(sandbox.api("/v1/terminals").status, 200);
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    other.sees("200000");
    typist.join().unwrap();
}

#[test]
fn its_end_hangs_it_up_and_kills_what_does_not_go() {
    let sandbox = idle();
    let polite = "trap 'touch /tmp/hung-up; exit' HUP; echo up; while :; do sleep 0.05; done";
    start(&sandbox, &json!({"name": "polite", "shell": polite}));
    let deaf = "trap '' HUP TERM; echo up; while :; do sleep 0.05; done";
    start(&sandbox, &json!({"name": "deaf", "shell": deaf}));
    shell(&sandbox, "prompt");
    let mut viewer = Viewer::attach(&sandbox, "deaf", "");
    for name in ["polite", "deaf"] {
        shows(&sandbox, name, "up");
    }
    for name in ["polite", "deaf", "prompt"] {
        let told = sandbox.delete(&format!("/v1/terminals/{name}"));
        assert_eq!(told.status, 202, "{told:?}");
    }
    ended(&sandbox, "polite");
    assert!(sandbox.path("/tmp/hung-up").exists());
    // A shell at its prompt passes over TERM.
    assert_eq!(ended(&sandbox, "prompt")["signal"], 1);
    assert_eq!(viewer.last_word(), json!({"exit_code": 137}));
    assert_eq!(ended(&sandbox, "deaf")["signal"], 9);
    assert_eq!(sandbox.delete("/v1/terminals/deaf").status, 200);
    // Who comes now sees its last screen and its end.
    let mut late = Viewer::attach(&sandbox, "deaf", "?columns=10&rows=5");
    late.sees("up");
    assert_eq!(late.told, [json!({"size": [80, 24]})]);
    // Typed to nobody; the connection may be over by then.
    let _ = late.stream.write_all(b"\x00\x00\x01x");
    assert_eq!(late.last_word(), json!({"exit_code": 137}));
    let script = "grep -ls '^State:.Z' /proc/[0-9]*/status; true";
    let zombies = sandbox.exec(&["sh", "-c", script]).output().unwrap();
    assert_eq!(String::from_utf8(zombies.stdout).unwrap(), "");
}

#[test]
fn what_a_program_left_running_is_hung_up_with_its_terminal() {
    let sandbox = idle();
    let script = "setsid sh -c 'while echo x; do sleep 0.05; done; touch /tmp/noticed' & sleep 0.2; echo left";
    start(&sandbox, &json!({"name": "main", "shell": script}));
    let mut viewer = Viewer::attach(&sandbox, "main", "");
    viewer.sees("left");
    assert_eq!(viewer.last_word(), json!({"exit_code": 0}));
    // It finds nobody to write to any more.
    eventually("that it noticed", || {
        sandbox.path("/tmp/noticed").exists().then_some(())
    });
}

#[test]
fn a_program_that_closes_its_terminal_and_opens_it_again_is_followed() {
    let sandbox = idle();
    let script =
        "echo before; exec </dev/null >/dev/null 2>&1; sleep 0.5; echo after >/dev/tty; sleep 1000";
    start(&sandbox, &json!({"name": "main", "shell": script}));
    let mut viewer = Viewer::attach(&sandbox, "main", "");
    viewer.sees("before");
    viewer.sees("after");
    assert_eq!(record(&sandbox, "main")["state"], "running");
}

#[test]
fn requests_that_ask_for_no_terminal_are_refused() {
    let sandbox = idle();
    let json_type = "Content-Type: application/json";
    let post =
        |body: &str, headers: &[&str]| sandbox.request("POST", "/v1/terminals", headers, body);
    for body in [
        "",
        "{",
        "[1]",
        r#"{"name":""}"#,
        r#"{"name":"a/b"}"#,
        r#"{"name":"a","columns":0}"#,
        r#"{"name":"a","rows":301}"#,
        r#"{"cmd":["a"],"shell":"b"}"#,
        r#"{"nonsense":1}"#,
    ] {
        let refused = post(body, &[PROOF, json_type]);
        assert_eq!(
            (refused.status, code(&refused).as_str()),
            (400, "bad_body"),
            "{body}"
        );
    }
    assert_eq!(post("{}", &[PROOF]).status, 400);
    assert_eq!(post("{}", &[json_type]).status, 401);
    let foreign = "Origin: http://evil.example";
    assert_eq!(post("{}", &[PROOF, json_type, foreign]).status, 403);
    assert_eq!(sandbox.api("/v1/terminals").json(), json!([]));

    shell(&sandbox, "main");
    let taken = sandbox.post("/v1/terminals", &json!({"name": "main"}));
    assert_eq!((taken.status, code(&taken).as_str()), (409, "name_taken"));
    let upgrade = ["Connection: Upgrade", "Upgrade: terminal"];
    let attach = |target: &str, more: &[&str], body: &str| {
        let headers = [&upgrade[..], more].concat();
        let target = format!("/v1/terminals/{target}");
        sandbox.request("POST", &target, &headers, body)
    };
    assert_eq!(attach("main/attach", &[], "").status, 401);
    let wrong = "Authorization: Amika 00";
    assert_eq!(attach("main/attach", &[wrong], "").status, 401);
    assert_eq!(attach("main/attach", &[PROOF, foreign], "").status, 403);
    assert_eq!(attach("main/attach", &[PROOF], "body").status, 400);
    assert_eq!(attach("nobody/attach", &[PROOF], "").status, 404);
    for query in [
        "?columns=80",
        "?columns=x&rows=2",
        "?columns=0&rows=2",
        "?x=1",
        "?columns=70000&rows=2",
    ] {
        let refused = attach(&format!("main/attach{query}"), &[PROOF], "");
        assert_eq!(
            (refused.status, code(&refused).as_str()),
            (400, "bad_query"),
            "{query}"
        );
    }
    let plain = sandbox.request("POST", "/v1/terminals/main/attach", &[PROOF], "");
    assert_eq!(plain.status, 426);
    assert!(plain.head.contains("upgrade: terminal"), "{plain:?}");
    let other = ["Connection: Upgrade", "Upgrade: tcp", PROOF];
    let other = sandbox.request("POST", "/v1/terminals/main/attach", &other, "");
    assert_eq!(other.status, 426);
    for (method, target, status) in [
        ("GET", "main/attach", 405),
        ("POST", "main/screen", 405),
        ("PUT", "main", 405),
        ("GET", "main/nonsense", 404),
        ("GET", "nobody", 404),
        ("DELETE", "nobody", 404),
        ("GET", "", 404),
        ("GET", "main/screen?x=1", 400),
    ] {
        let target = format!("/v1/terminals/{target}");
        let answer = sandbox.request(method, &target, &[PROOF], "");
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
    }
    assert_eq!(record(&sandbox, "main")["viewers"], 0);
}

#[test]
fn frames_that_are_none_end_the_viewer_and_nothing_else() {
    let sandbox = idle();
    shell(&sandbox, "main");
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x01\x00\x00",
        b"\x02\x00\x00",
        b"\x03\x00\x02{}",
        b"\x03\x00\x03[1]",
        b"\x03\x00\x00",
        b"\x03\xff\xff",
        b"\x03\x00\x15{\"resize\":[1,2],\"x\":1}",
        b"\x00\x00\x05abc",
        b"\xff",
    ] {
        let mut viewer = Viewer::attach(&sandbox, "main", "");
        viewer.stream.write_all(nonsense).unwrap();
        // The daemon may have ended it already.
        let _ = viewer.stream.shutdown(Shutdown::Write);
        // It ends by the daemon's doing, or by that of who shut it down.
        while viewer.read() {}
    }
    eventually("nobody", || {
        (record(&sandbox, "main")["viewers"] == 0).then_some(())
    });
    let mut viewer = Viewer::attach(&sandbox, "main", "");
    viewer.types("echo still $((1+1))\r");
    viewer.sees("still 2");
}

#[test]
fn output_that_no_terminal_understands_costs_nothing_but_its_picture() {
    let sandbox = idle();
    let script =
        "head -c 3000000 /dev/urandom; printf '\\033[!p\\033c\\033[2J\\033[H'; echo after all; cat";
    start(&sandbox, &json!({"name": "wild", "shell": script}));
    let mut viewer = Viewer::attach(&sandbox, "wild", "?columns=7&rows=3");
    viewer.sees("after all");
    viewer.resize(200, 60);
    shows(&sandbox, "wild", "after");
    viewer.types("typed\r");
    viewer.sees("typed");
    assert_eq!(sandbox.get("/livez").status, 200);
}

#[test]
fn so_many_run_so_many_look_and_the_last_that_ended_are_kept() {
    let sandbox = idle();
    for number in 0..16 {
        shell(&sandbox, &format!("t{number}"));
    }
    let refused = sandbox.post("/v1/terminals", &json!({}));
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (429, "too_many_terminals")
    );
    let viewers: Vec<Viewer> = (0..64)
        .map(|number| Viewer::attach(&sandbox, &format!("t{}", number % 16), ""))
        .collect();
    let refused = Viewer::try_attach(&sandbox, "t0", "").err().unwrap();
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (429, "too_many_viewers")
    );
    for _ in 0..10 {
        assert_eq!(sandbox.get("/livez").status, 200);
    }
    drop(viewers);
    eventually("a place", || Viewer::try_attach(&sandbox, "t0", "").ok());
    sandbox.delete("/v1/terminals/t0");
    ended(&sandbox, "t0");
    for number in 0..20 {
        let name = format!("e{number}");
        start(
            &sandbox,
            &json!({"name": name, "shell": format!("echo number {number}")}),
        );
        ended(&sandbox, &name);
    }
    assert_eq!(sandbox.api("/v1/terminals/t0").status, 404);
    assert_eq!(sandbox.api("/v1/terminals/e1").status, 404);
    shows(&sandbox, "e19", "number 19");
    // A name is free again with its bearer's end.
    start(&sandbox, &json!({"name": "e19", "shell": "echo another"}));
    shows(&sandbox, "e19", "another");
    let all = sandbox.api("/v1/terminals").json();
    let names = all.as_array().unwrap().iter();
    assert_eq!(names.filter(|one| one["name"] == "e19").count(), 1);
}

#[test]
fn a_stop_hangs_terminals_up_together_with_cmd_and_takes_no_longer_for_them() {
    let cmd = "trap 'until [ -e /tmp/go ]; do sleep 0.02; done; exit 4' TERM; while :; do sleep 0.02; done";
    let mut sandbox = Builder::new().with_token().start(cmd);
    sandbox.until_phase("running");
    let polite = "trap 'touch /tmp/hung-up; exit' HUP; echo up; while :; do sleep 0.05; done";
    start(&sandbox, &json!({"name": "polite", "shell": polite}));
    shell(&sandbox, "prompt");
    shows(&sandbox, "polite", "up");
    let mut viewer = Viewer::attach(&sandbox, "prompt", "");
    viewer.sees("\x1b[");
    sandbox.signal(15);
    assert_eq!(viewer.last_word(), json!({"exit_code": 129}));
    eventually("the polite one's end", || {
        sandbox.path("/tmp/hung-up").exists().then_some(())
    });
    let refused = sandbox.post("/v1/terminals", &json!({}));
    assert_eq!((refused.status, code(&refused).as_str()), (409, "stopping"));
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    assert_eq!(sandbox.wait().code, 4);

    // Without a CMD that takes its time: no grace is used up, and viewers are not waited for.
    let mut sandbox = idle();
    sandbox.until_phase("running");
    shell(&sandbox, "prompt");
    let mut viewer = Viewer::attach(&sandbox, "prompt", "");
    viewer.sees("\x1b[");
    let begun = Instant::now();
    sandbox.signal(15);
    assert_eq!(sandbox.wait().code, 143);
    assert!(begun.elapsed() < Duration::from_secs(3));
    while viewer.read() {}
}

#[test]
fn typing_is_activity_and_an_idle_shell_a_look_and_a_resize_are_not() {
    let sandbox = idle();
    let reasons = || {
        std::thread::sleep(Duration::from_millis(1100));
        sandbox.api("/v1/activity").json()["active_because"].clone()
    };
    assert_eq!(reasons(), json!([]));
    shell(&sandbox, "main");
    assert_eq!(reasons(), json!([]), "an idle shell");
    let mut viewer = Viewer::attach(&sandbox, "main", "?columns=80&rows=20");
    viewer.resize(70, 20);
    viewer.is_told(&json!({"size": [70, 20]}));
    viewer.types("");
    assert_eq!(reasons(), json!([]), "a look");
    viewer.types("\r");
    eventually("activity", || (reasons() == json!(["input"])).then_some(()));
}

#[test]
fn the_socket_of_root_leads_to_terminals_without_a_proof() {
    let sandbox = idle();
    shell(&sandbox, "main");
    let mut stream = UnixStream::connect(sandbox.path("/run/amikad/amikad.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(
            b"POST /v1/terminals/main/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: terminal\r\n\r\n\
              \x00\x00\x0fecho $((40+2))\r",
        )
        .unwrap();
    let mut seen = Vec::new();
    let mut some = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("42") {
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&some[..count]);
    }
    assert!(seen.starts_with(b"HTTP/1.1 101 "));
    eventually("one", || {
        (record(&sandbox, "main")["viewers"] == 1).then_some(())
    });
    drop(stream);
    eventually("nobody", || {
        (record(&sandbox, "main")["viewers"] == 0).then_some(())
    });
}

#[test]
fn without_terminals_to_be_had_it_is_said_and_nothing_is_left() {
    let sandbox = Builder::new()
        .with_token()
        .wrapped(&[
            "sh",
            "-c",
            "umount /dev/pts 2>/dev/null || mount -t tmpfs none /dev/pts; exec \"$@\"",
            "sh",
        ])
        .start_idle();
    sandbox.until_phase("running");
    let refused = sandbox.post("/v1/terminals", &json!({}));
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (503, "cannot_start"),
        "{refused:?}"
    );
    assert!(
        refused.body.contains("no terminal can be had"),
        "{refused:?}"
    );
    assert_eq!(sandbox.api("/v1/terminals").json(), json!([]));
    assert_eq!(sandbox.get("/livez").status, 200);
}

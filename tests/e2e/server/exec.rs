//! Programs run through the server: as events, and with a socket for their streams.

use serde_json::{Value, json};
use tungstenite::Message;

use super::client::Server;
use super::socket::Socket;
use crate::support::{DEBIAN, Stage, eventually};

/// Sends a program's standard input within the window, and gathers what it writes, to its exit code.
fn run(socket: &mut Socket, start: &Value, input: &[u8]) -> (Vec<u8>, Vec<u8>, i64) {
    socket.text(start);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (mut room, mut sent, mut has_ended) = (0, 0, false);
    loop {
        match socket.next() {
            Message::Binary(bytes) => match bytes[0] {
                1 => stdout.extend_from_slice(&bytes[1..]),
                2 => stderr.extend_from_slice(&bytes[1..]),
                other => panic!("stream {other}"),
            },
            Message::Text(text) => {
                let word: Value = serde_json::from_str(&text).unwrap();
                if let Some(code) = word["exit_code"].as_i64() {
                    assert_eq!(socket.closed().0, 1000);
                    return (stdout, stderr, code);
                }
                let more = word["window"].as_u64().or_else(|| word["taken"].as_u64());
                room += usize::try_from(more.unwrap()).unwrap();
                let count = room.min(input.len() - sent);
                if count > 0 {
                    let mut message = vec![0];
                    message.extend_from_slice(&input[sent..sent + count]);
                    socket.bytes(&message);
                    room -= count;
                    sent += count;
                }
                if sent == input.len() && !has_ended {
                    has_ended = true;
                    socket.text(&json!({ "end": true }));
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_programs_streams_are_a_sockets_and_its_exit_code_comes_last() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let path = format!("/sandboxes/{id}/exec");
    let open = || server.socket(&server.admin, &path).unwrap();

    let script = "echo $A in $PWD; echo bad >&2; cat; exit 7";
    let start = json!({ "cmd": ["sh", "-c", script], "cwd": "/usr", "env": { "A": "b c" } });
    let (stdout, stderr, code) = run(&mut open(), &start, b"typed\0\xff");
    assert_eq!(stdout, b"b c in /usr\ntyped\0\xff");
    assert_eq!((stderr.as_slice(), code), (&b"bad\n"[..], 7));
    // More than any buffer between holds, each way.
    let large = vec![b'l'; 5 << 20];
    let (stdout, _, code) = run(&mut open(), &json!({ "cmd": ["cat"] }), &large);
    assert!(stdout == large && code == 0);
    let (_, _, code) = run(&mut open(), &json!({ "cmd": ["no-such-program"] }), b"");
    assert_eq!(code, 127);

    // With a terminal, whose size may change, and that is typed into.
    let mut socket = open();
    let start = json!({ "cmd": ["sh"], "tty": true, "columns": 91, "rows": 31 });
    socket.text(&start);
    assert!(socket.word().1["window"].is_u64());
    socket.bytes(b"\0stty size\n");
    socket.until("31 91");
    socket.text(&json!({ "resize": [77, 22] }));
    socket.bytes(b"\0until stty size | grep '22 77'; do sleep 0.1; done; exit 4\n");
    socket.until("22 77\r\n");
    let ended = loop {
        let word = socket.word().1;
        if word.get("taken").is_none() {
            break word;
        }
    };
    assert_eq!(ended, json!({ "exit_code": 4 }));

    // A signal is heard although the program reads nothing.
    let mut socket = open();
    socket.text(&json!({ "cmd": ["sh", "-c", "trap 'exit 9' INT; while :; do sleep 0.1; done"] }));
    let window = socket.word().1["window"].as_u64().unwrap();
    let mut message = vec![0; usize::try_from(window).unwrap() + 1];
    message[0] = 0;
    socket.bytes(&message);
    std::thread::sleep(std::time::Duration::from_millis(500));
    socket.text(&json!({ "signal": "INT" }));
    let ended = loop {
        let word = socket.word().1;
        if word.get("taken").is_none() {
            break word;
        }
    };
    assert_eq!(ended, json!({ "exit_code": 9 }));

    for (first, status) in [
        (json!({ "cmd": [] }), 4400),
        (json!({ "cmd": ["id"], "no": 1 }), 4400),
    ] {
        let mut socket = open();
        socket.text(&first);
        assert!(socket.word().1["error"]["message"].is_string());
        assert_eq!(socket.closed().0, status, "{first}");
    }
    let mut socket = open();
    socket.text(&json!({ "cmd": ["sleep", "60"] }));
    let window = socket.word().1["window"].as_u64().unwrap();
    socket.bytes(&vec![0; usize::try_from(window).unwrap() + 2]);
    assert_eq!(socket.closed().0, 1008, "more than the window");
    let member = server.member("ada");
    assert_eq!(server.socket(&member, &path).err(), Some(404));
    let lesser = server.key(&["read", "write"]);
    for whom in [json!({ "root": true }), json!({ "user": "nobody" })] {
        let mut socket = server.socket(&lesser, &path).unwrap();
        let mut start = json!({ "cmd": ["id"] });
        start
            .as_object_mut()
            .unwrap()
            .extend(whom.as_object().unwrap().clone());
        socket.text(&start);
        assert_eq!(socket.closed().0, 4403);
        assert_eq!(server.ask(&lesser, "POST", &path, Some(&start)).status, 403);
    }
    // Anybody whom the sandbox knows, as the command line's `--user` has it.
    for (whom, expected) in [("nobody", "65534\n"), ("1234", "1234\n"), ("root", "0\n")] {
        let start = json!({ "cmd": ["id", "-u"], "user": whom });
        let ran = server.post(&path, &start).expect(200);
        assert_eq!(ran["stdout"], expected, "{ran}");
        let ran = stage
            .amika(&[
                "sandbox", "exec", "--remote", "--user", whom, id, "--", "id", "-u",
            ])
            .env("AMIKA_API_URL", &server.url())
            .env("AMIKA_API_KEY", &server.admin)
            .output();
        assert_eq!(ran.stdout_text(), expected, "{ran:?}");
    }
    for bad in ["", "-x", "a\u{7}"] {
        let start = json!({ "cmd": ["id"], "user": bad });
        assert_eq!(server.post(&path, &start).status, 400, "{bad:?}");
    }

    // Who leaves ends the program.
    let mut socket = open();
    socket.text(&json!({ "cmd": ["sleep", "98765"] }));
    socket.word();
    socket.vanish();
    is_gone(&server, id, "98765");
    server.remove(id);
}

fn is_gone(server: &Server<'_>, id: &str, argument: &str) {
    let look = format!("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[s]leep {argument}'");
    let look = json!({ "cmd": ["sh", "-c", look] });
    eventually("the program is ended", || {
        let seen = server.post(&format!("/sandboxes/{id}/exec"), &look);
        seen.expect(200)["stdout"] == "0\n"
    });
}

#[test]
fn long_output_comes_as_events_while_it_is_written() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let path = format!("/sandboxes/{id}/exec");
    let events = |body: &Value| -> Vec<(String, Value)> {
        let answer = server.events(&path, body);
        let events = answer
            .split("\n\n")
            .filter(|it| !it.is_empty() && !it.starts_with(':'));
        let events = events.map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            let name = name.strip_prefix("event: ").unwrap();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        });
        events.collect()
    };
    let all = events(
        &json!({ "cmd": ["sh", "-c", "cat; seq 1 400000; echo \u{e4} >&2; exit 3"], "stdin": "in\n" }),
    );
    let of = |name: &str| -> String {
        let of = all.iter().filter(|event| event.0 == name);
        of.map(|event| event.1["text"].as_str().unwrap()).collect()
    };
    let wanted: Vec<String> = (1..=400_000).map(|it| it.to_string()).collect();
    assert!(of("stdout") == format!("in\n{}\n", wanted.join("\n")));
    assert_eq!(of("stderr"), "\u{e4}\n");
    assert_eq!(
        all.last().unwrap(),
        &("exit".to_owned(), json!({ "exit_code": 3 }))
    );
    let all = events(&json!({ "cmd": ["printf", "\\377\\000"] }));
    assert_eq!(all[0], ("stdout".to_owned(), json!({ "base64": "/wA=" })));
    let all = events(&json!({ "cmd": ["sleep", "87654"], "timeout_s": 1 }));
    let (name, error) = all.last().unwrap();
    assert_eq!(
        (name.as_str(), &error["code"]),
        ("error", &json!("not_ready"))
    );
    is_gone(&server, id, "87654");
    // Who leaves ends the program.
    drop(server.begin_events(&path, &json!({ "cmd": ["sleep", "76543"] })));
    is_gone(&server, id, "76543");
    server.remove(id);
}

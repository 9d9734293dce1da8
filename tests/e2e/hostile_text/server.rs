//! A git server that sends what steers a terminal wherever its protocol has room for words: whatever of it is shown,
//! by `create --git URL` on a terminal and as JSON, is inert.

use super::{PAYLOAD, is_inert};
use crate::repositories::server::{Request, Server};
use crate::support::{DEBIAN, Stage};

/// A C1 character in one byte, as a terminal of eight bits takes it; and a line of its own.
const BYTES: &[u8] = b"\x9b2J\nhint: run evil\r\x1b[1Ahint: run evil\n";

fn payload() -> Vec<u8> {
    [b"words ", PAYLOAD.as_bytes(), BYTES].concat()
}

/// A line of git's protocol.
fn packet(content: &[u8]) -> Vec<u8> {
    let length = format!("{:04x}", content.len() + 4);
    [length.as_bytes(), content].concat()
}

fn http(status: &str, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    [head.as_bytes(), headers, b"\r\n", body].concat()
}

/// What it answers in place of git's own server, by the repository that is asked for.
fn answer(request: &Request) -> Option<Vec<u8>> {
    let repository = request
        .path
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap();
    let advertised = b"Content-Type: application/x-git-upload-pack-advertisement\r\n";
    let result = b"Content-Type: application/x-git-upload-pack-result\r\n";
    let service = [&packet(b"# service=git-upload-pack\n")[..], b"0000"].concat();
    let is_fetch = request.method == "POST"
        && request
            .body
            .windows(13)
            .any(|part| part == b"command=fetch");
    let band = |number: u8, words: &[u8]| packet(&[&[number][..], words].concat());
    Some(match repository {
        // A page that says why not.
        "page" => http("403 Forbidden", b"Content-Type: text/plain\r\n", &payload()),
        // Another place.
        "elsewhere" => {
            let place = [b"Location: /x\x1b]52;c;eA==\x07\x9b2J/info/refs\r\n".as_slice()].concat();
            http("302 Found", &place, b"")
        }
        // An error in place of the list of refs.
        "error" => {
            let words = [b"ERR ", &payload()[..]].concat();
            http(
                "200 OK",
                advertised,
                &[&service[..], &packet(&words)].concat(),
            )
        }
        // A list that is none, refs by such names, and capabilities.
        "list" => {
            let first = [b"version 2", &payload()[..]].concat();
            http(
                "200 OK",
                advertised,
                &[&service[..], &packet(&first), b"0000"].concat(),
            )
        }
        "refs" => {
            let oid = "ab".repeat(20);
            let line = [
                oid.as_bytes(),
                b" refs/heads/",
                &payload()[..],
                b"\0symref=HEAD:refs/heads/",
                &payload(),
            ]
            .concat();
            http(
                "200 OK",
                advertised,
                &[&service[..], &packet(&line), b"0000"].concat(),
            )
        }
        // Words beside a pack, the last of them the end.
        "band.git" if is_fetch => {
            let mut body = packet(b"packfile\n");
            body.extend(band(2, &payload()));
            body.extend(band(
                2,
                &[b"half of a line \x1b]52".as_slice(), &[b'x'; 900]].concat(),
            ));
            body.extend(band(3, &payload()));
            body.extend(b"0000");
            http("200 OK", result, &body)
        }
        _ => return None,
    })
}

#[test]
fn nothing_that_a_git_server_sends_reaches_the_terminal_as_it_is() {
    let stage = Stage::new();
    let hook = stage.script(
        "pack-hook",
        &format!("#!/bin/sh\nprintf '%s\\n%s\\n' '{PAYLOAD}' 'hint: run evil' >&2\nprintf '\\2332J\\r\\n' >&2\nexec \"$@\"\n"),
    );
    // In a branch's name git allows what is no C0 character.
    let branch = "b\u{9b}2J\u{202e}z";
    let script = "mkdir served work && cd work && git init -q -b main && echo one >file && git add . && \
        git -c user.name=A -c user.email=a@b.org commit -qm one && \
        git clone -q --bare . ../served/band.git && git clone -q --bare . ../served/words.git && \
        git checkout -q -b \"$1\" && git clone -q --bare . ../served/names.git";
    let made = stage.shell(script, &[branch]).dir(stage.home()).output();
    made.ended(0, &[]);
    // Of its own user's configuration, as a server that is somebody's has it.
    let env = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "uploadpack.packObjectsHook"),
        ("GIT_CONFIG_VALUE_0", hook.as_str()),
    ];
    let server = Server::answering(&stage.home().join("served"), &env, answer);
    for (repository, code, is_shown) in [
        ("page", 7, true),
        ("elsewhere", 7, false),
        ("error", 7, true),
        ("list", 7, false),
        ("refs", 7, false),
        ("band.git", 7, true),
        ("words.git", 0, true),
        ("names.git", 0, true),
    ] {
        let url = server.url("me:ghp_s3cretTOKEN@", repository);
        let args = [
            "sandbox",
            "create",
            "--image",
            DEBIAN,
            "--git",
            &url,
            "--dry-run",
        ];
        for further in [&[][..], &["-o", "json"]] {
            let all = [&args[..], further].concat();
            let mut terminal = stage.on_terminal(&all);
            let (ended, screen) = terminal.end();
            assert_eq!(ended, code, "{repository}: {screen}");
            is_inert(&[repository], &screen);
            assert!(terminal.is_text(), "{repository}: {screen:?}");
            // Or the server did not get to say it.
            let is_there = screen.contains("\\u{1b}]52")
                || screen.contains("\\u{9b}2J")
                || screen.contains("\\u009b2J")
                || screen.contains("·2J");
            assert!(
                !is_shown || is_there || !further.is_empty(),
                "{repository}: {screen:?}"
            );
        }
    }
}

//! Preset images are built once, however many want them at once.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What was asked of the engine.
#[derive(Default)]
struct Asked {
    /// How often the preset's image was looked for.
    looks: usize,
    /// How many builds were begun.
    builds: usize,
    is_built: bool,
}

type Shared = Arc<(Mutex<Asked>, Condvar)>;

/// An engine that has every image but the preset's, which it builds once two have looked for it.
fn engine(socket: &Path) -> Shared {
    let listener = UnixListener::bind(socket).unwrap();
    let shared = Shared::default();
    let asked = Arc::clone(&shared);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let asked = Arc::clone(&asked);
            std::thread::spawn(move || serve(&client, &asked));
        }
    });
    shared
}

fn serve(client: &UnixStream, shared: &Shared) {
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let (asked, changed) = &**shared;
    let (code, body) = if head.contains("/build?") {
        let mut now = asked.lock().unwrap();
        now.builds += 1;
        let (now, _) = changed
            .wait_timeout_while(now, Duration::from_secs(20), |now| now.looks < 2)
            .unwrap();
        drop(now);
        // Whoever does not wait for the first build begins the second one now.
        std::thread::sleep(Duration::from_millis(300));
        skip_body(&mut reader, &head);
        asked.lock().unwrap().is_built = true;
        (200, "{\"stream\":\"built\\n\"}\n")
    } else if head.contains("/version") {
        (
            200,
            "{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\",\"Version\":\"20.10.24\"}",
        )
    } else if head.contains("/images/amika/coder") || head.contains("/images/amika%2Fcoder") {
        let mut now = asked.lock().unwrap();
        now.looks += 1;
        changed.notify_all();
        if now.is_built {
            (200, IMAGE)
        } else {
            (404, "{\"message\":\"no such image\"}")
        }
    } else {
        (200, IMAGE)
    };
    let length = body.len();
    let _ = write!(
        &mut &*client,
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
}

const IMAGE: &str =
    "{\"Id\":\"sha256:0\",\"Os\":\"linux\",\"Architecture\":\"amd64\",\"Config\":{}}";

/// Reads a request's body, so that the client is through with it when it is answered.
fn skip_body(reader: &mut impl std::io::BufRead, head: &str) {
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    if let Some(length) = length {
        let length = length.trim().parse().unwrap();
        std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
        return;
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Ok(length @ 1..) = u64::from_str_radix(line.trim(), 16) else {
            return;
        };
        std::io::copy(&mut reader.take(length + 2), &mut std::io::sink()).unwrap();
    }
}

#[test]
fn two_first_uses_of_a_preset_build_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let asked = engine(&socket);
    let build = || {
        Command::new(env!("CARGO_BIN_EXE_amika"))
            .args(["image", "build", "coder", "-o", "json"])
            .env_clear()
            .env("HOME", dir.path())
            .env("XDG_RUNTIME_DIR", dir.path())
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [build(), build()];
    let mut fresh = Vec::new();
    for one in both {
        let output = one.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        fresh.push(document.to_string().contains("\"built\":true"));
    }
    fresh.sort_unstable();
    assert_eq!(fresh, [false, true]);
    assert_eq!(asked.0.lock().unwrap().builds, 1);
}

//! A socket before the engine's: it notes what is asked, puts other words in the place of some, and can hold a request, or
//! what comes after so many bytes, until it is told to let go. So a test says "while the container is being made" without guessing at times.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

/// Methods of requests that change something.
const CHANGING: [&str; 3] = ["POST ", "PUT ", "DELETE "];

/// The socket. It ends with the test's process.
pub(crate) struct EngineProxy {
    socket: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<String>,
    hold: Option<String>,
    /// Whether the first one alone is held.
    one: bool,
    /// How many bytes go to the engine before the next ones are held.
    hold_after: Option<usize>,
    held: bool,
    /// Connections whose last answer the engine has not given.
    open: usize,
    /// What stands for what on the way to the engine.
    replace: Option<(Vec<u8>, Vec<u8>)>,
    /// The same on the way back.
    answers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl EngineProxy {
    /// Listens in a directory.
    pub(super) fn start(dir: &Path) -> Self {
        let socket = dir.join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(engine) = UnixStream::connect(engine_socket()) else {
                    return;
                };
                let answers = (engine.try_clone().unwrap(), client.try_clone().unwrap());
                let (shared, answering) = (Arc::clone(&accepting), Arc::clone(&accepting));
                std::thread::spawn(move || {
                    pass(client, engine, |chunk| {
                        shared.put_other_words(chunk);
                        shared.see(chunk);
                    });
                });
                answering.state.lock().unwrap().open += 1;
                std::thread::spawn(move || {
                    pass(answers.0, answers.1, |chunk| {
                        answering.answer_otherwise(chunk);
                    });
                    answering.state.lock().unwrap().open -= 1;
                });
            }
        });
        Self { socket, shared }
    }

    /// The value of `DOCKER_HOST` that leads here.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Holds the next request with this in its first line, such as `/containers/create`.
    pub(crate) fn hold(&self, what: &str) -> &Self {
        self.shared.state.lock().unwrap().hold = Some(what.to_owned());
        self
    }

    /// As [`EngineProxy::hold`], while further ones with this in their first line go on: whoever does not wait overtakes.
    pub(crate) fn hold_one(&self, what: &str) -> &Self {
        self.shared.state.lock().unwrap().one = true;
        self.hold(what)
    }

    /// Holds what comes after so many bytes to the engine, whatever requests they are of.
    pub(crate) fn hold_after(&self, bytes: usize) -> &Self {
        self.shared.state.lock().unwrap().hold_after = Some(bytes);
        self
    }

    /// Puts a word in the place of another one of the same length in what a container is to be.
    pub(crate) fn replace(&self, word: &str, by: &str) -> &Self {
        assert_eq!(word.len(), by.len());
        self.shared.state.lock().unwrap().replace = Some((word.into(), by.into()));
        self
    }

    /// Puts a text in the place of another one of the same length in whatever the engine answers from now on.
    pub(crate) fn answers(&self, text: &str, by: &str) -> &Self {
        assert_eq!(text.len(), by.len());
        let mut state = self.shared.state.lock().unwrap();
        state.answers.push((text.into(), by.into()));
        self
    }

    /// Waits until a request is held.
    pub(crate) fn holds(&self) -> &Self {
        super::eventually("a request is held", || {
            self.shared.state.lock().unwrap().held
        });
        self
    }

    /// Lets the held request go on to the engine.
    pub(crate) fn let_go(&self) -> &Self {
        let mut state = self.shared.state.lock().unwrap();
        state.hold = None;
        state.hold_after = None;
        state.held = false;
        self.shared.changed.notify_all();
        self
    }

    /// Waits until the engine is done with what was asked by commands that ended.
    pub(crate) fn settles(&self) -> &Self {
        super::eventually("the engine is done with what it was asked", || {
            self.shared.state.lock().unwrap().open == 0
        });
        self
    }

    /// The first lines of requests that may have changed something.
    pub(crate) fn changing(&self) -> Vec<String> {
        let state = self.shared.state.lock().unwrap();
        let changes = |line: &&String| CHANGING.iter().any(|method| line.starts_with(method));
        state.requests.iter().filter(changes).cloned().collect()
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.shared.state.lock().unwrap().requests.len()
    }
}

impl Shared {
    /// A client sends one request at a time, and its head in one piece.
    fn see(&self, chunk: &[u8]) {
        self.count(chunk.len());
        let first = chunk
            .split(|byte| *byte == b'\r')
            .next()
            .unwrap_or_default();
        let line = String::from_utf8_lossy(first);
        if !line.ends_with(" HTTP/1.1") {
            return;
        }
        let mut state = self.state.lock().unwrap();
        state.requests.push(line.clone().into_owned());
        if state.hold.as_ref().is_some_and(|what| line.contains(what)) {
            if state.one {
                state.hold = None;
            }
            state.held = true;
            while state.held {
                state = self.changed.wait(state).unwrap();
            }
        }
    }
}

impl Shared {
    /// What a container is to be is read in one piece. Files go through here too, amikad among them.
    fn put_other_words(&self, chunk: &mut [u8]) {
        let marker = b"\"HostConfig\"";
        if !chunk.windows(marker.len()).any(|window| window == marker) {
            return;
        }
        let state = self.state.lock().unwrap();
        if let Some((word, by)) = &state.replace {
            put(chunk, word, by);
        }
    }

    /// What is told of containers is read in one piece, as long as there are few.
    fn answer_otherwise(&self, chunk: &mut [u8]) {
        for (word, by) in &self.state.lock().unwrap().answers {
            put(chunk, word, by);
        }
    }

    /// Counts bytes down to where they are held.
    fn count(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap();
        let Some(left) = state.hold_after else {
            return;
        };
        let left = left.saturating_sub(bytes);
        state.hold_after = Some(left);
        if left == 0 {
            state.held = true;
            while state.held {
                state = self.changed.wait(state).unwrap();
            }
        }
    }
}

fn put(chunk: &mut [u8], word: &[u8], by: &[u8]) {
    for at in 0..chunk.len().saturating_sub(word.len() - 1) {
        if chunk[at..].starts_with(word) {
            chunk[at..at + by.len()].copy_from_slice(by);
        }
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, see: impl Fn(&mut [u8])) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        see(&mut buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The engine's own socket.
pub(crate) fn engine_socket() -> String {
    std::env::var("DOCKER_HOST")
        .ok()
        .and_then(|host| host.strip_prefix("unix://").map(str::to_owned))
        .unwrap_or_else(|| "/var/run/docker.sock".to_owned())
}

//! The line between `amika` and the engine, which breaks at the request that a test chooses: `amika`
//! is killed there (or only cut off), and the engine never hears of it again.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::net::sockopt::socket_peercred;
use rustix::process::{Signal, kill_process};

use crate::support::engine_socket;

/// At which moment of a request the line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The engine has a part of the request; all of it, where it has no body.
    Sent,
    /// The engine began to answer, and `amika` never learns it.
    Answered,
}

/// What happens to `amika` when the line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is killed.
    Killed,
    /// It finds itself without an engine, for good.
    CutOff,
    /// The engine is killed, and `amika` finds itself without one.
    EngineKilled,
}

/// Where a line breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Break {
    /// Number of the request, from 1.
    pub(crate) request: usize,
    pub(crate) moment: Moment,
    pub(crate) fate: Fate,
}

/// What kills an engine.
pub(crate) type Killer = Box<dyn Fn() + Send + Sync>;

/// A socket that leads to the engine's.
pub(crate) struct Line {
    socket: PathBuf,
    state: Arc<State>,
}

struct State {
    /// The engine's own socket.
    engine: String,
    kill_engine: Option<Killer>,
    at: Mutex<Option<Break>>,
    seen: AtomicUsize,
    requests: Mutex<Vec<String>>,
    broken: AtomicBool,
    /// All connections of `amika`'s: they break together.
    clients: Mutex<Vec<UnixStream>>,
}

impl Line {
    /// A line that breaks there, or never. Its socket stands in `dir`.
    pub(crate) fn new(dir: &std::path::Path, at: Option<Break>) -> Self {
        Self::to(engine_socket(), None, dir, at)
    }

    /// As [`Line::new`], to an engine that can be killed.
    pub(crate) fn to(
        engine: String,
        kill_engine: Option<Killer>,
        dir: &std::path::Path,
        at: Option<Break>,
    ) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let socket = dir.join(format!("engine-{number}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State {
            engine,
            kill_engine,
            at: Mutex::new(at),
            seen: AtomicUsize::new(0),
            requests: Mutex::new(Vec::new()),
            broken: AtomicBool::new(false),
            clients: Mutex::new(Vec::new()),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, state) = (client.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || state.serve(&client));
            }
        });
        Self { socket, state }
    }

    /// Has it break at the n-th request from now on, in a way that kills `amika`.
    pub(crate) fn arm(&self, request: usize, moment: Moment) {
        let mut at = self.state.at.lock().unwrap();
        *at = Some(Break {
            request: self.state.seen.load(Ordering::SeqCst) + request,
            moment,
            fate: Fate::Killed,
        });
    }

    /// The value of `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The requests so far, such as `POST /v1.41/containers/create`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Whether it broke.
    pub(crate) fn is_broken(&self) -> bool {
        self.state.broken.load(Ordering::SeqCst)
    }
}

/// One connection, in both directions.
struct Wire<'a> {
    client: &'a UnixStream,
    engine: &'a UnixStream,
    /// Read of the client, not yet passed on.
    ahead: Vec<u8>,
}

impl State {
    fn serve(self: Arc<Self>, client: &UnixStream) {
        self.clients
            .lock()
            .unwrap()
            .push(client.try_clone().unwrap());
        if self.broken.load(Ordering::SeqCst) {
            let _ = client.shutdown(Shutdown::Both);
            return;
        }
        let engine = UnixStream::connect(&self.engine).unwrap();
        // While set, an answer breaks the line instead of passing.
        let held = Arc::new(AtomicBool::new(false));
        let back = {
            let (state, held) = (Arc::clone(&self), Arc::clone(&held));
            let (client, engine) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
            std::thread::spawn(move || state.answers(&client, &engine, &held))
        };
        let mut wire = Wire {
            client,
            engine: &engine,
            ahead: Vec::new(),
        };
        // Either side may go away at any time.
        let _ = self.requests_of(&mut wire, &held);
        let _ = engine.shutdown(Shutdown::Write);
        let _ = back.join();
        let _ = client.shutdown(Shutdown::Both);
    }

    fn requests_of(&self, wire: &mut Wire<'_>, held: &AtomicBool) -> std::io::Result<()> {
        while let Some(head) = wire.head()? {
            let text = String::from_utf8_lossy(&head).into_owned();
            let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
            let line = text.lines().next().unwrap_or_default();
            let line = line.trim_end_matches(" HTTP/1.1").to_owned();
            self.requests.lock().unwrap().push(line);
            let at = self.at();
            let at = at.filter(|at| at.request == number);
            if at.is_some_and(|at| at.moment == Moment::Answered) {
                held.store(true, Ordering::SeqCst);
            }
            wire.engine.write_all(&head)?;
            if at.is_some_and(|at| at.moment == Moment::Sent) {
                wire.part_of_body(&text)?;
                self.break_line(wire.client, wire.engine);
                return Ok(());
            }
            wire.body(&text)?;
            if field(&text, "upgrade").is_some() {
                return wire.rest();
            }
        }
        Ok(())
    }

    fn answers(&self, mut client: &UnixStream, mut engine: &UnixStream, held: &AtomicBool) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = engine.read(&mut buffer) {
            if held.load(Ordering::SeqCst) {
                return self.break_line(client, engine);
            }
            if self.broken.load(Ordering::SeqCst) || client.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
        let _ = client.shutdown(Shutdown::Write);
    }

    fn at(&self) -> Option<Break> {
        *self.at.lock().unwrap()
    }

    /// The peer is killed before it can learn that the line is gone.
    fn break_line(&self, client: &UnixStream, engine: &UnixStream) {
        self.broken.store(true, Ordering::SeqCst);
        match self.at().map(|at| at.fate) {
            Some(Fate::Killed) => {
                let peer = socket_peercred(client).unwrap().pid;
                // It may have ended by itself since.
                let _ = kill_process(peer, Signal::KILL);
            }
            Some(Fate::EngineKilled) => {
                let kill = self.kill_engine.as_ref();
                kill.expect("a line to an engine that can be killed")();
            }
            Some(Fate::CutOff) | None => {}
        }
        for client in self.clients.lock().unwrap().iter() {
            let _ = client.shutdown(Shutdown::Both);
        }
        let _ = engine.shutdown(Shutdown::Both);
    }
}

impl Wire<'_> {
    /// Reads more; false at the end.
    fn more(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let count = self.client.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    fn line_end(&mut self, end: &[u8]) -> std::io::Result<Option<usize>> {
        loop {
            let found = self.ahead.windows(end.len()).position(|at| at == end);
            if let Some(at) = found {
                return Ok(Some(at + end.len()));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    fn head(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let end = self.line_end(b"\r\n\r\n")?;
        Ok(end.map(|end| self.ahead.drain(..end).collect()))
    }

    fn pass(&mut self, mut count: usize) -> std::io::Result<()> {
        while count > 0 {
            if self.ahead.is_empty() && !self.more()? {
                return Ok(());
            }
            let now = count.min(self.ahead.len());
            self.engine.write_all(&self.ahead[..now])?;
            self.ahead.drain(..now);
            count -= now;
        }
        Ok(())
    }

    fn body(&mut self, head: &str) -> std::io::Result<()> {
        if field(head, "transfer-encoding").is_none() {
            return self.pass(length(head));
        }
        loop {
            let Some(end) = self.line_end(b"\r\n")? else {
                return Ok(());
            };
            let size = String::from_utf8_lossy(&self.ahead[..end - 2]).into_owned();
            let size = usize::from_str_radix(size.split(';').next().unwrap().trim(), 16).unwrap();
            self.pass(end + size + 2)?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Half of a body whose length is known, else what comes first.
    fn part_of_body(&mut self, head: &str) -> std::io::Result<()> {
        if field(head, "transfer-encoding").is_some() {
            if self.ahead.is_empty() {
                self.more()?;
            }
            return self.pass(self.ahead.len());
        }
        self.pass(length(head) / 2)
    }

    fn rest(&mut self) -> std::io::Result<()> {
        loop {
            self.pass(self.ahead.len())?;
            if !self.more()? {
                return Ok(());
            }
        }
    }
}

fn length(head: &str) -> usize {
    field(head, "content-length").map_or(0, |text| text.parse().unwrap())
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

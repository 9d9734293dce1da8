//! Processes with a time limit: none of them can hold a test up for good.

use std::fmt;
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Time limit of a process that names none.
const LIMIT: Duration = Duration::from_mins(1);

/// A process to be started.
pub(crate) struct Run {
    command: Command,
    input: Input,
    limit: Duration,
}

/// What a process reads.
enum Input {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// Something that the test gives it.
    Given,
}

/// A process that ended.
pub(crate) struct Output {
    /// Its exit code, or 128 and the signal's number.
    pub(crate) code: i32,
    /// What it wrote to standard output.
    pub(crate) stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub(crate) stderr: Vec<u8>,
    /// How long it ran.
    pub(crate) took: Duration,
}

/// A process that runs. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    stdout: Collector,
    stderr: Collector,
    begun: Instant,
    limit: Duration,
}

/// What was read of a stream so far, and the thread that reads it.
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Run {
    pub(super) fn new(command: Command) -> Self {
        Self {
            command,
            input: Input::Bytes(Vec::new()),
            limit: LIMIT,
        }
    }

    /// Gives it these bytes to read, then the end.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Gives it a stream of the test's to read.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self.input = Input::Given;
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of its environment.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the directory that it starts in.
    pub(crate) fn dir(mut self, dir: impl AsRef<std::path::Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets its time limit.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    pub(crate) fn output(self) -> Output {
        self.start().wait()
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Running {
        if matches!(self.input, Input::Bytes(_)) {
            self.command.stdin(Stdio::piped());
        }
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be started: {error}", self.command));
        if let Input::Bytes(bytes) = self.input {
            let mut stdin = child.stdin.take().unwrap();
            // A process that ends early reads no more: that is its right.
            std::thread::spawn(move || stdin.write_all(&bytes));
        }
        Running {
            stdout: Collector::start(child.stdout.take().unwrap()),
            stderr: Collector::start(child.stderr.take().unwrap()),
            child,
            begun: Instant::now(),
            limit: self.limit,
        }
    }
}

impl Running {
    /// Waits until it has written `text` to standard output.
    pub(crate) fn says(&self, text: &str) -> &Self {
        super::eventually(&format!("{text:?} is said"), || {
            self.stdout.text().contains(text)
        });
        self
    }

    /// Waits until it has written `text` to standard error.
    pub(crate) fn warns(&self, text: &str) -> &Self {
        super::eventually(&format!("{text:?} is told"), || {
            self.stderr.text().contains(text)
        });
        self
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> &Self {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
        self
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the kernel knows of it, such as its memory, as `/proc/PID/status` has it.
    pub(crate) fn proc_status(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find(|line| line.starts_with(&format!("{field}:")))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    /// As [`Running::proc_status`], as it is written there.
    pub(crate) fn proc_status_text(&self, field: &str) -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find(|line| line.starts_with(&format!("{field}:")))?;
        line.split_ascii_whitespace().nth(1).map(str::to_owned)
    }

    /// How much it has written to standard output so far.
    pub(crate) fn said(&self) -> usize {
        self.stdout.bytes.lock().unwrap().len()
    }

    /// What it has written to standard output so far.
    pub(crate) fn said_text(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    pub(crate) fn warned_text(&self) -> String {
        self.stderr.text()
    }

    /// Waits until it ended; fails when it does not in time.
    pub(crate) fn wait(mut self) -> Output {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.begun.elapsed() > self.limit {
                let _ = self.child.kill();
                panic!(
                    "it did not end within {:?}\nstdout: {}\nstderr: {}",
                    self.limit,
                    self.stdout.text(),
                    self.stderr.text()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = self.begun.elapsed();
        Output {
            code: code(status),
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already: nothing is to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Collector {
    fn start(mut stream: impl std::io::Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = bytes.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                shared.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            bytes,
            thread: Some(thread),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn finish(&mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        std::mem::take(&mut self.bytes.lock().unwrap())
    }
}

impl Output {
    /// Standard output as text.
    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Both streams, for what may be in either.
    pub(crate) fn text(&self) -> String {
        self.stdout_text() + &self.stderr_text()
    }

    /// Asserts that it ended with this code and told each of these on standard error.
    pub(crate) fn ended(&self, code: i32, told: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        let text = self.stderr_text();
        for part in told {
            assert!(text.contains(part), "{part:?} is not told\n{self:?}");
        }
        self
    }

    /// Standard output as the one JSON document that it must be.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON document ({error}): {self:?}"))
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start =
            |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
        write!(
            f,
            "exit code {} after {:?}\nstdout: {}\nstderr: {}",
            self.code,
            self.took,
            start(&self.stdout),
            start(&self.stderr)
        )
    }
}

pub(super) fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

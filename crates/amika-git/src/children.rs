//! The git programs that run for this one: each the head of a process group, each watched, none left behind.
//!
//! A repository can make git wait for ever: a FIFO in the place of a `.gitignore` is enough. All the numbers
//! of how long git may take are here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::fetch;

/// How long a git that answers a question may take in all, whatever it does.
const QUESTION: Duration = Duration::from_mins(10);
/// How long a git may take no processor time, and wait for nothing of this machine's disks, before it answers;
/// and how long one that is read from may say nothing.
const IDLE: Duration = Duration::from_mins(1);
/// How long a program of the user's may be stuck in opening a FIFO that nobody writes to. Git itself opens none
/// but by mistake, and is ended when it is seen at that twice.
const HELD: Duration = Duration::from_secs(3);
/// Between two looks at whether git opens a FIFO.
const GLANCE: Duration = Duration::from_millis(50);
/// Glances from one look at all that its group does to the next.
const GLANCES: u32 = 10;
/// How long a program has from TERM to KILL.
const GRACE: Duration = Duration::from_millis(500);
/// Where the machine does not say how much memory it has.
const MEMORY: u64 = 8 << 30;

/// Those that run.
static RUNNING: Mutex<BTreeMap<i32, Arc<Watched>>> = Mutex::new(BTreeMap::new());
static WATCHER: Once = Once::new();
/// This program is about to end: none is started any more.
static ENDING: AtomicBool = AtomicBool::new(false);

/// What is known of one that runs.
#[derive(Debug)]
struct Watched {
    begun: Instant,
    /// It was ended for taking too long, after so many seconds.
    ended_after: AtomicU64,
    /// What it writes is read as it comes.
    streams: AtomicBool,
    /// Milliseconds after its beginning since which its output is waited for; zero for not.
    waited_for: AtomicU64,
}

/// A running git; its whole process group is ended, and it is waited for, when dropped before its end.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    watched: Arc<Watched>,
    is_over: bool,
}

/// The output of a running git, of which it is known when it is waited for.
#[derive(Debug)]
pub(super) struct Output {
    stdout: ChildStdout,
    watched: Arc<Watched>,
}

fn running<T>(act: impl FnOnce(&mut BTreeMap<i32, Arc<Watched>>) -> T) -> T {
    act(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Running {
    /// Starts a command that has its streams.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        if ENDING.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let child = command.process_group(0).spawn()?;
        bound_memory(child.id());
        let watched = Arc::new(Watched {
            begun: Instant::now(),
            ended_after: AtomicU64::new(0),
            streams: AtomicBool::new(false),
            waited_for: AtomicU64::new(0),
        });
        if let Some(pid) = id(&child) {
            running(|all| all.insert(pid, Arc::clone(&watched)));
        }
        WATCHER.call_once(|| {
            // Without a watcher a git could be waited for until the user ends it.
            let _ = std::thread::Builder::new()
                .name("git watcher".into())
                .spawn(watch);
        });
        Ok(Self {
            child,
            watched,
            is_over: false,
        })
    }

    /// The child, to take its streams.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its output, to be read as it comes.
    pub(super) fn stdout(&mut self) -> Option<Output> {
        self.watched.streams.store(true, Ordering::Relaxed);
        let stdout = self.child.stdout.take()?;
        let watched = Arc::clone(&self.watched);
        Some(Output { stdout, watched })
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.watched.streams.store(false, Ordering::Relaxed);
        let status = self.child.wait()?;
        self.is_over = true;
        if let Some(pid) = id(&self.child) {
            running(|all| all.remove(&pid));
        }
        Ok(status)
    }

    /// After how many seconds it was ended for taking too long; `None` when it was not.
    pub(super) fn ended_after(&self) -> Option<u64> {
        Some(self.watched.ended_after.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }
}

impl Watched {
    /// Ends it for taking too long, with all that it started.
    fn end(&self, pid: i32) {
        if running(|all| all.contains_key(&pid)) {
            let run = self.begun.elapsed().as_secs().max(1);
            self.ended_after.store(run, Ordering::Relaxed);
            end_group(pid);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some(pid) = id(&self.child) {
            running(|all| all.remove(&pid));
            // Git has nothing to clean up but in the temporary directory.
            if let Some(group) = Pid::from_raw(pid) {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let since = self.watched.begun.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX).max(1);
        self.watched.waited_for.store(since, Ordering::Relaxed);
        let read = self.stdout.read(buffer);
        self.watched.waited_for.store(0, Ordering::Relaxed);
        read
    }
}

impl Output {
    /// The pipe itself.
    pub(super) fn pipe(&self) -> &ChildStdout {
        &self.stdout
    }
}

/// Ends all that run, with what they started: this program is about to end.
pub fn end_all() {
    ENDING.store(true, Ordering::SeqCst);
    let all = running(std::mem::take);
    for pid in all.keys() {
        end_group(*pid);
    }
    fetch::end_all();
}

/// A process that was not waited for yet, by whose id its group is known.
fn id(child: &Child) -> Option<i32> {
    i32::try_from(child.id()).ok()
}

/// Ends a process group whose head was not waited for yet.
fn end_group(pid: i32) {
    let Some(group) = Pid::from_raw(pid) else {
        return;
    };
    // A filter of the user's may have something to clean up.
    let _ = rustix::process::kill_process_group(group, Signal::TERM);
    let begun = Instant::now();
    while begun.elapsed() < GRACE && group_lives(group) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
}

/// Whether any of a group is more than a zombie.
fn group_lives(group: Pid) -> bool {
    let stats = group_stats(group.as_raw_nonzero().get());
    stats.iter().any(|stat| stat.state != b'Z')
}

/// What the kernel says of a process.
struct Process {
    pid: i32,
    state: u8,
    ticks: u64,
}

/// The processes of a group; none where the system does not tell.
fn group_stats(group: i32) -> Vec<Process> {
    let Ok(listed) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = listed.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<i32>().ok()
    });
    ids.filter_map(|pid| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, and ends with the last parenthesis.
        let after = stat.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(stat.get(after + 2..)?).ok()?;
        let fields: Vec<&str> = rest.split(' ').collect();
        // State, parent, group, …; user and system time are the 14th and 15th of all.
        if fields.get(2)?.parse::<i32>().ok()? != group {
            return None;
        }
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
        Some(Process {
            pid,
            state: *fields.first()?.as_bytes().first()?,
            ticks: ticks(11)? + ticks(12)?,
        })
    })
    .collect()
}

/// Whether a process waits for somebody to open the other end of a FIFO.
fn opens_a_fifo(pid: i32) -> bool {
    let at = std::fs::read(format!("/proc/{pid}/wchan")).unwrap_or_default();
    at == b"wait_for_partner" || at == b"fifo_open"
}

/// Since when a group has done nothing.
struct Seen {
    ticks: u64,
    changed: Instant,
    held: Option<Instant>,
}

/// Looks after those that run, for as long as this program lives.
fn watch() {
    let mut seen: BTreeMap<i32, Seen> = BTreeMap::new();
    let mut stuck: BTreeSet<i32> = BTreeSet::new();
    for glance in (0..GLANCES).cycle() {
        std::thread::sleep(GLANCE);
        let all: Vec<(i32, Arc<Watched>)> = running(|all| {
            all.iter()
                .map(|(pid, one)| (*pid, Arc::clone(one)))
                .collect()
        });
        let now_stuck: BTreeSet<i32> = all
            .iter()
            .map(|(pid, _)| *pid)
            .filter(|pid| opens_a_fifo(*pid))
            .collect();
        for (pid, watched) in &all {
            if now_stuck.contains(pid) && stuck.contains(pid) {
                watched.end(*pid);
            }
        }
        stuck = now_stuck;
        if glance != 0 {
            continue;
        }
        seen.retain(|pid, _| all.iter().any(|(other, _)| other == pid));
        for (pid, watched) in all {
            let run = watched.begun.elapsed();
            if run < HELD / 2 {
                continue;
            }
            let now = Instant::now();
            let processes = group_stats(pid);
            let ticks = processes.iter().map(|one| one.ticks).sum();
            let of = seen.entry(pid).or_insert(Seen {
                ticks,
                changed: now,
                held: None,
            });
            if of.ticks != ticks || processes.iter().any(|one| matches!(one.state, b'D' | b'R')) {
                of.ticks = ticks;
                of.changed = now;
            }
            if processes.iter().any(|one| opens_a_fifo(one.pid)) {
                of.held.get_or_insert(now);
            } else {
                of.held = None;
            }
            let is_held = of.held.is_some_and(|since| now - since >= HELD);
            let is_idle = now - of.changed >= IDLE;
            let too_long = if watched.streams.load(Ordering::Relaxed) {
                // One that nobody reads from has to wait.
                let since = watched.waited_for.load(Ordering::Relaxed);
                let silent = since > 0 && run.saturating_sub(Duration::from_millis(since)) >= IDLE;
                silent && is_idle
            } else {
                is_idle || run >= QUESTION
            };
            if is_held || too_long {
                watched.end(pid);
            }
        }
    }
}

/// Lets a git have half of the machine's memory for itself. Files that it maps, as it does packs, do not
/// count. Where the system refuses, there is no bound.
pub(super) fn bound_memory(pid: u32) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit};
        static HALF: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
        let half = *HALF.get_or_init(|| {
            let info = rustix::system::sysinfo();
            let all = info.totalram.saturating_mul(u64::from(info.mem_unit));
            if all == 0 { MEMORY } else { all / 2 }
        });
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let _ = rustix::process::prlimit(
            pid,
            Resource::Data,
            Rlimit {
                current: Some(half),
                maximum: Some(half),
            },
        );
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (pid, MEMORY);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_fifo_is_ended_with_all_that_it_started() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & cat \"$0\""]).arg(&fifo);
        let mut running = Running::start(&mut command).unwrap();
        let group = running.child().id();
        running.wait().unwrap();
        assert!(running.ended_after().is_some());
        is_gone(i32::try_from(group).unwrap());
    }

    /// What was killed may take a moment to be gone.
    fn is_gone(group: i32) {
        let begun = Instant::now();
        while group_stats(group).iter().any(|one| one.state != b'Z') {
            assert!(begun.elapsed() < Duration::from_mins(1), "it lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn one_that_is_dropped_is_ended_with_all_that_it_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]);
        let mut running = Running::start(&mut command).unwrap();
        let group = i32::try_from(running.child().id()).unwrap();
        drop(running);
        is_gone(group);
    }
}

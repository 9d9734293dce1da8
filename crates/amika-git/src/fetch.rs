//! A git that fetches, with the programs that it runs for that: its transport, ssh, whoever asks for a password.
//!
//! They may ask on the terminal, so they cannot be a process group of their own as other gits are. They are known
//! by a variable of their environment instead, which is what their children have as well. One that left this
//! program's session means to stay (an agent that keeps passwords, a connection that others share).

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::children::bound_memory;

/// The variable.
const MARK: &str = "AMIKA_GIT_FETCH";
/// How long they have from TERM to KILL: git removes what it began, its transport signs off.
const GRACE: Duration = Duration::from_secs(2);
/// How long all of them may neither read nor write anything. Whoever answers a question is faster, and so is a
/// server that only says that it is still there.
pub(super) const SILENT: Duration = Duration::from_mins(15);
/// Between two looks at that.
const LOOK: Duration = Duration::from_secs(5);
/// Ends those of a dead program: its standard input ends with that, without a line. It is told the mark.
const GUARD: &str = "read -r over && exit
session() { read -r stat <\"$1/stat\" && set -- ${stat##*) } && echo \"$4\"; }
mine=$(session /proc/$$)
for again in 1 2 3; do
  for one in /proc/[0-9]*; do
    if tr '\\0' '\\n' <\"$one/environ\" | grep -qx \"$0\" && [ \"$(session \"$one\")\" = \"$mine\" ]; then
      kill -9 \"${one#/proc/}\"
    fi
  done
done 2>/dev/null";

/// The marks of those that run.
static RUNNING: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A running git; it is ended, with all that it started, when dropped before its end.
pub(super) struct Fetch {
    pub(super) child: Child,
    mark: String,
    /// Kept open until it is over.
    guard: Option<Guard>,
    is_over: bool,
}

/// What ends them when this program is killed.
struct Guard {
    child: std::process::Child,
    stdin: Option<ChildStdin>,
}

impl Fetch {
    /// Starts a command that has its streams.
    pub(super) fn start(mut command: std::process::Command) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let time = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let time = time.unwrap_or_default().as_nanos();
        let value = format!("{}-{number}-{time}", std::process::id());
        let mark = format!("{MARK}={value}");
        command.env(MARK, value);
        // Before it, so that nothing runs without.
        let guard = Guard::start(&mark);
        change(|all| all.push(mark.clone()));
        let child = match Command::from(command).spawn() {
            Ok(child) => child,
            Err(error) => {
                change(|all| all.retain(|one| *one != mark));
                return Err(error);
            }
        };
        if let Some(pid) = child.id() {
            bound_memory(pid);
        }
        Ok(Self {
            child,
            mark,
            guard,
            is_over: false,
        })
    }

    /// It ended by itself.
    pub(super) fn is_over(&mut self) {
        self.is_over = true;
        drop(self.guard.take());
        change(|all| all.retain(|one| *one != self.mark));
    }

    /// Returns once all of them did nothing for so long. Never where the system does not tell.
    pub(super) fn silent(&self, limit: Duration) -> impl Future<Output = ()> + use<> {
        let mark = self.mark.clone();
        async move {
            let mut since = Instant::now();
            let mut begin = Work::of(&mark);
            loop {
                tokio::time::sleep(LOOK.min(limit / 4)).await;
                let now = Work::of(&mark);
                if now.is_more_than(&begin, since.elapsed()) {
                    begin = now;
                    since = Instant::now();
                } else if since.elapsed() >= limit {
                    return;
                }
            }
        }
    }
}

/// What those with a mark did so far.
#[derive(Default)]
struct Work {
    /// The bytes that each read and wrote, as the kernel has it.
    passed: BTreeMap<i32, Vec<u8>>,
    /// Hundredths of a second of processor time.
    ticks: u64,
}

impl Work {
    fn of(mark: &str) -> Self {
        let mut work = Self::default();
        for pid in of(mark) {
            let passed = std::fs::read(format!("/proc/{pid}/io"));
            work.passed.insert(pid, passed.unwrap_or_default());
            let stat = fields(&pid.to_string()).unwrap_or_default();
            let ticks = |at: usize| stat.get(at).and_then(|text| text.parse::<u64>().ok());
            work.ticks += ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
        }
        work
    }

    /// Whether something was done since then. A transport that waits looks up from time to time, which takes
    /// far less than a hundredth of a processor.
    fn is_more_than(&self, before: &Self, within: Duration) -> bool {
        let ticks = self.ticks.saturating_sub(before.ticks);
        self.passed.is_empty() || self.passed != before.passed || ticks > within.as_secs() + 1
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        change(|all| all.retain(|one| *one != self.mark));
        // Where the others are not known, git tells those that it can.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            signal(pid, Signal::TERM);
        }
        let begun = Instant::now();
        end(&self.mark, || !matches!(self.child.try_wait(), Ok(None)));
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > GRACE {
                let _ = self.child.start_kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Guard {
    fn start(mark: &str) -> Option<Self> {
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", GUARD, mark])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What the terminal sends to this program is not for it.
            .process_group(0)
            .spawn()
            .ok()?;
        let stdin = child.stdin.take();
        Some(Self { child, stdin })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            let _ = io::Write::write_all(&mut stdin, b"over\n");
        }
        let _ = self.child.wait();
    }
}

/// Ends all that run: this program is about to end.
pub(super) fn end_all() {
    for mark in change(std::mem::take) {
        end(&mark, || true);
    }
}

fn change<T>(change: impl FnOnce(&mut Vec<String>) -> T) -> T {
    change(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Tells all with a mark to end, and makes those end that do not. `is_over` is asked before each look: a child of
/// this program's is there until it was waited for.
fn end(mark: &str, mut is_over: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut told = Vec::new();
    loop {
        let _ = is_over();
        let left = of(mark);
        if left.is_empty() {
            return;
        }
        let is_late = begun.elapsed() >= GRACE;
        if begun.elapsed() >= 2 * GRACE {
            // The system has them wait for something, and ends them then.
            return;
        }
        for pid in left {
            if is_late {
                signal(pid, Signal::KILL);
            } else if !told.contains(&pid) {
                told.push(pid);
                signal(pid, Signal::TERM);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes with a mark in this program's session; none where the system does not tell.
fn of(mark: &str) -> Vec<i32> {
    let Ok(listed) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let session = session("self");
    let ids = listed.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let pid: i32 = name.parse().ok()?;
        // Others' cannot be read. One that is only to be waited for has none.
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let mut variables = environment.split(|&byte| byte == 0);
        let is_marked = variables.any(|one| one == mark.as_bytes());
        (is_marked && self::session(&name) == session).then_some(pid)
    });
    ids.collect()
}

/// The session that a process is in.
fn session(process: &str) -> Option<i32> {
    fields(process)?.get(3)?.parse().ok()
}

/// What the kernel says of a process, from its state on: parent, group, session, ...
fn fields(process: &str) -> Option<Vec<String>> {
    let stat = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything, and ends with the last parenthesis.
    let after = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(after + 2..)?).ok()?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Programs that do not end by themselves, one of which nobody waits for, and one that does not care.
    const PROGRAMS: &str =
        "(sleep 1000 & sleep 1000 &) ; sh -c 'trap \"\" TERM; sleep 1000 & wait; wait'; sleep 1000";

    fn start(script: &str) -> Fetch {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        Fetch::start(command).unwrap()
    }

    fn wait_for(what: impl Fn() -> bool) {
        let begun = Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_mins(1), "it does not come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[tokio::test]
    async fn one_that_is_dropped_is_ended_with_all_that_it_started() {
        let fetch = start(PROGRAMS);
        let mark = fetch.mark.clone();
        wait_for(|| of(&mark).len() >= 5);
        drop(fetch);
        assert_eq!(of(&mark), Vec::<i32>::new());
    }

    #[tokio::test]
    async fn those_that_left_this_programs_session_stay() {
        let fetch = start(&format!("setsid sleep 1000 & echo; {PROGRAMS}"));
        let mark = fetch.mark.clone();
        wait_for(|| of(&mark).len() >= 5);
        let left = || {
            let listed = std::process::Command::new("sh")
                .args(["-c", "for one in /proc/[0-9]*; do grep -qsF \"$0\" $one/environ && echo ${one#/proc/}; done; true", &mark])
                .output()
                .unwrap();
            String::from_utf8(listed.stdout).unwrap()
        };
        end(&mark, || true);
        assert_eq!(of(&mark), Vec::<i32>::new());
        let left = left();
        let left: Vec<i32> = left.lines().map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        signal(left[0], Signal::KILL);
    }

    #[tokio::test]
    async fn the_guard_ends_them_when_nobody_says_that_it_is_over() {
        let mut fetch = start(PROGRAMS);
        let mark = fetch.mark.clone();
        wait_for(|| of(&mark).len() >= 5);
        let guard = fetch.guard.as_mut().unwrap();
        // As when this program is killed.
        drop(guard.stdin.take());
        guard.child.wait().unwrap();
        wait_for(|| of(&mark).is_empty());
    }

    #[tokio::test]
    async fn one_that_says_nothing_and_does_nothing_is_told_from_one_that_works() {
        let limit = Duration::from_millis(400);
        let fetch = start("sleep 1000");
        fetch.silent(limit).await;
        let busy = start("while :; do cat /proc/self/stat >/dev/null; done");
        let waited = tokio::time::timeout(3 * limit, busy.silent(limit)).await;
        assert!(waited.is_err());
    }

    #[tokio::test]
    async fn it_has_no_more_memory_than_another_git() {
        let mut command = std::process::Command::new("sh");
        let script = "sleep 0.5; sh -c 'ulimit -d'";
        command.args(["-c", script]).stdout(Stdio::piped());
        let mut fetch = Fetch::start(command).unwrap();
        let mut said = String::new();
        let mut stdout = fetch.child.stdout.take().unwrap();
        tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut said)
            .await
            .unwrap();
        assert!(said.trim().parse::<u64>().is_ok(), "{said}");
    }
}

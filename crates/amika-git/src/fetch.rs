//! A git that fetches, with the programs that it runs for that: its transport, ssh, whoever asks for a password.
//!
//! They may ask on the terminal, so they cannot be a process group of their own as other gits are. They are known
//! by a variable of their environment instead, which is what their children have as well. One that left this
//! program's session means to stay (an agent that keeps passwords, a connection that others share).

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::supervisor::{self, Rule, Supervised, bound_memory};

/// The variable.
const MARK: &str = "AMIKA_GIT_FETCH";
/// Between two looks at whether it was ended.
const LOOK: Duration = Duration::from_millis(200);
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

/// A running git; it is ended, with all that it started, when dropped before its end.
pub(super) struct Fetch {
    pub(super) child: Child,
    supervised: Supervised,
    is_over: bool,
}

/// What ends them when this program is killed, until it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    child: Option<std::process::Child>,
    stdin: Option<ChildStdin>,
}

impl Fetch {
    /// Starts a command that has its streams.
    pub(super) fn start(command: std::process::Command) -> io::Result<Self> {
        Self::start_by(command, Rule::FETCH)
    }

    fn start_by(mut command: std::process::Command, rule: Rule) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        supervisor::may_start()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let time = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let time = time.unwrap_or_default().as_nanos();
        let value = format!("{}-{number}-{time}", std::process::id());
        let mark = format!("{MARK}={value}");
        command.env(MARK, value);
        // Before it, so that nothing runs without.
        let guard = Guard::start(&mark);
        let mut supervised = Supervised::marked(mark, guard, rule);
        let child = match Command::from(command).spawn() {
            Ok(child) => child,
            Err(error) => {
                supervised.is_over();
                return Err(error);
            }
        };
        if let Some(pid) = child.id() {
            bound_memory(pid);
        }
        Ok(Self {
            child,
            supervised,
            is_over: false,
        })
    }

    /// It ended by itself.
    pub(super) fn is_over(&mut self) {
        self.is_over = true;
        self.supervised.is_over();
    }

    /// Returns once it was ended for doing nothing. What left its session may hold its output open for longer.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let supervised = self.supervised.reader();
        async move {
            while supervised.ended_after().is_none() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Where the others are not known, git tells those that it can.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
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
        Some(Self {
            child: Some(child),
            stdin,
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            let _ = io::Write::write_all(&mut stdin, b"over\n");
        }
        if let Some(child) = self.child.take() {
            supervisor::wait_for(child);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Instant;

    use super::super::processes;
    use super::*;

    /// Programs that do not end by themselves, one of which nobody waits for, and one that does not care.
    const PROGRAMS: &str =
        "(sleep 1000 & sleep 1000 &) ; sh -c 'trap \"\" TERM; sleep 1000 & wait; wait'; sleep 1000";

    fn start_by(script: &str, rule: Rule) -> (Fetch, String) {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        let fetch = Fetch::start_by(command, rule).unwrap();
        let environment = format!("/proc/{}/environ", fetch.child.id().unwrap());
        let mark = || {
            let environment = String::from_utf8(std::fs::read(&environment).unwrap()).unwrap();
            let mut variables = environment.split('\0').map(str::to_owned);
            variables.find(|one| one.starts_with(MARK))
        };
        // It has its own once it is another program.
        wait_for(|| mark().is_some());
        (fetch, mark().unwrap())
    }

    fn start(script: &str) -> (Fetch, String) {
        start_by(script, Rule::FETCH)
    }

    fn count(mark: &str) -> usize {
        let all = processes::marked(mark);
        all.iter().filter(|one| one.lives()).count()
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
        let (fetch, mark) = start(PROGRAMS);
        wait_for(|| count(&mark) >= 5);
        let begun = Instant::now();
        drop(fetch);
        let took = begun.elapsed();
        wait_for(|| count(&mark) == 0);
        // One of them does not care for TERM: who drops it waits for none of them.
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    #[tokio::test]
    async fn those_that_left_this_programs_session_stay() {
        let (fetch, mark) = start(&format!("setsid sleep 1000 & echo; {PROGRAMS}"));
        let left = || {
            let listed = std::process::Command::new("sh")
                .args(["-c", "for one in /proc/[0-9]*; do grep -qsF \"$0\" $one/environ && echo ${one#/proc/}; done; true", &mark])
                .output()
                .unwrap();
            String::from_utf8(listed.stdout).unwrap()
        };
        // One of them has a session of its own by now.
        wait_for(|| count(&mark) >= 5 && left().lines().count() > count(&mark));
        drop(fetch);
        wait_for(|| count(&mark) == 0);
        let left = left();
        let left: Vec<i32> = left.lines().map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let left = Pid::from_raw(left[0]).unwrap();
        rustix::process::kill_process(left, Signal::KILL).unwrap();
    }

    #[test]
    fn the_guard_ends_them_when_nobody_says_that_it_is_over() {
        let mark = format!("{MARK}=guarded-{}", std::process::id());
        let mut guard = Guard::start(&mark).unwrap();
        let mut command = std::process::Command::new("sh");
        let (name, value) = mark.split_once('=').unwrap();
        let command = command.args(["-c", PROGRAMS]).env(name, value);
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        wait_for(|| count(&mark) >= 5);
        // As when this program is killed.
        drop(guard.stdin.take());
        guard.child.as_mut().unwrap().wait().unwrap();
        wait_for(|| count(&mark) == 0);
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn one_that_says_nothing_and_does_nothing_is_told_from_one_that_works() {
        let limit = Duration::from_millis(800);
        let rule = Rule {
            total: None,
            idle: Some(limit),
        };
        let (mut fetch, mark) = start_by("sleep 1000", rule);
        fetch.ended().await;
        wait_for(|| count(&mark) == 0);
        fetch.child.wait().await.unwrap();
        let (busy, _) = start_by("while :; do cat /proc/self/stat >/dev/null; done", rule);
        let waited = tokio::time::timeout(4 * limit, busy.ended()).await;
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

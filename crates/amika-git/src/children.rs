//! The git programs that read for this one: each the head of a process group, which is looked after, and ended with
//! it.

use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};

use super::supervisor::{self, Rule, Supervised};

/// A running git; its whole process group is ended when it is dropped before its end.
#[derive(Debug)]
pub(super) struct Running {
    /// Gone once it was handed over to be waited for.
    child: Option<Child>,
    supervised: Supervised,
}

/// The output of a running git, of which it is known when it is waited for.
#[derive(Debug)]
pub(super) struct Output {
    stdout: ChildStdout,
    supervised: Supervised,
}

impl Running {
    /// Starts a command that has its streams.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        supervisor::may_start()?;
        let child = command.process_group(0).spawn()?;
        let supervised = Supervised::group(child.id(), Rule::QUESTION);
        Ok(Self {
            child: Some(child),
            supervised,
        })
    }

    /// What it reads, once.
    pub(super) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.as_mut()?.stdin.take()
    }

    /// What it complains of, once.
    pub(super) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.as_mut()?.stderr.take()
    }

    /// What it writes, once, to be read to its end and no earlier.
    pub(super) fn whole_stdout(&mut self) -> Option<ChildStdout> {
        self.child.as_mut()?.stdout.take()
    }

    /// What it writes, once, to be read as it comes.
    pub(super) fn stdout(&mut self) -> Option<Output> {
        let stdout = self.whole_stdout()?;
        self.supervised.streams(true);
        let supervised = self.supervised.reader();
        Some(Output { stdout, supervised })
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.supervised.streams(false);
        let child = self.child.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let status = child.wait()?;
        self.supervised.is_over();
        Ok(status)
    }

    /// After how many seconds it was ended for taking too long; `None` when it was not.
    pub(super) fn ended_after(&self) -> Option<u64> {
        self.supervised.ended_after()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.supervised.end();
        if let Some(child) = self.child.take() {
            supervisor::wait_for(child);
        }
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { stdout, supervised } = self;
        supervised.waiting(|| stdout.read(buffer))
    }
}

impl Output {
    /// The pipe itself.
    pub(super) fn pipe(&self) -> &ChildStdout {
        &self.stdout
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::processes::{self, Process};
    use super::*;

    fn group(running: &Running) -> i32 {
        i32::try_from(running.child.as_ref().unwrap().id()).unwrap()
    }

    /// What was killed may take a moment to be gone.
    fn is_gone(group: i32) {
        let begun = Instant::now();
        while processes::of_group(group).iter().any(Process::lives) {
            assert!(begun.elapsed() < Duration::from_mins(1), "it lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_waits_for_a_fifo_is_ended_with_all_that_it_started() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & cat \"$0\""]).arg(&fifo);
        let mut running = Running::start(&mut command).unwrap();
        let group = group(&running);
        running.wait().unwrap();
        assert!(running.ended_after().is_some());
        is_gone(group);
    }

    #[test]
    fn one_that_is_dropped_is_ended_with_all_that_it_started_and_nobody_waits_for_that() {
        let mut command = Command::new("sh");
        // Who does not care for TERM is not asked.
        command.args(["-c", "trap '' TERM; sleep 1000 & sleep 1000"]);
        let running = Running::start(&mut command).unwrap();
        let group = group(&running);
        let begun = Instant::now();
        drop(running);
        assert!(
            begun.elapsed() < Duration::from_millis(300),
            "{:?}",
            begun.elapsed()
        );
        is_gone(group);
        // It is waited for as well: nothing is left of it.
        while !processes::of_group(group).is_empty() {
            assert!(begun.elapsed() < Duration::from_mins(1), "a zombie is left");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

//! A program that is given so much time and no more, with all that it starts.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::SIGKILL;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::process_tree;
use crate::sys;

/// Runs it in a process group of its own. Once the time is over, the group is killed, and what else comes of it; then there
/// is no status.
pub(super) fn run(command: &mut Command, longest: Duration) -> io::Result<Option<ExitStatus>> {
    let mut child = command.process_group(0).spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        // It is left to be reaped: as long as it is not, its number is nobody else's.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        let pid = Pid::from_raw(pid);
        while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
        // Nobody listens any more once the time is over.
        let _ = ended.send(());
    });
    let is_late = end.recv_timeout(longest).is_err();
    if is_late {
        // Looked for before the first dies: its children are not its own any more then.
        let all = process_tree::of_leader(pid, None);
        let _ = sys::kill(-pid, SIGKILL);
        for pid in all {
            // Those that end on their own meanwhile need no signal.
            let _ = sys::kill(pid, SIGKILL);
        }
    }
    let status = child.wait()?;
    Ok((!is_late).then_some(status))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn one_that_ends_in_time_has_its_status() {
        let status = run(&mut shell("exit 3"), Duration::from_mins(1)).unwrap();
        assert_eq!(status.unwrap().code(), Some(3));
    }

    #[test]
    fn one_that_does_not_end_goes_with_all_that_it_started() {
        let (mut said, end) = io::pipe().unwrap();
        let mut command = shell("sleep 4321 & setsid sleep 4321 & echo begun; wait");
        command.stdout(end);
        assert_eq!(run(&mut command, Duration::from_secs(3)).unwrap(), None);
        // It ends once nobody is left who could write there.
        drop(command);
        let mut text = String::new();
        said.read_to_string(&mut text).unwrap();
        assert_eq!(text, "begun\n");
    }
}

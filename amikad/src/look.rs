//! A program by which the host looks: it ends in time, and nothing of it is left.
//!
//! The agent's git runs what the repository says (`core.fsmonitor`, filters), which may never end, and whoever looked
//! may be gone. So a process of ours stands above it, to which the kernel gives what else would become amikad's, and
//! ends all of it. Started by the engine, it takes the processor time of it all along: that is nobody's activity.

use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use crate::process_tree;
use crate::sys::{self, End};

/// How long what was sent SIGKILL may take for its end. What hangs in the kernel is amikad's then.
const LAST: Duration = Duration::from_secs(5);
/// The longest time that may be asked for.
const LONGEST: Duration = Duration::from_hours(24);
/// How often is looked for what was started meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Returns in a new process, which is to become the program, and ends with the program's code in this one: as it ends
/// by itself, after `longest`, or on SIGTERM.
///
/// # Errors
/// When there can be no further process.
pub(crate) fn stand_above(longest: Duration) -> std::io::Result<()> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM] {
        set.add(signal);
    }
    let before = sys::block_all_signals();
    sys::hear_of_children();
    let pid = sys::fork();
    if matches!(pid, Ok(0) | Err(_)) {
        sys::take_signals(&before);
        return pid.map(drop);
    }
    let pid = pid?;
    sys::become_subreaper();
    sys::let_go_of_streams();
    let end = wait(pid, &set, longest);
    end_the_rest();
    let end = end.unwrap_or(End::Signal(Signal::SIGKILL as i32));
    std::process::exit(end.exit_code());
}

/// Waits for the program; none if it is to be ended.
fn wait(pid: i32, set: &SigSet, longest: Duration) -> Option<End> {
    let until = Instant::now() + longest.min(LONGEST);
    loop {
        while let Some((reaped, end)) = sys::reap() {
            if reaped == pid {
                return Some(end);
            }
        }
        let left = until.checked_duration_since(Instant::now())?;
        if sys::next_signal(set, left) == Some(Signal::SIGTERM) {
            return None;
        }
    }
}

/// Ends all that is below this process, and waits for it.
fn end_the_rest() {
    let until = Instant::now() + LAST;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    loop {
        while sys::reap().is_some() {}
        let left = process_tree::descendants(std::process::id().cast_signed());
        if left.is_empty() || Instant::now() > until {
            return;
        }
        for pid in left {
            // It may have ended.
            let _ = sys::kill(pid, Signal::SIGKILL as i32);
        }
        sys::next_signal(&children, PAUSE);
    }
}

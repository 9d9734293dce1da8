//! Who gets a signal when the state machine says so, and who is left at the end.

use super::{SIGCONT, Supervisor};
use crate::lifecycle::Event;
use crate::{process_tree, sys};

impl Supervisor {
    /// Sends a signal to the group that `leader` was started with, and to itself once it left that
    /// group: a script may move about as it likes.
    pub(super) fn signal_group(leader: Option<i32>, signo: i32) {
        let Some(pid) = leader else { return };
        // An error says that nobody is left to tell.
        let told = sys::kill(-pid, signo).is_ok();
        let is_in_it = sys::group_of(pid) == Some(pid);
        if !told || !is_in_it {
            let _ = sys::kill(pid, signo);
        }
    }

    pub(super) fn signal_all(&mut self, signo: i32) {
        let wake = |pid| {
            // A stopped process acts on nothing but KILL.
            if signo != 9 {
                let _ = sys::kill(pid, SIGCONT);
            }
        };
        if self.boot.is_init {
            if sys::kill(-1, signo).is_err() {
                self.queue.push_back(Event::Alone);
            } else {
                wake(-1);
            }
            return;
        }
        let left = process_tree::descendants(nix::unistd::getpid().as_raw());
        if left.is_empty() {
            self.queue.push_back(Event::Alone);
        }
        for pid in left {
            // Those that end on their own meanwhile need no signal.
            let _ = sys::kill(pid, signo);
            wake(pid);
        }
    }

    pub(super) fn is_alone(&self) -> bool {
        if self.boot.is_init {
            sys::kill(-1, 0).is_err()
        } else {
            process_tree::descendants(nix::unistd::getpid().as_raw()).is_empty()
        }
    }
}

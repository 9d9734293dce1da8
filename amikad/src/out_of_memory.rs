//! What the kernel ended for want of memory: it counts, and nobody is told unless somebody looks.
//!
//! The container's group is read-only to us, so that version 1 cannot notify. It is looked at when a child was killed,
//! when the state is asked for, and once a second while somebody follows the events.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use amika_core::wire::OutOfMemory;

use crate::cgroup::Cgroup;

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Watch {
    cgroup: Cgroup,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The kernel's count, which some engines do not begin anew with a boot.
    count: u64,
    told: OutOfMemory,
}

impl Watch {
    /// Begins now, with the daemon.
    pub(crate) fn begin() -> Self {
        let cgroup = Cgroup::own();
        let seen = Seen {
            count: cgroup.out_of_memory_kills().unwrap_or(0),
            told: OutOfMemory::default(),
        };
        Self {
            cgroup,
            seen: Mutex::new(seen),
        }
    }

    /// Looks; what is known now, and how many came since the last look.
    pub(crate) fn look(&self) -> (OutOfMemory, u64) {
        let count = self.cgroup.out_of_memory_kills().unwrap_or(0);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let more = seen.take_in(count, now);
        (seen.told, more)
    }

    /// What is known, without a look.
    pub(crate) fn known(&self) -> OutOfMemory {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.told
    }
}

impl Seen {
    /// Takes in the kernel's count; how many that are more.
    fn take_in(&mut self, count: u64, now: u64) -> u64 {
        let more = count.saturating_sub(self.count);
        // A smaller one is of a group that is no more.
        self.count = count;
        if more > 0 {
            self.told.kills += more;
            self.told.last_at = Some(now);
        }
        more
    }
}

/// What is said of it.
pub(crate) fn sentence(kills: u64) -> String {
    let what = match kills {
        1 => "a process".to_owned(),
        kills => format!("{kills} processes"),
    };
    format!("the sandbox ran out of memory: the kernel ended {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_more_is_told_with_its_time() {
        let mut seen = Seen {
            count: 3,
            told: OutOfMemory::default(),
        };
        let at = |kills, last_at| OutOfMemory { kills, last_at };
        for (count, now, more, told) in [
            (3, 10, 0, at(0, None)),
            (5, 20, 2, at(2, Some(20))),
            (5, 30, 0, at(2, Some(20))),
            (0, 40, 0, at(2, Some(20))),
            (1, 50, 1, at(3, Some(50))),
        ] {
            assert_eq!(seen.take_in(count, now), more, "{count}");
            assert_eq!(seen.told, told, "{count}");
        }
    }
}

//! When sandboxes were active last and when they were stopped, as was asked of late: for whoever looks, and so that
//! nobody is asked oftener than need be.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::SandboxRow;

/// A minute, in milliseconds.
pub const MINUTE: i64 = 60_000;

/// How old an answer may be that is shown.
const SHOWN: Duration = Duration::from_secs(15);

/// What a sandbox was at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It runs.
    Up {
        /// How long it had been idle, in milliseconds, on a clock that stands still while the machine is suspended.
        idle_ms: i64,
        /// When it was active last, in milliseconds since the Unix epoch.
        last_active_at: i64,
        /// Why it counts as active; empty when it is idle.
        because: Vec<String>,
    },
    /// It was stopped then, in milliseconds since the Unix epoch; none where the engine does not tell.
    Down(Option<i64>),
}

/// What was heard of one, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When it was asked.
    pub asked: Instant,
    /// What it was at.
    pub pace: Pace,
}

impl Heard {
    /// Whether it is to be asked again: what was heard is old, is of before a start or a stop, or something may be
    /// due by now.
    pub fn is_old(&self, row: &SandboxRow, is_up: bool, now: Instant, wall: i64) -> bool {
        let age = now.saturating_duration_since(self.asked);
        let passed = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let may_be_due = match &self.pace {
            Pace::Up { idle_ms, .. } => {
                row.auto_stop > 0 && idle_ms.saturating_add(passed) >= row.auto_stop * MINUTE
            }
            Pace::Down(_) => self.auto_delete_at(row).is_some_and(|at| wall >= at),
        };
        age >= SHOWN || may_be_due || is_up != matches!(self.pace, Pace::Up { .. })
    }

    /// Whether who looks is shown the same of both.
    fn is_shown_as(&self, other: &Self) -> bool {
        match (&self.pace, &other.pace) {
            (
                Pace::Up {
                    last_active_at,
                    because,
                    ..
                },
                Pace::Up {
                    last_active_at: other_at,
                    because: other_because,
                    ..
                },
            ) => last_active_at == other_at && because == other_because,
            (before, now) => before == now,
        }
    }

    /// When it is stopped if nothing happens in it.
    pub fn auto_stop_at(&self, row: &SandboxRow) -> Option<i64> {
        match self.pace {
            Pace::Up { last_active_at, .. } if row.auto_stop > 0 => {
                let at = last_active_at + row.auto_stop * MINUTE;
                Some(row.keep_awake_until.map_or(at, |until| at.max(until)))
            }
            _ => None,
        }
    }

    /// When it is deleted if nobody starts it.
    pub fn auto_delete_at(&self, row: &SandboxRow) -> Option<i64> {
        match self.pace {
            Pace::Down(Some(stopped_at)) => Some(stopped_at + row.auto_delete? * MINUTE),
            _ => None,
        }
    }
}

/// What was heard of all of them, by id.
#[derive(Debug, Default)]
pub struct Idleness(Mutex<HashMap<String, Heard>>);

impl Idleness {
    /// Keeps what was heard of one; whether it is shown otherwise than before.
    pub fn note(&self, id: &str, heard: Heard) -> bool {
        let shown = heard.clone();
        let before = self.all().insert(id.to_owned(), heard);
        before.is_none_or(|before| !before.is_shown_as(&shown))
    }

    /// What was heard of one last.
    pub fn of(&self, id: &str) -> Option<Heard> {
        self.all().get(id).cloned()
    }

    /// Forgets those that are no more.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.all().retain(|id, _| is_there(id));
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn row(auto_stop: i64, auto_delete: Option<i64>) -> SandboxRow {
        SandboxRow {
            auto_stop,
            auto_delete,
            ..SandboxRow::new(String::new(), String::new(), String::new(), 0)
        }
    }

    fn up(idle_ms: i64) -> Heard {
        Heard {
            asked: Instant::now(),
            pace: Pace::Up {
                idle_ms,
                last_active_at: 1_000,
                because: Vec::new(),
            },
        }
    }

    fn down(at: i64) -> Heard {
        Heard {
            asked: Instant::now(),
            pace: Pace::Down(Some(at)),
        }
    }

    #[test]
    fn who_looks_is_told_when_it_would_be_stopped_and_deleted() {
        assert_eq!(
            up(0).auto_stop_at(&row(30, None)),
            Some(1_000 + 30 * MINUTE)
        );
        assert_eq!(up(0).auto_stop_at(&row(0, None)), None);
        let awake = SandboxRow {
            keep_awake_until: Some(99 * MINUTE),
            ..row(30, None)
        };
        assert_eq!(up(0).auto_stop_at(&awake), Some(99 * MINUTE));
        assert_eq!(up(0).auto_delete_at(&row(30, Some(5))), None);
        assert_eq!(
            down(7).auto_delete_at(&row(30, Some(5))),
            Some(7 + 5 * MINUTE)
        );
        assert_eq!(down(7).auto_delete_at(&row(30, None)), None);
        assert_eq!(down(7).auto_stop_at(&row(30, None)), None);
    }

    #[test]
    fn it_is_asked_again_once_something_may_be_due_or_the_answer_is_old() {
        let later = |heard: &Heard, seconds| heard.asked + Duration::from_secs(seconds);
        for (heard, row, is_up, seconds, wall, expected) in [
            (up(0), row(30, None), true, 1, 0, false),
            (up(0), row(30, None), true, 15, 0, true),
            // It may have been stopped, or started.
            (up(0), row(30, None), false, 1, 0, true),
            (down(0), row(30, None), true, 1, 0, true),
            (up(30 * MINUTE - 1_500), row(30, None), true, 1, 0, false),
            (up(30 * MINUTE - 1_000), row(30, None), true, 1, 0, true),
            (up(30 * MINUTE), row(0, None), true, 1, 0, false),
            (down(0), row(30, Some(1)), false, 1, MINUTE - 1, false),
            (down(0), row(30, Some(1)), false, 1, MINUTE, true),
            (down(0), row(30, None), false, 1, i64::MAX, false),
        ] {
            let told = heard.is_old(&row, is_up, later(&heard, seconds), wall);
            assert_eq!(told, expected, "{heard:?} {is_up} {seconds} {wall}");
        }
    }

    #[test]
    fn what_is_no_more_is_forgotten() {
        let idleness = Idleness::default();
        idleness.note("a", up(1));
        idleness.note("b", up(2));
        idleness.keep(|id| id == "b");
        assert_eq!(idleness.of("a"), None);
        assert!(idleness.of("b").is_some());
    }
}

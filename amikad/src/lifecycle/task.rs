//! Programs that run beside CMD because somebody asked for them: when they are started, and how they end.
//!
//! None of them decides what becomes of the sandbox, and all end with it.

use std::collections::BTreeMap;

use super::Millis;
use super::ending::KILL_GRACE;
use crate::task::{Kind, TaskId};

/// From the signal that asks a task to end to KILL.
pub(crate) const TASK_GRACE: Millis = 3_000;

const SIGHUP: i32 = 1;
const SIGTERM: i32 = 15;

/// Why nothing is started just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The sandbox is being prepared: soon it is possible.
    NotYet,
    /// The sandbox is about to end.
    Ending,
}

/// What happened about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskEvent {
    /// Somebody wants it.
    StartAsked,
    /// Its process is there.
    Started,
    /// It could not be started; its process, if there was one, is gone.
    Refused,
    /// Its process ended.
    Ended,
    /// Somebody sends it a signal.
    SignalAsked(i32),
    /// Somebody wants it to end.
    EndAsked,
}

/// What is to be done about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskAction {
    /// Start it; answered by `Started` or `Refused`.
    Start,
    /// Say that it is not started, and why.
    Refuse(Closed),
    /// Send this signal to its process group.
    Signal(i32),
    /// Send this signal to all that belongs to it, and wake what is stopped.
    End(i32),
    /// Kill all that belongs to it.
    Kill,
    /// Kill what it left behind.
    Sweep,
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Its start was not answered yet; whether it is to end as soon as it is there.
    Asked { end: bool },
    /// It runs.
    Living,
    /// It was asked to end.
    Ending { kill_at: Millis },
    /// It ended, being asked to; what it started has the rest of its time.
    Leaving { kill_at: Millis },
    /// It was killed.
    Killed { give_up_at: Millis },
    /// It was killed and does not end. Nobody waits for it.
    Stuck,
}

/// The tasks that are not over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(BTreeMap<TaskId, Stand>);

impl Tasks {
    /// Takes one event; `closed` tells whether a new one may be started.
    pub(super) fn step(
        &mut self,
        id: TaskId,
        event: TaskEvent,
        now: Millis,
        closed: Option<Closed>,
    ) -> Option<TaskAction> {
        let stand = self.0.get(&id).copied();
        match (event, stand) {
            (TaskEvent::StartAsked, None) => Some(closed.map_or_else(
                || {
                    self.0.insert(id, Stand::Asked { end: false });
                    TaskAction::Start
                },
                TaskAction::Refuse,
            )),
            (TaskEvent::Started, Some(Stand::Asked { end })) => {
                self.0.insert(id, Stand::Living);
                if end { self.end(id, now) } else { None }
            }
            (TaskEvent::Ended, Some(Stand::Ending { kill_at })) => {
                self.0.insert(id, Stand::Leaving { kill_at });
                None
            }
            (TaskEvent::Refused | TaskEvent::Ended, Some(_)) => {
                self.0.remove(&id);
                None
            }
            (TaskEvent::SignalAsked(signo), Some(Stand::Living | Stand::Ending { .. })) => {
                Some(TaskAction::Signal(signo))
            }
            (TaskEvent::EndAsked, Some(_)) => self.end(id, now),
            _ => None,
        }
    }

    /// Whether something is still to be done about it, or its process lives.
    pub(crate) fn has(&self, id: TaskId) -> bool {
        self.0.contains_key(&id)
    }

    fn end(&mut self, id: TaskId, now: Millis) -> Option<TaskAction> {
        match self.0.get_mut(&id)? {
            Stand::Asked { end } => {
                *end = true;
                None
            }
            stand @ (Stand::Living | Stand::Stuck) => {
                *stand = Stand::Ending {
                    kill_at: now + TASK_GRACE,
                };
                Some(TaskAction::End(match id.kind {
                    Kind::Job => SIGTERM,
                    // What a terminal says when it is closed: shells at their prompt pass over TERM.
                    Kind::Terminal => SIGHUP,
                }))
            }
            Stand::Ending { .. } | Stand::Leaving { .. } | Stand::Killed { .. } => None,
        }
    }

    /// Ends all of them.
    pub(super) fn stop(&mut self, now: Millis) -> Vec<(TaskId, TaskAction)> {
        let ids: Vec<TaskId> = self.0.keys().copied().collect();
        let each = ids.into_iter();
        each.filter_map(|id| Some((id, self.end(id, now)?)))
            .collect()
    }

    /// Does what is due at `now`.
    pub(super) fn tick(&mut self, now: Millis) -> Vec<(TaskId, TaskAction)> {
        let mut actions = Vec::new();
        self.0.retain(|id, stand| match *stand {
            Stand::Ending { kill_at } if kill_at <= now => {
                *stand = Stand::Killed {
                    give_up_at: now + KILL_GRACE,
                };
                actions.push((*id, TaskAction::Kill));
                true
            }
            Stand::Leaving { kill_at } if kill_at <= now => {
                actions.push((*id, TaskAction::Sweep));
                false
            }
            Stand::Killed { give_up_at } if give_up_at <= now => {
                *stand = Stand::Stuck;
                true
            }
            _ => true,
        });
        actions
    }

    /// When [`Tasks::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let each = self.0.values().filter_map(|stand| match *stand {
            Stand::Ending { kill_at: at }
            | Stand::Leaving { kill_at: at }
            | Stand::Killed { give_up_at: at } => Some(at),
            Stand::Asked { .. } | Stand::Living | Stand::Stuck => None,
        });
        each.min()
    }

    /// Whether the sandbox's end waits for one of them. Not for those whose process is not there, nor for what a
    /// task left behind: that goes with all else that is left.
    pub(super) fn hold_up_the_end(&self) -> bool {
        self.0.values().any(|stand| {
            matches!(
                stand,
                Stand::Living | Stand::Ending { .. } | Stand::Killed { .. }
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: TaskId = TaskId {
        kind: Kind::Job,
        number: 1,
    };
    const TERMINAL: TaskId = TaskId {
        kind: Kind::Terminal,
        number: 2,
    };

    fn running(id: TaskId) -> Tasks {
        let mut tasks = Tasks::default();
        let start = tasks.step(id, TaskEvent::StartAsked, 0, None);
        assert_eq!(start, Some(TaskAction::Start));
        assert_eq!(tasks.step(id, TaskEvent::Started, 0, None), None);
        tasks
    }

    #[test]
    fn one_that_is_to_end_is_asked_first_and_killed_after_its_time() {
        for (id, signo) in [(JOB, SIGTERM), (TERMINAL, SIGHUP)] {
            let mut tasks = running(id);
            let mut ask = |now| tasks.step(id, TaskEvent::EndAsked, now, None);
            assert_eq!(ask(10), Some(TaskAction::End(signo)));
            assert_eq!(ask(20), None, "once");
            assert_eq!(tasks.deadline(), Some(10 + TASK_GRACE));
            assert_eq!(tasks.tick(9 + TASK_GRACE), []);
            assert_eq!(tasks.tick(10 + TASK_GRACE), [(id, TaskAction::Kill)]);
            assert!(tasks.hold_up_the_end());
            assert_eq!(tasks.tick(10 + TASK_GRACE + KILL_GRACE), []);
            assert!(!tasks.hold_up_the_end(), "nobody waits for it any more");
            assert_eq!(
                tasks.step(id, TaskEvent::EndAsked, 20_000, None),
                Some(TaskAction::End(signo)),
                "but it may be tried again"
            );
            tasks.step(id, TaskEvent::Ended, 20_001, None);
            tasks.step(id, TaskEvent::Refused, 20_001, None);
            assert_eq!(tasks.deadline(), None);
        }
    }

    #[test]
    fn what_one_started_has_the_same_time_and_no_more() {
        let mut tasks = running(JOB);
        tasks.step(JOB, TaskEvent::EndAsked, 0, None);
        assert_eq!(tasks.step(JOB, TaskEvent::Ended, 5, None), None);
        assert!(!tasks.hold_up_the_end());
        assert_eq!(tasks.tick(TASK_GRACE), [(JOB, TaskAction::Sweep)]);
        assert_eq!(tasks.deadline(), None);
    }

    #[test]
    fn one_that_ended_by_itself_leaves_what_it_started_alone() {
        let mut tasks = running(JOB);
        assert_eq!(tasks.step(JOB, TaskEvent::Ended, 5, None), None);
        assert_eq!(tasks.deadline(), None);
        assert_eq!(tasks.step(JOB, TaskEvent::EndAsked, 6, None), None);
        assert_eq!(tasks.step(JOB, TaskEvent::SignalAsked(2), 6, None), None);
    }

    #[test]
    fn a_stop_before_its_process_is_there_ends_it_as_soon_as_it_is() {
        let mut tasks = Tasks::default();
        tasks.step(JOB, TaskEvent::StartAsked, 0, None);
        assert_eq!(tasks.stop(1), []);
        assert!(!tasks.hold_up_the_end(), "an answer that never comes");
        assert_eq!(
            tasks.step(JOB, TaskEvent::Started, 2, Some(Closed::Ending)),
            Some(TaskAction::End(SIGTERM))
        );
    }

    #[test]
    fn none_is_started_too_early_or_too_late() {
        for why in [Closed::NotYet, Closed::Ending] {
            let mut tasks = Tasks::default();
            let refused = tasks.step(JOB, TaskEvent::StartAsked, 0, Some(why));
            assert_eq!(refused, Some(TaskAction::Refuse(why)));
            assert_eq!(tasks.step(JOB, TaskEvent::Started, 0, None), None);
        }
    }

    #[test]
    fn all_end_with_the_sandbox() {
        let mut tasks = running(JOB);
        tasks.step(TERMINAL, TaskEvent::StartAsked, 0, None);
        tasks.step(TERMINAL, TaskEvent::Started, 0, None);
        let told = [
            (JOB, TaskAction::End(SIGTERM)),
            (TERMINAL, TaskAction::End(SIGHUP)),
        ];
        assert_eq!(tasks.stop(0), told);
        assert_eq!(tasks.stop(1), []);
    }
}

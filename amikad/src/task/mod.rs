//! Programs that run beside CMD because somebody asked for them: jobs, and the programs of terminals.
//!
//! `lifecycle::task` decides when one is started and ended, `supervisor::tasks` does it; here is what both sides
//! know of it. `jobs` and `terminal` say what is particular to each kind, `http` shows them.

mod kept;

use std::os::fd::OwnedFd;

use amika_core::wire::{Program, Task, TaskState};
use tokio::sync::{oneshot, watch};

pub(crate) use kept::{Full, Keeps, Kept};

use crate::pump::Settler;
use crate::sys::End;

/// What kind of task it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A program whose output is kept, without input.
    Job,
    /// A program on a terminal.
    Terminal,
}

/// One of the tasks of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskId {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its number among all of its kind.
    pub(crate) number: u64,
}

/// How a task fares. Times are the wall clock's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fares {
    /// When it was started; none until it is.
    pub(crate) started_at: Option<u64>,
    /// Its process, while it lives.
    pub(crate) pid: Option<i32>,
    /// How and when it ended.
    pub(crate) ended: Option<(End, u64)>,
    /// What the kernel had ended for want of memory when it was started; since it ended, how much more by then.
    pub(crate) kills: u64,
}

/// How a task fares, told by the supervisor to whoever looks.
#[derive(Debug, Default)]
pub(crate) struct Progress(watch::Sender<Fares>);

impl Progress {
    /// As of now.
    pub(crate) fn now(&self) -> Fares {
        *self.0.borrow()
    }

    /// Tells of each change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Fares> {
        self.0.subscribe()
    }

    /// Its process is there.
    pub(crate) fn started(&self, pid: i32, at: u64, kills: u64) {
        self.0.send_modify(|fares| {
            fares.started_at = Some(at);
            fares.pid = Some(pid);
            fares.kills = kills;
        });
    }

    /// It ended.
    pub(crate) fn ended(&self, end: End, at: u64, kills: u64) {
        self.0.send_modify(|fares| {
            fares.pid = None;
            fares.ended = Some((end, at));
            fares.kills = kills.saturating_sub(fares.kills);
        });
    }

    /// The part of its record that both kinds have. `kills` is what the kernel ended so far.
    pub(crate) fn record(&self, command: &str, kills: u64) -> Task {
        let fares = self.now();
        let (end, ended_at) = fares.ended.unzip();
        Task {
            state: match end {
                None => TaskState::Running,
                Some(_) => TaskState::Ended,
            },
            command: command.to_owned(),
            pid: fares.pid,
            exit_code: end.and_then(|end| match end {
                End::Code(code) => Some(code),
                End::Signal(_) => None,
            }),
            signal: end.and_then(|end| match end {
                End::Signal(signo) => Some(signo),
                End::Code(_) => None,
            }),
            started_at: fares.started_at.unwrap_or_default(),
            ended_at,
            out_of_memory_kills: match end {
                None => kills.saturating_sub(fares.kills),
                Some(_) => fares.kills,
            },
        }
    }
}

/// What the supervisor needs to start a task.
#[derive(Debug)]
pub(crate) struct Start {
    /// Which one it is.
    pub(crate) id: TaskId,
    /// What is to run.
    pub(crate) program: Program,
    /// Its standard streams.
    pub(crate) streams: Streams,
    /// Where it is told how it fares.
    pub(crate) progress: std::sync::Arc<Progress>,
    /// Moves its output, and is told when it ended.
    pub(crate) pump: Option<Settler>,
    /// Whether it was started.
    pub(crate) answer: oneshot::Sender<Result<(), NotStarted>>,
}

/// Where a task's standard streams lead.
#[derive(Debug)]
pub(crate) enum Streams {
    /// Output and errors go to one place.
    Output {
        /// What is read; none is nothing.
        input: Option<OwnedFd>,
        /// Where they go.
        output: OwnedFd,
    },
    /// All of them to this terminal.
    Terminal(OwnedFd),
}

/// Why a task was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotStarted {
    /// The sandbox is being prepared.
    NotYet,
    /// The sandbox is about to end.
    Ending,
    /// There is no process for it; says why.
    NoProcess(String),
}

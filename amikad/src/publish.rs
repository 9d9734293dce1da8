//! What the supervisor lets the HTTP side see, and how the HTTP side asks it for something.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use amika_core::wire::{Change, Changed, OutOfMemory, Status};
use nix::sys::eventfd::EventFd;
use tokio::sync::{oneshot, watch};

use crate::activity::Meter;
use crate::boot::Boot;
use crate::jobs::Jobs;
use crate::lifecycle::{Millis, ServiceEvent};
use crate::logs::Log;
use crate::out_of_memory::Watch;
use crate::say::note;
use crate::secrets::Secrets;
use crate::service::ServiceId;
use crate::sys::Step;
use crate::task::{Start, TaskId};
use crate::terminal::Terminals;

/// So many changes are kept for clients that come late.
const HISTORY: usize = 256;

/// A request to the supervisor.
#[derive(Debug)]
pub(crate) enum Command {
    /// Answer, to show that the loop that reaps still turns.
    Ping(oneshot::Sender<()>),
    /// Somebody asked something of a service.
    Service(ServiceId, ServiceEvent),
    /// What a probe of a service found.
    Probed {
        /// The service.
        service: ServiceId,
        /// The process that was meant.
        pid: i32,
        /// Whether it is healthy.
        healthy: bool,
    },
    /// The boot is prepared, or cannot be what it was asked to be; says why.
    Prepared(Box<Result<Boot, String>>),
    /// Setup could not be run.
    SetupRefused(Refusal),
    /// CMD could not be run, at this step.
    CmdRefused(Refusal, Step),
    /// A service could not be run.
    ServiceRefused(ServiceId, Refusal),
    /// Start this.
    StartTask(Box<Start>),
    /// Send a task's process group this signal.
    SignalTask(TaskId, i32),
    /// End a task.
    EndTask(TaskId),
    /// Setup's output was written out.
    OutputSettled,
    /// What follows setup is done.
    Settled(Settled),
}

/// Why a program could not be run.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The exit code that says so.
    pub(crate) code: i32,
    /// A sentence.
    pub(crate) message: String,
    /// The program of that name that there is now, where one is looked for again.
    pub(crate) program: Option<PathBuf>,
}

/// What was found out after setup ended.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The last lines of its output, if it failed.
    pub(crate) tail: Vec<String>,
    /// The line of the script that failed.
    pub(crate) failed_line: Option<u32>,
    /// Why it failed, for people.
    pub(crate) message: Option<String>,
    /// The services' programs, which setup may have installed.
    pub(crate) programs: Vec<Option<PathBuf>>,
}

/// The way to the supervisor.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    sender: mpsc::Sender<Command>,
    wake: Arc<EventFd>,
}

impl Mailbox {
    /// A mailbox that wakes `wake`.
    pub(crate) fn new(wake: Arc<EventFd>) -> (Self, mpsc::Receiver<Command>) {
        let (sender, receiver) = mpsc::channel();
        (Self { sender, wake }, receiver)
    }

    /// Leaves a request.
    pub(crate) fn send(&self, command: Command) {
        // The supervisor outlives everybody who could write to it.
        let _ = self.sender.send(command);
        let _ = self.wake.write(1);
    }
}

/// The state as last published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// As of the publication; clocks that run on are filled in when it is asked for.
    pub(crate) status: Status,
    /// When setup was started, while it runs.
    pub(crate) setup_since: Option<Millis>,
    /// When each service is started next.
    pub(crate) retry_at: Vec<Option<Millis>>,
}

/// The logs, as far as they exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    /// Setup's output; none before the script starts, or without one.
    pub(crate) setup: Option<Arc<Log>>,
    /// The output of each service that was started.
    pub(crate) services: BTreeMap<ServiceId, Arc<Log>>,
    /// Where in it the output of its last start begins.
    pub(crate) service_starts: BTreeMap<ServiceId, u64>,
    /// The daemon's own words.
    pub(crate) amikad: Option<Arc<Log>>,
}

/// The changes so far, the latest last.
#[derive(Debug, Default)]
struct History {
    changes: VecDeque<Change>,
    next: u64,
}

impl History {
    /// Appends `change` under the next number.
    fn push(&mut self, mut change: Change) {
        change.seq = self.next;
        self.next += 1;
        if self.changes.len() == HISTORY {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    /// The first change from `seq` on that is still kept.
    fn from(&self, seq: u64) -> Option<Change> {
        self.changes
            .iter()
            .find(|change| change.seq >= seq)
            .cloned()
    }
}

/// What both sides hold.
#[derive(Debug)]
pub(crate) struct Shared {
    snapshot: Mutex<Snapshot>,
    logs: Mutex<Logs>,
    history: Mutex<History>,
    version: watch::Sender<u64>,
    /// Set when the daemon is about to exit: streams end, connections close.
    pub(crate) closing: watch::Sender<bool>,
    /// The way to the supervisor.
    pub(crate) mailbox: Mailbox,
    /// Token and password.
    pub(crate) secrets: Secrets,
    /// The daemon's start.
    pub(crate) started: Instant,
    /// Whether anything goes on in the sandbox.
    pub(crate) activity: Meter,
    /// Programs that run without anybody who waits for them.
    pub(crate) jobs: Jobs,
    /// Terminals that stay when nobody looks at them.
    pub(crate) terminals: Terminals,
    /// What the kernel ended for want of memory.
    memory: Watch,
    /// Children reaped that were not the daemon's own. Not published: they may come by the thousand, and nobody waits
    /// for one.
    orphans: AtomicU64,
}

impl Shared {
    /// Begins with `snapshot`.
    pub(crate) fn new(
        snapshot: Snapshot,
        mailbox: Mailbox,
        secrets: Secrets,
        started: Instant,
    ) -> Self {
        Self {
            snapshot: Mutex::new(snapshot),
            logs: Mutex::default(),
            history: Mutex::default(),
            version: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            mailbox,
            secrets,
            started,
            activity: Meter::default(),
            jobs: Jobs::default(),
            terminals: Terminals::default(),
            memory: Watch::begin(),
            orphans: AtomicU64::new(0),
        }
    }

    /// Looks whether the kernel ended processes for want of memory, and tells of it if so. Cheap: one small file.
    pub(crate) fn look_at_memory(&self) -> OutOfMemory {
        let (now, more) = self.memory.look();
        if more > 0 {
            note(crate::out_of_memory::sentence(more));
            let status = &lock(&self.snapshot).status.clone();
            lock(&self.history).push(Change {
                seq: 0,
                at: now.last_at.unwrap_or_default(),
                changed: Changed::OutOfMemory,
                phase: status.phase,
                outcome: status.outcome,
                setup: status.setup.state,
                cmd: status.cmd.state,
                services: crate::status::states(&status.services),
                out_of_memory_kills: now.kills,
            });
            self.version.send_modify(|version| *version += 1);
        }
        now
    }

    /// Milliseconds since the daemon's start.
    pub(crate) fn now(&self) -> Millis {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Replaces the state and appends `changes` to the history.
    pub(crate) fn publish(&self, snapshot: Snapshot, changes: Vec<Change>) {
        *lock(&self.snapshot) = snapshot;
        let mut history = lock(&self.history);
        for change in changes {
            history.push(change);
        }
        drop(history);
        self.version.send_modify(|version| *version += 1);
    }

    /// The state now, with its clocks set.
    pub(crate) fn status(&self) -> Status {
        let Snapshot {
            mut status,
            setup_since,
            retry_at,
        } = lock(&self.snapshot).clone();
        let now = self.now();
        status.uptime_ms = now;
        status.out_of_memory = self.memory.known();
        status.reaped_orphans = self.orphans();
        if let Some(since) = setup_since {
            status.setup.duration_ms = Some(now.saturating_sub(since));
        }
        for (id, at) in ServiceId::all().zip(retry_at) {
            if let Some(service) = status.services.0.get_mut(id.spec().name) {
                service.next_retry_ms = at.map(|at| at.saturating_sub(now));
            }
        }
        if let Some(log) = self.logs().setup {
            status.setup.log_bytes = log.total();
            status.setup.log_truncated = log.truncated();
        }
        status
    }

    /// Adds children reaped that were not the daemon's own.
    pub(crate) fn count_orphans(&self, more: u64) {
        self.orphans.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn orphans(&self) -> u64 {
        self.orphans.load(Ordering::Relaxed)
    }

    /// The logs.
    pub(crate) fn logs(&self) -> Logs {
        lock(&self.logs).clone()
    }

    /// Changes the set of logs.
    pub(crate) fn set_logs(&self, change: impl FnOnce(&mut Logs)) {
        change(&mut lock(&self.logs));
        self.version.send_modify(|version| *version += 1);
    }

    /// The first change from `seq` on that is still kept; its own number tells what was lost.
    pub(crate) fn change_from(&self, seq: u64) -> Option<Change> {
        lock(&self.history).from(seq)
    }

    /// Wakes at every publication.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

/// Enters a mutex even if somebody panicked in it: the data are plain values, and a status that
/// cannot be read would be worse than one that is a step behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns once the daemon is about to exit.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    // The sender lives as long as the daemon.
    let _ = closing.wait_for(|closing| *closing).await;
}

#[cfg(test)]
mod tests {
    use amika_core::wire::{Changed, CmdState, Phase, SetupState};

    use super::*;

    #[test]
    fn a_history_that_is_full_drops_its_oldest_and_the_numbers_tell() {
        let mut history = History::default();
        for _ in 0..HISTORY + 10 {
            history.push(Change {
                seq: 0,
                at: 0,
                changed: Changed::Phase,
                phase: Phase::Running,
                outcome: None,
                setup: SetupState::Absent,
                cmd: CmdState::Running,
                services: BTreeMap::new(),
                out_of_memory_kills: 0,
            });
        }
        assert_eq!(history.from(0).unwrap().seq, 10, "ten are lost");
        assert_eq!(history.from(50).unwrap().seq, 50);
        assert!(history.from(HISTORY as u64 + 10).is_none());
    }
}

//! Whether anything goes on in the sandbox, so that whoever pays for it may stop it.
//!
//! `rule` decides, and the other files look: `processes` for processor time, `input` for what somebody typed, `network`
//! for traffic, `inward` and `requests` for tunnels. Nothing is measured before somebody asked.

mod input;
mod inward;
mod network;
mod processes;
mod requests;
mod rule;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amika_core::contract::service::OPENCODE;
use amika_core::wire::{Activity, Reason, ServiceState, SetupState, Status};
use tokio::sync::{Mutex, watch};

pub(crate) use inward::{Inward, Watched};
pub(crate) use network::Own;

use crate::lifecycle::Millis;
use crate::publish::Shared;
use input::Stamps;
use processes::{Key, Process, Table};
use rule::{INTERVAL, Sample, Verdict};

/// Questions within this time of each other get the same answer: each costs a look at every process.
const PEEK_INTERVAL: Millis = 1_000;

/// What was measured so far.
#[derive(Debug)]
pub(crate) struct Meter {
    asked: watch::Sender<bool>,
    /// Whether somebody wrote to a program since the last sample, as the host tells.
    typed: AtomicBool,
    state: Mutex<Option<State>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            asked: watch::Sender::new(false),
            typed: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }
}

#[derive(Debug)]
struct State {
    verdict: Verdict,
    /// As of the last sample.
    table: Table,
    /// As of the last sample.
    stamps: Stamps,
    /// The last answer, and when it was given.
    answer: (Millis, Millis, Vec<Reason>),
}

impl Meter {
    /// Measures from now on.
    pub(crate) fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Somebody wrote to the standard input of a program: whoever passed it on tells, since the kernel does not.
    pub(crate) fn typed(&self) {
        self.typed.store(true, Ordering::Relaxed);
    }
}

/// Takes a sample now and then, once somebody asked; sleeps without a timer until then.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut asked = shared.activity.asked.subscribe();
    // The sender lives as long as the daemon.
    let _ = asked.wait_for(|asked| *asked).await;
    loop {
        let left = {
            let mut state = shared.activity.state.lock().await;
            let due = state
                .as_ref()
                .map_or(0, |state| state.verdict.sampled_at() + INTERVAL);
            if due <= shared.now() {
                sample(&shared, &mut state).await;
                INTERVAL
            } else {
                // Whoever asked first has taken the first one.
                due - shared.now().min(due)
            }
        };
        tokio::time::sleep(Duration::from_millis(left)).await;
    }
}

/// What goes on, as of now.
pub(crate) async fn report(shared: &Shared) -> Activity {
    shared.activity.ask();
    let mut state = shared.activity.state.lock().await;
    if state.is_none() {
        sample(shared, &mut state).await;
    }
    let now = shared.now();
    let (idle, because) = match state.as_mut() {
        Some(state) => {
            if now.saturating_sub(state.answer.0) >= PEEK_INTERVAL {
                let (_, _, found) = look(shared, Some(state)).await;
                let (idle, because) = state.verdict.peek(&found);
                state.answer = (found.at, idle, because);
            }
            let since = shared.now().saturating_sub(state.answer.0);
            (state.answer.1 + since, state.answer.2.clone())
        }
        None => (0, Vec::new()),
    };
    drop(state);
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let wall = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
    Activity {
        last_active_at: wall.saturating_sub(idle),
        idle_ms: idle,
        active_because: because,
    }
}

/// Takes one sample, the first one too.
async fn sample(shared: &Shared, state: &mut Option<State>) {
    if state.is_none() {
        // Of what was before nothing is known, of this as well.
        shared.activity.typed.store(false, Ordering::Relaxed);
    }
    let (table, stamps, found) = look(shared, state.as_ref()).await;
    inward::next_sample();
    shared.activity.typed.store(false, Ordering::Relaxed);
    let verdict = match state.take() {
        Some(State { mut verdict, .. }) => {
            verdict.observe(found);
            verdict
        }
        None => Verdict::begin(found),
    };
    let (idle, because) = verdict.told(found.at);
    *state = Some(State {
        answer: (found.at, idle, because),
        verdict,
        table,
        stamps,
    });
}

/// Looks at everything; what changed is measured from the last sample.
async fn look(shared: &Shared, last: Option<&State>) -> (Table, Stamps, Sample) {
    let status = shared.status();
    shared.look_at_memory();
    let turn = turn_runs(shared, &status).await;
    let amikad = status.pid;
    let opencode = status.services.get(OPENCODE).and_then(|it| it.pid);
    // What keeps a service up is no work; what it starts may be.
    let services: Vec<i32> = status.services.0.values().filter_map(|it| it.pid).collect();
    let read = tokio::task::spawn_blocking(move || {
        // With what the host looks by, and after it ended too, until whoever started it has waited for it.
        let is_errand = |key: &Key, process: &Process| key.0 != amikad && is_own_errand(process);
        let table = processes::without(processes::read(), is_errand);
        // A program of the agent's has its terminals by itself: nobody sits there.
        let can_sit = |key: &Key, process: &Process| {
            let from_outside = process.parent == 0 && key.0 != amikad;
            from_outside || Some(process.parent) == opencode
        };
        let stamps = input::read(&table, can_sit);
        (table, stamps, network::read())
    });
    // A look that failed shows nothing: better than none for ever.
    let (table, stamps, network) = read.await.unwrap_or_default();
    let exempt = |key: &Key, _: &Process| key.0 == amikad || services.contains(&key.0);
    let sample = Sample {
        at: shared.now(),
        setup: status.setup.state == SetupState::Running,
        turn,
        job: shared.jobs.any_running(),
        input: shared.activity.typed.load(Ordering::Relaxed)
            || last.is_some_and(|last| input::was_read(&last.stamps, &stamps)),
        requests: inward::requests(),
        tunnel: inward::most(),
        cpu: last.map_or(0, |last| {
            processes::time_between(&last.table, &table, exempt)
        }),
        network,
    };
    (table, stamps, sample)
}

/// Whether the engine started it as amikad (`relay`, `health`, and what stands above a look): that is the host looking, and
/// nobody at work. What `exec-as` becomes has a name of its own.
fn is_own_errand(process: &Process) -> bool {
    process.parent == 0 && process.name == "amikad"
}

/// Whether an agent's turn runs: one that `amika sandbox prompt` started, or one of the OpenCode server's.
async fn turn_runs(shared: &Shared, status: &Status) -> bool {
    if crate::exec_note::any_turn() {
        return true;
    }
    status.services.state(OPENCODE) == ServiceState::Ready
        && crate::http::opencode_is_busy(shared).await
}

//! The daemon's state as the wire types have it.

use std::collections::BTreeMap;

use amika_core::contract::API_VERSION;
use amika_core::wire::{
    Change, Changed, Cmd, OutOfMemory, Phase, Service, ServiceState, Services, Setup, Status,
};

use crate::lifecycle::State;
use crate::ordered;
use crate::publish::Snapshot;
use crate::service::ServiceId;
use crate::sys::End;

/// What the state machine does not know.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// When things happened, by the clock on the wall.
    pub(crate) stamps: Stamps,
    /// A random id of this boot.
    pub(crate) boot_id: String,
    /// The program of CMD as it was named.
    pub(crate) argv0: Option<String>,
    /// The line of the setup script that failed.
    pub(crate) failed_line: Option<u32>,
    /// Why setup failed, for people.
    pub(crate) setup_message: Option<String>,
}

/// When things happened, in milliseconds since the Unix epoch.
///
/// Read from the clock on the wall at that very moment: the monotonic one, by which graces are measured, stands still
/// while the machine sleeps.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    phase: Phase,
    since: u64,
    setup_started: Option<u64>,
    cmd_started: Option<u64>,
}

impl Stamps {
    /// A boot that begins now.
    pub(crate) fn new(now: u64) -> Self {
        Self {
            phase: Phase::Starting,
            since: now,
            setup_started: None,
            cmd_started: None,
        }
    }

    /// Notes what `state` shows for the first time.
    pub(crate) fn observe(&mut self, state: &State, now: u64) {
        if state.phase != self.phase {
            self.phase = state.phase;
            self.since = now;
        }
        match state.setup.started_at {
            Some(_) => self.setup_started = self.setup_started.or(Some(now)),
            // It never began after all: it was refused.
            None => self.setup_started = None,
        }
        if state.cmd.started_at.is_some() {
            self.cmd_started.get_or_insert(now);
        }
    }
}

/// The state to publish.
pub(crate) fn snapshot(state: &State, facts: &Facts) -> Snapshot {
    let stamps = &facts.stamps;
    let setup = &state.setup;
    let duration = setup
        .started_at
        .zip(setup.ended_at)
        .map(|(from, to)| to - from);
    let status = Status {
        api: API_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: nix::unistd::getpid().as_raw(),
        boot_id: facts.boot_id.clone(),
        phase: state.phase,
        outcome: state.outcome,
        since: stamps.since,
        uptime_ms: 0,
        setup: Setup {
            state: setup.state,
            exit_code: exit_code(setup.end),
            signal: signal(setup.end),
            failed_line: facts.failed_line,
            message: facts
                .setup_message
                .clone()
                .or_else(|| setup.message.clone()),
            started_at: stamps.setup_started,
            duration_ms: duration,
            log_bytes: 0,
            log_truncated: false,
        },
        cmd: Cmd {
            state: state.cmd.state,
            pid: state.cmd.pid,
            argv0: facts.argv0.clone(),
            exit_code: exit_code(state.cmd.end),
            signal: signal(state.cmd.end),
            started_at: stamps.cmd_started,
        },
        services: services(state),
        stop_signal: state.stop_signal,
        // Known to whoever publishes it.
        reaped_orphans: 0,
        out_of_memory: OutOfMemory::default(),
        head: None,
    };
    let setup_since = setup.started_at.filter(|_| setup.ended_at.is_none());
    Snapshot {
        status,
        setup_since,
        retry_at: state.services.iter().map(|it| it.retry_at).collect(),
    }
}

fn services(state: &State) -> Services {
    let all = ServiceId::all().zip(&state.services);
    let services = all.map(|(id, service)| {
        let spec = id.spec();
        let shown = Service {
            enabled: service.enabled,
            installed: service.installed,
            state: service.state,
            port: spec.port,
            pid: service.pid,
            restarts: service.restarts,
            last_exit: service.last_exit.clone(),
            next_retry_ms: None,
        };
        (spec.name.to_owned(), shown)
    });
    Services(ordered::map(services))
}

/// What changed from `old` to `new`, in the order of a boot.
pub(crate) fn changes(old: &Status, new: &Status, at: u64) -> Vec<Change> {
    let differs = [
        (
            Changed::Phase,
            old.phase != new.phase || old.outcome != new.outcome,
        ),
        (Changed::Setup, old.setup.state != new.setup.state),
        (Changed::Cmd, old.cmd.state != new.cmd.state),
    ];
    let services = states(&new.services);
    let differing = services.iter().map(|(name, state)| {
        let differs = old.services.state(name) != *state;
        (Changed::Service(name.clone()), differs)
    });
    let changed = differs
        .into_iter()
        .chain(differing)
        .filter(|(_, differs)| *differs);
    changed
        .map(|(changed, _)| Change {
            seq: 0,
            at,
            changed,
            phase: new.phase,
            outcome: new.outcome,
            setup: new.setup.state,
            cmd: new.cmd.state,
            services: services.clone(),
            out_of_memory_kills: new.out_of_memory.kills,
        })
        .collect()
}

/// How each service stands, under its name.
pub(crate) fn states(services: &Services) -> BTreeMap<String, ServiceState> {
    let states = services.0.iter();
    ordered::map(states.map(|(name, service)| (name.clone(), service.state)))
}

fn exit_code(end: Option<End>) -> Option<i32> {
    match end {
        Some(End::Code(code)) => Some(code),
        _ => None,
    }
}

fn signal(end: Option<End>) -> Option<i32> {
    match end {
        Some(End::Signal(signo)) => Some(signo),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::lifecycle::{Event, Plan};

    #[test]
    fn stamps_are_the_walls_and_graces_are_not() {
        let off = ("AMIKA_OPENCODE_WEB".into(), "0".into());
        let environment: Environment = [off].into_iter().collect();
        let mut state = State::new(Plan {
            setup: true,
            cmd: true,
            services: crate::service::plans(&environment),
            seed: 1,
        });
        let mut stamps = Stamps::new(1_000);
        let mut step = |event, now, wall| {
            state.step(event, now);
            stamps.observe(&state, wall);
            (
                stamps.since,
                stamps.setup_started,
                stamps.cmd_started,
                state.deadline(),
            )
        };
        assert_eq!(step(Event::Boot, 5, 2_000), (2_000, None, None, None));
        let started = step(Event::SetupStarted { pid: 10 }, 6, 2_001);
        assert_eq!(started, (2_000, Some(2_001), None, None));
        // A night in which the machine slept, and then somebody set the clock back.
        let stopped = step(Event::Signal(15), 7, 90_000_000);
        assert_eq!(stopped, (90_000_000, Some(2_001), None, Some(4_007)));
        assert_eq!(
            step(Event::Tick, 8, 3),
            (90_000_000, Some(2_001), None, Some(4_007))
        );
        let refused = Event::SetupRefused {
            code: 126,
            message: "no".to_owned(),
        };
        assert_eq!(step(refused, 9, 4).1, None, "it never began");
    }
}

//! The daemon's state as the wire types have it.

use std::collections::BTreeMap;

use amika_core::contract::API_VERSION;
use amika_core::wire::{
    Change, Changed, Cmd, OutOfMemory, Service, ServiceState, Services, Setup, Status,
};

use crate::lifecycle::{Millis, State};
use crate::publish::Snapshot;
use crate::service::ServiceId;
use crate::sys::End;

/// What the state machine does not know.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The daemon's start, in milliseconds since the Unix epoch.
    pub(crate) epoch: u64,
    /// A random id of this boot.
    pub(crate) boot_id: String,
    /// The program of CMD as it was named.
    pub(crate) argv0: Option<String>,
    /// The line of the setup script that failed.
    pub(crate) failed_line: Option<u32>,
    /// Why setup failed, for people.
    pub(crate) setup_message: Option<String>,
    /// Children reaped that were not the daemon's own.
    pub(crate) orphans: u64,
}

/// The state to publish.
pub(crate) fn snapshot(state: &State, facts: &Facts) -> Snapshot {
    let at = |millis: Millis| facts.epoch + millis;
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
        since: at(state.since),
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
            started_at: setup.started_at.map(at),
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
            started_at: state.cmd.started_at.map(at),
        },
        services: services(state),
        reaped_orphans: facts.orphans,
        stop_signal: state.stop_signal,
        // Known to whoever publishes it.
        out_of_memory: OutOfMemory::default(),
    };
    let setup_since = setup.started_at.filter(|_| setup.ended_at.is_none());
    Snapshot {
        status,
        setup_since,
        retry_at: state.services.each_ref().map(|service| service.retry_at),
    }
}

fn services(state: &State) -> Services {
    let services = ServiceId::all().map(|id| {
        let (service, spec) = (&state.services[id.index()], id.spec());
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
    Services(services.collect())
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
    states
        .map(|(name, service)| (name.clone(), service.state))
        .collect()
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

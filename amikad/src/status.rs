//! The daemon's state as the wire types have it.

use amika_core::contract::{API_VERSION, OPENCODE_PORT};
use amika_core::wire::{Change, Changed, Cmd, OpenCode, Phase, Services, Setup, Status};

use crate::lifecycle::State;
use crate::publish::Snapshot;
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
    /// Children reaped that were not the daemon's own.
    pub(crate) orphans: u64,
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
        if state.setup.started_at.is_some() {
            self.setup_started.get_or_insert(now);
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
    let opencode = &state.opencode;
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
        services: Services {
            opencode: OpenCode {
                enabled: opencode.enabled,
                installed: opencode.installed,
                state: opencode.state,
                port: OPENCODE_PORT,
                pid: opencode.pid,
                restarts: opencode.restarts,
                last_exit: opencode.last_exit.clone(),
                next_retry_ms: None,
            },
        },
        reaped_orphans: facts.orphans,
        stop_signal: state.stop_signal,
    };
    let setup_since = setup.started_at.filter(|_| setup.ended_at.is_none());
    Snapshot {
        status,
        setup_since,
        retry_at: opencode.retry_at,
    }
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
        (
            Changed::Opencode,
            old.services.opencode.state != new.services.opencode.state,
        ),
    ];
    let changed = differs.into_iter().filter(|(_, differs)| *differs);
    changed
        .map(|(changed, _)| Change {
            seq: 0,
            at,
            changed,
            phase: new.phase,
            outcome: new.outcome,
            setup: new.setup.state,
            cmd: new.cmd.state,
            opencode: new.services.opencode.state,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{Event, Plan};

    #[test]
    fn stamps_are_the_walls_and_graces_are_not() {
        let mut state = State::new(Plan {
            setup: true,
            cmd: true,
            opencode: false,
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
    }
}

//! Event scripts and their action traces; what must hold whatever comes.

use amika_core::wire::{CmdState, Outcome, Phase, SetupState};
use proptest::prelude::*;

use super::{Action, Event, Plan, ServiceAction, ServiceEvent, State};
use crate::sys::End;

const TERM: i32 = 15;

fn plan(setup: bool, cmd: bool) -> Plan {
    Plan {
        setup,
        cmd,
        opencode: false,
        seed: 1,
    }
}

/// A boot with a setup script that runs as process 10.
fn in_setup() -> State {
    let mut state = State::new(plan(true, true));
    assert_eq!(
        state.step(Event::Boot, 0),
        [Action::StartSetup, Action::Record]
    );
    state.step(Event::SetupStarted { pid: 10 }, 0);
    state
}

/// A boot whose CMD runs as process 20.
fn in_cmd() -> State {
    let mut state = State::new(plan(false, true));
    state.step(Event::Boot, 0);
    state.step(Event::CmdStarted { pid: 20 }, 0);
    state
}

#[test]
fn cmd_waits_for_setup_and_its_settling() {
    let mut state = in_setup();
    assert_eq!(state.phase, Phase::Setup);
    assert_eq!(
        state.step(Event::SetupEnded(End::Code(0)), 5),
        [Action::SettleSetup { succeeded: true }]
    );
    assert_eq!(state.step(Event::SetupSettled, 6), [Action::StartCmd]);
    state.step(Event::CmdStarted { pid: 20 }, 7);
    assert_eq!(state.phase, Phase::Running);
}

#[test]
fn a_failed_setup_ends_the_boot_with_its_code() {
    for (end, code) in [(End::Code(7), 7), (End::Signal(9), 137)] {
        let mut state = in_setup();
        state.step(Event::SetupEnded(end), 5);
        assert_eq!(
            state.step(Event::SetupSettled, 6),
            [Action::Record, Action::SignalAll(TERM)]
        );
        assert_eq!(
            state.step(Event::Alone, 7),
            [Action::Record, Action::Exit(code)]
        );
        assert_eq!(state.outcome, Some(Outcome::SetupFailed));
    }
}

#[test]
fn a_stop_during_setup_is_latched_even_if_setup_exits_0() {
    let mut state = in_setup();
    assert_eq!(
        state.step(Event::Signal(TERM), 1),
        [Action::SignalSetup(TERM), Action::Record]
    );
    state.step(Event::SetupEnded(End::Code(0)), 2);
    assert_eq!(state.setup.state, SetupState::Cancelled);
    assert_eq!(
        state.step(Event::SetupSettled, 3),
        [Action::Record, Action::SignalAll(TERM)]
    );
    assert_eq!(
        state.step(Event::Alone, 3),
        [Action::Record, Action::Exit(143)]
    );
}

#[test]
fn a_second_signal_is_forwarded_and_does_not_move_the_deadline() {
    let mut state = in_setup();
    state.step(Event::Signal(TERM), 0);
    assert_eq!(
        state.step(Event::Signal(2), 3_000),
        [Action::SignalSetup(2)]
    );
    assert_eq!(state.deadline(), Some(4_000));
    assert_eq!(state.step(Event::Tick, 4_000), [Action::SignalSetup(9)]);
    assert_eq!(state.stop_signal, Some(TERM));
}

#[test]
fn a_stop_at_the_hand_over_keeps_cmd_from_starting() {
    let mut state = in_setup();
    state.step(Event::SetupEnded(End::Code(0)), 5);
    let actions = state.step(Event::Signal(TERM), 6);
    assert!(actions.contains(&Action::SignalAll(TERM)), "{actions:?}");
    assert_eq!(state.step(Event::SetupSettled, 7), []);
    assert_eq!(
        state.step(Event::Alone, 8),
        [Action::Record, Action::Exit(143)]
    );
    assert_eq!(state.cmd.state, CmdState::Pending);
}

#[test]
fn signals_go_to_cmd_and_only_term_ends_the_sidecars() {
    let mut state = State::new(Plan {
        opencode: true,
        ..plan(false, true)
    });
    assert_eq!(
        state.step(Event::Boot, 0),
        [Action::StartCmd, Action::OpenCode(ServiceAction::Start)]
    );
    state.step(Event::CmdStarted { pid: 20 }, 0);
    state.step(Event::OpenCode(ServiceEvent::Started { pid: 30 }), 0);
    assert_eq!(state.step(Event::Signal(2), 1), [Action::SignalCmd(2)]);
    assert_eq!(state.phase, Phase::Running);
    assert_eq!(
        state.step(Event::Signal(TERM), 2),
        [
            Action::SignalCmd(TERM),
            Action::OpenCode(ServiceAction::Signal(TERM)),
            Action::Record
        ]
    );
    assert_eq!(
        state.step(Event::Signal(TERM), 3),
        [Action::SignalCmd(TERM)]
    );
    assert_eq!(
        state.step(Event::CmdEnded(End::Code(3)), 4),
        [Action::Record]
    );
    assert_eq!(
        state.step(Event::Tick, 3_002),
        [Action::OpenCode(ServiceAction::Signal(9))]
    );
    let actions = state.step(Event::OpenCode(ServiceEvent::Ended(End::Signal(9))), 3_003);
    assert_eq!(
        actions,
        [
            Action::OpenCode(ServiceAction::Sweep),
            Action::SignalAll(TERM)
        ]
    );
    assert_eq!(
        state.step(Event::Alone, 3_004),
        [Action::Record, Action::Exit(3)]
    );
    assert_eq!(state.outcome, Some(Outcome::Signalled));
}

#[test]
fn leftovers_get_term_then_kill_and_cannot_hold_up_the_exit() {
    let mut state = in_cmd();
    let actions = state.step(Event::CmdEnded(End::Code(0)), 10);
    assert_eq!(actions, [Action::Record, Action::SignalAll(TERM)]);
    assert_eq!(state.deadline(), Some(2_010));
    assert_eq!(state.step(Event::Tick, 2_010), [Action::SignalAll(9)]);
    assert_eq!(
        state.step(Event::Tick, 3_010),
        [Action::Record, Action::Exit(0)]
    );
}

#[test]
fn without_cmd_the_sandbox_stays_up_until_told_to_stop() {
    let mut state = State::new(plan(false, false));
    assert_eq!(state.step(Event::Boot, 0), [Action::Record]);
    assert_eq!(state.phase, Phase::Running);
    assert_eq!(state.step(Event::Signal(10), 1), []);
    let actions = state.step(Event::Signal(TERM), 2);
    assert!(actions.contains(&Action::SignalAll(TERM)));
    assert_eq!(
        state.step(Event::Alone, 2),
        [Action::Record, Action::Exit(143)]
    );
}

#[test]
fn opencode_is_looked_for_again_after_setup() {
    let mut state = State::new(Plan {
        opencode: true,
        ..plan(true, false)
    });
    let actions = state.step(Event::Boot, 0);
    assert!(actions.contains(&Action::OpenCode(ServiceAction::Start)));
    state.step(Event::OpenCode(ServiceEvent::Missing), 0);
    state.step(Event::SetupStarted { pid: 10 }, 0);
    state.step(Event::SetupEnded(End::Code(0)), 1);
    let actions = state.step(Event::SetupSettled, 2);
    assert!(actions.contains(&Action::OpenCode(ServiceAction::Start)));
}

#[test]
fn a_cmd_that_cannot_be_started_ends_the_boot_with_its_code() {
    let mut state = State::new(plan(false, true));
    state.step(Event::Boot, 0);
    state.step(Event::CmdRefused { code: 127 }, 0);
    assert_eq!(
        state.step(Event::Alone, 0),
        [Action::Record, Action::Exit(127)]
    );
}

#[allow(
    clippy::struct_excessive_bools,
    reason = "each tells whether one process lives"
)]
/// A world that answers actions as the supervisor would, with some freedom left to `choices`.
struct World {
    state: State,
    now: u64,
    setup: bool,
    cmd: bool,
    opencode: bool,
    cmd_starts: u32,
    setup_ok: bool,
    stopped_before_cmd: bool,
    exit: Option<i32>,
}

impl World {
    fn feed(&mut self, event: Event) {
        let mut queue = std::collections::VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            if self.exit.is_some() {
                return;
            }
            if let Event::Signal(signo) = event
                && super::ending::asks_to_stop(signo)
                && self.cmd_starts == 0
            {
                self.stopped_before_cmd = true;
            }
            let actions = self.state.step(event, self.now);
            for action in actions {
                match action {
                    Action::StartSetup => {
                        self.setup = true;
                        queue.push_back(Event::SetupStarted { pid: 10 });
                    }
                    Action::StartCmd => {
                        assert!(self.setup_ok, "CMD started without a good setup");
                        assert!(!self.stopped_before_cmd, "CMD started after a stop");
                        self.cmd_starts += 1;
                        self.cmd = true;
                        queue.push_back(Event::CmdStarted { pid: 20 });
                    }
                    Action::SignalSetup(9) if self.setup => {
                        self.setup = false;
                        queue.push_back(Event::SetupEnded(End::Signal(9)));
                        queue.push_back(Event::SetupSettled);
                    }
                    Action::OpenCode(ServiceAction::Start) => {
                        self.opencode = true;
                        queue.push_back(Event::OpenCode(ServiceEvent::Started { pid: 30 }));
                    }
                    Action::OpenCode(ServiceAction::Signal(9)) if self.opencode => {
                        self.opencode = false;
                        let ended = ServiceEvent::Ended(End::Signal(9));
                        queue.push_back(Event::OpenCode(ended));
                    }
                    Action::SignalAll(9) => queue.push_back(Event::Alone),
                    Action::Exit(code) => {
                        assert!(!self.cmd, "left while CMD ran");
                        self.exit = Some(code);
                    }
                    _ => {}
                }
            }
        }
    }

    fn act(&mut self, choice: u8) {
        self.now += u64::from(choice) * 10;
        match choice % 8 {
            0 if self.setup => {
                self.setup = false;
                let code = i32::from(choice / 8 % 2);
                self.setup_ok = code == 0;
                self.feed(Event::SetupEnded(End::Code(code)));
            }
            1 => self.feed(Event::SetupSettled),
            2 if self.cmd => {
                self.cmd = false;
                self.feed(Event::CmdEnded(End::Code(5)));
            }
            3 if self.opencode => {
                self.opencode = false;
                self.feed(Event::OpenCode(ServiceEvent::Ended(End::Code(1))));
            }
            4 => self.feed(Event::Signal(
                [TERM, 2, 10, 28][usize::from(choice / 8 % 4)],
            )),
            5 => self.feed(Event::OpenCode(ServiceEvent::RestartAsked)),
            6 => self.feed(Event::OpenCode(ServiceEvent::Healthy(choice > 100))),
            _ => self.feed(Event::Tick),
        }
    }
}

proptest! {
    #[test]
    fn cmd_never_starts_after_failure_or_stop_and_every_stopped_boot_exits(
        setup: bool,
        cmd: bool,
        opencode: bool,
        choices in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut world = World {
            state: State::new(Plan { setup, cmd, opencode, seed: 3 }),
            now: 0,
            setup: false,
            cmd: false,
            opencode: false,
            cmd_starts: 0,
            setup_ok: !setup,
            stopped_before_cmd: false,
            exit: None,
        };
        world.feed(Event::Boot);
        let mut phase = world.state.phase;
        for choice in choices {
            world.act(choice);
            prop_assert!(world.state.phase >= phase, "a phase went back");
            phase = world.state.phase;
        }
        prop_assert!(world.cmd_starts <= 1);
        // Told to stop, with a CMD that obeys, it must end within its graces.
        world.feed(Event::Signal(TERM));
        if world.cmd {
            world.cmd = false;
            world.feed(Event::CmdEnded(End::Signal(TERM)));
        }
        for _ in 0..20 {
            world.now += 1_000;
            world.feed(Event::SetupSettled);
            world.feed(Event::Tick);
        }
        prop_assert!(world.exit.is_some(), "still up: {:?}", world.state);
    }
}

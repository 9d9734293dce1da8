//! Event scripts and their action traces; what must hold whatever comes.

use amika_core::wire::{CmdState, Outcome, Phase, SetupState};
use proptest::prelude::*;

use super::{Action, Event, Plan, ServiceAction, ServiceEvent, ServicePlan, State};
use crate::service::{COUNT, ServiceId};
use crate::sys::End;

const TERM: i32 = 15;

const OFF: ServicePlan = ServicePlan {
    is_enabled: false,
    awaited: None,
    grace: 3_000,
};
const ON: ServicePlan = ServicePlan {
    is_enabled: true,
    ..OFF
};
/// Setup and CMD wait for it.
const AWAITED: ServicePlan = ServicePlan {
    awaited: Some(15_000),
    grace: 15_000,
    ..ON
};

/// The service that most scripts are about.
fn service() -> ServiceId {
    nth(0)
}

fn nth(number: usize) -> ServiceId {
    ServiceId::all().nth(number).unwrap()
}

/// The first services are these, the others off.
fn services(first: &[ServicePlan]) -> [ServicePlan; COUNT] {
    std::array::from_fn(|number| first.get(number).copied().unwrap_or(OFF))
}

fn plan(setup: bool, cmd: bool) -> Plan {
    Plan {
        setup,
        cmd,
        services: [OFF; COUNT],
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
        services: services(&[ON]),
        ..plan(false, true)
    });
    assert_eq!(
        state.step(Event::Boot, 0),
        [
            Action::StartCmd,
            Action::Service(service(), ServiceAction::Start)
        ]
    );
    state.step(Event::CmdStarted { pid: 20 }, 0);
    state.step(
        Event::Service(service(), ServiceEvent::Started { pid: 30 }),
        0,
    );
    assert_eq!(state.step(Event::Signal(2), 1), [Action::SignalCmd(2)]);
    assert_eq!(state.phase, Phase::Running);
    assert_eq!(
        state.step(Event::Signal(TERM), 2),
        [
            Action::SignalCmd(TERM),
            Action::Service(service(), ServiceAction::Signal(TERM)),
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
        [Action::Service(service(), ServiceAction::Signal(9))]
    );
    let actions = state.step(
        Event::Service(service(), ServiceEvent::Ended(End::Signal(9))),
        3_003,
    );
    assert_eq!(
        actions,
        [
            Action::Service(service(), ServiceAction::Sweep),
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
fn a_service_is_looked_for_again_after_setup() {
    let mut state = State::new(Plan {
        services: services(&[ON]),
        ..plan(true, false)
    });
    let actions = state.step(Event::Boot, 0);
    assert!(actions.contains(&Action::Service(service(), ServiceAction::Start)));
    state.step(Event::Service(service(), ServiceEvent::Missing), 0);
    state.step(Event::SetupStarted { pid: 10 }, 0);
    state.step(Event::SetupEnded(End::Code(0)), 1);
    let actions = state.step(Event::SetupSettled, 2);
    assert!(actions.contains(&Action::Service(service(), ServiceAction::Start)));
}

/// A boot that waits for the first service, which was started as process 30.
fn awaiting(setup: bool) -> State {
    let mut state = State::new(Plan {
        services: services(&[AWAITED, ON]),
        ..plan(setup, true)
    });
    assert_eq!(
        state.step(Event::Boot, 0),
        [
            Action::Service(service(), ServiceAction::Start),
            Action::Record
        ]
    );
    let started = Event::Service(service(), ServiceEvent::Started { pid: 30 });
    assert_eq!(state.step(started, 1), []);
    assert_eq!(state.phase, Phase::Starting);
    assert_eq!(state.deadline(), Some(15_000));
    state
}

#[test]
fn setup_waits_for_the_service_that_it_may_need_until_that_is_up() {
    let mut state = awaiting(true);
    let up = Event::Service(service(), ServiceEvent::Healthy(true));
    let actions = state.step(up, 900);
    assert_eq!(
        actions,
        [
            Action::StartSetup,
            Action::Service(nth(1), ServiceAction::Start),
            Action::Record
        ]
    );
    assert_eq!(state.phase, Phase::Setup);
    // Once.
    let again = Event::Service(service(), ServiceEvent::Healthy(false));
    assert_eq!(state.step(again, 20_000), []);
    let up = Event::Service(service(), ServiceEvent::Healthy(true));
    assert_eq!(state.step(up, 21_000), []);
}

#[test]
fn cmd_waits_for_it_where_there_is_no_setup() {
    let mut state = awaiting(false);
    let up = Event::Service(service(), ServiceEvent::Healthy(true));
    assert_eq!(state.step(up, 900)[0], Action::StartCmd);
}

#[test]
fn the_wait_ends_with_its_time_with_a_death_and_with_what_cannot_be_started() {
    let mut state = awaiting(true);
    assert_eq!(state.step(Event::Tick, 14_999), []);
    assert_eq!(state.step(Event::Tick, 15_000)[0], Action::StartSetup);

    let ended = || Event::Service(service(), ServiceEvent::Ended(End::Code(1)));
    let mut state = awaiting(true);
    let actions = state.step(ended(), 100);
    assert!(actions.contains(&Action::StartSetup), "{actions:?}");
    // It is started again all the same, beside setup.
    let at = state.deadline().unwrap();
    let again = Action::Service(service(), ServiceAction::Start);
    assert!(state.step(Event::Tick, at).contains(&again));

    for event in [
        ServiceEvent::Missing,
        ServiceEvent::Unable("no right".into()),
        ServiceEvent::Refused("no process".into()),
    ] {
        let mut state = State::new(Plan {
            services: services(&[AWAITED]),
            ..plan(true, true)
        });
        state.step(Event::Boot, 0);
        let actions = state.step(Event::Service(service(), event), 1);
        assert_eq!(actions[0], Action::StartSetup);
    }
}

#[test]
fn a_stop_ends_the_wait_and_the_service_gets_its_time() {
    let mut state = awaiting(true);
    let actions = state.step(Event::Signal(TERM), 100);
    let told = Action::Service(service(), ServiceAction::Signal(TERM));
    assert!(actions.contains(&told), "{actions:?}");
    assert!(!actions.contains(&Action::StartSetup));
    assert_eq!(state.deadline(), Some(15_100));
    assert_eq!(state.step(Event::Tick, 15_099), []);
    let actions = state.step(Event::Tick, 15_100);
    let killed = Action::Service(service(), ServiceAction::Signal(9));
    assert_eq!(actions, [killed]);
    let ended = ServiceEvent::Ended(End::Signal(9));
    state.step(Event::Service(service(), ended), 15_101);
    let actions = state.step(Event::Alone, 15_102);
    assert_eq!(actions.last(), Some(&Action::Exit(143)));
}

#[test]
fn a_service_never_decides_how_a_boot_ends() {
    let mut state = awaiting(false);
    let up = Event::Service(service(), ServiceEvent::Healthy(true));
    state.step(up, 1);
    state.step(Event::CmdStarted { pid: 20 }, 1);
    let mut now = 1;
    for _ in 0..10 {
        now = state.deadline().unwrap_or(now);
        state.step(Event::Tick, now);
        let started = ServiceEvent::Started { pid: 31 };
        state.step(Event::Service(service(), started), now);
        let ended = ServiceEvent::Ended(End::Code(1));
        state.step(Event::Service(service(), ended), now);
    }
    assert_eq!(state.phase, Phase::Running);
    let actions = state.step(Event::CmdEnded(End::Code(3)), now);
    assert!(actions.contains(&Action::SignalAll(TERM)));
    let actions = state.step(Event::Alone, now);
    assert_eq!(actions.last(), Some(&Action::Exit(3)));
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
    service: bool,
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
                    Action::Service(_, ServiceAction::Start) => {
                        self.service = true;
                        queue.push_back(Event::Service(
                            service(),
                            ServiceEvent::Started { pid: 30 },
                        ));
                    }
                    Action::Service(_, ServiceAction::Signal(9)) if self.service => {
                        self.service = false;
                        let ended = ServiceEvent::Ended(End::Signal(9));
                        queue.push_back(Event::Service(service(), ended));
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
            3 if self.service => {
                self.service = false;
                self.feed(Event::Service(service(), ServiceEvent::Ended(End::Code(1))));
            }
            4 => self.feed(Event::Signal(
                [TERM, 2, 10, 28][usize::from(choice / 8 % 4)],
            )),
            5 => self.feed(Event::Service(service(), ServiceEvent::RestartAsked)),
            6 => self.feed(Event::Service(
                service(),
                ServiceEvent::Healthy(choice > 100),
            )),
            _ => self.feed(Event::Tick),
        }
    }
}

proptest! {
    #[test]
    fn cmd_never_starts_after_failure_or_stop_and_every_stopped_boot_exits(
        setup: bool,
        cmd: bool,
        kind in 0..3_usize,
        choices in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut world = World {
            state: State::new(Plan { setup, cmd, services: services(&[[OFF, ON, AWAITED][kind]]), seed: 3 }),
            now: 0,
            setup: false,
            cmd: false,
            service: false,
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
        for _ in 0..25 {
            world.now += 1_000;
            world.feed(Event::SetupSettled);
            world.feed(Event::Tick);
        }
        prop_assert!(world.exit.is_some(), "still up: {:?}", world.state);
    }
}

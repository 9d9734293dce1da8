//! Event scripts and their action traces; what must hold whatever comes.

use amika_core::service::Restart;
use amika_core::wire::{CmdState, Outcome, Phase, ServiceState, SetupState};
use proptest::prelude::*;

use super::{
    Action, Closed, Event, Plan, ServiceAction, ServiceEvent, ServicePlan, Starts, State,
    TaskAction, TaskEvent,
};
use crate::service::ServiceId;
use crate::sys::End;
use crate::task::{Kind, TaskId};

const TERM: i32 = 15;

const OFF: ServicePlan = ServicePlan {
    is_enabled: false,
    awaited: None,
    grace: 3_000,
    starts: Starts::WithSetup,
    restart: Restart::Always,
    ready_within: None,
    depends_on: &[],
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

/// Declared by a sandbox, with what is given to it.
const DECLARED: ServicePlan = ServicePlan {
    starts: Starts::AfterSetup,
    restart: Restart::OnFailure,
    ready_within: Some(30_000),
    ..ON
};
const ON_DEMAND: ServicePlan = ServicePlan {
    starts: Starts::OnDemand,
    ..DECLARED
};

/// So many services are in all of them.
const COUNT: usize = 2;

/// The service that most scripts are about.
fn service() -> ServiceId {
    nth(0)
}

fn nth(number: usize) -> ServiceId {
    ServiceId::first(COUNT).nth(number).unwrap()
}

/// The first services are these, the others off.
fn services(first: &[ServicePlan]) -> Vec<ServicePlan> {
    let mut plans = first.to_vec();
    plans.resize(COUNT, OFF);
    plans
}

fn plan(setup: bool, cmd: bool) -> Plan {
    Plan {
        setup,
        cmd,
        services: vec![OFF; COUNT],
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
    state.step(Event::CmdBegan, 0);
    state
}

#[test]
fn cmd_waits_for_setup_and_its_settling() {
    let mut state = in_setup();
    assert_eq!(state.phase, Phase::Setup);
    assert_eq!(
        state.step(Event::SetupEnded(End::Code(0)), 5),
        [Action::SettleSetup]
    );
    assert_eq!(state.step(Event::SetupSettled, 6), [Action::StartCmd]);
    state.step(Event::CmdStarted { pid: 20 }, 7);
    assert_eq!(state.phase, Phase::Setup, "its program does not run yet");
    assert_eq!(state.step(Event::CmdBegan, 7), [Action::Record]);
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
fn a_setup_script_that_could_not_be_run_never_began() {
    let mut state = in_setup();
    assert!(state.setup.started_at.is_some());
    let refused = Event::SetupRefused {
        code: 127,
        message: "it is for `/bin/bash`".to_owned(),
    };
    state.step(refused, 20);
    assert_eq!(state.setup.started_at, None);
    assert_eq!(
        state.setup.message.as_deref(),
        Some("it is for `/bin/bash`")
    );
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
    state.step(Event::CmdBegan, 0);
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
    state.step(Event::CmdBegan, 1);
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

/// A boot with setup and a service at the moment when setup runs and the service's start is not answered yet.
fn between_a_start_and_its_answer() -> State {
    let mut state = State::new(Plan {
        services: services(&[ON]),
        ..plan(true, true)
    });
    state.step(Event::Boot, 0);
    state.step(Event::SetupStarted { pid: 10 }, 0);
    state
}

#[test]
fn a_server_that_starts_after_the_stop_is_told_to_end() {
    let mut state = between_a_start_and_its_answer();
    state.step(Event::Signal(TERM), 1);
    let started = Event::Service(service(), ServiceEvent::Started { pid: 30 });
    assert_eq!(
        state.step(started, 2),
        [Action::Service(service(), ServiceAction::Signal(TERM))]
    );
    state.step(Event::SetupEnded(End::Signal(TERM)), 3);
    state.step(Event::SetupSettled, 4);
    assert_eq!(
        state.step(Event::Tick, 3_002),
        [Action::Service(service(), ServiceAction::Signal(9))]
    );
    let actions = state.step(Event::Tick, 4_002);
    assert_eq!(actions, [Action::SignalAll(TERM)], "it cannot be ended");
}

#[test]
fn a_stop_before_the_boot_is_prepared_ends_it_and_nothing_is_started() {
    let mut state = State::new(plan(false, true));
    let actions = state.step(Event::Signal(TERM), 1);
    assert!(actions.contains(&Action::SignalAll(TERM)), "{actions:?}");
    state.plan(Plan {
        services: services(&[ON]),
        ..plan(true, true)
    });
    assert_eq!(state.step(Event::Boot, 2), []);
    assert_eq!(
        state.step(Event::Alone, 3),
        [Action::Record, Action::Exit(143)]
    );
}

#[test]
fn a_cmd_that_was_told_to_stop_before_its_program_ran_has_a_deadline() {
    let mut state = State::new(plan(false, true));
    state.step(Event::Boot, 0);
    state.step(Event::CmdStarted { pid: 20 }, 0);
    assert_eq!(
        state.step(Event::Signal(TERM), 0),
        [Action::SignalCmd(TERM), Action::Record]
    );
    assert_eq!(state.step(Event::Tick, 4_000), [Action::SignalCmd(9)]);
    state.step(Event::CmdEnded(End::Signal(9)), 4_001);
    assert_eq!(
        state.step(Event::Alone, 4_002),
        [Action::Record, Action::Exit(143)],
        "a stop, however its process went"
    );
}

#[test]
fn signals_that_came_before_cmd_ran_are_given_to_it_once() {
    let mut state = in_setup();
    state.step(Event::SetupEnded(End::Code(0)), 1);
    assert_eq!(state.step(Event::Signal(10), 2), []);
    state.step(Event::SetupSettled, 3);
    assert_eq!(state.step(Event::Signal(12), 4), []);
    state.step(Event::CmdStarted { pid: 20 }, 5);
    assert_eq!(state.step(Event::Signal(1 + 33), 6), []);
    assert_eq!(
        state.step(Event::CmdBegan, 7),
        [
            Action::SignalCmd(10),
            Action::SignalCmd(12),
            Action::SignalCmd(34),
            Action::Record
        ]
    );
    assert_eq!(state.step(Event::Signal(10), 8), [Action::SignalCmd(10)]);
}

#[test]
fn a_failure_whose_explanation_hangs_ends_the_boot_all_the_same() {
    let mut state = in_setup();
    state.step(Event::SetupEnded(End::Code(7)), 0);
    let at = state.deadline().unwrap();
    let actions = state.step(Event::Tick, at);
    assert!(actions.contains(&Action::SignalAll(TERM)), "{actions:?}");
    assert_eq!(state.step(Event::SetupSettled, at), [], "late");
    assert_eq!(
        state.step(Event::Alone, at),
        [Action::Record, Action::Exit(7)]
    );
}

#[test]
fn two_requests_for_a_restart_at_once_start_one_server() {
    let mut state = State::new(Plan {
        services: services(&[ON]),
        ..plan(false, false)
    });
    state.step(Event::Boot, 0);
    state.step(
        Event::Service(service(), ServiceEvent::Started { pid: 30 }),
        0,
    );
    state.step(
        Event::Service(service(), ServiceEvent::Ended(End::Code(1))),
        1,
    );
    let mut ask = || state.step(Event::Service(service(), ServiceEvent::RestartAsked), 2);
    assert_eq!(ask(), [Action::Service(service(), ServiceAction::Start)]);
    assert_eq!(ask(), []);
}

fn job() -> TaskId {
    TASKS[0]
}

#[test]
fn tasks_are_told_to_end_together_with_cmd_and_the_exit_waits_for_them() {
    let mut state = in_cmd();
    let ask = |state: &mut State, event, now| state.step(Event::Task(job(), event), now);
    assert_eq!(
        ask(&mut state, TaskEvent::StartAsked, 1),
        [Action::Task(job(), TaskAction::Start)]
    );
    assert_eq!(ask(&mut state, TaskEvent::Started, 1), []);
    assert_eq!(
        state.step(Event::Signal(TERM), 2),
        [
            Action::SignalCmd(TERM),
            Action::Task(job(), TaskAction::End(TERM)),
            Action::Record
        ]
    );
    let late = TaskId { number: 7, ..job() };
    assert_eq!(
        state.step(Event::Task(late, TaskEvent::StartAsked), 3),
        [Action::Task(late, TaskAction::Refuse(Closed::Ending))]
    );
    assert_eq!(
        state.step(Event::CmdEnded(End::Code(0)), 4),
        [Action::Record]
    );
    assert_eq!(
        state.step(Event::Tick, 3_002),
        [Action::Task(job(), TaskAction::Kill)]
    );
    assert_eq!(
        ask(&mut state, TaskEvent::Ended, 3_003),
        [Action::SignalAll(TERM)]
    );
    let actions = state.step(Event::Alone, 3_004);
    assert_eq!(actions.last(), Some(&Action::Exit(0)));
}

#[test]
fn a_task_may_be_started_while_setup_runs_and_not_before_or_after_one_that_failed() {
    let ask = |state: &mut State| state.step(Event::Task(job(), TaskEvent::StartAsked), 1);
    let refused = |why| [Action::Task(job(), TaskAction::Refuse(why))];
    let mut early = State::new(plan(true, true));
    assert_eq!(ask(&mut early), refused(Closed::NotYet));
    let mut state = in_setup();
    assert_eq!(ask(&mut state), [Action::Task(job(), TaskAction::Start)]);
    let mut failed = in_setup();
    failed.step(Event::SetupEnded(End::Code(7)), 1);
    assert_eq!(ask(&mut failed), refused(Closed::Ending));
}

/// Which process an event is about, if it is about one.
fn about(event: &Event) -> u8 {
    match event {
        Event::SetupStarted { .. } | Event::SetupRefused { .. } | Event::SetupEnded(_) => 1,
        Event::CmdStarted { .. }
        | Event::CmdBegan
        | Event::CmdRefused { .. }
        | Event::CmdEnded(_) => 2,
        Event::SetupSettled => 3,
        Event::Boot => 4,
        Event::Signal(_) | Event::Alone | Event::Tick => 5,
        Event::Task(id, _) => 6 + u8::try_from(id.number).unwrap(),
        Event::Service(id, _) => 100 + u8::try_from(id.index()).unwrap(),
    }
}

/// The tasks that may be asked for, one of each kind, again and again.
const TASKS: [TaskId; 2] = [
    TaskId {
        kind: Kind::Job,
        number: 0,
    },
    TaskId {
        kind: Kind::Terminal,
        number: 1,
    },
];

fn place(id: TaskId) -> usize {
    TASKS.iter().position(|task| *task == id).unwrap()
}

/// Which processes live.
#[derive(Clone, Copy, Debug)]
struct World {
    setup: bool,
    cmd: bool,
    services: [bool; COUNT],
    tasks: [bool; TASKS.len()],
}

/// A boot in a world that answers late, in any order, or never.
struct Run {
    state: State,
    now: u64,
    /// Processes that live.
    lives: World,
    /// Answers that were not given yet.
    pending: Vec<Event>,
    setup_ok: bool,
    stopped_before_cmd: bool,
    told_to_end: bool,
    cmd_starts: u32,
    exit: Option<i32>,
}

impl Run {
    fn new(plan: Plan) -> Self {
        let setup_ok = !plan.setup;
        Self {
            state: State::new(plan),
            now: 0,
            lives: World {
                setup: false,
                cmd: false,
                services: [false; COUNT],
                tasks: [false; TASKS.len()],
            },
            pending: vec![Event::Boot],
            setup_ok,
            stopped_before_cmd: false,
            told_to_end: false,
            cmd_starts: 0,
            exit: None,
        }
    }

    /// Gives the machine one event and notes what comes of its actions: processes live at once, what is said of them
    /// comes whenever.
    fn feed(&mut self, event: Event) {
        if self.exit.is_some() {
            return;
        }
        if let Event::Signal(signo) = event
            && super::ending::asks_to_stop(signo)
            && self.cmd_starts == 0
        {
            self.stopped_before_cmd = true;
        }
        if matches!(event, Event::Signal(TERM)) {
            self.told_to_end = true;
        }
        for action in self.state.step(event, self.now) {
            match action {
                Action::StartSetup => {
                    self.lives.setup = true;
                    self.pending.push(Event::SetupStarted { pid: 10 });
                }
                Action::SettleSetup => self.pending.push(Event::SetupSettled),
                Action::StartCmd => {
                    // As the supervisor asks, which reads signals at this very moment.
                    if !self.state.wants_cmd() {
                        continue;
                    }
                    assert!(self.setup_ok, "CMD started without a good setup");
                    assert!(!self.stopped_before_cmd, "CMD started after a stop");
                    self.cmd_starts += 1;
                    self.lives.cmd = true;
                    self.pending.push(Event::CmdStarted { pid: 20 });
                    self.pending.push(Event::CmdBegan);
                }
                Action::SignalSetup(9) if self.lives.setup => {
                    self.lives.setup = false;
                    self.pending.push(Event::SetupEnded(End::Signal(9)));
                }
                Action::SignalCmd(9) if self.lives.cmd => {
                    self.lives.cmd = false;
                    self.pending.push(Event::CmdEnded(End::Signal(9)));
                }
                Action::Service(id, ServiceAction::Start) => {
                    let lives = &mut self.lives.services[id.index()];
                    assert!(!*lives, "two servers");
                    let answer = match self.now / 10 % 6 {
                        0 => ServiceEvent::Missing,
                        1 => ServiceEvent::Refused("no".to_owned()),
                        2 => ServiceEvent::Unable("never".to_owned()),
                        _ => {
                            *lives = true;
                            ServiceEvent::Started { pid: 30 }
                        }
                    };
                    self.pending.push(Event::Service(id, answer));
                }
                Action::Service(id, ServiceAction::Signal(9))
                    if self.lives.services[id.index()] =>
                {
                    self.lives.services[id.index()] = false;
                    let ended = ServiceEvent::Ended(End::Signal(9));
                    self.pending.push(Event::Service(id, ended));
                }
                Action::Task(id, TaskAction::Start) => {
                    assert!(!self.told_to_end, "a task was started at the end");
                    let lives = &mut self.lives.tasks[place(id)];
                    assert!(!*lives, "two of one task");
                    *lives = !self.now.is_multiple_of(70);
                    let answer = [TaskEvent::Refused, TaskEvent::Started][usize::from(*lives)];
                    self.pending.push(Event::Task(id, answer));
                }
                Action::Task(id, TaskAction::Kill) if self.lives.tasks[place(id)] => {
                    self.lives.tasks[place(id)] = false;
                    self.pending.push(Event::Task(id, TaskEvent::Ended));
                }
                Action::SignalAll(9) => {
                    self.lives = World {
                        setup: false,
                        cmd: false,
                        services: [false; COUNT],
                        tasks: [false; TASKS.len()],
                    };
                    self.pending.push(Event::Alone);
                }
                Action::Exit(code) => {
                    assert!(!self.lives.cmd, "left while CMD ran");
                    self.exit = Some(code);
                }
                _ => {}
            }
        }
    }

    fn act(&mut self, choice: u8) {
        self.now += u64::from(choice) * 10;
        let high = usize::from(choice / 13);
        let id = nth(high % COUNT);
        let task = TASKS[high % TASKS.len()];
        match choice % 13 {
            0..=3 if !self.pending.is_empty() => {
                let about = about(&self.pending[high % self.pending.len()]);
                // In any order, but nobody ends before it is there.
                let first = self
                    .pending
                    .iter()
                    .position(|event| self::about(event) == about);
                let event = self.pending.remove(first.unwrap());
                self.feed(event);
            }
            4 if self.lives.setup => {
                self.lives.setup = false;
                let code = i32::from(choice / 13 % 2);
                self.setup_ok = code == 0;
                self.pending.push(Event::SetupEnded(End::Code(code)));
            }
            5 if self.lives.cmd => {
                self.lives.cmd = false;
                self.pending.push(Event::CmdEnded(End::Code(5)));
            }
            6 if self.lives.services[id.index()] => {
                self.lives.services[id.index()] = false;
                let ended = ServiceEvent::Ended(End::Code(1));
                self.pending.push(Event::Service(id, ended));
            }
            7 => self.feed(Event::Signal([TERM, 2, 10, 28][high % 4])),
            8 => {
                let asked = [
                    ServiceEvent::RestartAsked,
                    ServiceEvent::StopAsked,
                    ServiceEvent::Wanted,
                ];
                let asked = asked[usize::from(choice / 26) % 3].clone();
                self.feed(Event::Service(id, asked));
            }
            9 => {
                let healthy = ServiceEvent::Healthy(choice > 100);
                self.feed(Event::Service(id, healthy));
            }
            10 if !self.lives.tasks[place(task)] && !self.awaits(task) => {
                self.feed(Event::Task(task, TaskEvent::StartAsked));
            }
            11 if self.lives.tasks[place(task)] && high % 4 < 2 => {
                self.lives.tasks[place(task)] = false;
                self.pending.push(Event::Task(task, TaskEvent::Ended));
            }
            11 => self.feed(Event::Task(task, TaskEvent::EndAsked)),
            _ => self.feed(Event::Tick),
        }
    }

    /// Whether something is still to be told of a task.
    fn awaits(&self, task: TaskId) -> bool {
        let about = |event: &Event| matches!(event, Event::Task(id, _) if *id == task);
        self.pending.iter().any(about) || self.state.tasks.has(task)
    }

    /// Whether the end has begun, or a stop was asked for while no CMD runs, which has no deadline but the engine's.
    fn must_end(&self) -> bool {
        let begun = self.state.ending != super::Ending::No;
        let cmd_runs = self.state.cmd.state == CmdState::Running && self.state.cmd.pid.is_some();
        begun || (self.state.stop_signal.is_some() && !cmd_runs)
    }

    /// Lets nothing but time pass, with no answer and no end of any process told.
    fn only_time(&self) -> Option<i32> {
        let (mut state, mut now) = (self.state.clone(), self.now);
        for _ in 0..50 {
            now = now.max(state.deadline()?);
            let actions = state.step(Event::Tick, now);
            if let Some(Action::Exit(code)) = actions.last() {
                return Some(*code);
            }
        }
        None
    }
}

/// Every kind of service.
const KINDS: [ServicePlan; 6] = [OFF, ON, AWAITED, DECLARED, ON_DEMAND, DECLARED];

/// What the second of them may depend on.
static DEPENDS: [&[ServiceId]; 2] = [&[], &[ServiceId::FIRST]];

#[test]
fn a_service_waits_for_setup_and_for_those_that_it_depends_on() {
    let waits = ServicePlan {
        depends_on: DEPENDS[1],
        ..DECLARED
    };
    let mut state = State::new(Plan {
        services: vec![DECLARED, waits],
        ..plan(true, false)
    });
    let begins = |id| Action::Service(id, ServiceAction::Start);
    let tell = |state: &mut State, id, event, now| state.step(Event::Service(id, event), now);
    let actions = state.step(Event::Boot, 0);
    assert_eq!(actions, [Action::StartSetup, Action::Record]);
    state.step(Event::SetupStarted { pid: 10 }, 1);
    state.step(Event::SetupEnded(End::Code(0)), 2);
    let actions = state.step(Event::SetupSettled, 3);
    assert_eq!(actions, [Action::Record, begins(nth(0))]);
    assert_eq!(state.services[1].state, ServiceState::Starting);
    assert_eq!(
        tell(&mut state, nth(0), ServiceEvent::Started { pid: 30 }, 4),
        []
    );
    let actions = tell(&mut state, nth(0), ServiceEvent::Healthy(true), 5);
    assert_eq!(actions, [begins(nth(1))]);
    tell(&mut state, nth(1), ServiceEvent::Started { pid: 31 }, 6);

    // The first is stopped by somebody: the second runs on, and is not started again without it.
    tell(&mut state, nth(0), ServiceEvent::StopAsked, 7);
    tell(&mut state, nth(0), ServiceEvent::Ended(End::Code(0)), 8);
    assert_eq!(state.services[1].pid, Some(31));
}

#[test]
fn what_needs_a_service_that_failed_says_so_and_comes_with_it() {
    let waits = ServicePlan {
        depends_on: DEPENDS[1],
        ..DECLARED
    };
    let fails = ServicePlan {
        restart: Restart::No,
        ..DECLARED
    };
    let mut state = State::new(Plan {
        services: vec![fails, waits],
        ..plan(false, false)
    });
    let tell = |state: &mut State, id, event, now| state.step(Event::Service(id, event), now);
    state.step(Event::Boot, 0);
    tell(&mut state, nth(0), ServiceEvent::Started { pid: 30 }, 1);
    tell(&mut state, nth(0), ServiceEvent::Ended(End::Code(1)), 2);
    assert_eq!(state.services[1].state, ServiceState::Failed);
    let why = state.services[1].last_exit.as_deref().unwrap();
    assert!(why.starts_with("it needs "), "{why}");
    tell(&mut state, nth(0), ServiceEvent::RestartAsked, 3);
    tell(&mut state, nth(0), ServiceEvent::Started { pid: 31 }, 4);
    let actions = tell(&mut state, nth(0), ServiceEvent::Healthy(true), 5);
    let begins = Action::Service(nth(1), ServiceAction::Start);
    assert_eq!(actions, [begins]);
}

#[test]
fn who_comes_to_a_service_wakes_those_that_it_depends_on() {
    let waits = ServicePlan {
        depends_on: DEPENDS[1],
        ..ON_DEMAND
    };
    let mut state = State::new(Plan {
        services: vec![ON_DEMAND, waits],
        ..plan(false, false)
    });
    assert_eq!(state.step(Event::Boot, 0), [Action::Record]);
    let actions = state.step(Event::Service(nth(1), ServiceEvent::Wanted), 1);
    let begins = Action::Service(nth(0), ServiceAction::Start);
    assert_eq!(actions, [begins]);
    assert_eq!(state.services[1].state, ServiceState::Starting);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn cmd_never_starts_after_failure_or_stop_and_time_alone_leads_from_every_end_to_exit(
        setup: bool,
        cmd: bool,
        kinds in [0..6_usize, 0..6_usize],
        choices in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut run = Run::new(Plan {
            setup,
            cmd,
            services: services(&[
                KINDS[kinds[0]],
                ServicePlan {
                    depends_on: DEPENDS[kinds[1] % 2],
                    ..KINDS[kinds[1]]
                },
            ]),
            seed: 3,
        });
        let mut phase = run.state.phase;
        for choice in choices {
            run.act(choice);
            prop_assert!(run.state.phase >= phase, "a phase went back");
            phase = run.state.phase;
            if run.exit.is_none() && run.must_end() {
                prop_assert!(run.only_time().is_some(), "waits for ever: {:?}", run.state);
            }
        }
        prop_assert!(run.cmd_starts <= 1);
        // A stop at any moment: with a CMD that obeys, it ends.
        run.feed(Event::Signal(TERM));
        let is_end = |event: &Event| matches!(event, Event::CmdEnded(_));
        let told = run.pending.iter().find(|event| is_end(event)).cloned();
        if run.lives.cmd || told.is_some() {
            run.lives.cmd = false;
            run.feed(told.unwrap_or(Event::CmdEnded(End::Signal(TERM))));
        }
        prop_assert!(run.exit.is_some() || run.only_time().is_some(), "still up: {:?}", run.state);
    }
}

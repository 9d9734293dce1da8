//! Event scripts and their action traces.

use amika_core::service::Restart;
use amika_core::wire::{CmdState, Outcome, Phase, ServiceState, SetupState};

use super::{
    Action, Closed, Course, Event, Plan, ServiceAction, ServiceEvent, ServicePlan, Starts, State,
    TaskAction, TaskEvent,
};
use crate::service::ServiceId;
use crate::sys::End;
use crate::task::{Kind, TaskId};

mod any_order;
mod awaited;
mod declared;

const TERM: i32 = 15;

const OFF: ServicePlan = ServicePlan {
    is_enabled: false,
    awaited: None,
    grace: 3_000,
    course: Course::own(Starts::WithSetup),
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
    course: AFTER_SETUP,
    ..ON
};
const AFTER_SETUP: Course = Course {
    starts: Starts::AfterSetup,
    restart: Restart::OnFailure,
    ready_within: Some(30_000),
    depends_on: &[],
};
const ON_DEMAND: ServicePlan = ServicePlan {
    course: Course {
        starts: Starts::OnDemand,
        ..AFTER_SETUP
    },
    ..ON
};

/// The same, which depends on the first of them.
fn depending(mut plan: ServicePlan) -> ServicePlan {
    plan.course.depends_on = &[ServiceId::FIRST];
    plan
}

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

//! A sandbox's own services: when they are started, and for whom they wait.

use super::*;

#[test]
fn a_service_waits_for_setup_and_for_those_that_it_depends_on() {
    let waits = depending(DECLARED);
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
    let waits = depending(DECLARED);
    let fails = ServicePlan {
        course: Course {
            restart: Restart::No,
            ..AFTER_SETUP
        },
        ..ON
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
    let waits = depending(ON_DEMAND);
    let mut state = State::new(Plan {
        services: vec![ON_DEMAND, waits],
        ..plan(false, false)
    });
    let holds = |service| Action::Service(nth(service), ServiceAction::Hold);
    let begun = state.step(Event::Boot, 0);
    assert_eq!(begun, [Action::Record, holds(0), holds(1)]);
    for service in 0..2 {
        state.step(Event::Service(nth(service), ServiceEvent::Held), 1);
    }
    let actions = state.step(Event::Service(nth(1), ServiceEvent::Wanted), 1);
    let begins = Action::Service(nth(0), ServiceAction::Start);
    assert_eq!(actions, [begins]);
    assert_eq!(state.services[1].state, ServiceState::Starting);
}

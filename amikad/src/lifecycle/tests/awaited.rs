//! Services that setup and CMD may need, and wait for.

use super::*;

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

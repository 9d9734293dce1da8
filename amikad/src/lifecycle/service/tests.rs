//! When a service is started again, and when no more.

use super::*;
use crate::lifecycle::{Course, Starts};

fn step(service: &mut Service, event: ServiceEvent, now: Millis) -> Vec<ServiceAction> {
    let mut actions = Vec::new();
    service.step(event, now, &mut actions);
    actions
}

const GRACE: Millis = 3_000;

const OWN: ServicePlan = ServicePlan {
    is_enabled: true,
    awaited: None,
    grace: GRACE,
    course: Course::own(Starts::WithSetup),
};

fn new() -> Service {
    Service::new(OWN, 7)
}

fn running() -> Service {
    let mut service = new();
    step(&mut service, ServiceEvent::Started { pid: 9 }, 0);
    service
}

#[test]
fn pauses_double_with_jitter_and_end_after_ten_fast_deaths() {
    let mut service = running();
    let mut now = 0;
    let mut nominal = 500;
    for death in 1..10 {
        step(&mut service, ServiceEvent::Ended(End::Code(1)), now);
        assert_eq!(service.state, ServiceState::Backoff, "death {death}");
        let pause = service.retry_at.unwrap() - now;
        assert!(
            pause >= nominal * 4 / 5 && pause <= nominal * 6 / 5,
            "{death}: {pause}"
        );
        now += pause;
        let mut actions = Vec::new();
        service.tick(now, &mut actions);
        assert_eq!(actions, [ServiceAction::Start]);
        step(&mut service, ServiceEvent::Started { pid: 10 }, now);
        nominal = (nominal * 2).min(30_000);
    }
    step(&mut service, ServiceEvent::Ended(End::Code(1)), now);
    assert_eq!(service.state, ServiceState::Failed);
    assert_eq!(service.deadline(), None);
    assert_eq!(service.restarts, 9);
    let actions = step(&mut service, ServiceEvent::RestartAsked, now);
    assert_eq!(actions, [ServiceAction::Start]);
}

#[test]
fn a_long_life_wipes_the_slate() {
    let mut service = running();
    for _ in 0..5 {
        step(&mut service, ServiceEvent::Ended(End::Code(1)), 0);
        step(&mut service, ServiceEvent::Started { pid: 9 }, 0);
    }
    step(&mut service, ServiceEvent::Ended(End::Signal(9)), LONG_LIFE);
    assert!(service.retry_at.unwrap() <= LONG_LIFE + 600);
    assert_eq!(service.last_exit.as_deref(), Some("signal 9"));
}

#[test]
fn a_restart_ends_the_old_process_first() {
    let mut service = running();
    let actions = step(&mut service, ServiceEvent::RestartAsked, 0);
    assert_eq!(actions, [ServiceAction::Signal(15)]);
    let mut actions = Vec::new();
    service.tick(GRACE, &mut actions);
    assert_eq!(actions, [ServiceAction::Signal(9)]);
    let actions = step(&mut service, ServiceEvent::Ended(End::Signal(9)), GRACE);
    assert_eq!(actions, [ServiceAction::Sweep, ServiceAction::Start]);
}

#[test]
fn nothing_is_started_once_it_was_told_to_end() {
    let mut service = running();
    step(&mut service, ServiceEvent::Ended(End::Code(1)), 0);
    let mut actions = Vec::new();
    service.stop(1, &mut actions);
    service.tick(100_000, &mut actions);
    service.step(ServiceEvent::RestartAsked, 100_000, &mut actions);
    service.ensure_started(&mut actions);
    assert_eq!(actions, []);
    assert_eq!(service.state, ServiceState::Stopped);
}

#[test]
fn two_restarts_at_once_start_one() {
    let mut service = running();
    step(&mut service, ServiceEvent::Ended(End::Code(1)), 0);
    let actions = step(&mut service, ServiceEvent::RestartAsked, 1);
    assert_eq!(actions, [ServiceAction::Start]);
    assert_eq!(step(&mut service, ServiceEvent::RestartAsked, 1), []);
    step(&mut service, ServiceEvent::Started { pid: 10 }, 2);
    assert_eq!(service.pid, Some(10));
}

#[test]
fn what_time_does_not_change_is_not_tried_again_by_itself() {
    let mut service = new();
    let why = "no right to it".to_owned();
    step(&mut service, ServiceEvent::Unable(why), 0);
    assert_eq!(service.state, ServiceState::Failed);
    assert_eq!(service.last_exit.as_deref(), Some("no right to it"));
    assert_eq!(service.deadline(), None);
    let actions = step(&mut service, ServiceEvent::RestartAsked, 1);
    assert_eq!(actions, [ServiceAction::Start]);
}

#[test]
fn the_grace_is_the_services_own() {
    let plan = ServicePlan {
        grace: 15_000,
        ..OWN
    };
    let mut service = Service::new(plan, 7);
    step(&mut service, ServiceEvent::Started { pid: 9 }, 0);
    let mut actions = Vec::new();
    service.stop(100, &mut actions);
    assert_eq!(service.deadline(), Some(15_100));
    service.tick(15_099, &mut actions);
    assert_eq!(actions, [ServiceAction::Signal(15)]);
    service.tick(15_100, &mut actions);
    assert_eq!(actions.last(), Some(&ServiceAction::Signal(9)));
}

/// What a sandbox declares for itself where it says no more.
const DECLARED: Course = Course {
    starts: Starts::AfterSetup,
    restart: Restart::OnFailure,
    ready_within: Some(60_000),
    ..Course::own(Starts::WithSetup)
};

/// It runs since 0.
fn started(course: Course) -> Service {
    let mut service = Service::new(ServicePlan { course, ..OWN }, 7);
    let mut actions = Vec::new();
    service.ensure_started(&mut actions);
    assert_eq!(actions, [ServiceAction::Start]);
    step(&mut service, ServiceEvent::Started { pid: 9 }, 0);
    service
}

#[test]
fn what_follows_an_end_is_as_it_was_declared() {
    use ServiceState::{Backoff, Failed, Stopped};
    for (restart, code, state) in [
        (Restart::OnFailure, 0, Stopped),
        (Restart::OnFailure, 1, Backoff),
        (Restart::Always, 0, Backoff),
        (Restart::Always, 1, Backoff),
        (Restart::No, 0, Stopped),
        (Restart::No, 1, Failed),
    ] {
        let mut service = started(Course {
            restart,
            ..DECLARED
        });
        let actions = step(&mut service, ServiceEvent::Ended(End::Code(code)), 5);
        assert_eq!(actions, [ServiceAction::Sweep]);
        assert_eq!(service.state, state, "{restart:?} {code}");
        assert_eq!(service.is_up(), code == 0 && restart != Restart::Always);
        assert_eq!(service.has_failed(), state == Failed);
        // Whatever it was, somebody may ask for it.
        let actions = step(&mut service, ServiceEvent::RestartAsked, 6);
        assert_eq!(actions, [ServiceAction::Start], "{restart:?} {code}");
    }
}

#[test]
fn one_that_is_not_up_in_time_is_ended_and_left_alone() {
    let mut service = started(DECLARED);
    assert_eq!(service.deadline(), Some(60_000));
    let mut actions = Vec::new();
    service.tick(60_000, &mut actions);
    assert_eq!(actions, [ServiceAction::Signal(15)]);
    assert_eq!(service.deadline(), Some(60_000 + GRACE));
    step(&mut service, ServiceEvent::Ended(End::Signal(15)), 60_001);
    assert_eq!(service.state, ServiceState::Failed);
    assert_eq!(
        service.last_exit.as_deref(),
        Some("it was not ready within 60 s")
    );
    assert_eq!(service.deadline(), None);
}

#[test]
fn deaths_on_the_way_give_it_no_more_time_and_their_cause_is_told() {
    let mut service = started(DECLARED);
    let mut now = 59_000;
    step(&mut service, ServiceEvent::Ended(End::Code(3)), now);
    assert_eq!(service.state, ServiceState::Backoff);
    now = service.retry_at.unwrap();
    let mut actions = Vec::new();
    service.tick(now, &mut actions);
    step(&mut service, ServiceEvent::Started { pid: 10 }, now);
    step(&mut service, ServiceEvent::Ended(End::Code(3)), now);
    service.tick(60_000, &mut actions);
    assert_eq!(service.state, ServiceState::Failed);
    assert_eq!(service.last_exit.as_deref(), Some("exit code 3"));
    assert_eq!(service.deadline(), None);
}

#[test]
fn once_it_was_up_time_is_no_matter_until_it_is_started_anew() {
    let mut service = started(DECLARED);
    step(&mut service, ServiceEvent::Healthy(true), 10);
    assert_eq!(
        (service.state, service.deadline()),
        (ServiceState::Ready, None)
    );
    step(&mut service, ServiceEvent::Ended(End::Code(1)), 100_000);
    let now = service.retry_at.unwrap();
    service.tick(now, &mut Vec::new());
    step(&mut service, ServiceEvent::Started { pid: 10 }, now);
    assert_eq!(service.deadline(), Some(now + 60_000));
}

#[test]
fn whoever_is_told_to_stop_is_there_when_asked_for_again() {
    let mut service = started(DECLARED);
    let actions = step(&mut service, ServiceEvent::StopAsked, 5);
    assert_eq!(actions, [ServiceAction::Signal(15)]);
    step(&mut service, ServiceEvent::Ended(End::Code(0)), 6);
    assert_eq!(
        (service.state, service.deadline()),
        (ServiceState::Stopped, None)
    );
    assert!(
        service.has_failed(),
        "what depends on it is not to be started"
    );
    assert_eq!(
        step(&mut service, ServiceEvent::RestartAsked, 7),
        [ServiceAction::Start]
    );
    // Before it is known whether it was started, too.
    assert_eq!(step(&mut service, ServiceEvent::StopAsked, 8), []);
    let actions = step(&mut service, ServiceEvent::Started { pid: 10 }, 9);
    assert_eq!(actions, [ServiceAction::Signal(15)]);
    step(&mut service, ServiceEvent::Ended(End::Signal(15)), 10);
    assert_eq!(service.state, ServiceState::Stopped);
}

#[test]
fn on_demand_it_waits_for_somebody_also_after_it_did_its_work() {
    let mut service = Service::new(
        ServicePlan {
            course: Course {
                starts: Starts::OnDemand,
                ..DECLARED
            },
            ..OWN
        },
        7,
    );
    let mut actions = Vec::new();
    service.ensure_started(&mut actions);
    assert_eq!(actions, [ServiceAction::Hold]);
    step(&mut service, ServiceEvent::Held, 0);
    assert_eq!(service.state, ServiceState::Listening);
    assert_eq!(
        step(&mut service, ServiceEvent::Wanted, 1),
        [ServiceAction::Start]
    );
    assert_eq!(
        step(&mut service, ServiceEvent::Wanted, 2),
        [],
        "it comes already"
    );
    step(&mut service, ServiceEvent::Started { pid: 9 }, 3);
    step(&mut service, ServiceEvent::Ended(End::Code(0)), 4);
    assert_eq!(service.state, ServiceState::Listening);
    assert_eq!(
        step(&mut service, ServiceEvent::Wanted, 5),
        [ServiceAction::Start]
    );
    step(&mut service, ServiceEvent::StopAsked, 6);
    step(&mut service, ServiceEvent::Started { pid: 10 }, 7);
    step(&mut service, ServiceEvent::Ended(End::Code(0)), 8);
    assert_eq!(
        service.state,
        ServiceState::Stopped,
        "nobody is to start it by coming"
    );
}

//! When a service is started again, and when no more.

use super::*;

fn step(service: &mut Service, event: ServiceEvent, now: Millis) -> Vec<ServiceAction> {
    let mut actions = Vec::new();
    service.step(event, now, &mut actions);
    actions
}

const GRACE: Millis = 3_000;

fn new() -> Service {
    let plan = ServicePlan {
        is_enabled: true,
        awaited: None,
        grace: GRACE,
    };
    Service::new(plan, 7)
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
        is_enabled: true,
        awaited: None,
        grace: 15_000,
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

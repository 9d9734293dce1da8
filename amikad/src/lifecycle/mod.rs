//! What to do when something happens: the state machine of a boot, without any I/O.
//!
//! The supervisor turns what the kernel tells into an [`Event`], gives it to [`State::step`], and
//! carries out the [`Action`]s in order. Two rules hold whatever comes: CMD is never started once
//! setup failed or a stop was asked for, and every boot that was told to stop ends in
//! [`Action::Exit`], even if nothing but time comes any more: whatever is waited for on the way there
//! has a deadline, but for a CMD that runs, for which the engine has its own.

mod ending;
mod event;
mod service;
mod task;
#[cfg(test)]
mod tests;

use amika_core::wire::{CmdState, Outcome, Phase, SetupState};

pub(crate) use ending::asks_to_stop;
pub(crate) use event::{Action, Course, Event, Plan, ServicePlan, Starts};
pub(crate) use service::{Service, ServiceAction, ServiceEvent};
pub(crate) use task::{Closed, TaskAction, TaskEvent, Tasks};

use crate::service::ServiceId;
use crate::sys::End;

/// Milliseconds since the daemon's start.
pub(crate) type Millis = u64;

/// From TERM to KILL for whatever is left at the end.
const LEFTOVER_GRACE: Millis = 2_000;
/// How long the end of a boot waits for what is written of a setup that failed or was stopped.
const SETTLE_GRACE: Millis = 5_000;
/// So many signals are kept for a CMD that does not run yet.
const EARLY_SIGNALS: usize = 64;

const SIGTERM: i32 = 15;

/// How far the end of the boot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Not begun.
    No,
    /// The services are being ended.
    Sidecars,
    /// What else is left was sent TERM.
    Leftovers { kill_at: Millis },
    /// What else is left was sent KILL.
    Killed { give_up_at: Millis },
    /// Over.
    Done,
}

/// The setup script in this boot.
#[derive(Clone, Debug, Default)]
pub(crate) struct SetupProgress {
    /// How it fares.
    pub(crate) state: SetupState,
    /// Its process, while it runs.
    pub(crate) pid: Option<i32>,
    /// How it ended.
    pub(crate) end: Option<End>,
    /// Why it could not be started.
    pub(crate) message: Option<String>,
    /// When it was started.
    pub(crate) started_at: Option<Millis>,
    /// When it ended.
    pub(crate) ended_at: Option<Millis>,
    settling: bool,
    /// When to go on although nobody says that it settled.
    settle_by: Option<Millis>,
    kill_at: Option<Millis>,
    /// When to go on although it was killed and did not end.
    give_up_at: Option<Millis>,
}

/// CMD in this boot.
#[derive(Clone, Debug, Default)]
pub(crate) struct CmdProgress {
    /// Whether it runs.
    pub(crate) state: CmdState,
    /// Its process, once started.
    pub(crate) pid: Option<i32>,
    /// How it ended.
    pub(crate) end: Option<End>,
    /// When it was started.
    pub(crate) started_at: Option<Millis>,
    /// Signals that came before it ran.
    early: Vec<i32>,
    /// When to kill it, where it was told to stop and its program does not run yet.
    kill_at: Option<Millis>,
    /// When to go on although it was killed and did not end.
    give_up_at: Option<Millis>,
}

/// The whole state of a boot.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Where the boot stands.
    pub(crate) phase: Phase,
    /// When that phase was entered.
    pub(crate) since: Millis,
    /// Why the boot ends.
    pub(crate) outcome: Option<Outcome>,
    /// The signal that asked for the end: latched, the first one counts.
    pub(crate) stop_signal: Option<i32>,
    /// The setup script.
    pub(crate) setup: SetupProgress,
    /// CMD.
    pub(crate) cmd: CmdProgress,
    /// The services.
    pub(crate) services: Vec<Service>,
    /// What runs beside CMD because somebody asked for it.
    pub(crate) tasks: Tasks,
    /// What the container exits with, once known.
    pub(crate) exit_code: Option<i32>,
    plan: Plan,
    booted: bool,
    ending: Ending,
    /// Until when setup and CMD wait for the services that they may need.
    awaiting_until: Option<Millis>,
}

impl State {
    /// A boot at its very start.
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            phase: Phase::Starting,
            since: 0,
            outcome: None,
            stop_signal: None,
            setup: SetupProgress::default(),
            cmd: CmdProgress::default(),
            services: new_services(&plan),
            tasks: Tasks::default(),
            exit_code: None,
            plan,
            booted: false,
            ending: Ending::No,
            awaiting_until: None,
        }
    }

    /// Says what this boot is to do, which may be known late: at [`Event::Boot`] it must be.
    pub(crate) fn plan(&mut self, plan: Plan) {
        let mut services = new_services(&plan);
        for (new, known) in services.iter_mut().zip(&self.services) {
            if known.is_ending() {
                new.clone_from(known);
            }
        }
        self.services = services;
        self.plan = plan;
    }

    /// Whether CMD is still to be started.
    pub(crate) fn wants_cmd(&self) -> bool {
        self.cmd.state == CmdState::Pending
            && self.cmd.pid.is_none()
            && self.stop_signal.is_none()
            && self.ending == Ending::No
    }

    /// Takes one event and says what to do about it.
    pub(crate) fn step(&mut self, event: Event, now: Millis) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Boot => self.boot(now, &mut actions),
            // Its end may be known already.
            Event::SetupStarted { pid } if self.setup.ended_at.is_none() => {
                self.setup.pid = Some(pid);
                self.setup.state = SetupState::Running;
                self.setup.started_at = Some(now);
                if let Some(signo) = self.stop_signal {
                    // It was told to stop before it was there.
                    actions.push(Action::SignalSetup(signo));
                    self.setup.kill_at = Some(now + ending::SETUP_GRACE);
                }
            }
            Event::SetupRefused { code, message } => {
                self.setup.message = Some(message);
                // There was a process, but the script never began.
                self.setup.started_at = None;
                self.setup_ended(End::Code(code), now, &mut actions);
            }
            Event::SetupEnded(end) => self.setup_ended(end, now, &mut actions),
            Event::SetupSettled => self.setup_settled(now, &mut actions),
            Event::SetupStarted { .. } => {}
            Event::CmdStarted { pid } => {
                self.cmd.pid = Some(pid);
                if let Some(signo) = self.stop_signal {
                    self.stop_cmd(signo, now, &mut actions);
                }
            }
            Event::CmdBegan => {
                if self.cmd.pid.is_some() && self.cmd.state == CmdState::Pending {
                    self.cmd.started_at = Some(now);
                    self.cmd.state = CmdState::Running;
                    // From here on the engine decides how long it may take.
                    self.cmd.kill_at = None;
                    self.cmd.give_up_at = None;
                    self.advance(Phase::Running, now);
                    let early = std::mem::take(&mut self.cmd.early);
                    actions.extend(early.into_iter().map(Action::SignalCmd));
                    actions.push(Action::Record);
                }
            }
            Event::CmdRefused { code } => self.cmd_ended(End::Code(code), now, &mut actions),
            Event::CmdEnded(end) => self.cmd_ended(end, now, &mut actions),
            Event::Service(id, event) => {
                self.with_service(id, &mut actions, |service, todo| {
                    service.step(event, now, todo);
                });
            }
            Event::Task(id, event) => {
                let action = self.tasks.step(id, event, now, self.closed());
                actions.extend(action.map(|action| Action::Task(id, action)));
            }
            Event::Signal(signo) => self.signal(signo, now, &mut actions),
            Event::Alone => {
                if matches!(
                    self.ending,
                    Ending::Leftovers { .. } | Ending::Killed { .. }
                ) {
                    self.finish(now, &mut actions);
                }
            }
            Event::Tick => self.tick(now, &mut actions),
        }
        self.stop_awaiting(now, &mut actions);
        self.start_dependents(&mut actions);
        let none_lives = self.services.iter().all(|service| service.pid.is_none());
        if self.ending == Ending::Sidecars && none_lives && !self.tasks.hold_up_the_end() {
            self.ending = Ending::Leftovers {
                kill_at: now + LEFTOVER_GRACE,
            };
            actions.push(Action::SignalAll(SIGTERM));
        }
        actions
    }

    /// When the next [`Event::Tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        let ending = match self.ending {
            Ending::Leftovers { kill_at } => Some(kill_at),
            Ending::Killed { give_up_at } => Some(give_up_at),
            Ending::No | Ending::Sidecars => None,
            Ending::Done => return None,
        };
        let (setup, cmd) = (&self.setup, &self.cmd);
        let of_setup = [setup.settle_by, setup.kill_at, setup.give_up_at];
        let of_services = self.services.iter().map(Service::deadline);
        let own = [
            ending,
            cmd.kill_at,
            cmd.give_up_at,
            self.awaiting_until,
            self.tasks.deadline(),
        ];
        own.into_iter()
            .chain(of_setup)
            .chain(of_services)
            .flatten()
            .min()
    }

    /// Whether the end now waits for other processes to be gone.
    pub(crate) fn awaits_solitude(&self) -> bool {
        matches!(
            self.ending,
            Ending::Leftovers { .. } | Ending::Killed { .. }
        )
    }

    /// Why no task is started now. While setup runs they are, as `exec` is: it is CMD alone that waits.
    fn closed(&self) -> Option<Closed> {
        let has_failed = self.setup.settling && self.setup.state == SetupState::Failed;
        if self.stop_signal.is_some() || self.ending != Ending::No || has_failed {
            Some(Closed::Ending)
        } else if self.booted {
            None
        } else {
            Some(Closed::NotYet)
        }
    }

    /// Ends all tasks.
    fn stop_tasks(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let told = self.tasks.stop(now).into_iter();
        actions.extend(told.map(|(id, action)| Action::Task(id, action)));
    }

    /// Phases only ever advance.
    fn advance(&mut self, phase: Phase, now: Millis) {
        if phase > self.phase {
            self.phase = phase;
            self.since = now;
        }
    }

    fn with_service(
        &mut self,
        id: ServiceId,
        actions: &mut Vec<Action>,
        change: impl FnOnce(&mut Service, &mut Vec<ServiceAction>),
    ) {
        let mut todo = Vec::new();
        change(&mut self.services[id.index()], &mut todo);
        actions.extend(todo.into_iter().map(|action| Action::Service(id, action)));
    }

    /// The services that this boot has.
    fn service_ids(&self) -> impl Iterator<Item = ServiceId> + use<> {
        ServiceId::first(self.services.len())
    }

    /// Does the same to each service.
    fn with_services(
        &mut self,
        actions: &mut Vec<Action>,
        mut change: impl FnMut(&mut Service, &mut Vec<ServiceAction>),
    ) {
        for id in self.service_ids() {
            self.with_service(id, actions, &mut change);
        }
    }

    /// Starts what waited for services that are up by now, and wakes those that wait for somebody to come.
    fn start_dependents(&mut self, actions: &mut Vec<Action>) {
        for id in self.service_ids() {
            let service = &self.services[id.index()];
            if !service.is_held() {
                continue;
            }
            let plan = self.plan.services[id.index()];
            let mut needs = Needs::Met;
            for on in plan.course.depends_on {
                let other = &self.services[on.index()];
                if other.has_failed() {
                    needs = Needs::Failed(*on);
                    break;
                }
                if !other.is_up() {
                    needs = Needs::Wait;
                    self.with_service(*on, actions, Service::wake);
                }
            }
            self.with_service(id, actions, |service, todo| match needs {
                Needs::Met => service.release(todo),
                Needs::Wait => service.wait_on(),
                Needs::Failed(on) => service.fail_for(on.spec().name),
            });
        }
    }

    /// Starts what setup and CMD may need, and waits for it; where there is nothing of that kind, goes on.
    fn boot(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.booted, true) || self.ending != Ending::No {
            return;
        }
        let mut longest = None;
        for id in self.service_ids() {
            let plan = self.plan.services[id.index()];
            if plan.awaited.is_some() && plan.is_enabled {
                longest = longest.max(plan.awaited);
                self.with_service(id, actions, Service::ensure_started);
            }
        }
        match longest {
            Some(longest) => {
                self.awaiting_until = Some(now + longest);
                actions.push(Action::Record);
            }
            None => self.begin(now, actions),
        }
    }

    /// Goes on once the services that were waited for are up, or it is known that they are not, or that took too
    /// long. None of them decides whether CMD runs.
    fn stop_awaiting(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let Some(until) = self.awaiting_until else {
            return;
        };
        let mut awaited = self.service_ids().filter(|id| {
            let plan = self.plan.services[id.index()];
            plan.awaited.is_some() && plan.is_enabled
        });
        let is_over = self.ending != Ending::No || self.stop_signal.is_some();
        let is_decided = awaited.all(|id| self.services[id.index()].is_decided());
        if !is_over && !is_decided && now < until {
            return;
        }
        self.awaiting_until = None;
        if !is_over {
            self.begin(now, actions);
        }
    }

    /// Starts setup or, without one, what comes after it.
    fn begin(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.plan.setup {
            self.advance(Phase::Setup, now);
            actions.push(Action::StartSetup);
            self.with_services(actions, |service, todo| {
                if service.starts_with_setup() {
                    service.ensure_started(todo);
                }
            });
            actions.push(Action::Record);
        } else {
            self.open_gate(now, actions);
        }
    }

    /// Setup is done with, or there was none: starts CMD, or stays up without one.
    fn open_gate(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.plan.cmd {
            actions.push(Action::StartCmd);
        } else {
            self.cmd.state = CmdState::Running;
            self.cmd.started_at = Some(now);
            self.advance(Phase::Running, now);
            actions.push(Action::Record);
        }
        // Here for the first time without setup; again after one, which may have installed it.
        self.with_services(actions, Service::ensure_started);
    }

    fn setup_ended(&mut self, end: End, now: Millis, actions: &mut Vec<Action>) {
        if self.setup.ended_at.is_some() {
            return;
        }
        self.setup.pid = None;
        self.setup.kill_at = None;
        self.setup.give_up_at = None;
        self.setup.end = Some(end);
        self.setup.ended_at = Some(now);
        self.setup.settling = true;
        self.setup.state = match (self.stop_signal, end) {
            (Some(_), _) => SetupState::Cancelled,
            (None, End::Code(0)) => SetupState::Succeeded,
            (None, _) => SetupState::Failed,
        };
        if self.setup.state != SetupState::Succeeded {
            self.setup.settle_by = Some(now + SETTLE_GRACE);
        }
        actions.push(Action::SettleSetup);
    }

    fn setup_settled(&mut self, now: Millis, actions: &mut Vec<Action>) {
        self.setup.settle_by = None;
        if !std::mem::take(&mut self.setup.settling) || self.ending != Ending::No {
            return;
        }
        match (self.stop_signal, self.setup.state, self.setup.end) {
            (Some(signo), ..) => self.end(Outcome::Signalled, 128 + signo, now, actions),
            (None, SetupState::Succeeded, _) => self.open_gate(now, actions),
            (None, _, end) => {
                let code = end.map_or(1, End::exit_code);
                self.end(Outcome::SetupFailed, code, now, actions);
            }
        }
    }

    fn cmd_ended(&mut self, end: End, now: Millis, actions: &mut Vec<Action>) {
        if self.cmd.state == CmdState::Exited {
            return;
        }
        let has_run = self.cmd.state == CmdState::Running;
        self.cmd.state = CmdState::Exited;
        self.cmd.end = Some(end);
        self.cmd.kill_at = None;
        self.cmd.give_up_at = None;
        let outcome = if self.stop_signal.is_some() {
            Outcome::Signalled
        } else {
            Outcome::CmdExited
        };
        let code = match self.stop_signal {
            // However its process went: it was ended before there was a CMD.
            Some(signo) if !has_run => 128 + signo,
            _ => end.exit_code(),
        };
        self.end(outcome, code, now, actions);
    }
}

/// How the services stand that another one waits for.
enum Needs {
    Met,
    Wait,
    Failed(ServiceId),
}

fn new_services(plan: &Plan) -> Vec<Service> {
    let plans = plan.services.iter();
    plans
        .map(|service| Service::new(*service, plan.seed))
        .collect()
}

//! When a service is started, started again, or given up.

use amika_core::service::Restart;
use amika_core::wire::ServiceState;

use super::{Millis, ServicePlan, Starts};
use crate::sys::End;

/// First pause after a death; doubles with each fast one.
const FIRST_PAUSE: Millis = 500;
/// Longest pause.
const LONGEST_PAUSE: Millis = 30_000;
/// A server that lived this long starts with a clean slate.
const LONG_LIFE: Millis = 60_000;
/// So many fast deaths in a row, and it is left alone.
const FAST_DEATHS: u32 = 10;

/// What happened to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceEvent {
    /// No program of that name was found.
    Missing,
    /// It is installed, and its ports are to be held until somebody comes.
    Held,
    /// It was started.
    Started {
        /// Its process id.
        pid: i32,
    },
    /// It is installed but could not be started; says why.
    Refused(String),
    /// It is installed, and something that time does not change keeps it from being started; says what.
    Unable(String),
    /// Its probe was answered, or no longer is.
    Healthy(bool),
    /// Its process ended.
    Ended(End),
    /// Somebody asked for a restart, or for a start of what does not run.
    RestartAsked,
    /// Somebody asked for its end.
    StopAsked,
    /// Somebody came to one of its ports, which amikad held.
    Wanted,
}

/// What is to be done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceAction {
    /// Look for the program and start it.
    Start,
    /// Look for the program and hold its ports.
    Hold,
    /// Send this signal to its whole tree.
    Signal(i32),
    /// Kill what a dead server left behind.
    Sweep,
}

/// Why a living server was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Live,
    Restart,
    /// Somebody asked for its end; it may be started again.
    Stop,
    /// It was not up in time.
    GiveUp,
    /// For good.
    End,
}

/// How far a start has come that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartOf {
    /// None is.
    NotDue,
    /// It waits for services that it depends on.
    Held,
    /// It was asked for, and not answered yet.
    Asked,
}

/// The server's state machine.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Whether the environment allows it.
    pub(crate) enabled: bool,
    /// Whether a program was found.
    pub(crate) installed: bool,
    /// As the API shows it.
    pub(crate) state: ServiceState,
    /// Its process, while it lives.
    pub(crate) pid: Option<i32>,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// How it last ended.
    pub(crate) last_exit: Option<String>,
    /// When it is started next.
    pub(crate) retry_at: Option<Millis>,
    wish: Wish,
    started_at: Millis,
    fast_deaths: u32,
    kill_at: Option<Millis>,
    /// When it counts as gone although it was killed and did not end.
    give_up_at: Option<Millis>,
    start: StartOf,
    /// When it is given up unless it is up by then.
    ready_by: Option<Millis>,
    /// Whether it did what it had to do.
    is_done: bool,
    random: u64,
    plan: ServicePlan,
}

impl Service {
    /// A server that was not started yet; `seed` makes the jitter.
    pub(crate) fn new(plan: ServicePlan, seed: u64) -> Self {
        Self {
            enabled: plan.is_enabled,
            installed: false,
            state: ServiceState::Off,
            pid: None,
            restarts: 0,
            last_exit: None,
            retry_at: None,
            wish: Wish::Live,
            started_at: 0,
            fast_deaths: 0,
            kill_at: None,
            give_up_at: None,
            start: StartOf::NotDue,
            ready_by: None,
            is_done: false,
            random: seed | 1,
            plan,
        }
    }

    /// Starts it unless that was done, or it is switched off; or lets it wait for whom it has to.
    pub(crate) fn ensure_started(&mut self, actions: &mut Vec<ServiceAction>) {
        let is_new = !self.installed && self.start != StartOf::Asked && self.pid.is_none();
        if !self.enabled || !is_new || self.wish != Wish::Live {
            return;
        }
        if self.plan.course.starts == Starts::OnDemand {
            actions.push(ServiceAction::Hold);
        } else {
            self.begin(actions);
        }
    }

    /// Whether its time has come with setup's.
    pub(crate) fn starts_with_setup(&self) -> bool {
        self.plan.course.starts == Starts::WithSetup
    }

    /// Whether it waits for services that it depends on.
    pub(crate) fn is_held(&self) -> bool {
        self.start == StartOf::Held
    }

    /// Whether what depends on it may be started.
    pub(crate) fn is_up(&self) -> bool {
        self.state == ServiceState::Ready || self.is_done
    }

    /// Whether nothing that depends on it may be started before somebody does something about it.
    pub(crate) fn has_failed(&self) -> bool {
        let is_out = matches!(self.state, ServiceState::Failed | ServiceState::Stopped);
        is_out && !self.is_done
    }

    /// Starts it if it waits for somebody to come.
    pub(crate) fn wake(&mut self, actions: &mut Vec<ServiceAction>) {
        if self.state == ServiceState::Listening
            && self.wish == Wish::Live
            && self.start != StartOf::Held
        {
            self.begin(actions);
        }
    }

    /// Starts what waited: all that it depends on is up.
    pub(crate) fn release(&mut self, actions: &mut Vec<ServiceAction>) {
        self.ask_for_start(actions);
    }

    /// What it depends on is not up yet.
    pub(crate) fn wait_on(&mut self) {
        self.state = ServiceState::Starting;
    }

    /// What it depends on will not be up: it goes on waiting, for somebody to do something about that.
    pub(crate) fn fail_for(&mut self, other: &str) {
        self.state = ServiceState::Failed;
        self.last_exit = Some(format!("it needs {other}, which is not up"));
    }

    /// Whether it is known by now if it came up.
    pub(crate) fn is_decided(&self) -> bool {
        self.start != StartOf::Asked && self.state != ServiceState::Starting
    }

    /// Whether it was told to end for good.
    pub(crate) fn is_ending(&self) -> bool {
        self.wish == Wish::End
    }

    /// Ends it for good.
    pub(crate) fn stop(&mut self, now: Millis, actions: &mut Vec<ServiceAction>) {
        if self.wish == Wish::End {
            return;
        }
        self.wish = Wish::End;
        self.retry_at = None;
        self.ready_by = None;
        self.no_longer_held();
        if self.pid.is_some() {
            // A restart may have begun: the earlier deadline stays.
            self.kill_at.get_or_insert(now + self.plan.grace);
            actions.push(ServiceAction::Signal(15));
        } else if self.installed && self.state != ServiceState::Failed {
            self.state = ServiceState::Stopped;
        }
    }

    /// Takes one event.
    pub(crate) fn step(
        &mut self,
        event: ServiceEvent,
        now: Millis,
        actions: &mut Vec<ServiceAction>,
    ) {
        match event {
            ServiceEvent::Missing => {
                self.start = StartOf::NotDue;
                self.pid = None;
                self.installed = false;
                self.kill_at = None;
                self.give_up_at = None;
                self.state = ServiceState::Off;
            }
            ServiceEvent::Held => {
                self.installed = true;
                if self.wish == Wish::Live && self.state == ServiceState::Off {
                    self.state = ServiceState::Listening;
                }
            }
            ServiceEvent::Started { pid } => {
                self.start = StartOf::NotDue;
                self.installed = true;
                self.pid = Some(pid);
                self.started_at = now;
                self.state = ServiceState::Starting;
                self.retry_at = None;
                self.is_done = false;
                if self.wish == Wish::Live {
                    // Its deaths on the way do not give it more time.
                    let by = self.plan.course.ready_within.map(|within| now + within);
                    self.ready_by = self.ready_by.or(by);
                } else {
                    // It was told to before it was there.
                    self.kill_at = Some(now + self.plan.grace);
                    actions.push(ServiceAction::Signal(15));
                }
            }
            ServiceEvent::Refused(why) => {
                self.installed = true;
                self.started_at = now;
                self.died(why, false, now, actions);
            }
            ServiceEvent::Unable(why) => {
                self.start = StartOf::NotDue;
                self.pid = None;
                self.ready_by = None;
                if self.wish == Wish::Stop {
                    self.wish = Wish::Live;
                }
                self.installed = true;
                self.state = ServiceState::Failed;
                self.last_exit = Some(why);
            }
            ServiceEvent::Healthy(healthy) if self.pid.is_some() && self.wish == Wish::Live => {
                self.state = if healthy {
                    self.ready_by = None;
                    ServiceState::Ready
                } else {
                    ServiceState::Starting
                };
            }
            ServiceEvent::Healthy(_) => {}
            ServiceEvent::Ended(end) => {
                actions.push(ServiceAction::Sweep);
                self.died(end.to_string(), end == End::Code(0), now, actions);
            }
            ServiceEvent::RestartAsked => self.restart(now, actions),
            ServiceEvent::StopAsked => self.stop_for_now(now, actions),
            ServiceEvent::Wanted => self.wake(actions),
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn tick(&mut self, now: Millis, actions: &mut Vec<ServiceAction>) {
        if self.kill_at.take_if(|at| *at <= now).is_some() {
            actions.push(ServiceAction::Signal(9));
            if self.wish == Wish::End {
                self.give_up_at = Some(now + super::ending::KILL_GRACE);
            }
        }
        if self.give_up_at.take_if(|at| *at <= now).is_some() {
            self.died("it cannot be ended".to_owned(), false, now, actions);
        }
        if self.ready_by.take_if(|at| *at <= now).is_some() {
            self.give_up(now, actions);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.start_again(actions);
        }
    }

    /// When [`Service::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        [self.kill_at, self.give_up_at, self.retry_at, self.ready_by]
            .into_iter()
            .flatten()
            .min()
    }

    fn restart(&mut self, now: Millis, actions: &mut Vec<ServiceAction>) {
        // One that is being started is as new as it gets.
        if !self.enabled
            || !self.installed
            || self.wish != Wish::Live
            || self.start == StartOf::Asked
        {
            return;
        }
        self.fast_deaths = 0;
        self.ready_by = None;
        if self.pid.is_some() {
            self.wish = Wish::Restart;
            self.state = ServiceState::Starting;
            self.kill_at = Some(now + self.plan.grace);
            actions.push(ServiceAction::Signal(15));
        } else if self.has_run() {
            self.start_again(actions);
        } else {
            self.begin(actions);
        }
    }

    fn no_longer_held(&mut self) {
        if self.start == StartOf::Held {
            self.start = StartOf::NotDue;
        }
    }

    /// Whether it was started before.
    fn has_run(&self) -> bool {
        self.last_exit.is_some() && self.start != StartOf::Held
    }

    /// Its time has come.
    fn begin(&mut self, actions: &mut Vec<ServiceAction>) {
        if self.plan.course.depends_on.is_empty() {
            self.ask_for_start(actions);
        } else {
            self.installed = true;
            self.start = StartOf::Held;
            self.state = ServiceState::Starting;
        }
    }

    fn ask_for_start(&mut self, actions: &mut Vec<ServiceAction>) {
        if self.installed {
            self.state = ServiceState::Starting;
        }
        self.start = StartOf::Asked;
        actions.push(ServiceAction::Start);
    }

    fn start_again(&mut self, actions: &mut Vec<ServiceAction>) {
        self.retry_at = None;
        self.restarts += 1;
        self.ask_for_start(actions);
    }

    /// Ends it until somebody asks for it.
    fn stop_for_now(&mut self, now: Millis, actions: &mut Vec<ServiceAction>) {
        if !self.enabled || !self.installed || self.wish == Wish::End {
            return;
        }
        self.retry_at = None;
        self.ready_by = None;
        self.no_longer_held();
        if self.pid.is_some() {
            self.wish = Wish::Stop;
            self.kill_at.get_or_insert(now + self.plan.grace);
            actions.push(ServiceAction::Signal(15));
        } else if self.start == StartOf::Asked {
            self.wish = Wish::Stop;
        } else {
            self.is_done = false;
            self.state = ServiceState::Stopped;
        }
    }

    /// It was not up in time.
    fn give_up(&mut self, now: Millis, actions: &mut Vec<ServiceAction>) {
        if self.start == StartOf::Asked {
            // Whether it can be started is known soon.
            self.ready_by = Some(now + 1_000);
        } else if self.pid.is_none() {
            // How it last ended tells more than that it was late.
            self.retry_at = None;
            self.state = ServiceState::Failed;
        } else if self.wish == Wish::Live {
            self.wish = Wish::GiveUp;
            self.kill_at = Some(now + self.plan.grace);
            actions.push(ServiceAction::Signal(15));
        }
    }

    /// What is told of one that was not up in time.
    fn too_late(&self) -> String {
        let seconds = self.plan.course.ready_within.unwrap_or_default() / 1_000;
        format!("it was not ready within {seconds} s")
    }

    fn died(
        &mut self,
        how: String,
        succeeded: bool,
        now: Millis,
        actions: &mut Vec<ServiceAction>,
    ) {
        self.pid = None;
        self.start = StartOf::NotDue;
        self.kill_at = None;
        self.give_up_at = None;
        self.last_exit = Some(how);
        match std::mem::replace(&mut self.wish, Wish::Live) {
            Wish::End => {
                self.wish = Wish::End;
                self.state = ServiceState::Stopped;
            }
            Wish::Restart => self.start_again(actions),
            Wish::Stop => {
                self.is_done = false;
                self.state = ServiceState::Stopped;
            }
            Wish::GiveUp => {
                self.last_exit = Some(self.too_late());
                self.state = ServiceState::Failed;
            }
            Wish::Live if succeeded && self.plan.course.restart != Restart::Always => {
                self.ready_by = None;
                self.is_done = true;
                self.state = match self.plan.course.starts {
                    Starts::OnDemand => ServiceState::Listening,
                    Starts::WithSetup | Starts::AfterSetup => ServiceState::Stopped,
                };
            }
            Wish::Live if self.plan.course.restart == Restart::No => {
                self.ready_by = None;
                self.state = ServiceState::Failed;
            }
            Wish::Live => {
                if now.saturating_sub(self.started_at) >= LONG_LIFE {
                    self.fast_deaths = 0;
                }
                self.fast_deaths += 1;
                if self.fast_deaths >= FAST_DEATHS {
                    self.ready_by = None;
                    self.state = ServiceState::Failed;
                } else {
                    self.state = ServiceState::Backoff;
                    self.retry_at = Some(now + self.pause());
                }
            }
        }
    }

    /// The pause before the next start: doubling, with a jitter of 20 % either way.
    fn pause(&mut self) -> Millis {
        let doubled = FIRST_PAUSE << (self.fast_deaths - 1).min(16);
        let pause = doubled.min(LONGEST_PAUSE);
        // xorshift64: enough to keep sandboxes on one host from moving in step.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let jitter = self.random % (pause * 2 / 5);
        pause - pause / 5 + jitter
    }
}

#[cfg(test)]
mod tests;

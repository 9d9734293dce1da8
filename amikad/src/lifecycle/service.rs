//! When a service is started, started again, or given up.

use amika_core::wire::ServiceState;

use super::{Millis, ServicePlan};
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
    /// Somebody asked for a restart.
    RestartAsked,
}

/// What is to be done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceAction {
    /// Look for the program and start it.
    Start,
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
    End,
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
    /// Whether a start was asked for that was not answered yet.
    asked: bool,
    random: u64,
    grace: Millis,
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
            asked: false,
            random: seed | 1,
            grace: plan.grace,
        }
    }

    /// Starts it unless that was done, or it is switched off.
    pub(crate) fn ensure_started(&mut self, actions: &mut Vec<ServiceAction>) {
        let is_new = !self.installed && !self.asked && self.pid.is_none();
        if self.enabled && is_new && self.wish == Wish::Live {
            self.asked = true;
            actions.push(ServiceAction::Start);
        }
    }

    /// Whether it is known by now if it came up.
    pub(crate) fn is_decided(&self) -> bool {
        !self.asked && self.state != ServiceState::Starting
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
        if self.pid.is_some() {
            // A restart may have begun: the earlier deadline stays.
            self.kill_at.get_or_insert(now + self.grace);
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
                self.asked = false;
                self.pid = None;
                self.installed = false;
                self.kill_at = None;
                self.give_up_at = None;
                self.state = ServiceState::Off;
            }
            ServiceEvent::Started { pid } => {
                self.asked = false;
                self.installed = true;
                self.pid = Some(pid);
                self.started_at = now;
                self.state = ServiceState::Starting;
                self.retry_at = None;
                if self.wish == Wish::End {
                    // It was told to before it was there.
                    self.kill_at = Some(now + self.grace);
                    actions.push(ServiceAction::Signal(15));
                }
            }
            ServiceEvent::Refused(why) => {
                self.installed = true;
                self.started_at = now;
                self.died(why, now, actions);
            }
            ServiceEvent::Unable(why) => {
                self.asked = false;
                self.installed = true;
                self.state = ServiceState::Failed;
                self.last_exit = Some(why);
            }
            ServiceEvent::Healthy(healthy) if self.pid.is_some() && self.wish == Wish::Live => {
                self.state = if healthy {
                    ServiceState::Ready
                } else {
                    ServiceState::Starting
                };
            }
            ServiceEvent::Healthy(_) => {}
            ServiceEvent::Ended(end) => {
                actions.push(ServiceAction::Sweep);
                self.died(end.to_string(), now, actions);
            }
            ServiceEvent::RestartAsked => self.restart(now, actions),
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
            self.died("it cannot be ended".to_owned(), now, actions);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.start_again(actions);
        }
    }

    /// When [`Service::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        [self.kill_at, self.give_up_at, self.retry_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn restart(&mut self, now: Millis, actions: &mut Vec<ServiceAction>) {
        // One that is being started is as new as it gets.
        if !self.enabled || !self.installed || self.wish != Wish::Live || self.asked {
            return;
        }
        self.fast_deaths = 0;
        if self.pid.is_some() {
            self.wish = Wish::Restart;
            self.state = ServiceState::Starting;
            self.kill_at = Some(now + self.grace);
            actions.push(ServiceAction::Signal(15));
        } else {
            self.start_again(actions);
        }
    }

    fn start_again(&mut self, actions: &mut Vec<ServiceAction>) {
        self.retry_at = None;
        self.restarts += 1;
        self.state = ServiceState::Starting;
        self.asked = true;
        actions.push(ServiceAction::Start);
    }

    fn died(&mut self, how: String, now: Millis, actions: &mut Vec<ServiceAction>) {
        self.pid = None;
        self.asked = false;
        self.kill_at = None;
        self.give_up_at = None;
        self.last_exit = Some(how);
        match std::mem::replace(&mut self.wish, Wish::Live) {
            Wish::End => {
                self.wish = Wish::End;
                self.state = ServiceState::Stopped;
            }
            Wish::Restart => self.start_again(actions),
            Wish::Live => {
                if now.saturating_sub(self.started_at) >= LONG_LIFE {
                    self.fast_deaths = 0;
                }
                self.fast_deaths += 1;
                if self.fast_deaths >= FAST_DEATHS {
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

//! How signals are passed on, and how a boot comes to its end: services and tasks first, then what else
//! is left, then the exit.

use amika_core::wire::{CmdState, Outcome, Phase, SetupState};

use super::{Action, EARLY_SIGNALS, Ending, Millis, SIGTERM, State};
use crate::sys::End;

/// From the signal that stops setup to KILL.
pub(super) const SETUP_GRACE: Millis = 4_000;
/// How long the kernel may take to end what was killed.
pub(super) const KILL_GRACE: Millis = 1_000;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGKILL: i32 = 9;
const SIGTSTP: i32 = 20;
const SIGPWR: i32 = 30;
/// SIGRTMIN+3, by which systemd and engines ask an init to halt.
const SIGHALT: i32 = 37;

/// Whether a signal asks for the end while there is no CMD to decide.
pub(crate) fn asks_to_stop(signo: i32) -> bool {
    matches!(
        signo,
        SIGHUP | SIGINT | SIGQUIT | SIGTERM | SIGPWR | SIGHALT
    )
}

impl State {
    pub(super) fn signal(&mut self, signo: i32, now: Millis, actions: &mut Vec<Action>) {
        let cmd_runs = self.cmd.state == CmdState::Running && self.cmd.pid.is_some();
        if cmd_runs {
            // CMD decides what a signal means; only TERM is an order for the sidecars as well.
            actions.push(Action::SignalCmd(signo));
            if signo == SIGTERM {
                self.latch_stop(signo, now, actions);
            }
            return;
        }
        if self.cmd.state == CmdState::Pending && self.cmd.pid.is_some() {
            // Its program does not run yet: what it could handle then would end it now.
            if asks_to_stop(signo) {
                self.stop_cmd(signo, now, actions);
            } else {
                self.keep_for_cmd(signo);
            }
            return;
        }
        if self.ending != Ending::No {
            return;
        }
        if self.setup.settling && self.setup.state == SetupState::Failed {
            // The end is near, and it is setup's.
            return;
        }
        let setup_lives = self.setup.pid.is_some();
        if setup_lives && signo != SIGTSTP {
            actions.push(Action::SignalSetup(signo));
        }
        if !asks_to_stop(signo) {
            if !setup_lives {
                self.keep_for_cmd(signo);
            }
            return;
        }
        self.latch_stop(signo, now, actions);
        if setup_lives {
            self.setup.kill_at.get_or_insert(now + SETUP_GRACE);
        } else {
            let code = 128 + self.stop_signal.unwrap_or(signo);
            if self.setup.settling {
                self.setup.state = SetupState::Cancelled;
            }
            self.end(Outcome::Signalled, code, now, actions);
        }
    }

    /// Keeps a signal until CMD runs, if it ever does.
    fn keep_for_cmd(&mut self, signo: i32) {
        let will_run =
            self.plan.cmd && self.stop_signal.is_none() && self.cmd.state == CmdState::Pending;
        if will_run && self.cmd.early.len() < EARLY_SIGNALS {
            self.cmd.early.push(signo);
        }
    }

    /// Ends a CMD whose program does not run yet.
    pub(super) fn stop_cmd(&mut self, signo: i32, now: Millis, actions: &mut Vec<Action>) {
        actions.push(Action::SignalCmd(signo));
        self.latch_stop(signo, now, actions);
        self.cmd.kill_at.get_or_insert(now + SETUP_GRACE);
    }

    /// Remembers the first request to stop, and lets the services go at the same time.
    pub(super) fn latch_stop(&mut self, signo: i32, now: Millis, actions: &mut Vec<Action>) {
        if self.stop_signal.is_some() {
            return;
        }
        self.stop_signal = Some(signo);
        self.outcome = Some(Outcome::Signalled);
        self.advance(Phase::Stopping, now);
        self.with_services(actions, |service, todo| service.stop(now, todo));
        self.stop_tasks(now, actions);
        actions.push(Action::Record);
    }

    /// Begins the end of the boot: sidecars first, then leftovers, then exit.
    pub(super) fn end(
        &mut self,
        outcome: Outcome,
        code: i32,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        if self.ending != Ending::No {
            return;
        }
        self.outcome.get_or_insert(outcome);
        self.exit_code = Some(code);
        self.ending = Ending::Sidecars;
        self.advance(Phase::Stopping, now);
        actions.push(Action::Record);
        self.with_services(actions, |service, todo| service.stop(now, todo));
        self.stop_tasks(now, actions);
    }

    pub(super) fn tick(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let is_due = |at: &mut Option<Millis>| at.take_if(|at| *at <= now).is_some();
        if is_due(&mut self.setup.kill_at) {
            self.setup.give_up_at = Some(now + KILL_GRACE);
            actions.push(Action::SignalSetup(SIGKILL));
        }
        if is_due(&mut self.cmd.kill_at) {
            self.cmd.give_up_at = Some(now + KILL_GRACE);
            actions.push(Action::SignalCmd(SIGKILL));
        }
        if is_due(&mut self.setup.give_up_at) {
            self.setup_ended(End::Signal(SIGKILL), now, actions);
        }
        if is_due(&mut self.cmd.give_up_at) {
            self.cmd_ended(End::Signal(SIGKILL), now, actions);
        }
        if is_due(&mut self.setup.settle_by) {
            self.setup_settled(now, actions);
        }
        self.with_services(actions, |service, todo| service.tick(now, todo));
        let due = self.tasks.tick(now).into_iter();
        actions.extend(due.map(|(id, action)| Action::Task(id, action)));
        match self.ending {
            Ending::Leftovers { kill_at } if kill_at <= now => {
                self.ending = Ending::Killed {
                    give_up_at: now + KILL_GRACE,
                };
                actions.push(Action::SignalAll(SIGKILL));
            }
            Ending::Killed { give_up_at } if give_up_at <= now => self.finish(now, actions),
            _ => {}
        }
    }

    pub(super) fn finish(&mut self, now: Millis, actions: &mut Vec<Action>) {
        self.ending = Ending::Done;
        self.advance(Phase::Exited, now);
        actions.push(Action::Record);
        // 70 cannot happen: an end always has a code.
        actions.push(Action::Exit(self.exit_code.unwrap_or(70)));
    }
}

//! How signals are passed on, and how a boot comes to its end: the sidecars first, then what else
//! is left, then the exit.

use amika_core::wire::{CmdState, Outcome, Phase, SetupState};

use super::{Action, Ending, Millis, SIGTERM, State};

/// From the signal that stops setup to KILL.
const SETUP_GRACE: Millis = 4_000;
/// How long the kernel may take to end what was killed.
const KILL_GRACE: Millis = 1_000;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGKILL: i32 = 9;
const SIGTSTP: i32 = 20;
const SIGPWR: i32 = 30;
/// SIGRTMIN+3, by which systemd and engines ask an init to halt.
const SIGHALT: i32 = 37;

/// Whether a signal asks for the end while there is no CMD to decide.
pub(super) fn asks_to_stop(signo: i32) -> bool {
    matches!(
        signo,
        SIGHUP | SIGINT | SIGQUIT | SIGTERM | SIGPWR | SIGHALT
    )
}

impl State {
    pub(super) fn signal(&mut self, signo: i32, now: Millis, actions: &mut Vec<Action>) {
        let cmd_lives = self.cmd.state == CmdState::Running && self.cmd.pid.is_some();
        if cmd_lives {
            // CMD decides what a signal means; only TERM is an order for the sidecars as well.
            actions.push(Action::SignalCmd(signo));
            if signo == SIGTERM {
                self.latch_stop(signo, now, actions);
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

    /// Remembers the first request to stop, and lets the services go at the same time.
    pub(super) fn latch_stop(&mut self, signo: i32, now: Millis, actions: &mut Vec<Action>) {
        if self.stop_signal.is_some() {
            return;
        }
        self.stop_signal = Some(signo);
        self.outcome = Some(Outcome::Signalled);
        self.advance(Phase::Stopping, now);
        self.with_services(actions, |service, todo| service.stop(now, todo));
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
    }

    pub(super) fn tick(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.setup.kill_at.is_some_and(|at| at <= now) {
            self.setup.kill_at = None;
            actions.push(Action::SignalSetup(SIGKILL));
        }
        self.with_services(actions, |service, todo| service.tick(now, todo));
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

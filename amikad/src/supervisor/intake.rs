//! What happened: signals, ends of children, and requests, each turned into an event.

use super::Supervisor;
use crate::lifecycle::{Event, ServiceEvent};
use crate::publish::Command;
use crate::say::note;
use crate::service::ServiceId;
use crate::sys::{self, End};

const SIGKILL: i32 = 9;
const SIGPIPE: i32 = 13;
const SIGCHLD: i32 = 17;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

impl Supervisor {
    pub(super) fn receive_signals(&mut self) {
        let own = u32::try_from(nix::unistd::getpid().as_raw()).unwrap_or(1);
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signo = i32::try_from(info.ssi_signo).unwrap_or(0);
            match signo {
                // 4 to 8, 11 and 31: faults sent from outside, which CMD did not commit.
                SIGCHLD | SIGTTIN | SIGTTOU | 4..=8 | 11 | 31 => {}
                // From our own writes to a pipe without a reader.
                SIGPIPE if info.ssi_pid == own => {}
                signo => self.queue.push_back(Event::Signal(signo)),
            }
        }
    }

    pub(super) fn reap(&mut self) {
        while let Some((pid, end)) = sys::reap() {
            if end == End::Signal(SIGKILL) {
                // The kernel's own way to end a process for want of memory.
                self.survive(|this| this.shared.look_at_memory());
            }
            let role = Some(pid);
            if role == self.setup_pid {
                self.setup_pid = None;
                self.queue.push_back(Event::SetupEnded(end));
            } else if role == self.cmd_pid {
                self.cmd_pid = None;
                self.queue.push_back(Event::CmdEnded(end));
            } else if let Some(id) =
                ServiceId::all().find(|id| role == self.service_pids[id.index()])
            {
                self.service_pids[id.index()] = None;
                note(format!("{} ended: {end}", id.spec().title));
                // The sweep after the event: an end that was reaped must be told, whatever else fails.
                self.queue
                    .push_back(Event::Service(id, ServiceEvent::Ended(end)));
                self.survive(|_| Self::sweep(pid));
            } else {
                self.facts.orphans += 1;
            }
        }
    }

    pub(super) fn obey(&mut self, command: Command) {
        match command {
            // Whoever asked may have gone.
            Command::Ping(answer) => drop(answer.send(())),
            Command::RestartService(id) => {
                self.queue
                    .push_back(Event::Service(id, ServiceEvent::RestartAsked));
            }
            Command::Probed {
                service,
                pid,
                healthy,
            } if self.service_pids[service.index()] == Some(pid) => {
                self.queue
                    .push_back(Event::Service(service, ServiceEvent::Healthy(healthy)));
            }
            Command::Probed { .. } => {}
            Command::OutputSettled => {
                // It may come before the end of the script that closed its output.
                self.output_done = true;
                self.settle_output();
            }
            Command::HandedOver => self.queue.push_back(Event::SetupSettled),
        }
    }
}

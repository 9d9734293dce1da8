//! What happened: signals, news of children, and requests, each turned into an event.

use tracing::info;

use super::children::{Attempt, News, Role};
use super::{Supervisor, beside};
use crate::lifecycle::{Event, Plan, ServiceEvent, TaskEvent, asks_to_stop};
use crate::publish::{Command, Refusal};
use crate::record;
use crate::say::{note, say};
use crate::service::{self, Probe};
use crate::spawn::explain;
use crate::sys::{End, SpawnError, Step};

/// Size of a `struct signalfd_siginfo`.
const SIGNAL_SIZE: usize = 128;
/// So many are read by one call.
const SIGNALS_AT_ONCE: usize = 16;

const SIGKILL: i32 = 9;
const SIGPIPE: i32 = 13;
const SIGCHLD: i32 = 17;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

impl Supervisor {
    /// Takes in the signals that came: usually by one call for all of them.
    pub(super) fn receive_signals(&mut self) {
        loop {
            let mut several = [0; SIGNAL_SIZE * SIGNALS_AT_ONCE];
            // The error says that there is none.
            let Ok(length) = nix::unistd::read(&self.signals, &mut several) else {
                return;
            };
            for entry in several[..length].chunks_exact(SIGNAL_SIZE) {
                self.receive_signal(entry);
            }
            if length < several.len() {
                return;
            }
        }
    }

    /// `entry` is a `struct signalfd_siginfo`, see signalfd(2).
    fn receive_signal(&mut self, entry: &[u8]) {
        let number = |at: usize| {
            let bytes = entry.get(at..at + 4).and_then(|four| four.try_into().ok());
            bytes.map_or(0, u32::from_ne_bytes)
        };
        let (signo, from) = (i32::try_from(number(0)).unwrap_or(0), number(12));
        match signo {
            // 4 to 8, 11 and 31: faults sent from outside, which CMD did not commit.
            SIGCHLD | SIGTTIN | SIGTTOU | 4..=8 | 11 | 31 => {}
            // From our own writes to a pipe without a reader.
            SIGPIPE if from == self.own_pid => {}
            signo => {
                // Not those that a terminal or a timer sends by the dozen.
                if asks_to_stop(signo) {
                    info!(signo, from, "asked to stop");
                }
                self.queue.push_back(Event::Signal(signo));
            }
        }
    }

    /// Takes in which programs began, and which children ended.
    pub(super) fn take_news(&mut self) {
        let mut news = Vec::new();
        self.children.look(&mut news);
        self.children.reap(&mut news);
        let (mut orphans, mut was_killed) = (0, false);
        for one in news {
            if let News::Ended(role, end) = &one {
                info!(%role, %end, "ended");
            }
            if let News::Ended(_, end) | News::Orphan(end) = &one {
                was_killed |= *end == End::Signal(SIGKILL);
            }
            match one {
                News::Began(role, attempt, directory) => self.began(role, &attempt, directory),
                News::Refused(Role::Task(id), attempt, error) => {
                    self.task_refused(id, &attempt, &error);
                }
                News::Refused(role, attempt, error) => self.explain_refusal(role, attempt, error),
                News::Ended(Role::Setup, end) => self.queue.push_back(Event::SetupEnded(end)),
                News::Ended(Role::Cmd, end) => self.queue.push_back(Event::CmdEnded(end)),
                News::Ended(Role::Service(id), end) => {
                    if let Some(pump) = self.service_pumps.remove(&id) {
                        pump.settle();
                    }
                    self.queue
                        .push_back(Event::Service(id, ServiceEvent::Ended(end)));
                }
                News::Ended(Role::Task(id), end) => self.task_ended(id, end),
                News::Orphan(_) => orphans += 1,
            }
        }
        self.shared.count_orphans(orphans);
        if was_killed {
            // The kernel's own way to end a process for want of memory.
            self.survive(|this| this.shared.look_at_memory());
        }
    }

    fn began(&mut self, role: Role, attempt: &Attempt, directory: Option<usize>) {
        if let Some(index @ 1..) = directory
            && let (Some(wanted), Some(found)) =
                (attempt.directories.first(), attempt.directories.get(index))
        {
            let (wanted, found) = (wanted.display(), found.display());
            say(format!("{wanted} is no directory; starting in {found}"));
        }
        match role {
            Role::Cmd => self.queue.push_back(Event::CmdBegan),
            Role::Service(id) if matches!(id.spec().probe, Probe::Runs) => {
                self.queue
                    .push_back(Event::Service(id, ServiceEvent::Healthy(true)));
            }
            Role::Setup | Role::Service(_) | Role::Task(_) => {}
        }
    }

    /// Finds out why a program could not be run, beside the loop: that looks at the same places, which may hang now.
    pub(super) fn explain_refusal(&mut self, role: Role, attempt: Attempt, error: SpawnError) {
        let step = error.step;
        let boot = self.boot.as_ref();
        let script = boot
            .and_then(|boot| boot.script.clone())
            .filter(|_| role == Role::Setup);
        let environment = boot.and_then(|boot| match role {
            Role::Service(id) => Some((id, boot.service_environment(id))),
            Role::Setup | Role::Cmd | Role::Task(_) => None,
        });
        let mailbox = self.shared.mailbox.clone();
        let work = move || {
            let directory = attempt.directories.first();
            let at = |path: &std::path::PathBuf| match directory {
                Some(directory) => directory.join(path),
                None => path.clone(),
            };
            let candidates: Vec<_> = attempt.candidates.iter().map(at).collect();
            let (code, message) = match (&script, step, candidates.first()) {
                (Some(script), Step::Exec, Some(file)) => {
                    script.explain_refusal(file, &error.source)
                }
                _ => explain(
                    &attempt.program,
                    directory.map(std::path::PathBuf::as_path),
                    &candidates,
                    &error,
                ),
            };
            Refusal {
                code,
                message,
                program: environment
                    .and_then(|(id, environment)| service::find(id.spec().program, &environment)),
            }
        };
        let failed = || Refusal {
            code: 70,
            message: "it could not be started, and why could not be found out".to_owned(),
            program: None,
        };
        beside::answer("explain", work, failed, move |refusal| {
            mailbox.send(match role {
                Role::Setup => Command::SetupRefused(refusal),
                Role::Cmd => Command::CmdRefused(refusal, step),
                Role::Service(id) => Command::ServiceRefused(id, refusal),
                // Explained where it is taken in.
                Role::Task(_) => return,
            });
        });
    }

    pub(super) fn obey(&mut self, command: Command) {
        match command {
            // Whoever asked may have gone.
            Command::Ping(answer) => drop(answer.send(())),
            Command::Service(id, asked) => self.queue.push_back(Event::Service(id, asked)),
            Command::Probed {
                service,
                pid,
                healthy,
            } if self.children.pid(Role::Service(service)) == Some(pid) => {
                self.queue
                    .push_back(Event::Service(service, ServiceEvent::Healthy(healthy)));
            }
            Command::Probed { .. } => {}
            Command::Prepared(prepared) => match *prepared {
                Ok(boot) => {
                    self.state.plan(Plan {
                        setup: boot.script.is_some(),
                        cmd: !boot.cmd.is_empty(),
                        services: service::plans(&boot.environment),
                        seed: self.seed,
                    });
                    if boot.script.is_none() {
                        note("no setup script to run");
                    }
                    self.programs.clone_from(&boot.programs);
                    self.facts.argv0 = boot
                        .cmd
                        .first()
                        .map(|name| name.to_string_lossy().into_owned());
                    self.boot = Some(boot);
                    self.queue.push_back(Event::Boot);
                }
                Err(problem) => {
                    say(problem);
                    self.exit = Some(70);
                }
            },
            Command::SetupRefused(Refusal { code, message, .. }) => {
                self.queue.push_back(Event::SetupRefused { code, message });
            }
            Command::CmdRefused(refusal, step) => self.cmd_refused(&refusal, step),
            Command::ServiceRefused(id, refusal) => {
                let event = if id.is_declared() {
                    // What a repository declares does not come later.
                    say(format!("{}: {}", id.spec().title, refusal.message));
                    ServiceEvent::Unable(refusal.message)
                } else if refusal.program.is_none() {
                    ServiceEvent::Missing
                } else {
                    say(format!("{}: {}", id.spec().title, refusal.message));
                    ServiceEvent::Refused(refusal.message)
                };
                self.programs[id.index()] = refusal.program;
                self.queue.push_back(Event::Service(id, event));
            }
            Command::StartTask(start) => self.start_asked(*start),
            Command::SignalTask(id, signo) => {
                let asked = TaskEvent::SignalAsked(signo);
                self.queue.push_back(Event::Task(id, asked));
            }
            Command::EndTask(id) => {
                self.queue.push_back(Event::Task(id, TaskEvent::EndAsked));
            }
            Command::OutputSettled => {
                // It may come before the end of the script that closed its output.
                self.output_done = true;
                self.settle_output();
            }
            Command::Settled(settled) => self.settled(settled),
        }
    }

    fn cmd_refused(&mut self, refusal: &Refusal, step: Step) {
        // Only root of little rights fails there. It still may run what was not to be somebody's by name.
        if step == Step::Identity
            && let Some(boot) = &mut self.boot
            && !boot.agent_was_named
            && boot.changes_user
        {
            say("not permitted to become the agent user; CMD runs as root");
            boot.changes_user = false;
            if self.state.stop_signal.is_none() {
                let answer = self.start_cmd();
                self.step(answer);
                return;
            }
        }
        say(&refusal.message);
        record::write_termination_log(&refusal.message);
        self.queue
            .push_back(Event::CmdRefused { code: refusal.code });
    }
}

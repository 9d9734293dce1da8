//! What happened: signals, news of children, and requests, each turned into an event.

use tracing::info;

use super::children::{Attempt, News, Role};
use super::{Supervisor, beside};
use crate::lifecycle::{Event, Plan, ServiceEvent, asks_to_stop};
use crate::opencode;
use crate::publish::{Command, Refusal};
use crate::record;
use crate::say::{note, say};
use crate::spawn::explain;
use crate::sys::{SpawnError, Step};

const SIGPIPE: i32 = 13;
const SIGCHLD: i32 = 17;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

impl Supervisor {
    pub(super) fn receive_signals(&mut self) {
        let own = u32::try_from(nix::unistd::getpid().as_raw()).unwrap_or(1);
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let signo = i32::try_from(signal.ssi_signo).unwrap_or(0);
            match signo {
                // 4 to 8, 11 and 31: faults sent from outside, which CMD did not commit.
                SIGCHLD | SIGTTIN | SIGTTOU | 4..=8 | 11 | 31 => {}
                // From our own writes to a pipe without a reader.
                SIGPIPE if signal.ssi_pid == own => {}
                signo => {
                    // Not those that a terminal or a timer sends by the dozen.
                    if asks_to_stop(signo) {
                        info!(signo, from = signal.ssi_pid, "asked to stop");
                    }
                    self.queue.push_back(Event::Signal(signo));
                }
            }
        }
    }

    /// Takes in which programs began, and which children ended.
    pub(super) fn take_news(&mut self) {
        let mut news = Vec::new();
        self.children.look(&mut news);
        self.children.reap(&mut news);
        for one in news {
            if let News::Ended(role, end) = &one {
                info!(?role, %end, "ended");
            }
            match one {
                News::Began(role, attempt, directory) => self.began(role, &attempt, directory),
                News::Refused(role, attempt, error) => self.explain_refusal(role, attempt, error),
                News::Ended(Role::Setup, end) => self.queue.push_back(Event::SetupEnded(end)),
                News::Ended(Role::Cmd, end) => self.queue.push_back(Event::CmdEnded(end)),
                News::Ended(Role::OpenCode, end) => {
                    if let Some(pump) = self.opencode_pump.take() {
                        pump.settle();
                    }
                    self.queue
                        .push_back(Event::OpenCode(ServiceEvent::Ended(end)));
                }
                News::Orphan => self.facts.orphans += 1,
            }
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
        if role == Role::Cmd {
            self.queue.push_back(Event::CmdBegan);
        }
    }

    /// Finds out why a program could not be run, beside the loop: that looks at the same places, which may hang now.
    pub(super) fn explain_refusal(&mut self, role: Role, attempt: Attempt, error: SpawnError) {
        let step = error.step;
        let boot = self.boot.as_ref();
        let script = boot
            .and_then(|boot| boot.script.clone())
            .filter(|_| role == Role::Setup);
        let agent = boot.map(crate::boot::Boot::agent_environment);
        let agent = agent.filter(|_| role == Role::OpenCode);
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
                program: agent.and_then(|agent| opencode::find(&agent)),
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
                Role::OpenCode => Command::OpenCodeRefused(refusal),
            });
        });
    }

    pub(super) fn obey(&mut self, command: Command) {
        match command {
            // Whoever asked may have gone.
            Command::Ping(answer) => drop(answer.send(())),
            Command::RestartOpenCode => {
                self.queue
                    .push_back(Event::OpenCode(ServiceEvent::RestartAsked));
            }
            Command::Probed { pid, healthy } if self.children.pid(Role::OpenCode) == Some(pid) => {
                self.queue
                    .push_back(Event::OpenCode(ServiceEvent::Healthy(healthy)));
            }
            Command::Probed { .. } => {}
            Command::Prepared(prepared) => match *prepared {
                Ok(boot) => {
                    self.state.plan(Plan {
                        setup: boot.script.is_some(),
                        cmd: !boot.cmd.is_empty(),
                        opencode: opencode::is_enabled(&boot.environment),
                        seed: self.seed,
                    });
                    if boot.script.is_none() {
                        note("no setup script to run");
                    }
                    self.opencode.clone_from(&boot.opencode);
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
            Command::OpenCodeRefused(Refusal {
                message, program, ..
            }) => {
                self.opencode = program;
                self.queue
                    .push_back(Event::OpenCode(if self.opencode.is_none() {
                        ServiceEvent::Missing
                    } else {
                        say(format!("OpenCode: {message}"));
                        ServiceEvent::Refused(message)
                    }));
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

//! Between setup's end and what follows: its output, its failure explained, its files handed over.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use amika_core::contract::path;
use amika_core::wire::SetupState;

use super::{Supervisor, beside};
use crate::beginning::Beginning;
use crate::environment::Environment;
use crate::lifecycle::Event;
use crate::logs::Log;
use crate::mounts::{Mounts, id_of};
use crate::publish::{Command, Settled};
use crate::say::{note, say};
use crate::setup::{Once, Script, Tracer};
use crate::sys::{End, Identity};
use crate::walk::reach;
use crate::{handover, record, service};

impl Supervisor {
    /// Setup ended and its output is written out, as far as that could be waited for: does what follows, beside the
    /// loop.
    pub(super) fn settle_output(&mut self) {
        if self.settle_by.take().is_none() {
            return;
        }
        let Some(boot) = &mut self.boot else {
            self.queue.push_back(Event::SetupSettled);
            return;
        };
        let after = After {
            state: self.state.setup.state,
            end: self.state.setup.end.unwrap_or(End::Code(1)),
            refused: self.state.setup.message.clone(),
            log: self.shared.logs().setup,
            tracer: self.tracer.take(),
            script: boot.script.clone(),
            once: boot.once.take(),
            environments: boot.service_environments(),
            identity: boot.agent_identity().cloned(),
            beginning: boot.beginning.take(),
            agent_cwd: boot.agent_cwd.clone(),
        };
        // Setup may have put another in its place.
        boot.setup_directory = None;
        let mailbox = self.shared.mailbox.clone();
        beside::answer(
            "settle",
            move || after.settle(),
            Settled::default,
            move |settled| {
                mailbox.send(Command::Settled(settled));
            },
        );
    }

    pub(super) fn settled(&mut self, settled: Settled) {
        let Settled {
            tail,
            failed_line,
            message,
            programs,
        } = settled;
        self.setup_tail = tail;
        self.facts.failed_line = failed_line;
        self.facts.setup_message = message;
        for (known, found) in self.programs.iter_mut().zip(programs) {
            *known = found.or(known.take());
        }
        self.queue.push_back(Event::SetupSettled);
    }
}

/// All that follows setup, and what it needs.
struct After {
    state: SetupState,
    end: End,
    /// Why it could not be run.
    refused: Option<String>,
    log: Option<Arc<Log>>,
    tracer: Option<Tracer>,
    script: Option<Script>,
    once: Option<Once>,
    /// In which the services' programs are looked for; none for those that are off.
    environments: Vec<Option<Environment>>,
    identity: Option<Identity>,
    beginning: Option<Beginning>,
    agent_cwd: std::path::PathBuf,
}

impl After {
    fn settle(mut self) -> Settled {
        let mut settled = Settled::default();
        if let Some(log) = &self.log {
            if self.state == SetupState::Failed {
                settled.tail = log.tail(20, 8 << 10);
            }
            log.finish();
        }
        match self.state {
            SetupState::Failed => {
                self.explain(&mut settled);
                // What it made until then is its own all the same; nothing waits for it.
                if let Some(beginning) = self.beginning.take() {
                    let keep = move || beginning.add_setup(&Mounts::read());
                    beside::answer("beginning", keep, || (), |()| ());
                }
            }
            SetupState::Succeeded => {
                if let Some(Err(error)) = self.once.as_ref().map(Once::remember) {
                    note(format!("cannot write {}: {error}", path::SETUP_DONE));
                }
                self.hand_over();
                settled.programs = service::find_all(&self.environments);
                service::announce(&settled.programs);
            }
            _ => {}
        }
        settled
    }

    fn explain(&mut self, settled: &mut Settled) {
        let file = Path::new(path::SETUP_SCRIPT);
        let end = self.end;
        if self.refused.is_none() {
            settled.failed_line = self
                .tracer
                .as_ref()
                .and_then(|tracer| tracer.failed_line(&settled.tail));
        }
        let hint = self
            .script
            .as_ref()
            .and_then(|script| script.hint(file, end.exit_code()));
        let why = self.refused.take().unwrap_or_else(|| {
            let line = settled.failed_line;
            let line = line.map(|line| format!(" at line {line}"));
            let hint = hint.map(|hint| format!(": {hint}"));
            let how = match end {
                End::Code(code) => format!("exited with {code}"),
                End::Signal(signo) => match signal_hook::low_level::signal_name(signo) {
                    Some(name) => format!("was killed by {name}"),
                    None => format!("was killed by signal {signo}"),
                },
            };
            let (line, hint) = (line.unwrap_or_default(), hint.unwrap_or_default());
            format!("setup.sh {how}{line}{hint}")
        });
        let message = format!("setup failed: {why}; CMD was not started");
        say(&message);
        record::write_termination_log(&message);
        settled.message = Some(why);
    }

    /// Gives the agent what setup made.
    fn hand_over(&mut self) {
        if self.script.as_ref().is_some_and(Script::is_noop) {
            return;
        }
        let mounts = Mounts::read();
        if let Some(beginning) = self.beginning.take() {
            beginning.add_setup(&mounts);
        }
        let Some(identity) = &self.identity else {
            return;
        };
        // Open before the first is walked, which takes its time: what names mean may change meanwhile.
        let open = |root| reach(root, Some(identity)).ok();
        let roots = [Path::new(path::HOME), &self.agent_cwd].map(open);
        let mount = |root: &Option<OwnedFd>| root.as_ref().and_then(|root| id_of(root.as_fd()));
        let is_met = self.agent_cwd.starts_with(path::HOME) && mount(&roots[0]) == mount(&roots[1]);
        let [home, cwd] = roots;
        // Beneath the home and no mount: the first walk meets it.
        let roots: Vec<OwnedFd> = home.into_iter().chain(cwd.filter(|_| !is_met)).collect();
        let handed = handover::hand_over(&roots, identity, &mounts);
        note(format!("gave {} files to the agent", handed.changed));
        if handed.failed > 0 {
            say(format!(
                "{} files could not be given to the agent",
                handed.failed
            ));
        }
    }
}

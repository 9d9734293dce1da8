//! Between setup's end and what follows: its output, its failure explained, its files handed over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use amika_core::contract::{env, path};
use amika_core::wire::SetupState;

use super::Supervisor;
use crate::lifecycle::Event;
use crate::mounts::Mounts;
use crate::publish::Command;
use crate::say::{note, say};
use crate::sys::End;
use crate::{handover, record, setup};

impl Supervisor {
    /// Goes on with what follows setup, which must happen even if explaining or handing over fails.
    pub(super) fn settle_output(&mut self) {
        if self.survive(Self::output_settled).is_none() {
            self.queue.push_back(Event::SetupSettled);
        }
    }

    /// Setup ended and its output is written out, as far as that could be waited for.
    fn output_settled(&mut self) {
        if self.settle_by.take().is_none() {
            return;
        }
        let file = Path::new(path::SETUP_SCRIPT);
        if let Some(log) = self.shared.logs().setup {
            if self.state.setup.state == SetupState::Failed {
                self.setup_tail = log.tail(20, 8 << 10);
            }
            log.finish();
        }
        match self.state.setup.state {
            SetupState::Failed => {
                self.explain_setup_failure(file);
                // What it made until then is its own all the same; nothing waits for it.
                if let Some(beginning) = self.boot.beginning.take() {
                    beside(move || beginning.add_setup(&Mounts::read()));
                }
            }
            SetupState::Succeeded if self.succeeded => {
                if let Err(error) = self.remember_success(file) {
                    note(format!("cannot write {}: {error}", path::SETUP_DONE));
                }
                self.hand_over();
                return;
            }
            _ => {}
        }
        self.queue.push_back(Event::SetupSettled);
    }

    fn explain_setup_failure(&mut self, file: &Path) {
        let end = self.state.setup.end.unwrap_or(End::Code(1));
        let refused = self.state.setup.message.clone();
        if refused.is_none() {
            self.facts.failed_line = self
                .tracer
                .as_ref()
                .and_then(|tracer| tracer.failed_line(&self.setup_tail));
        }
        let hint = self
            .boot
            .script
            .as_ref()
            .and_then(|script| script.hint(file, end.exit_code()));
        let why = refused.unwrap_or_else(|| {
            let line = self
                .facts
                .failed_line
                .map(|line| format!(" at line {line}"));
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
        self.facts.setup_message = Some(why);
    }

    fn remember_success(&self, file: &Path) -> std::io::Result<()> {
        if self
            .boot
            .environment
            .get(env::SETUP_ONCE)
            .is_some_and(|value| value == "1")
        {
            let hash = setup::hash(file)?;
            record::write_atomically(Path::new(path::SETUP_DONE), hash.as_bytes())?;
        }
        Ok(())
    }

    /// Gives the agent what setup made, beside the loop: it may be a lot.
    fn hand_over(&mut self) {
        let noop = self
            .boot
            .script
            .as_ref()
            .is_some_and(setup::Script::is_noop);
        let identity = self.boot.agent_identity().filter(|_| !noop).cloned();
        let beginning = self.boot.beginning.take().filter(|_| !noop);
        if identity.is_none() && beginning.is_none() {
            self.queue.push_back(Event::SetupSettled);
            return;
        }
        let agent_cwd = self.boot.agent_cwd.clone();
        let mailbox = self.shared.mailbox.clone();
        let work = move || {
            let walk = || {
                let home = Path::new(path::HOME);
                let mut roots = vec![home];
                let mounts = Mounts::read();
                if let Some(beginning) = beginning {
                    beginning.add_setup(&mounts);
                }
                let Some(identity) = &identity else {
                    return handover::Handed::default();
                };
                // Beneath the home and no mount: the first walk meets it.
                if !agent_cwd.starts_with(home) || mounts.has(&agent_cwd) {
                    roots.push(&agent_cwd);
                }
                handover::hand_over(&roots, identity, &mounts)
            };
            if let Ok(handed) = catch_unwind(AssertUnwindSafe(walk)) {
                note(format!("gave {} files to the agent", handed.changed));
                if handed.failed > 0 {
                    say(format!(
                        "{} files could not be given to the agent",
                        handed.failed
                    ));
                }
            }
            mailbox.send(Command::HandedOver);
        };
        if let Err(error) = std::thread::Builder::new()
            .name("handover".into())
            .spawn(work)
        {
            say(format!("cannot give setup's files to the agent: {error}"));
            self.queue.push_back(Event::SetupSettled);
        }
    }
}

/// Does something that nothing waits for.
fn beside(work: impl FnOnce() + Send + 'static) {
    let work = move || {
        // A panic is told of by its hook, and nothing depends on this.
        let _ = catch_unwind(AssertUnwindSafe(work));
    };
    let thread = std::thread::Builder::new().name("beginning".into());
    if let Err(error) = thread.spawn(work) {
        note(format!("cannot keep what setup made: {error}"));
    }
}

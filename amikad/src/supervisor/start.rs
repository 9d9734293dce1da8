//! How the setup script and CMD are started.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use amika_core::contract::path;

use super::Supervisor;
use crate::boot::nearest_directory;
use crate::lifecycle::Event;
use crate::logs::{Bounds, Log};
use crate::publish::Command;
use crate::record;
use crate::say::say;
use crate::setup::{self, Tracer};
use crate::spawn::{Launch, explain};
use crate::sys::{Group, Stdio, Step};

impl Supervisor {
    pub(super) fn start_setup(&mut self) {
        let Some(script) = self.boot.script.clone() else {
            self.queue.push_front(Event::SetupSettled);
            return;
        };
        let file = &setup::real_path(Path::new(path::SETUP_SCRIPT));
        let bounds = Bounds {
            head: 1 << 20,
            ring: 4 << 20,
        };
        let log = Arc::new(Log::create(Path::new(path::SETUP_LOG), bounds));
        self.shared.set_logs(|logs| logs.setup = Some(log.clone()));
        let mut environment = self.boot.children.clone();
        let own_bash_env = environment.get("BASH_ENV").map(ToOwned::to_owned);
        if let Some((tracer, bash_env)) = Tracer::prepare(&script, file, own_bash_env.as_deref()) {
            environment.set("BASH_ENV", bash_env);
            self.tracer = Some(tracer);
        }
        let mailbox = self.shared.mailbox.clone();
        let settled = move || mailbox.send(Command::OutputSettled);
        let captured = crate::pump::pipe().and_then(|(reader, writer)| {
            let pump = crate::pump::start(reader, log.clone(), true, settled)?;
            Ok((pump, writer))
        });
        let (pump, writer) = match captured {
            Ok((pump, writer)) => (Some(pump), Some(writer)),
            Err(error) => {
                say(format!("cannot keep setup's output: {error}"));
                (None, None)
            }
        };
        self.pump = pump;
        let stdout = std::io::stdout();
        let output = writer
            .as_ref()
            .map_or(stdout.as_raw_fd(), AsRawFd::as_raw_fd);
        let argv = [OsString::from(file)];
        let cwd = nearest_directory(&self.boot.agent_cwd, &environment);
        let launch = Launch {
            candidates: vec![file.to_owned()],
            argv: &argv,
            env: &environment,
            cwd: Some(&cwd),
            identity: None,
            stdio: Stdio::Captured(output),
            group: Group::Own,
            mask: self.boot.mask,
        };
        let event = match launch.spawn() {
            Ok(pid) => {
                self.setup_pid = Some(pid);
                Event::SetupStarted { pid }
            }
            Err(error) => {
                let (code, message) = match error.step {
                    Step::Exec => script.explain_refusal(file, &error.source),
                    _ => explain(file.as_os_str(), Some(&cwd), &[], &error),
                };
                Event::SetupRefused { code, message }
            }
        };
        self.queue.push_front(event);
    }

    pub(super) fn start_cmd(&mut self) {
        self.boot.renew_groups();
        let environment = self.boot.agent_environment();
        let Some(name) = self.boot.cmd.first().cloned() else {
            return;
        };
        let cwd = nearest_directory(&self.boot.cmd_cwd, &environment);
        let candidates = environment.candidates(&name);
        let (cmd, mask) = (self.boot.cmd.clone(), self.boot.mask);
        let spawn = |identity| {
            let launch = Launch {
                candidates: candidates.clone(),
                argv: &cmd,
                env: &environment,
                cwd: Some(&cwd),
                identity,
                stdio: Stdio::Inherit,
                group: Group::Foreground,
                mask,
            };
            launch.spawn()
        };
        let identity = self.boot.agent_identity().cloned();
        let mut spawned = spawn(identity.as_ref());
        if matches!(&spawned, Err(error) if error.step == Step::Identity)
            && !self.boot.agent_was_named
        {
            say("not permitted to become the agent user; CMD runs as root");
            self.boot.changes_user = false;
            spawned = spawn(None);
        }
        let event = match spawned {
            Ok(pid) => {
                self.cmd_pid = Some(pid);
                Event::CmdStarted { pid }
            }
            Err(error) => {
                let resolved: Vec<_> = candidates.iter().map(|path| cwd.join(path)).collect();
                let (code, message) = explain(&name, Some(&cwd), &resolved, &error);
                say(&message);
                record::write_termination_log(&message);
                Event::CmdRefused { code }
            }
        };
        self.queue.push_front(event);
    }
}

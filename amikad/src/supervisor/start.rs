//! How the setup script, CMD and the OpenCode server are started.
//!
//! Nothing here looks at places of the agent: the child does that, and whoever hangs there is the child.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;

use amika_core::contract::{OPENCODE_PORT, path};

use super::Supervisor;
use super::children::Role;
use crate::lifecycle::{Event, ServiceEvent};
use crate::logs::{Bounds, Log};
use crate::opencode;
use crate::publish::Command;
use crate::say::say;
use crate::setup::Tracer;
use crate::spawn::{Launch, directories};
use crate::sys::{Group, Stdio};

impl Supervisor {
    pub(super) fn start_setup(&mut self) -> Event {
        let prepared = self
            .boot
            .as_ref()
            .and_then(|boot| Some((boot, boot.script.clone()?)));
        let Some((boot, script)) = prepared else {
            return Event::SetupSettled;
        };
        let bounds = Bounds {
            head: 1 << 20,
            ring: 4 << 20,
        };
        let log = Arc::new(Log::create(Path::new(path::SETUP_LOG), bounds));
        self.shared.set_logs(|logs| logs.setup = Some(log.clone()));
        let mut environment = boot.children.clone();
        let own_bash_env = environment.get("BASH_ENV").map(ToOwned::to_owned);
        let file = &boot.script_file;
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
        let launch = Launch {
            candidates: vec![file.to_owned()],
            argv: &argv,
            env: &environment,
            directories: &directories(&boot.agent_cwd, &environment),
            at: boot.setup_directory.as_ref().map(AsFd::as_fd),
            identity: None,
            stdio: Stdio::Captured(output),
            // A session of its own: from a mere group of its own, whoever reads the terminal (git, ssh, sudo) is stopped
            // for good. Without one there is no terminal to open, which they say.
            group: Group::Session,
            mask: boot.mask,
            mark: None,
        };
        match self.children.start(Role::Setup, file.into(), launch) {
            Ok(pid) => Event::SetupStarted { pid },
            Err((error, _)) => Event::SetupRefused {
                code: 70,
                message: format!("cannot make a process for setup.sh: {}", error.source),
            },
        }
    }

    pub(super) fn start_cmd(&mut self) -> Event {
        let Some(boot) = &mut self.boot else {
            return Event::CmdRefused { code: 70 };
        };
        boot.renew_groups();
        let environment = boot.agent_environment();
        let Some(name) = boot.cmd.first().cloned() else {
            return Event::CmdRefused { code: 70 };
        };
        let launch = Launch {
            candidates: environment.candidates(&name),
            argv: &boot.cmd,
            env: &environment,
            directories: &directories(&boot.cmd_cwd, &environment),
            at: None,
            identity: boot.agent_identity(),
            stdio: Stdio::Inherit,
            group: Group::Foreground,
            mask: boot.mask,
            mark: None,
        };
        match self.children.start(Role::Cmd, name, launch) {
            Ok(pid) => Event::CmdStarted { pid },
            Err((error, attempt)) => {
                let (code, message) = crate::spawn::explain(&attempt.program, None, &[], &error);
                say(&message);
                crate::record::write_termination_log(&message);
                Event::CmdRefused { code }
            }
        }
    }

    pub(super) fn start_opencode(&mut self) -> ServiceEvent {
        let (Some(boot), Some(program)) = (&self.boot, &self.opencode) else {
            return ServiceEvent::Missing;
        };
        let log = self.shared.logs().opencode.unwrap_or_else(|| {
            let bounds = Bounds {
                head: 0,
                ring: 4 << 20,
            };
            let log = Arc::new(Log::create(Path::new(path::OPENCODE_LOG), bounds));
            self.shared
                .set_logs(|logs| logs.opencode = Some(log.clone()));
            log
        });
        let port = OPENCODE_PORT.to_string();
        if let Err(error) = std::fs::write(path::OPENCODE_PORT_FILE, port) {
            say(format!(
                "cannot write {}: {error}",
                path::OPENCODE_PORT_FILE
            ));
        }
        let agent = boot.agent_environment();
        let environment = opencode::environment(&agent, self.shared.secrets.opencode_password());
        // The pump first: without one the server would die of what it writes.
        let captured = crate::pump::pipe().and_then(|(reader, writer)| {
            let pump = crate::pump::start(reader, log, false, || ())?;
            Ok((pump, writer))
        });
        self.opencode_pump = captured.as_ref().ok().map(|(pump, _)| pump.clone());
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null");
        let output = match (&captured, &null) {
            (Ok((_, writer)), _) => writer.as_raw_fd(),
            (Err(error), Ok(null)) => {
                say(format!("cannot keep OpenCode's output: {error}"));
                null.as_raw_fd()
            }
            (Err(error), Err(_)) => return ServiceEvent::Refused(error.to_string()),
        };
        let argv = opencode::command_line(program);
        let launch = Launch {
            candidates: vec![program.clone()],
            argv: &argv,
            env: &environment,
            directories: &directories(&boot.agent_cwd, &environment),
            at: None,
            identity: boot.agent_identity(),
            stdio: Stdio::Captured(output),
            group: Group::Session,
            mask: boot.mask,
            mark: None,
        };
        let name = program.clone().into_os_string();
        match self.children.start(Role::OpenCode, name, launch) {
            Ok(pid) => ServiceEvent::Started { pid },
            Err((error, attempt)) => {
                let message = crate::spawn::explain(&attempt.program, None, &[], &error).1;
                say(format!("OpenCode: {message}"));
                ServiceEvent::Refused(message)
            }
        }
    }
}

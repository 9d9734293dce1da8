//! How the setup script and CMD are started.
//!
//! Nothing here looks at places of the agent: the child does that, and whoever hangs there is the child.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;

use amika_core::contract::path;

use super::Supervisor;
use super::children::Role;
use crate::dotfiles;
use crate::lifecycle::Event;
use crate::logs::{Bounds, Log};
use crate::publish::Command;
use crate::pump::Whose;
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
        let file = boot.script_file.as_deref();
        if let Some(file) = file
            && let Some((tracer, bash_env)) =
                Tracer::prepare(&script, file, own_bash_env.as_deref())
        {
            environment.set("BASH_ENV", bash_env);
            self.tracer = Some(tracer);
        }
        let mailbox = self.shared.mailbox.clone();
        let settled = move || mailbox.send(Command::OutputSettled);
        let captured = crate::pump::pipe().and_then(|(reader, writer)| {
            let pump = crate::pump::start(reader, log.clone(), Whose::Setup, settled)?;
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
        let argv = if boot.installs_dotfiles {
            dotfiles::before(file, boot.user.as_deref())
        } else {
            file.map(OsString::from).into_iter().collect()
        };
        let program = argv.first().cloned().unwrap_or_default();
        let launch = Launch {
            candidates: vec![program.clone().into()],
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
        match self.children.start(Role::Setup, program, launch) {
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
}

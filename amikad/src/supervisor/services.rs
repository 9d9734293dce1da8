//! How a service is started.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Supervisor;
use super::children::Role;
use crate::lifecycle::ServiceEvent;
use crate::logs::{Bounds, Log};
use crate::pump::Whose;
use crate::say::say;
use crate::service::{RunAs, ServiceId, Spec};
use crate::spawn::{Launch, directories, explain};
use crate::sys::{Group, Stdio};

impl Supervisor {
    pub(super) fn start_service(&mut self, id: ServiceId) -> ServiceEvent {
        let spec = id.spec();
        let Some(boot) = &self.boot else {
            return ServiceEvent::Missing;
        };
        let found = self.program(id).cloned();
        if found.is_none() && !id.is_declared() {
            return ServiceEvent::Missing;
        }
        if let Err(why) = (spec.prepare)() {
            say(format!("{} is not started: {why}", spec.title));
            return ServiceEvent::Unable(why);
        }
        let mut environment = boot.service_environment(id);
        let (identity, directories) = match spec.user {
            RunAs::Agent => {
                let directories = match spec.directory {
                    "" => directories(&boot.agent_cwd, &environment),
                    // Elsewhere it would do something else.
                    directory => vec![boot.agent_cwd.join(directory)],
                };
                (boot.agent_identity(), directories)
            }
            RunAs::Own => (None, vec![PathBuf::from("/")]),
        };
        (spec.add_variables)(&mut environment, &self.shared.secrets);
        for (name, value) in spec.variables {
            environment.set(name, value);
        }
        let (name, candidates) = if let Some(program) = found {
            (program.clone().into_os_string(), vec![program])
        } else {
            // Whoever is started looks for it, where it is started.
            let candidates = environment.candidates(spec.program.as_ref());
            (spec.program.into(), candidates)
        };
        let mut argv = vec![name.clone()];
        argv.extend(spec.arguments.iter().map(Into::into));
        let log = self.service_log(id);
        let start = log.total();
        self.shared.set_logs(|logs| {
            logs.service_starts.insert(id, start);
        });
        // The pump first: without one the service would die of what it writes.
        let captured = crate::pump::pipe().and_then(|(reader, writer)| {
            let pump = crate::pump::start(reader, log, Whose::Service, || ())?;
            Ok((pump, writer))
        });
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null");
        let output = match (&captured, &null) {
            (Ok((_, writer)), _) => writer.as_raw_fd(),
            (Err(error), Ok(null)) => {
                say(format!("cannot keep the output of {}: {error}", spec.title));
                null.as_raw_fd()
            }
            (Err(error), Err(_)) => return ServiceEvent::Refused(error.to_string()),
        };
        if let Ok((pump, _)) = &captured {
            self.service_pumps.insert(id, pump.clone());
        }
        let launch = Launch {
            candidates,
            argv: &argv,
            env: &environment,
            directories: &directories,
            at: None,
            identity,
            stdio: Stdio::Captured(output),
            group: Group::Session,
            mask: boot.mask,
            mark: None,
        };
        match self.children.start(Role::Service(id), name, launch) {
            Ok(pid) => ServiceEvent::Started { pid },
            Err((error, attempt)) => {
                let message = explain(&attempt.program, None, &[], &error).1;
                say(format!("{}: {message}", spec.title));
                ServiceEvent::Refused(message)
            }
        }
    }

    /// The program of a service as it was found when it was last looked for; none of those of the sandbox, which are
    /// looked for where they are started.
    pub(super) fn program(&self, id: ServiceId) -> Option<&PathBuf> {
        self.programs.get(id.index())?.as_ref()
    }

    /// The log of a service, made when it is first started.
    fn service_log(&self, id: ServiceId) -> Arc<Log> {
        let Spec { log, .. } = id.spec();
        let known = self.shared.logs().services.get(&id).cloned();
        known.unwrap_or_else(|| {
            let bounds = Bounds {
                head: 0,
                ring: 4 << 20,
            };
            let log = Path::new(log);
            if id.is_declared()
                && let Some(directory) = log.parent()
            {
                // Where it cannot be made the log is kept in memory.
                let _ = std::fs::create_dir(directory);
            }
            let log = Arc::new(Log::create(log, bounds));
            self.shared.set_logs(|logs| {
                logs.services.insert(id, log.clone());
            });
            log
        })
    }
}

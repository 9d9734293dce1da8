//! How a service is started, and who of it gets a signal.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Supervisor;
use crate::boot::nearest_directory;
use crate::lifecycle::{Event, ServiceEvent};
use crate::logs::{Bounds, Log};
use crate::say::say;
use crate::service::{self, RunAs, Scope, ServiceId, Spec};
use crate::spawn::{Launch, explain};
use crate::sys::{Group, Stdio};
use crate::{process_tree, sys};

const SIGKILL: i32 = 9;

impl Supervisor {
    pub(super) fn start_service(&mut self, id: ServiceId) {
        let spec = id.spec();
        let (mut environment, identity, cwd) = match spec.user {
            RunAs::Agent => {
                let environment = self.boot.agent_environment();
                let cwd = nearest_directory(&self.boot.agent_cwd, &environment);
                (environment, self.boot.agent_identity(), cwd)
            }
            RunAs::Own => (self.boot.children.clone(), None, PathBuf::from("/")),
        };
        let Some(program) = service::find(spec.program, &environment) else {
            self.answer(id, ServiceEvent::Missing);
            return;
        };
        if let Err(why) = (spec.prepare)() {
            say(format!("{} is not started: {why}", spec.title));
            self.answer(id, ServiceEvent::Unable(why));
            return;
        }
        (spec.add_variables)(&mut environment, &self.shared.secrets);
        let mut argv = vec![program.as_os_str().to_owned()];
        argv.extend(spec.arguments.iter().map(Into::into));
        let log = self.service_log(id);
        let started = crate::pump::pipe()
            .map_err(|error| error.to_string())
            .and_then(|(reader, writer)| {
                let launch = Launch {
                    candidates: vec![program.clone()],
                    argv: &argv,
                    env: &environment,
                    cwd: Some(&cwd),
                    identity,
                    stdio: Stdio::Captured(writer.as_raw_fd()),
                    group: Group::Session,
                    mask: self.boot.mask,
                };
                let pid = launch.spawn().map_err(|error| {
                    let candidates = std::slice::from_ref(&program);
                    explain(program.as_os_str(), Some(&cwd), candidates, &error).1
                })?;
                if let Err(error) = crate::pump::start(reader, log, false, || ()) {
                    say(format!("cannot keep the output of {}: {error}", spec.title));
                }
                Ok(pid)
            });
        let event = match started {
            Ok(pid) => {
                self.service_pids[id.index()] = Some(pid);
                ServiceEvent::Started { pid }
            }
            Err(message) => {
                say(format!("{}: {message}", spec.title));
                ServiceEvent::Refused(message)
            }
        };
        self.answer(id, event);
    }

    fn answer(&mut self, id: ServiceId, event: ServiceEvent) {
        self.queue.push_back(Event::Service(id, event));
    }

    /// The log of a service, made when it is first started.
    fn service_log(&self, id: ServiceId) -> Arc<Log> {
        let Spec { log, .. } = id.spec();
        self.shared
            .logs()
            .services
            .get(id.index())
            .cloned()
            .flatten()
            .unwrap_or_else(|| {
                let bounds = Bounds {
                    head: 0,
                    ring: 4 << 20,
                };
                let log = Arc::new(Log::create(Path::new(log), bounds));
                self.shared
                    .set_logs(|logs| logs.services[id.index()] = Some(log.clone()));
                log
            })
    }

    pub(super) fn signal_service(&self, id: ServiceId, signo: i32) {
        let Some(leader) = self.service_pids[id.index()] else {
            return;
        };
        let told = match id.spec().stop.term {
            Scope::Leader if signo != SIGKILL => vec![leader],
            Scope::Leader | Scope::Tree => process_tree::of_leader(leader),
        };
        for pid in told {
            // Those that end on their own meanwhile need no signal.
            let _ = sys::kill(pid, signo);
        }
    }

    /// Kills what a dead service left of its session.
    pub(super) fn sweep(leader: i32) {
        for pid in process_tree::of_leader(leader) {
            if pid != leader {
                // As above.
                let _ = sys::kill(pid, SIGKILL);
            }
        }
    }
}

//! How a task is started, and what is done about it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use amika_core::contract::env;
use amika_core::wire::Program;

use super::children::{Attempt, Role, sweep};
use super::{Supervisor, wall_clock};
use crate::boot::Boot;
use crate::environment::Environment;
use crate::lifecycle::{Closed, Event, TaskAction, TaskEvent};
use crate::pump::Settler;
use crate::say::note;
use crate::spawn::{Launch, explain};
use crate::sys::{End, Group, SpawnError, Stdio};
use crate::task::{Kind, NotStarted, Progress, Start, Streams, TaskId};

/// The program that runs, whatever lies at its path by now.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// Exit code of a task that came to nothing by no fault of its program, as `exec-as` has it.
const OWN_FAILURE: i32 = 125;
/// What a terminal's programs are told that it is, unless somebody chose: what those that show it understand.
const TERM: &str = "xterm-256color";

/// What is to be known of tasks here.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// Those that somebody asked for a moment ago.
    asked: BTreeMap<TaskId, Start>,
    /// Those that were started and are not over, with what they left behind.
    begun: BTreeMap<TaskId, Begun>,
}

#[derive(Debug)]
struct Begun {
    progress: Arc<Progress>,
    pump: Option<Settler>,
    mark: Option<u64>,
}

impl Supervisor {
    pub(super) fn start_asked(&mut self, start: Start) {
        let id = start.id;
        self.tasks.asked.insert(id, start);
        self.queue.push_back(Event::Task(id, TaskEvent::StartAsked));
    }

    pub(super) fn start_task(&mut self, id: TaskId) -> TaskEvent {
        let Some(start) = self.tasks.asked.remove(&id) else {
            return TaskEvent::Refused;
        };
        let Some(boot) = &self.boot else {
            return refuse(start, NotStarted::NotYet);
        };
        let environment = environment(boot, &start.program, id.kind);
        let argv = words(boot, &start.program);
        let stdio = match &start.streams {
            Streams::Output {
                input: None,
                output,
            } => Stdio::Captured(output.as_raw_fd()),
            Streams::Output {
                input: Some(input),
                output,
            } => Stdio::Fed {
                input: input.as_raw_fd(),
                output: output.as_raw_fd(),
            },
            Streams::Terminal(terminal) => Stdio::Terminal(terminal.as_raw_fd()),
        };
        let launch = Launch {
            candidates: vec![OWN_PROGRAM.into()],
            argv: &argv,
            env: &environment,
            directories: &[PathBuf::from("/")],
            at: None,
            // It becomes the user by itself.
            identity: None,
            stdio,
            group: Group::Session,
            mask: boot.mask,
            mark: None,
        };
        match self.children.start(Role::Task(id), "amikad".into(), launch) {
            Ok(pid) => {
                let kills = self.shared.look_at_memory().kills;
                start.progress.started(pid, wall_clock(), kills);
                let begun = Begun {
                    progress: start.progress,
                    pump: start.pump,
                    mark: self.children.mark(id),
                };
                self.tasks.begun.insert(id, begun);
                // Whoever asked may have gone; it runs all the same.
                let _ = start.answer.send(Ok(()));
                TaskEvent::Started
            }
            Err((error, attempt)) => {
                let why = explain(&attempt.program, None, &[], &error).1;
                refuse(start, NotStarted::NoProcess(why))
            }
        }
    }

    pub(super) fn act_on_task(&mut self, id: TaskId, action: TaskAction) {
        const SIGKILL: i32 = 9;
        match action {
            // It has an answer.
            TaskAction::Start => {}
            TaskAction::Refuse(why) => {
                if let Some(start) = self.tasks.asked.remove(&id) {
                    let why = match why {
                        Closed::NotYet => NotStarted::NotYet,
                        Closed::Ending => NotStarted::Ending,
                    };
                    refuse(start, why);
                }
            }
            TaskAction::Signal(signo) => self.children.signal_task(id, signo),
            TaskAction::End(signo) => self.children.end_task(id, signo),
            TaskAction::Kill => self.children.end_task(id, SIGKILL),
            TaskAction::Sweep => {
                if let Some(mark) = self.tasks.begun.remove(&id).and_then(|begun| begun.mark) {
                    sweep(mark);
                }
            }
        }
    }

    pub(super) fn task_ended(&mut self, id: TaskId, end: End) {
        if let Some(begun) = self.tasks.begun.get(&id) {
            let kills = self.shared.look_at_memory().kills;
            begun.progress.ended(end, wall_clock(), kills);
            // After it is known to have ended: who follows the log to its end finds it so.
            if let Some(pump) = &begun.pump {
                pump.settle();
            }
        }
        self.queue.push_back(Event::Task(id, TaskEvent::Ended));
    }

    /// amikad itself could not be run, which nobody can be asked about any more.
    pub(super) fn task_refused(&mut self, id: TaskId, attempt: &Attempt, error: &SpawnError) {
        note(explain(&attempt.program, None, &[], error).1);
        self.task_ended(id, End::Code(OWN_FAILURE));
    }

    /// Forgets tasks of which nothing is left to be swept.
    pub(super) fn forget_tasks(&mut self) {
        let tasks = &self.state.tasks;
        self.tasks.begun.retain(|id, _| tasks.has(*id));
    }
}

fn refuse(start: Start, why: NotStarted) -> TaskEvent {
    // Whoever asked may have gone.
    let _ = start.answer.send(Err(why));
    TaskEvent::Refused
}

/// What the engine would call for `amika exec`: amikad becomes the user and the program.
fn words(boot: &Boot, program: &Program) -> Vec<OsString> {
    let verb = match &program.words {
        Some(_) => "exec-as",
        None => "shell",
    };
    let mut words: Vec<OsString> = vec!["amikad".into(), verb.into()];
    // Without one: whoever CMD runs as.
    if let Some(user) = program.user.as_ref().or(boot.user.as_ref()) {
        words.extend(["--user".into(), user.into()]);
    }
    if let Some(cwd) = &program.cwd {
        words.extend(["--workdir".into(), cwd.into()]);
    }
    if let Some(program) = &program.words {
        words.push("--".into());
        words.extend(program.iter().map(Into::into));
    }
    words
}

/// The container's variables and those that were chosen, which are named as such: not in the arguments, which anybody
/// in the sandbox can read.
fn environment(boot: &Boot, program: &Program, kind: Kind) -> Environment {
    let mut environment = boot.environment.clone();
    environment.remove_secrets();
    if kind == Kind::Terminal {
        environment.set_default("TERM", TERM);
    }
    for (name, value) in &program.env {
        environment.set(name, value);
    }
    let names: Vec<&str> = program.env.keys().map(String::as_str).collect();
    environment.set(env::EXEC_ENV, names.join("="));
    environment
}

//! The table of amikad's own children, from process id to role: the one place that makes, signals and reaps them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use tracing::info;

use super::SIGCONT;
use crate::process_tree;
use crate::service::{Scope, ServiceId};
use crate::spawn::Launch;
use crate::sys::{self, End, Report, SpawnError};
use crate::task::{Kind, TaskId};

/// What a child is to the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The setup script.
    Setup,
    /// CMD.
    Cmd,
    /// A service.
    Service(ServiceId),
    /// What somebody asked for.
    Task(TaskId),
}

impl fmt::Display for Role {
    /// The words of the API.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup => f.write_str("setup"),
            Self::Cmd => f.write_str("cmd"),
            Self::Service(id) => f.write_str(id.spec().name),
            Self::Task(TaskId { kind, number }) => match kind {
                Kind::Job => write!(f, "job {number}"),
                Kind::Terminal => write!(f, "terminal {number}"),
            },
        }
    }
}

/// What was tried, to explain a refusal by.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The program as it was named.
    pub(super) program: OsString,
    /// Files that it may have been.
    pub(super) candidates: Vec<PathBuf>,
    /// Directories that it may have been started in.
    pub(super) directories: Vec<PathBuf>,
}

#[derive(Debug)]
struct Child {
    pid: i32,
    role: Role,
    mark: u64,
    attempt: Attempt,
    /// Until its program runs, or cannot.
    report: Option<Report>,
    /// Why its program cannot run: it is about to exit.
    refusal: Option<SpawnError>,
}

/// What became known of a child.
#[derive(Debug)]
pub(super) enum News {
    /// Its program runs, in this directory of those that were named.
    Began(Role, Attempt, Option<usize>),
    /// Its program could not be run; the process is gone.
    Refused(Role, Attempt, SpawnError),
    /// It ended.
    Ended(Role, End),
    /// Somebody else's child, who is gone himself, ended.
    Orphan(End),
}

/// The children that live.
#[derive(Debug)]
pub(super) struct Children {
    list: Vec<Child>,
    /// The last mark that was given.
    last_mark: u64,
    /// The mark of each service's last process, which those that it left behind still have.
    left_behind: BTreeMap<ServiceId, u64>,
    is_init: bool,
}

const SIGKILL: i32 = 9;

/// Kills all that have this mark.
pub(super) fn sweep(mark: u64) {
    for pid in process_tree::of_mark(mark) {
        // Those that end on their own meanwhile need no signal.
        let _ = sys::kill(pid, SIGKILL);
    }
}

/// Marks begin here: no limit that anybody would set.
const FIRST_MARK: u64 = 1 << 50;

impl Children {
    /// None yet.
    pub(super) fn new(is_init: bool) -> Self {
        Self {
            list: Vec::new(),
            last_mark: FIRST_MARK,
            left_behind: BTreeMap::new(),
            is_init,
        }
    }

    /// Makes the process of `launch`, which is `role` from now on. Whether its program runs is told later.
    pub(super) fn start(
        &mut self,
        role: Role,
        program: OsString,
        mut launch: Launch<'_>,
    ) -> Result<i32, (SpawnError, Attempt)> {
        let attempt = Attempt {
            program,
            candidates: launch.candidates.clone(),
            directories: launch.directories.to_vec(),
        };
        self.last_mark += 1;
        let mark = self.last_mark;
        // Of what setup and CMD leave nothing is to be known: at the end all go.
        launch.mark = matches!(role, Role::Service(_) | Role::Task(_)).then_some(mark);
        match launch.spawn() {
            Ok((pid, report)) => {
                info!(%role, pid, "started");
                self.list.push(Child {
                    pid,
                    role,
                    mark,
                    attempt,
                    report: Some(report),
                    refusal: None,
                });
                Ok(pid)
            }
            Err(error) => Err((error, attempt)),
        }
    }

    /// The process that has this role.
    pub(super) fn pid(&self, role: Role) -> Option<i32> {
        self.child(role).map(|child| child.pid)
    }

    fn child(&self, role: Role) -> Option<&Child> {
        self.list.iter().find(|child| child.role == role)
    }

    /// What is to be polled: children whose program does not run yet.
    pub(super) fn reports(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        self.list
            .iter()
            .filter_map(|child| child.report.as_ref().map(AsFd::as_fd))
    }

    /// Takes in which programs run by now. Refusals are told once the process is reaped.
    pub(super) fn look(&mut self, news: &mut Vec<News>) {
        for child in &mut self.list {
            let Some(report) = &mut child.report else {
                continue;
            };
            match report.take() {
                None => {}
                Some(Ok(directory)) => {
                    child.report = None;
                    news.push(News::Began(child.role, child.attempt.clone(), directory));
                }
                Some(Err(error)) => {
                    child.report = None;
                    child.refusal = Some(error);
                }
            }
        }
    }

    /// Reaps all that ended.
    pub(super) fn reap(&mut self, news: &mut Vec<News>) {
        while let Some((pid, end)) = sys::reap() {
            let Some(index) = self.list.iter().position(|child| child.pid == pid) else {
                news.push(News::Orphan(end));
                continue;
            };
            let mut child = self.list.remove(index);
            if let Role::Service(id) = child.role {
                self.left_behind.insert(id, child.mark);
            }
            // It is dead, so its report is whole.
            let refusal = child.refusal.take().map(Err);
            match refusal.or_else(|| child.report.as_mut()?.take()) {
                Some(Err(error)) => {
                    news.push(News::Refused(child.role, child.attempt, error));
                    continue;
                }
                Some(Ok(directory)) => {
                    news.push(News::Began(child.role, child.attempt, directory));
                }
                None => {}
            }
            news.push(News::Ended(child.role, end));
        }
    }

    /// Sends a signal to setup's process group, and to itself once it left that group: a script may move about as it
    /// likes.
    pub(super) fn signal_setup(&self, signo: i32) {
        let Some(pid) = self.pid(Role::Setup) else {
            return;
        };
        // An error says that nobody is left to tell.
        let told = sys::kill(-pid, signo).is_ok();
        let is_in_it = sys::group_of(pid) == Some(pid);
        if !told || !is_in_it {
            let _ = sys::kill(pid, signo);
        }
    }

    /// Sends a signal to CMD; the error says that this is not permitted.
    pub(super) fn signal_cmd(&self, signo: i32) -> std::io::Result<()> {
        match self.pid(Role::Cmd) {
            Some(pid) => sys::kill(pid, signo),
            None => Ok(()),
        }
    }

    /// Sends a signal to a service: to whom of it its [`Scope`] says. KILL goes to its whole tree, and to what left
    /// the tree.
    pub(super) fn signal_service(&self, id: ServiceId, signo: i32) {
        let Some(child) = self.child(Role::Service(id)) else {
            return;
        };
        let told = match id.spec().stop.term {
            Scope::Leader if signo != SIGKILL => vec![child.pid],
            Scope::Leader | Scope::Tree => process_tree::of_leader(child.pid, Some(child.mark)),
        };
        for pid in told {
            // Those that end on their own meanwhile need no signal.
            let _ = sys::kill(pid, signo);
        }
    }

    /// Kills what a dead service left behind.
    pub(super) fn sweep_service(&mut self, id: ServiceId) {
        if let Some(mark) = self.left_behind.remove(&id) {
            sweep(mark);
        }
    }

    /// The mark of a task's process and of all that come of it.
    pub(super) fn mark(&self, id: TaskId) -> Option<u64> {
        self.child(Role::Task(id)).map(|child| child.mark)
    }

    /// Sends a signal to a task's process group; to the process alone where it is no leader of one any more.
    pub(super) fn signal_task(&self, id: TaskId, signo: i32) {
        if let Some(pid) = self.pid(Role::Task(id)) {
            // The second error says that it ended meanwhile.
            let _ = sys::kill(-pid, signo).or_else(|_| sys::kill(pid, signo));
        }
    }

    /// Sends a signal to all that belongs to a task, wherever it went, and wakes what is stopped, which acts on nothing
    /// but KILL.
    pub(super) fn end_task(&self, id: TaskId, signo: i32) {
        let Some(child) = self.child(Role::Task(id)) else {
            return;
        };
        for pid in process_tree::of_leader(child.pid, Some(child.mark)) {
            // Those that end on their own meanwhile need no signal.
            let _ = sys::kill(pid, signo);
            let _ = sys::kill(pid, SIGCONT);
        }
    }

    /// Sends a signal to every process but amikad; whether there was one.
    pub(super) fn signal_all(&self, signo: i32) -> bool {
        let wake = |pid| {
            // A stopped process acts on nothing but KILL.
            if signo != SIGKILL {
                let _ = sys::kill(pid, SIGCONT);
            }
        };
        if self.is_init {
            if sys::kill(-1, signo).is_err() {
                return !self.is_alone();
            }
            wake(-1);
            return true;
        }
        let left = process_tree::descendants(nix::unistd::getpid().as_raw());
        for pid in &left {
            // Those that end on their own meanwhile need no signal.
            let _ = sys::kill(*pid, signo);
            wake(*pid);
        }
        !left.is_empty()
    }

    /// Whether no process but amikad is left.
    pub(super) fn is_alone(&self) -> bool {
        if self.is_init {
            // Without the right to signal it, somebody is there all the same.
            sys::kill(-1, 0).is_err_and(|error| error.raw_os_error() == Some(nix::libc::ESRCH))
        } else {
            process_tree::descendants(nix::unistd::getpid().as_raw()).is_empty()
        }
    }
}

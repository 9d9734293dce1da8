//! From a command line to a program that fork and exec can take, and from errno to a sentence.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::signal::SigSet;

use crate::environment::{Environment, c_string};
use crate::sys::{Group, Identity, Program, Report, SpawnError, Stdio, Step};

/// Something to start.
pub(crate) struct Launch<'a> {
    /// Files to try in turn.
    pub(crate) candidates: Vec<PathBuf>,
    /// Arguments, the name first.
    pub(crate) argv: &'a [OsString],
    /// Environment.
    pub(crate) env: &'a Environment,
    /// Directories to start in: the first that is there.
    pub(crate) directories: &'a [PathBuf],
    /// An open directory to start in, before all of those.
    pub(crate) at: Option<BorrowedFd<'a>>,
    /// User to become, unless that changes nothing.
    pub(crate) identity: Option<&'a Identity>,
    /// Standard streams.
    pub(crate) stdio: Stdio,
    /// Process group.
    pub(crate) group: Group,
    /// Signal mask of the container.
    pub(crate) mask: SigSet,
    /// A number that the process and all that come of it are known by.
    pub(crate) mark: Option<u64>,
}

impl Launch<'_> {
    /// Makes its process.
    pub(crate) fn spawn(&self) -> Result<(i32, Report), SpawnError> {
        crate::sys::spawn(&Program {
            candidates: self
                .candidates
                .iter()
                .map(|path| c_string(path.as_os_str()))
                .collect(),
            argv: self.argv.iter().map(|arg| c_string(arg)).collect(),
            envp: self.env.to_c_strings(),
            directories: self
                .directories
                .iter()
                .map(|path| c_string(path.as_os_str()))
                .collect(),
            at: self.at.map(|at| at.as_raw_fd()),
            identity: self.identity.cloned(),
            stdio: self.stdio,
            group: self.group,
            mask: self.mask,
            oom_score_adj: raised_oom_score().map(|score| c_string(OsStr::new(&score))),
            mark: self.mark,
        })
    }
}

/// Where to start a program for which `wanted` was chosen: there, else in the nearest directory above it, else in
/// HOME, else in `/`.
pub(crate) fn directories(wanted: &Path, environment: &Environment) -> Vec<PathBuf> {
    let above = wanted
        .ancestors()
        .skip(1)
        .filter(|above| *above != Path::new("/") && !above.as_os_str().is_empty());
    let home = environment.get("HOME").map(Path::new);
    let last = home.into_iter().chain([Path::new("/")]);
    let all = std::iter::once(wanted).chain(above).chain(last);
    all.map(Path::to_owned).collect()
}

/// The score that makes the kernel end a child rather than amikad when memory is short.
fn raised_oom_score() -> Option<String> {
    Some(above(oom_score("self")?).to_string())
}

/// Gives this process, which the engine started beside amikad, the score that amikad's children have.
pub(crate) fn raise_own_oom_score() {
    let (Some(own), Some(amikads)) = (oom_score("self"), oom_score("1")) else {
        return;
    };
    // Whoever is above it already was raised by its parent, or by somebody who wants it so.
    if own < above(amikads) {
        // Raising is always allowed; where /proc is read-only it stays as it is.
        let _ = std::fs::write("/proc/self/oom_score_adj", above(amikads).to_string());
    }
}

fn oom_score(process: &str) -> Option<i32> {
    let score = std::fs::read_to_string(format!("/proc/{process}/oom_score_adj")).ok()?;
    score.trim().parse().ok()
}

fn above(score: i32) -> i32 {
    (score + 300).min(1000)
}

/// Exit code and sentence for a program that could not be started: 127 not found, 126 found but
/// not to be executed, 70 for a failure before that.
pub(crate) fn explain(
    program: &OsStr,
    cwd: Option<&Path>,
    candidates: &[PathBuf],
    error: &SpawnError,
) -> (i32, String) {
    let name = program.display();
    let source = &error.source;
    match error.step {
        Step::Fork => (70, format!("cannot make a process for `{name}`: {source}")),
        Step::Stdio => (
            70,
            format!("cannot redirect the output of `{name}`: {source}"),
        ),
        Step::Identity => (70, format!("cannot become the user of `{name}`: {source}")),
        Step::Chdir => {
            let cwd = cwd.unwrap_or(Path::new("/")).display();
            (
                70,
                format!("cannot enter `{cwd}`, the working directory of `{name}`: {source}"),
            )
        }
        Step::Exec => explain_exec(program, candidates, source),
    }
}

/// [`explain`] for the exec itself.
pub(crate) fn explain_exec(
    program: &OsStr,
    candidates: &[PathBuf],
    source: &io::Error,
) -> (i32, String) {
    let name = program.display();
    match source.raw_os_error() {
        Some(libc::ENOENT) => match candidates.iter().find(|path| path.is_file()) {
            Some(_) => (
                127,
                format!("`{name}` cannot be run: its interpreter or loader is missing"),
            ),
            None => (127, format!("`{name}` not found")),
        },
        Some(libc::EACCES) => {
            let directory = candidates.iter().any(|path| path.is_dir());
            let what = if directory {
                "a directory"
            } else {
                "not executable (or no permission)"
            };
            (126, format!("`{name}` is {what}"))
        }
        Some(libc::ENOEXEC) => (
            126,
            format!(
                "`{name}` is in no format this machine can execute (a script needs a `#!` line)"
            ),
        ),
        // The limit of a user's processes, checked at exec (execve(2)): nothing about the program.
        Some(libc::EAGAIN | libc::ENOMEM) => (70, format!("cannot run `{name}` now: {source}")),
        Some(libc::EPERM) => match crate::file_rights::explain(candidates) {
            Some(why) => (126, format!("`{name}` cannot be executed: {source}: {why}")),
            None => (126, format!("`{name}` cannot be executed: {source}")),
        },
        _ => (126, format!("`{name}` cannot be executed: {source}")),
    }
}

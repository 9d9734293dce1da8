//! How git is run on the host: on a directory that was generated, without the caller's `GIT_*`, without the
//! network, without a trace in the repository.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use amika_host::machine::Machine;

use super::children::Running;
use super::environment::{self, Errand};
use super::error::GitError;
use super::generated::object_path;
use super::{programs, waits};

/// A setting that takes another's place: key and value.
pub(super) type Override = (OsString, OsString);

/// A generated git directory to run git on, and with what.
#[derive(Clone, Debug)]
pub(super) struct Git {
    machine: Machine,
    directory: PathBuf,
    work_tree: Option<PathBuf>,
    index: Option<PathBuf>,
    /// Where objects are that the repository borrows.
    borrowed: Option<PathBuf>,
    /// Further files of the user's configuration.
    includes: Arc<[Override]>,
    /// What holds whatever else is set.
    settings: Arc<[Override]>,
    /// An empty directory, in which programs of the user's run.
    nowhere: Option<PathBuf>,
}

/// Exit code and stderr of a command that failed.
pub(super) type Refusal = (Option<i32>, String);

/// Settings that hold for every command: nothing of the host's runs or caches by itself, and the
/// temporary index is a plain one, since a split one would be written into the repository.
pub(super) const SETTINGS: [&str; 15] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "core.quotePath=false",
    "index.sparse=false",
    "color.ui=false",
    "log.showSignature=false",
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "gc.auto=0",
    "maintenance.auto=false",
    // Files of a work tree that git would read by itself.
    "diff.orderFile=/dev/null",
    "log.mailmap=false",
    NO_BARE,
];

/// No git, and no program that it starts, takes a directory for a repository that nobody named.
pub const NO_BARE: &str = "safe.bareRepository=explicit";
/// A repository of this machine is read by us: git's own transport would run a git in it. And git is given no
/// descriptors that it could speak to one by.
const NO_FILES: [&str; 4] = [
    "-c",
    "protocol.file.allow=never",
    "-c",
    "protocol.fd.allow=never",
];

impl Git {
    /// Git on a git directory that this program made, and no other: what a repository has of its own is
    /// never one.
    pub(super) fn on(machine: &Machine, directory: &Path, work_tree: Option<&Path>) -> Self {
        Self {
            machine: machine.clone(),
            directory: directory.to_owned(),
            work_tree: work_tree.map(Path::to_owned),
            index: None,
            borrowed: None,
            includes: Arc::default(),
            settings: Arc::default(),
            nowhere: None,
        }
    }

    /// With further files of the user's configuration.
    pub(super) fn with_includes(&self, files: &[PathBuf]) -> Self {
        let further = files.iter();
        let further = further.map(|file| ("include.path".into(), file.as_os_str().to_owned()));
        Self {
            includes: self.includes.iter().cloned().chain(further).collect(),
            ..self.clone()
        }
    }

    /// With objects that the repository borrows from elsewhere, or without them.
    pub(super) fn with_borrowed(&self, directory: Option<&Path>) -> Self {
        Self {
            borrowed: directory.map(Path::to_owned),
            ..self.clone()
        }
    }

    /// The same repository with another index.
    pub(super) fn with_index(&self, index: &Path) -> Self {
        Self {
            index: Some(index.to_owned()),
            ..self.clone()
        }
    }

    /// The same repository with another work tree.
    pub(super) fn with_work_tree(&self, work_tree: &Path) -> Self {
        Self {
            work_tree: Some(work_tree.to_owned()),
            ..self.clone()
        }
    }

    /// The same repository with further settings.
    pub(super) fn with_settings(&self, settings: &[(&str, &str)]) -> Self {
        let further = settings.iter();
        let further = further.map(|(key, value)| (OsString::from(key), OsString::from(value)));
        Self {
            settings: self.settings.iter().cloned().chain(further).collect(),
            ..self.clone()
        }
    }

    /// The same repository with settings of the user's that were made safe, by which programs run in an empty
    /// directory.
    pub(super) fn with_programs(&self, settings: &[Override], nowhere: &Path) -> Self {
        Self {
            settings: self.settings.iter().chain(settings).cloned().collect(),
            nowhere: Some(nowhere.to_owned()),
            ..self.clone()
        }
    }

    /// A command with the arguments, ready to be given its streams.
    pub(super) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = local_git(&self.machine);
        command.current_dir(self.cwd());
        if let Some(nowhere) = &self.nowhere {
            command.env(programs::NOWHERE, nowhere);
        }
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        command.arg("--git-dir").arg(&self.directory);
        if let Some(borrowed) = &self.borrowed {
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", object_path(&[borrowed]));
        }
        if let Some(work_tree) = &self.work_tree {
            command.arg("--work-tree").arg(work_tree);
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        // Before what the user's environment says, which counts more than a file.
        if !self.includes.is_empty()
            && let Some(all) = environment::numbered(&self.includes, |name| {
                self.machine.variable(name).map(OsStr::to_owned)
            })
        {
            command.envs(all);
        }
        // Not as arguments: a key may hold an equals sign.
        if !self.settings.is_empty() {
            let before = self.machine.variable(environment::PARAMETERS);
            let all = environment::parameters(before, &self.settings);
            command.env(environment::PARAMETERS, all);
        }
        command.args(arguments);
        command
    }

    /// Where git begins. Not in the work tree, whose files are the repository's: git goes there by itself where
    /// it has to, and by then has found its programs.
    fn cwd(&self) -> &Path {
        match &self.work_tree {
            // Nothing of a path before the work tree is in it, so that git takes no part of it for meant.
            Some(_) => Path::new("/"),
            None => &self.directory,
        }
    }

    /// Standard output of a command that must succeed.
    pub(super) fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Vec<u8>, GitError> {
        match self.try_output(arguments)? {
            Ok(stdout) => Ok(stdout),
            Err((_, stderr)) => Err(Self::failed(arguments, &stderr)),
        }
    }

    /// Standard output, or `None` when the command says no (exit code 1, nothing on stderr but noise).
    pub(super) fn answer<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
    ) -> Result<Option<Vec<u8>>, GitError> {
        match self.try_output(arguments)? {
            Ok(stdout) => Ok(Some(stdout)),
            Err((Some(1), _)) => Ok(None),
            Err((_, stderr)) => Err(Self::failed(arguments, &stderr)),
        }
    }

    /// Standard output, or exit code and stderr.
    pub(super) fn try_output<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
    ) -> Result<Result<Vec<u8>, Refusal>, GitError> {
        let output = Self::run(&mut self.command(arguments), arguments, Vec::new())?;
        Ok(if output.status.success() {
            Ok(output.stdout)
        } else {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err((output.status.code(), stderr))
        })
    }

    /// Runs a command to its end, with what it reads. One that took too long is an error.
    pub(super) fn run<S: AsRef<OsStr>>(
        command: &mut Command,
        arguments: &[S],
        input: Vec<u8>,
    ) -> Result<Output, GitError> {
        let stdin = if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running::start(command).map_err(GitError::NoGit)?;
        let (stdin, stdout, stderr) = (running.stdin(), running.whole_stdout(), running.stderr());
        // A command that ends early breaks the pipe; its exit code tells why.
        let feeder = stdin.map(|mut stdin| {
            std::thread::spawn(move || {
                let _ = stdin.write_all(&input);
            })
        });
        let complaints = std::thread::spawn(move || read_all(stderr));
        let stdout = read_all(stdout);
        let stderr = complaints.join().unwrap_or_default();
        let status = running.wait().map_err(GitError::NoGit)?;
        if let Some(feeder) = feeder {
            let _ = feeder.join();
        }
        if let Err(error) = Self::in_time(&running, arguments) {
            let tree = waits::work_tree(command);
            return Err(tree.and_then(|tree| waits::holder(&tree)).unwrap_or(error));
        }
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }

    /// The error of a command that was ended since it took too long.
    pub(super) fn in_time<S: AsRef<OsStr>>(
        running: &Running,
        arguments: &[S],
    ) -> Result<(), GitError> {
        match running.ended_after() {
            Some(seconds) => Err(GitError::Held {
                command: name(arguments),
                seconds,
            }),
            None => Ok(()),
        }
    }

    /// Standard output of a command that reads `input`, which may be larger than a pipe.
    pub(super) fn filter<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        input: Vec<u8>,
    ) -> Result<Vec<u8>, GitError> {
        let output = Self::run(&mut self.command(arguments), arguments, input)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(Self::failed(
                arguments,
                String::from_utf8_lossy(&output.stderr).trim(),
            ))
        }
    }

    /// The error for a command that failed.
    pub(super) fn failed<S: AsRef<OsStr>>(arguments: &[S], stderr: &str) -> GitError {
        GitError::Failed {
            command: name(arguments),
            stderr: stderr.lines().collect::<Vec<_>>().join("; "),
        }
    }
}

fn name<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let name = arguments
        .first()
        .map(|name| name.as_ref().to_string_lossy());
    name.unwrap_or_default().into_owned()
}

/// What a program writes. What could not be read is missing from it: its exit code tells.
fn read_all(from: Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(mut from) = from {
        let _ = from.read_to_end(&mut all);
    }
    all
}

/// Git with the environment of no repository and no transport.
fn local_git(machine: &Machine) -> Command {
    let mut command = git_of(machine);
    environment::apply(&mut command, Errand::Local, callers(machine));
    environment::hide_relative(&mut command, machine.variables());
    give_temporary(&mut command, machine);
    command
}

/// Git that may use the network and the user's credentials; asks only when there is someone to ask.
pub(super) fn network_git(machine: &Machine) -> Command {
    let mut command = git_of(machine);
    environment::apply(&mut command, Errand::Network, callers(machine));
    environment::hide_relative(&mut command, machine.variables());
    give_temporary(&mut command, machine);
    let terminal = machine.terminal();
    if !terminal.stdin || !terminal.stderr {
        command.env("GIT_TERMINAL_PROMPT", "0");
    }
    // It counts more than any setting.
    if let Some(protocols) = machine.variable(environment::PROTOCOLS) {
        command.env(
            environment::PROTOCOLS,
            environment::without_files(protocols),
        );
    }
    command.args(["-c", NO_BARE]).args(NO_FILES);
    command
}

/// Git in the environment that this program was given, or that its caller put in the place of that: a server's clones have
/// other variables than the server.
fn git_of(machine: &Machine) -> Command {
    let mut command = Command::new("git");
    command.env_clear().envs(machine.variables());
    command
}

/// What git starts makes its temporary files where this program makes its own.
fn give_temporary(command: &mut Command, machine: &Machine) {
    if machine.unusable_temporary().is_some() {
        command.env("TMPDIR", machine.temporary());
    }
}

fn callers(machine: &Machine) -> impl Iterator<Item = &OsStr> {
    machine.variables().map(|(name, _)| name)
}

/// One line of output without its line end; a path may hold line ends itself.
pub(super) fn line(mut output: Vec<u8>) -> Vec<u8> {
    if output.last() == Some(&b'\n') {
        output.pop();
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_has_the_variables_of_the_machine_that_it_is_run_on_and_no_others() {
        let own = Machine::of_process();
        let changes = [
            ("GIT_SSH_COMMAND", Some(OsStr::new("ssh -F /dev/null"))),
            ("HOME", Some(OsStr::new("/elsewhere"))),
            ("PATH", None),
        ];
        let machine = own.with_variables(changes);
        for command in [local_git(&machine), network_git(&machine)] {
            let given: std::collections::HashMap<_, _> = command.get_envs().collect();
            assert_eq!(given[OsStr::new("HOME")], Some(OsStr::new("/elsewhere")));
            assert_eq!(given.get(OsStr::new("PATH")), None);
            let shown = format!("{command:?}");
            assert!(shown.starts_with("env -i "), "{shown}");
        }
        let given = network_git(&machine);
        let ssh = given
            .get_envs()
            .find(|(name, _)| *name == "GIT_SSH_COMMAND");
        assert_eq!(
            ssh.and_then(|it| it.1),
            Some(OsStr::new("ssh -F /dev/null"))
        );
    }

    #[test]
    fn every_git_is_told_to_take_no_directory_for_a_repository_that_nobody_named() {
        let machine = Machine::of_process();
        let local = Git::on(&machine, Path::new("/generated"), None).command(&["status"]);
        for command in [local, network_git(&machine)] {
            let arguments: Vec<&OsStr> = command.get_args().collect();
            let is_told = arguments.windows(2).any(|pair| pair == ["-c", NO_BARE]);
            assert!(is_told, "{arguments:?}");
        }
    }
}

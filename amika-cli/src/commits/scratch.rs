//! A git directory of ours, beside a repository's objects: its configuration, refs and index are of our
//! making, and of the repository it knows the objects alone, by the files that we opened. What else is in the
//! object store (a commit graph, an index of several packs, another's place) git does not see.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::host::{Host, refused};
use super::name::Format;
use super::{refs, shown};
use crate::error::{CommandError, ExitCode, Result};
use amika_git::Objects;

/// Where the repository's own objects are, for git, and those that it borrows from others.
const OWN: &str = "own";
const BORROWED: &str = "borrowed";

/// Memory that git may take for data, in bytes; what it maps of packs is not counted.
#[cfg(target_os = "linux")]
const MAX_MEMORY: u64 = 4 << 30;

/// The directory. It goes when it is dropped; what a killed process leaves of it, `git gc` removes, by its
/// name.
pub(super) struct Scratch {
    directory: tempfile::TempDir,
    host: Host,
    /// What the links in it lead to.
    _objects: Objects,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// When nothing can be written beside the repository's objects, or they cannot be read.
    pub(super) async fn of(host: &Host) -> Result<Self> {
        let host = host.clone();
        // Reading the objects takes its time.
        match tokio::task::spawn_blocking(move || Self::new(host)).await {
            Ok(made) => made,
            Err(stopped) => Err(CommandError::new(
                ExitCode::Failure,
                "the repository's objects were not read to the end",
            )
            .caused_by(&stopped)),
        }
    }

    fn new(host: Host) -> Result<Self> {
        let objects = host.repository.place().join("objects");
        let made = (|| {
            if !objects.symlink_metadata()?.is_dir() {
                return Err(io::Error::other("it is not a directory"));
            }
            let directory = tempfile::Builder::new()
                .prefix("tmp_objdir-amika-")
                .tempdir_in(&objects)?;
            let at = |name: &str| directory.path().join(name);
            for name in ["refs", "objects", "objects/info", "objects/pack"] {
                std::fs::create_dir(at(name))?;
            }
            std::fs::write(at("HEAD"), "ref: refs/heads/none\n")?;
            std::fs::write(at("config"), configuration(host.format))?;
            // Relative, so that no path needs quoting: from its objects to those that it is given.
            std::fs::write(
                at("objects/info/alternates"),
                format!("../{OWN}\n../{BORROWED}\n"),
            )?;
            if let Some(shallow) = host.repository.shallow() {
                std::fs::write(at("shallow"), shallow)?;
            }
            Ok(directory)
        })();
        let directory = made.map_err(|error| {
            CommandError::new(
                ExitCode::Repository,
                format!("{} cannot be written to", objects.display()),
            )
            .caused_by(&error)
        })?;
        let at = |name: &str| directory.path().join(name);
        let given = host.repository.objects(&at(OWN), &at(BORROWED));
        let given = given.map_err(refused)?;
        Ok(Self {
            directory,
            host,
            _objects: given,
        })
    }

    /// Where packs come to stand.
    pub(super) fn packs(&self) -> PathBuf {
        self.directory.path().join("objects/pack")
    }

    /// The directory of the repository's packs, which may be made.
    ///
    /// # Errors
    /// When something else is in its place, a link too.
    pub(super) fn host_packs(&self) -> io::Result<OwnedFd> {
        let path = [b"objects".to_vec(), b"pack".to_vec()];
        refs::open(&self.host.repository.directory()?, &path, true)
    }

    /// Where that is, for messages.
    pub(super) fn place_of_packs(&self) -> PathBuf {
        self.host.repository.place().join("objects/pack")
    }

    /// Git in it, in a process group of its own.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(["-c", amika_git::NO_BARE])
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(
                ["PATH", "GIT_EXEC_PATH", "TMPDIR", "LD_LIBRARY_PATH"]
                    .iter()
                    .filter_map(|name| Some((*name, amika_git::absolute_variable(name)?))),
            )
            .env("GIT_DIR", self.directory.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Starts git.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<Running> {
        let child = self.command(arguments).spawn().map_err(|error| {
            CommandError::new(ExitCode::Repository, "git cannot be run")
                .caused_by(&error)
                .hint("install git and try again")
        })?;
        let running = Running {
            group: child
                .id()
                .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)),
            child,
        };
        #[cfg(target_os = "linux")]
        if let Some(pid) = running.group {
            use rustix::process::{Resource, Rlimit, prlimit};
            let limit = Rlimit {
                current: Some(MAX_MEMORY),
                maximum: Some(MAX_MEMORY),
            };
            // It may have ended.
            let _ = prlimit(Some(pid), Resource::Data, limit);
        }
        Ok(running)
    }

    /// Runs git with an input to its end.
    ///
    /// # Errors
    /// When it cannot be run, or takes longer than that.
    pub(super) async fn run(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
        time: Duration,
    ) -> Result<Output> {
        let mut running = self.start(arguments)?;
        let stdin = running.child.stdin.take();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // Git that ends early breaks the pipe; its exit code tells why.
                let _ = stdin.write_all(&input).await;
                let _ = stdin.shutdown().await;
            }
        };
        let both = async { tokio::join!(feed, running.end()).1 };
        match tokio::time::timeout(time, both).await {
            Ok(output) => output,
            Err(_) => Err(too_long(arguments, time)),
        }
    }
}

/// A git that runs; with its end all of its group end.
pub(super) struct Running {
    pub(super) child: Child,
    group: Option<rustix::process::Pid>,
}

impl Running {
    /// What it wrote, once it ended.
    pub(super) async fn end(&mut self) -> Result<Output> {
        use tokio::io::AsyncReadExt as _;
        /// Bytes of its words that are kept; a list of objects has as many.
        const LIMIT: u64 = 64 << 20;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let out = self.child.stdout.take();
        let err = self.child.stderr.take();
        let read_out = async {
            if let Some(out) = out {
                let _ = out.take(LIMIT).read_to_end(&mut stdout).await;
            }
        };
        let read_err = async {
            if let Some(err) = err {
                let _ = err.take(LIMIT).read_to_end(&mut stderr).await;
            }
        };
        tokio::join!(read_out, read_err);
        let status = self.child.wait().await.map_err(|error| {
            CommandError::new(ExitCode::Repository, "git cannot be waited for").caused_by(&error)
        })?;
        self.group = None;
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The error for a git that did not end.
pub(super) fn too_long(arguments: &[&str], time: Duration) -> CommandError {
    let verb = arguments.first().copied().unwrap_or_default();
    CommandError::new(
        ExitCode::Repository,
        format!(
            "`git {verb}` took longer than {} minutes, and was ended",
            time.as_secs() / 60
        ),
    )
}

/// The error for a git that failed.
pub(super) fn failed(what: &str, output: &Output) -> CommandError {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<String> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| shown(line.as_bytes()))
        .collect();
    let mut error = CommandError::new(ExitCode::Repository, what);
    for line in said.iter().take(5) {
        error = error.cause(line.clone());
    }
    error
}

fn configuration(format: Format) -> String {
    let version = u8::from(format == Format::Sha256);
    let mut text = format!(
        "[core]\n\trepositoryformatversion = {version}\n\tbare = true\n\tbigFileThreshold = 32m\n\
         \tcommitGraph = false\n\tmultiPackIndex = false\n\tfsmonitor = false\n\thooksPath = /dev/null\n\
         [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[pack]\n\tthreads = 2\n"
    );
    if format == Format::Sha256 {
        text.push_str("[extensions]\n\tobjectFormat = ");
        text.push_str(format.word());
        text.push('\n');
    }
    text
}

/// Whether a path is a regular file.
pub(super) fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file())
}

//! A git directory of ours, in the temporary one: its configuration, refs and index are of our making, and of the
//! repository it knows the objects alone, by the files that we opened. What else is in the object store (a commit
//! graph, an index of several packs, another's place) git does not see; what it receives comes to stand apart from
//! them ([`Store`]).

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use amika_git::{Objects, Rule, Supervised};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::host::{Host, refused};
use super::name::Format;
use super::store::Store;
use super::{refs, shown};
use crate::error::{Error, Kind, Result};

/// Git's own directory, in the temporary one.
const GIT_DIR: &str = "git";
/// Where the repository's own objects are, for git, and those that it borrows from others. Relative to where git
/// runs, so that no path needs quoting.
const OWN: &str = "own";
const BORROWED: &str = "borrowed";

/// The directories. They go when this is dropped.
pub(super) struct Scratch {
    directory: amika_host::scratch::Scratch,
    store: Store,
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
            Err(stopped) => Err(Error::new(
                Kind::Failure,
                "the repository's objects were not read to the end",
            )
            .caused_by(&stopped)),
        }
    }

    fn new(host: Host) -> Result<Self> {
        let directory = amika_git::scratch(host.repository.machine()).map_err(refused)?;
        let at = |name: &str| directory.path().join(name);
        let made = (|| {
            let git_dir = at(GIT_DIR);
            for name in ["refs", "objects"] {
                std::fs::create_dir_all(git_dir.join(name))?;
            }
            std::fs::write(git_dir.join("HEAD"), "ref: refs/heads/none\n")?;
            std::fs::write(git_dir.join("config"), configuration(host.format))?;
            if let Some(shallow) = host.repository.shallow() {
                std::fs::write(git_dir.join("shallow"), shallow)?;
            }
            Ok::<_, io::Error>(())
        })();
        let unwritten = |place: PathBuf| {
            move |error: io::Error| {
                let what = format!("{} cannot be written to", place.display());
                Error::new(Kind::Repository, what).caused_by(&error)
            }
        };
        made.map_err(unwritten(directory.path().to_owned()))?;
        let place = host.repository.place().join("objects");
        let store = (|| {
            let objects = refs::open(&host.repository.directory()?, &[b"objects".to_vec()], false)?;
            Store::make(objects, &place)
        })();
        let store = store.map_err(unwritten(place))?;
        let given = host.repository.objects(&at(OWN), &at(BORROWED));
        let given = given.map_err(refused)?;
        Ok(Self {
            directory,
            store,
            host,
            _objects: given,
        })
    }

    /// Where what is received comes to stand.
    pub(super) fn store(&self) -> &Store {
        &self.store
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
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let machine = self.host.repository.machine();
        let mut command = Command::new("git");
        command
            .args(["-c", amika_git::NO_BARE])
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(
                ["PATH", "GIT_EXEC_PATH", "TMPDIR", "LD_LIBRARY_PATH"]
                    .iter()
                    .filter_map(|name| Some((*name, amika_git::absolute_variable(machine, name)?))),
            )
            .env("GIT_DIR", GIT_DIR)
            .env("GIT_OBJECT_DIRECTORY", self.store.path())
            .env(
                "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                format!("{OWN}:{BORROWED}"),
            )
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
            .process_group(0);
        command
    }

    /// Starts git, which may take so long.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn start(&self, arguments: &[&str], time: Duration) -> Result<Running> {
        spawned(&mut self.command(arguments), time)
    }

    /// Runs git to its end, with its output into a file.
    ///
    /// # Errors
    /// When it cannot be run, fails, or takes longer than that.
    pub(super) async fn run_into(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
        file: std::fs::File,
        time: Duration,
    ) -> Result<()> {
        let mut command = self.command(arguments);
        command.stdout(file);
        let mut running = spawned(&mut command, time)?;
        let output = running.fed(input).await?;
        if running.was_ended() {
            return Err(too_long(arguments, time));
        }
        if output.status.success() {
            return Ok(());
        }
        Err(failed("git cannot write what was asked for", &output))
    }

    /// The git directory, for a git that works on files elsewhere: it knows nothing but our own configuration.
    pub(super) fn git_directory(&self) -> PathBuf {
        self.directory.path().join(GIT_DIR)
    }

    /// A new file in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn file(&self, name: &str) -> io::Result<(PathBuf, std::fs::File)> {
        let path = self.directory.path().join(name);
        let file = std::fs::File::create_new(&path)?;
        Ok((path, file))
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
        let mut running = self.start(arguments, time)?;
        let output = running.fed(input).await?;
        if running.was_ended() {
            return Err(too_long(arguments, time));
        }
        Ok(output)
    }
}

/// Starts git, which may take so long.
///
/// # Errors
/// When there is none.
pub(super) fn spawned(command: &mut Command, time: Duration) -> Result<Running> {
    let child = command.spawn().map_err(|error| unrun(&error))?;
    // One that was waited for already has no id; this one was not.
    let supervised = child
        .id()
        .map(|id| Supervised::group(id, Rule::within(time)));
    Ok(Running { supervised, child })
}

/// The error where there is no git.
pub(super) fn unrun(error: &io::Error) -> Error {
    Error::new(Kind::Repository, "git cannot be run")
        .caused_by(error)
        .hint("install git and try again")
}

/// A git that runs; with its end all of its group end.
pub(super) struct Running {
    /// Before the child, which is waited for when it is dropped: its number is its own until then.
    supervised: Option<Supervised>,
    pub(super) child: Child,
}

impl Running {
    /// What it wrote, once it was given an input and ended.
    async fn fed(&mut self, input: Vec<u8>) -> Result<Output> {
        let stdin = self.child.stdin.take();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // Git that ends early breaks the pipe; its exit code tells why.
                let _ = stdin.write_all(&input).await;
                let _ = stdin.shutdown().await;
            }
        };
        tokio::join!(feed, self.end()).1
    }

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
            Error::new(Kind::Repository, "git cannot be waited for").caused_by(&error)
        })?;
        if let Some(supervised) = &mut self.supervised {
            supervised.is_over();
        }
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }

    /// Whether it was ended for taking too long.
    pub(super) fn was_ended(&self) -> bool {
        let supervised = self.supervised.as_ref();
        supervised.is_some_and(|supervised| supervised.ended_after().is_some())
    }
}

/// The error for a git that did not end.
pub(super) fn too_long(arguments: &[&str], time: Duration) -> Error {
    let verb = arguments.first().copied().unwrap_or_default();
    Error::new(
        Kind::Repository,
        format!(
            "`git {verb}` took longer than {} minutes, and was ended",
            time.as_secs() / 60
        ),
    )
}

/// The error for a git that failed.
pub(super) fn failed(what: &str, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<String> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| shown(line.as_bytes()))
        .collect();
    let mut error = Error::new(Kind::Repository, what);
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

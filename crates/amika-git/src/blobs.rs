//! Contents of objects, streamed from one `git cat-file` in the order asked for.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::Receiver;
use std::thread::Scope;

use super::children::{Output, Running};
use super::command::Git;
use super::error::GitError;

/// Bytes that are read from git at once, and that its pipe may hold.
const BUFFER: usize = 1024 * 1024;

const ARGUMENTS: [&str; 3] = ["cat-file", "--batch", "--buffer"];

/// A running `git cat-file`; killed when dropped before its end.
pub(super) struct Blobs {
    // Closed before git is waited for.
    stdout: BufReader<Output>,
    running: Running,
}

/// Why a blob was not to be had.
#[derive(Debug)]
pub(super) enum BlobError {
    /// The repository does not have the object.
    Missing,
    /// Git broke off, or said something else.
    Broken(io::Error),
}

impl Blobs {
    /// Starts git and, on a thread of its own, asks for all objects; [`Blobs::next`] must then be called
    /// once for each, in the same order. To be dropped before the scope ends, which waits for the thread.
    pub(super) fn start<'scope, 'a: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        git: &Git,
        oids: impl Iterator<Item = &'a str> + Send + 'scope,
    ) -> Result<Self, GitError> {
        let (blobs, stdin) = Self::spawn(git, &ARGUMENTS)?;
        scope.spawn(move || {
            let Some(stdin) = stdin else { return };
            let mut stdin = io::BufWriter::with_capacity(64 * 1024, stdin);
            for oid in oids {
                // The reader sees the end of the output and knows more than this thread does.
                if writeln!(stdin, "{oid}").is_err() {
                    return;
                }
            }
            let _ = stdin.flush();
        });
        Ok(blobs)
    }

    /// The same for objects that are asked for by and by: each is answered at once. The sender is to be
    /// dropped before the scope ends.
    pub(super) fn answering<'scope>(
        scope: &'scope Scope<'scope, '_>,
        git: &Git,
        oids: Receiver<String>,
    ) -> Result<Self, GitError> {
        let (blobs, stdin) = Self::spawn(git, &ARGUMENTS[..2])?;
        scope.spawn(move || {
            let Some(mut stdin) = stdin else { return };
            for mut oid in oids {
                oid.push('\n');
                if stdin.write_all(oid.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Ok(blobs)
    }

    fn spawn(git: &Git, arguments: &[&str]) -> Result<(Self, Option<ChildStdin>), GitError> {
        let mut running = Running::start(
            git.command(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
        )
        .map_err(GitError::NoGit)?;
        let stdin = running.stdin();
        let Some(stdout) = running.stdout() else {
            return Err(GitError::NoGit(io::ErrorKind::BrokenPipe.into()));
        };
        enlarge(stdout.pipe());
        let blobs = Self {
            running,
            stdout: BufReader::with_capacity(BUFFER, stdout),
        };
        Ok((blobs, stdin))
    }

    /// The size of the next object's content, which must then be read whole from [`Blobs::content`].
    pub(super) fn next(&mut self, oid: &str) -> Result<u64, BlobError> {
        self.next_of("blob", oid)
    }

    /// The same of an object of another kind.
    pub(super) fn next_of(&mut self, kind: &str, oid: &str) -> Result<u64, BlobError> {
        let mut header = Vec::new();
        self.stdout
            .read_until(b'\n', &mut header)
            .map_err(BlobError::Broken)?;
        let header = String::from_utf8_lossy(&header);
        let fields: Vec<&str> = header.trim_end().split(' ').collect();
        match fields[..] {
            [found, of, size] if found == oid && of == kind => size
                .parse()
                .map_err(|_| BlobError::Broken(unexpected(&header))),
            [_, "missing"] => Err(BlobError::Missing),
            _ => Err(BlobError::Broken(match self.running.ended_after() {
                Some(seconds) => io::Error::other(GitError::Held {
                    command: "cat-file".into(),
                    seconds,
                }),
                None => unexpected(&header),
            })),
        }
    }

    /// The output, which stands at the content of the object of [`Blobs::next`].
    pub(super) fn content(&mut self) -> &mut dyn Read {
        &mut self.stdout
    }

    /// Reads a small content whole, and what follows it.
    pub(super) fn small(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        (&mut self.stdout).take(size).read_to_end(&mut content)?;
        self.after()?;
        if content.len() as u64 == size {
            Ok(content)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Passes over a content, and what follows it.
    pub(super) fn skip(&mut self, size: u64) -> io::Result<()> {
        io::copy(&mut (&mut self.stdout).take(size), &mut io::sink())?;
        self.after()
    }

    /// Passes over the line end after a content.
    pub(super) fn after(&mut self) -> io::Result<()> {
        let mut end = [0];
        self.stdout.read_exact(&mut end)
    }
}

fn unexpected(header: &str) -> io::Error {
    let what = if header.is_empty() {
        "`git cat-file` broke off".to_owned()
    } else {
        format!("`git cat-file` answered {header:?}")
    };
    io::Error::other(what)
}

/// A larger pipe saves a switch between the two processes for each 64 KiB; where it is refused, nothing
/// is lost but that.
pub(super) fn enlarge(pipe: &impl std::os::fd::AsFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, BUFFER);
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

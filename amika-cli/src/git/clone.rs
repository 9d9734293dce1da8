//! Fetches a URL into a temporary bare repository, with the user's own git and credentials.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::command::network_git;
use super::error::GitError;
use super::url;

/// Receives what git says while it works, as it comes, without secrets.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// Bytes of git's last words that an error shows.
const LAST_WORDS: usize = 4096;
/// How long git may take to clean up after itself when it is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// A running git that is stopped, and waited for, when dropped before its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let Some(pid) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) else {
            return;
        };
        // TERM, not KILL: git then stops its own helpers, which would write on into a directory that is
        // being removed.
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.0.start_kill();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Clones into `<directory>/repository.git` and returns that path.
pub(super) async fn bare(
    address: &str,
    directory: &Path,
    progress: Progress<'_>,
) -> Result<PathBuf, GitError> {
    let target = directory.join("repository.git");
    let mut command = network_git();
    command
        .args(["-c", "core.hooksPath=/dev/null", "-c", "init.templateDir="])
        .args(["clone", "--bare", "--progress", "--no-local", "--"])
        .arg(address)
        .arg(&target);
    let (success, said) = run(command, address, progress).await?;
    if success {
        return Ok(target);
    }
    let fatal: Vec<&str> = said
        .lines()
        .filter(|line| {
            line.starts_with("fatal:") || line.starts_with("error:") || line.starts_with("remote:")
        })
        .collect();
    let stderr = if fatal.is_empty() {
        said.trim().to_owned()
    } else {
        fatal.join("; ")
    };
    Err(GitError::Clone {
        url: url::without_secrets(address),
        stderr,
    })
}

/// Fetches the LFS content of a commit, where the host has git-lfs; says whether it did.
pub(super) async fn lfs(
    address: &str,
    git_dir: &Path,
    commit: &str,
    progress: Progress<'_>,
) -> bool {
    let mut command = network_git();
    command
        .arg("--git-dir")
        .arg(git_dir)
        .args(["lfs", "fetch", "origin", commit]);
    matches!(run(command, address, progress).await, Ok((true, _)))
}

/// Runs git to its end: whether it succeeded, and its last words.
async fn run(
    command: std::process::Command,
    address: &str,
    progress: Progress<'_>,
) -> Result<(bool, String), GitError> {
    let mut command = Command::from(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().map_err(GitError::NoGit)?);
    let stderr = running.0.stderr.take();
    let mut said = String::new();
    if let Some(mut stderr) = stderr {
        let mut buffer = vec![0; LAST_WORDS];
        loop {
            let read = stderr.read(&mut buffer).await.map_err(gone)?;
            if read == 0 {
                break;
            }
            let text = url::redact(&String::from_utf8_lossy(&buffer[..read]), address);
            progress(&text);
            said.push_str(&text);
            let over = said.len().saturating_sub(LAST_WORDS);
            let cut = (over..said.len())
                .find(|at| said.is_char_boundary(*at))
                .unwrap_or(0);
            said.drain(..cut);
        }
    }
    let status = running.0.wait().await.map_err(gone)?;
    Ok((status.success(), said))
}

fn gone(error: io::Error) -> GitError {
    GitError::NoGit(error)
}

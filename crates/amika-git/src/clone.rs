//! Fetches a URL into a temporary bare repository, with the user's own git and credentials.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStderr;

use amika_host::machine::Machine;

use super::command::network_git;
use super::error::{GitError, is_out_of_space};
use super::fetch::Fetch;
use super::supervisor::SILENT;
use super::{secret_url, url, workshop};

/// Receives what git says while it works, as it comes, without secrets.
pub type Listener<'a> = &'a (dyn Fn(Said<'_>) + Sync);

/// What git says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// How far it is, of which the next word takes the place.
    Progress(&'a str),
    /// Something to keep.
    Line(&'a str),
}

/// Bytes of git's last words that an error shows.
const LAST_WORDS: usize = 4096;
/// More than all the names and numbers of a repository's refs.
const LISTED: u64 = 64 << 20;
/// Longer than any line that git writes.
const MAX_LINE: usize = 16 * 1024;
/// How often a percentage is shown.
const PROGRESS: Duration = Duration::from_millis(100);
/// Clones into `<directory>/repository.git` and returns that path.
pub(super) async fn bare(
    machine: &Machine,
    address: &str,
    directory: &Path,
    listener: Listener<'_>,
) -> Result<PathBuf, GitError> {
    let target = directory.join("repository.git");
    let mut command = network_git(machine);
    let plain = secret_url::take_out(machine, &mut command, address);
    // Away from whatever repository the call came from.
    command
        .current_dir(workshop::nowhere(directory)?)
        .args(["-c", "core.hooksPath=/dev/null", "-c", "init.templateDir="])
        .args(["clone", "--bare", "--no-local"])
        .args(machine.terminal().stderr.then_some("--progress"))
        .arg("--")
        .arg(plain)
        .arg(&target);
    let (success, said) = run(command, address, listener).await?;
    if success {
        return Ok(target);
    }
    if is_out_of_space(&said, machine.temporary()) {
        return Err(GitError::no_space(machine.temporary()));
    }
    let (stderr, causes) = reasons(&said);
    Err(GitError::Clone {
        url: url::without_secrets(address),
        stderr,
        causes,
    })
}

/// Git's own words, and those of the program that it runs for the transport, which know more: `Permission
/// denied (publickey).`
fn reasons(said: &str) -> (String, Vec<String>) {
    let is_gits = |line: &&str| {
        ["fatal:", "error:", "remote:"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let is_noise = |line: &str| {
        let line = line.to_ascii_lowercase();
        [
            "warning:",
            "hint:",
            "cloning into ",
            "please make sure you have",
            "and the repository exists",
        ]
        .iter()
        .any(|word| line.starts_with(word))
    };
    let gits: Vec<&str> = said.lines().filter(is_gits).collect();
    if gits.is_empty() {
        return (said.trim().to_owned(), Vec::new());
    }
    let others = said
        .lines()
        .filter(|line| !is_gits(line) && !is_noise(line));
    (gits.join("; "), others.map(str::to_owned).collect())
}

/// Fetches the LFS content of a commit, where the host has git-lfs; says whether it did.
pub(super) async fn lfs(
    machine: &Machine,
    address: &str,
    git_dir: &Path,
    nowhere: &Path,
    commit: &str,
    listener: Listener<'_>,
) -> bool {
    let mut command = network_git(machine);
    secret_url::take_out(machine, &mut command, address);
    command
        .current_dir(nowhere)
        .arg("--git-dir")
        .arg(git_dir)
        .args(["lfs", "fetch", "origin", commit]);
    matches!(run(command, address, listener).await, Ok((true, _)))
}

/// What is at a URL.
pub(super) struct Listed {
    /// Branches and tags, one a line, as `git ls-remote` has them.
    pub(super) refs: String,
    /// The branch that is its HEAD.
    pub(super) head: Option<String>,
}

/// Asks what is at a URL.
pub(super) async fn listed(
    machine: &Machine,
    address: &str,
    directory: &Path,
    listener: Listener<'_>,
) -> Result<Listed, GitError> {
    let mut command = network_git(machine);
    let plain = secret_url::take_out(machine, &mut command, address);
    command
        .current_dir(workshop::nowhere(directory)?)
        .args(["ls-remote", "--symref", "--", &plain, "HEAD"])
        .args(["refs/heads/*", "refs/tags/*"]);
    // Into a file: it may be large, and git's words are read meanwhile.
    let place = directory.join("listed");
    let file = std::fs::File::create(&place).map_err(GitError::io("write", &place))?;
    let (success, said) = run_into(command, file.into(), address, listener).await?;
    if !success {
        let (stderr, causes) = reasons(&said);
        return Err(GitError::Clone {
            url: url::without_secrets(address),
            stderr,
            causes,
        });
    }
    let mut text = String::new();
    std::fs::File::open(&place)
        .and_then(|out| out.take(LISTED).read_to_string(&mut text))
        .map_err(GitError::io("read", &place))?;
    let mut listed = Listed {
        refs: String::new(),
        head: None,
    };
    for line in text.lines() {
        let Some((value, name)) = line.split_once('\t') else {
            continue;
        };
        match value.strip_prefix("ref: ") {
            Some(head) if name == "HEAD" => listed.head = Some(head.to_owned()),
            None if name.starts_with("refs/") && !name.ends_with("^{}") => {
                listed.refs.push_str(line);
                listed.refs.push('\n');
            }
            _ => {}
        }
    }
    Ok(listed)
}

/// Runs git to its end: whether it succeeded, and its last words. One that does nothing is ended, since nothing
/// else would: a server may hold a connection for ever.
pub(super) async fn run(
    command: std::process::Command,
    address: &str,
    listener: Listener<'_>,
) -> Result<(bool, String), GitError> {
    run_into(command, Stdio::null(), address, listener).await
}

async fn run_into(
    mut command: std::process::Command,
    out: Stdio,
    address: &str,
    listener: Listener<'_>,
) -> Result<(bool, String), GitError> {
    command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::piped());
    let mut fetch = Fetch::start(command).map_err(GitError::NoGit)?;
    let stderr = fetch.child.stderr.take();
    let ended = fetch.ended();
    let to_its_end = async {
        let said = listen(stderr, address, listener).await?;
        let status = fetch.child.wait().await.map_err(gone)?;
        fetch.is_over();
        Ok((status.success(), said))
    };
    tokio::select! {
        ended = to_its_end => ended,
        () = ended => {
            let minutes = SILENT.as_secs() / 60;
            Ok((false, format!("fatal: nothing came or went for {minutes} minutes, and it was ended")))
        }
    }
}

/// Passes on what git says, and keeps the last of it.
async fn listen(
    stderr: Option<ChildStderr>,
    address: &str,
    listener: Listener<'_>,
) -> Result<String, GitError> {
    let mut lines = Lines::default();
    let mut said = String::new();
    let mut shown: Option<Instant> = None;
    let Some(mut stderr) = stderr else {
        return Ok(said);
    };
    let mut buffer = vec![0; LAST_WORDS];
    loop {
        let read = stderr.read(&mut buffer).await.map_err(gone)?;
        let end = read == 0;
        for line in lines.of(&buffer[..read], end) {
            let text = url::redact(&line.text, address);
            if line.is_progress() {
                if shown.is_none_or(|shown| shown.elapsed() >= PROGRESS) {
                    shown = Some(Instant::now());
                    listener(Said::Progress(&text));
                }
                continue;
            }
            listener(Said::Line(&text));
            said.push_str(&text);
            said.push('\n');
        }
        if end {
            return Ok(said);
        }
        let over = said.len().saturating_sub(LAST_WORDS);
        let cut = (over..said.len())
            .find(|at| said.is_char_boundary(*at))
            .unwrap_or(0);
        said.drain(..cut);
    }
}

/// A line that git wrote.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    text: String,
    /// It is to be overwritten by the next one.
    passing: bool,
}

impl Line {
    /// Whether it tells how far git is. The last of a row of percentages is not overwritten, and is
    /// all that is told where git writes to no terminal: `Receiving objects: 100% (3/3), done.`
    fn is_progress(&self) -> bool {
        let counted = self.text.split_once("% (").is_some_and(|(before, _)| {
            before.ends_with(|last: char| last.is_ascii_digit()) && before.contains(": ")
        });
        let ended = self.text.ends_with(", done.") || self.text.starts_with("remote: Total ");
        self.passing || counted || ended
    }
}

/// Makes lines of what comes in pieces: what is secret in one is found only in the whole of it.
///
/// A line that ends as a terminal has it (`\r\n`, as ssh does) comes twice: as a passing one, and to keep.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    /// What ended with `\r` right before.
    passed: Option<String>,
    too_long: bool,
}

impl Lines {
    /// The lines that are whole with this piece, and the last one at the end.
    fn of(&mut self, piece: &[u8], end: bool) -> Vec<Line> {
        let mut lines = Vec::new();
        for &byte in piece {
            match byte {
                b'\r' => {
                    let line = self.take(true);
                    self.passed = line.as_ref().map(|line| line.text.clone());
                    lines.extend(line);
                    continue;
                }
                b'\n' => {
                    let passed = self.passed.take().map(|text| Line {
                        text,
                        passing: false,
                    });
                    lines.extend(self.take(false).or(passed));
                }
                // Half of it could hold half of a secret: all of it goes.
                _ if self.begun.len() == MAX_LINE => self.too_long = true,
                byte => self.begun.push(byte),
            }
            self.passed = None;
        }
        if end {
            lines.extend(self.take(false));
        }
        lines
    }

    fn take(&mut self, passing: bool) -> Option<Line> {
        let bytes = std::mem::take(&mut self.begun);
        let too_long = std::mem::take(&mut self.too_long);
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        // The temporary directory's name means nothing to anybody.
        let is_ours = text.starts_with("Cloning into bare repository");
        (!too_long && !is_ours && !text.is_empty()).then_some(Line { text, passing })
    }
}

fn gone(error: io::Error) -> GitError {
    GitError::NoGit(error)
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn lines(pieces: &[&str]) -> Vec<(String, bool)> {
        let mut all = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            found.extend(all.of(piece.as_bytes(), false));
        }
        found.extend(all.of(b"", true));
        let pair = |line: Line| (line.text, line.passing);
        found.into_iter().map(pair).collect()
    }

    #[test]
    fn what_ssh_says_is_a_cause() {
        let said = "Warning: Permanently added 'x' (ED25519) to the list of known hosts.\n\
             git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\
             Please make sure you have the correct access rights\nand the repository exists.\n";
        assert_eq!(
            reasons(said),
            (
                "fatal: Could not read from remote repository.".to_owned(),
                vec!["git@x: Permission denied (publickey).".to_owned()]
            )
        );
        assert_eq!(reasons("killed\n"), ("killed".to_owned(), vec![]));
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        assert_eq!(
            lines(&[
                "Cloning into bare repository '/tmp/x'...\nrem",
                "ote: 50%\rremote: 100%\r",
                "\nfatal: s3c",
                "ret",
            ]),
            [
                ("remote: 50%".to_owned(), true),
                ("remote: 100%".to_owned(), true),
                ("remote: 100%".to_owned(), false),
                ("fatal: s3cret".to_owned(), false),
            ]
        );
        let is_progress = |text: &str, passing| {
            let text = text.to_owned();
            Line { text, passing }.is_progress()
        };
        assert!(is_progress("remote: Enumerating objects: 7", true));
        for text in [
            "remote: Enumerating objects: 3, done.",
            "remote: Total 3 (delta 0), reused 0 (delta 0), pack-reused 0 (from 0)",
            "Receiving objects: 100% (3/3), done.",
            "remote: Compressing objects: 100% (2/2), done.",
            "Downloading LFS objects: 100% (1/1), 1.0 MB | 0 B/s, done.",
        ] {
            assert!(is_progress(text, false), "{text}");
        }
        for text in ["warning: redirecting to x", "fatal: the disk is full, 100%"] {
            assert!(!is_progress(text, false), "{text}");
        }
        let long = "x".repeat(MAX_LINE + 1);
        assert_eq!(lines(&[&long, "y\nz\n"]), [("z".to_owned(), false)]);
        assert_eq!(lines(&[]), []);
    }
}

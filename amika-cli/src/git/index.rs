//! The index that goes into the sandbox, and what it lists.

use std::path::{Path, PathBuf};

use super::command::Git;
use super::error::GitError;

/// One entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its kind and permission.
    pub(super) mode: Mode,
    /// Its object.
    pub(super) oid: Box<str>,
    /// Its path, from the root of the work tree.
    pub(super) path: Box<[u8]>,
}

/// The kinds of entries that git knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// 100644.
    File,
    /// 100755.
    Executable,
    /// 120000.
    Symlink,
    /// 160000: a submodule's commit.
    Gitlink,
}

/// Writes the index of a commit's tree to `file`, as `git checkout` would, but for the stat data.
///
/// Git checks the paths while it does: `..`, `.git` and their disguises are errors.
pub(super) fn of_commit(git: &Git, commit: &str, file: &Path) -> Result<(), GitError> {
    git.with_index(file)
        .output(&["read-tree", commit])
        .map(drop)
}

/// Copies the host's index to `file`; `false` when there is none yet.
///
/// Extensions that are tied to the host's directory (split index, untracked cache, file-system monitor)
/// are taken out of the copy by git itself; entries and their flags stay.
pub(super) fn of_host(git: &Git, git_dir: &Path, file: &Path) -> Result<bool, GitError> {
    let host = git_dir.join("index");
    let content = match std::fs::read(&host) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(GitError::io("read", host)(error)),
    };
    std::fs::write(file, &content).map_err(GitError::io("write", file))?;
    let has = |name: &[u8; 4]| content.windows(4).any(|window| window == name);
    if has(b"link") || has(b"UNTR") || has(b"FSMN") {
        git.with_index(file).output(&[
            "update-index",
            "--no-split-index",
            "--no-untracked-cache",
            "--no-fsmonitor",
        ])?;
    }
    Ok(true)
}

/// The entries of an index, in its order; of an unmerged path only the first stage.
pub(super) fn entries(git: &Git) -> Result<Vec<Entry>, GitError> {
    let mut entries: Vec<Entry> = Vec::new();
    git.each_line(&["ls-files", "-s", "-z", "--full-name"], |line| {
        let entry = parse(line).ok_or_else(|| GitError::Output {
            command: "ls-files",
            output: String::from_utf8_lossy(line).into_owned(),
        })?;
        if entries.last().is_none_or(|last| last.path != entry.path) {
            entries.push(entry);
        }
        Ok(())
    })?;
    Ok(entries)
}

/// `<mode> <oid> <stage>\t<path>`.
fn parse(line: &[u8]) -> Option<Entry> {
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    let mut fields = std::str::from_utf8(&line[..tab]).ok()?.split(' ');
    let mode = match fields.next()? {
        "100644" => Mode::File,
        "100755" => Mode::Executable,
        "120000" => Mode::Symlink,
        "160000" => Mode::Gitlink,
        _ => return None,
    };
    Some(Entry {
        mode,
        oid: fields.next()?.into(),
        path: line[tab + 1..].into(),
    })
}

/// Where temporary indexes of one repository lie.
pub(super) fn temporary(scratch: &Path, number: usize) -> PathBuf {
    scratch.join(format!("index-{number}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_hold_anything_but_a_zero_byte() {
        let entry = parse(b"100755 0123 0\ta\tb\n\xff c").unwrap();
        assert_eq!(entry.mode, Mode::Executable);
        assert_eq!(&*entry.path, b"a\tb\n\xff c");
        assert_eq!(parse(b"040000 0123 0\tx"), None);
    }
}

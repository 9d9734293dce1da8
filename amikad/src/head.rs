//! Where the agent's repository is: its `HEAD`, read as bytes. No git runs, and nothing that the repository says is
//! followed but the way to its git directory.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amika_core::ref_name::RefName;
use amika_core::wire::Head;

use crate::environment::Environment;
use crate::files::read_small;

/// How long a file system may take: one that hangs keeps nobody from the rest of the status.
const LONGEST: Duration = Duration::from_millis(200);
/// Size of a `HEAD`.
const HEAD_LIMIT: u64 = 4096;
/// Size of a `.git` that names a directory elsewhere.
const LINK_LIMIT: u64 = 8192;

/// Whether a thread reads. One that hangs is the only one.
static IS_READING: AtomicBool = AtomicBool::new(false);

/// Where the repository of the agent's working directory is; none without one, and where that cannot be told now.
pub(crate) async fn now() -> Option<Head> {
    if IS_READING.swap(true, Ordering::AcqRel) {
        return None;
    }
    let read = tokio::task::spawn_blocking(|| {
        let _reading = Reading;
        of(&Environment::of_process().agent_cwd())
    });
    tokio::time::timeout(LONGEST, read).await.ok()?.ok()?
}

/// Says that nobody reads any more, also after a panic.
struct Reading;

impl Drop for Reading {
    fn drop(&mut self) {
        IS_READING.store(false, Ordering::Release);
    }
}

fn of(cwd: &Path) -> Option<Head> {
    let file = cwd.ancestors().find_map(git_directory)?.join("HEAD");
    // Git of long ago made links of them, whose content is a commit and not the branch.
    if !file.symlink_metadata().ok()?.is_file() {
        return None;
    }
    parse(&read_small(&file, HEAD_LIMIT).ok()?)
}

/// The git directory of a work tree, which may be elsewhere: a linked work tree's, or a submodule's.
fn git_directory(work_tree: &Path) -> Option<PathBuf> {
    let place = work_tree.join(".git");
    if fs::metadata(&place).ok()?.is_dir() {
        return Some(place);
    }
    let link = read_small(&place, LINK_LIMIT).ok()?;
    let target = link.strip_prefix(b"gitdir:")?.trim_ascii();
    Some(work_tree.join(std::ffi::OsStr::from_bytes(target)))
}

fn parse(bytes: &[u8]) -> Option<Head> {
    if let Some(name) = bytes.strip_prefix(b"ref:") {
        let name = RefName::new(name.trim_ascii()).ok()?;
        let name = name.branch().unwrap_or(name.as_bytes());
        return Some(Head::Branch(String::from_utf8_lossy(name).into_owned()));
    }
    let oid = bytes.split(u8::is_ascii_whitespace).next()?;
    let is_oid = matches!(oid.len(), 40 | 64) && oid.iter().all(u8::is_ascii_hexdigit);
    is_oid.then(|| Head::Commit(String::from_utf8_lossy(oid).to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn branch(name: &str) -> Head {
        Head::Branch(name.to_owned())
    }

    #[test]
    fn a_branch_and_a_commit_are_told_and_nothing_else_is() {
        assert_eq!(parse(b"ref: refs/heads/main\n"), Some(branch("main")));
        assert_eq!(parse(b"ref: refs/heads/fix/a-b\n"), Some(branch("fix/a-b")));
        assert_eq!(
            parse(b"ref: refs/heads/x\xffy\n"),
            Some(branch("x\u{fffd}y"))
        );
        let commit = parse(format!("{COMMIT}\n").as_bytes());
        assert_eq!(commit, Some(Head::Commit(COMMIT.to_owned())));
        let long = format!("{COMMIT}{}", &COMMIT[..24]);
        assert_eq!(parse(long.as_bytes()), Some(Head::Commit(long)));
        // The last is what a repository has whose refs are in a table.
        for other in [
            &b""[..],
            b"root:x:0:0",
            b"ref: /etc/passwd",
            b"ref: refs/heads/../../x",
            b"ref: refs/heads/\x1b[2J",
            b"ref: refs/heads/.invalid\n",
        ] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_repository_is_found_above_and_elsewhere_and_no_link_is_taken_for_its_head() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("repo/.git")).unwrap();
        fs::create_dir_all(at("repo/src/deep")).unwrap();
        fs::write(at("repo/.git/HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(of(&at("repo/src/deep")), Some(branch("main")));

        fs::create_dir(at("linked")).unwrap();
        fs::create_dir_all(at("repo/.git/worktrees/linked")).unwrap();
        fs::write(at("linked/.git"), "gitdir: ../repo/.git/worktrees/linked\n").unwrap();
        fs::write(at("repo/.git/worktrees/linked/HEAD"), COMMIT).unwrap();
        let commit = Some(Head::Commit(COMMIT.to_owned()));
        assert_eq!(of(&at("linked")), commit);

        fs::remove_file(at("repo/.git/HEAD")).unwrap();
        assert_eq!(of(&at("repo")), None);
        symlink(at("linked/.git"), at("repo/.git/HEAD")).unwrap();
        assert_eq!(of(&at("repo")), None);
        // What never ends and what nobody writes to are not waited for.
        fs::remove_file(at("repo/.git/HEAD")).unwrap();
        let fifo = at("repo/.git/HEAD");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(of(&at("repo")), None);
    }
}

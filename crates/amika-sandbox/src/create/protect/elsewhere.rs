//! Whether git works in what is mounted: a linked work tree and a submodule have their git directory elsewhere.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use amika_core::mount::{HostMount, Mount, covering};

use super::{LINE, shown};
use amika_host::regular_file::{self, Links};

/// What to say where git does not work in a mount's repositories, whose `.git` files these are: the git
/// directory that each names, as a path in the sandbox, is in none of the mounts.
pub(crate) fn told(mount: &HostMount, git_files: &[PathBuf], mounts: &[Mount]) -> Option<String> {
    let mut lost = git_files
        .iter()
        .filter_map(|file| Some((file.parent()?, lost(mount, file, mounts)?)));
    let (holder, directory) = lost.next()?;
    let more = match lost.count() {
        0 => String::new(),
        more => format!(", nor in {more} more"),
    };
    let target = Path::new(mount.target.as_str());
    let inside = Path::new(&mount.source);
    let inside = target.join(holder.strip_prefix(inside).ok()?);
    Some(format!(
        "--mount {mount}: git does not work in {}{more}: its git directory, {}, is not there in the sandbox; \
         `--git` clones a repository",
        shown(&without_slash(&inside)),
        shown(&directory)
    ))
}

/// The git directory that a `.git` file of a mount names, or the common one behind it, where it is on this machine but
/// not in the sandbox.
fn lost(mount: &HostMount, file: &Path, mounts: &[Mount]) -> Option<PathBuf> {
    let holder = file.parent()?;
    let named = line(file, "gitdir: ")?;
    let on_host = holder.join(&named).canonicalize().ok()?;
    let target = Path::new(mount.target.as_str());
    let inside = target.join(holder.strip_prefix(&mount.source).ok()?);
    let inside = normal(&inside.join(&named));
    if !is_there(&inside, mounts) {
        return Some(on_host);
    }
    let common = line(&on_host.join("commondir"), "")?;
    let is_lost = !is_there(&normal(&inside.join(&common)), mounts);
    is_lost.then(|| on_host.join(&common).canonicalize().ok())?
}

/// Whether a path of the sandbox is in a mount; what is in a volume is not known.
fn is_there(inside: &Path, mounts: &[Mount]) -> bool {
    let text = inside.to_string_lossy();
    match covering(mounts, &text) {
        None => false,
        Some(Mount::Volume(_) | Mount::Repository(_)) => true,
        Some(Mount::Host(mount)) => inside
            .strip_prefix(mount.target.as_str())
            .is_ok_and(|rest| Path::new(&mount.source).join(rest).exists()),
    }
}

fn line(file: &Path, prefix: &str) -> Option<PathBuf> {
    let (line, _) = regular_file::read(file, Links::Refused, LINE).ok()?;
    let named = line.strip_prefix(prefix.as_bytes())?.trim_ascii_end();
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(named)))
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

fn without_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pretty_assertions::assert_eq;

    use super::*;

    /// A repository, a linked work tree of it beside it, and a submodule in it, all by relative or absolute paths.
    fn world(is_absolute: bool) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("it is there");
        for path in ["app/.git/worktrees/w", "app/.git/modules/s", "app/s", "w"] {
            fs::create_dir_all(root.join(path)).expect("a directory");
        }
        let to = |path: &str, relative: &str| {
            let path = root.join(path).display().to_string();
            let named = if is_absolute {
                path
            } else {
                relative.to_owned()
            };
            format!("gitdir: {named}\n")
        };
        for (file, text) in [
            (
                "w/.git",
                to("app/.git/worktrees/w", "../app/.git/worktrees/w"),
            ),
            ("app/s/.git", to("app/.git/modules/s", "../.git/modules/s")),
            ("app/.git/worktrees/w/commondir", "../..\n".to_owned()),
        ] {
            fs::write(root.join(file), text).expect("a file");
        }
        (directory, root)
    }

    /// What is said of `.git` in `holder`, when these are mounted (`/` at the beginning stands for the root).
    fn said(root: &Path, holder: &str, mounts: &[&str]) -> Option<String> {
        let host = |text: &&str| -> HostMount {
            format!("{}{text}", root.display())
                .parse()
                .expect("a mount")
        };
        let hosts: Vec<HostMount> = mounts.iter().map(host).collect();
        let all: Vec<Mount> = hosts.iter().cloned().map(Mount::Host).collect();
        told(&hosts[0], &[root.join(holder).join(".git")], &all)
    }

    #[test]
    fn a_git_directory_that_is_not_in_the_sandbox_is_told_of() {
        let (_directory, root) = world(false);
        let same = format!("{}", root.display());
        let kept = format!("/app:{same}/app:ro");
        for (holder, mounts, works) in [
            ("w", &["/w:/x:rw"][..], false),
            ("w", &["/w:/x/w:rw", "/app:/x/app:ro"], true),
            ("w", &["/w:/x/w:rw", "/app/.git:/x/app/.git:ro"], true),
            ("w", &["/w:/x/w:rw", "/app:/y/app:ro"], false),
            // Without what the work trees have in common.
            (
                "w",
                &["/w:/x/w:rw", "/app/.git/worktrees:/x/app/.git/worktrees:ro"],
                false,
            ),
            ("w", &["/w:/x:rw", &kept], false),
            ("w", &[":/x:rw"], true),
            ("app/s", &["/app:/x:rw"], true),
            ("app/s", &["/app/s:/x:rw"], false),
        ] {
            let said = said(&root, holder, mounts);
            assert_eq!(said.is_none(), works, "{mounts:?}: {said:?}");
        }
        let (_directory, root) = world(true);
        let same = root.display().to_string();
        let kept = format!("/app:{same}/app:ro");
        for (holder, mounts, works) in [
            ("w", &["/w:/x:rw"][..], false),
            ("w", &["/w:/x:rw", &kept], true),
            ("w", &[":/x:rw"], false),
            ("app/s", &["/app:/x:rw"], false),
        ] {
            let said = said(&root, holder, mounts);
            assert_eq!(said.is_none(), works, "{mounts:?}: {said:?}");
        }
    }

    #[test]
    fn it_is_one_line_with_the_place_and_a_way_on() {
        let (_directory, root) = world(false);
        let said = said(&root, "w", &["/w:/x:rw"]).expect("a line");
        let root = root.display();
        assert_eq!(
            said,
            format!(
                "--mount {root}/w:/x:rw: git does not work in /x: its git directory, {root}/app/.git/worktrees/w, is \
                 not there in the sandbox; `--git` clones a repository"
            )
        );
        assert_eq!(said.lines().count(), 1);
    }

    #[test]
    fn what_works_nowhere_is_not_worth_a_word() {
        let (_directory, root) = world(false);
        for text in ["gitdir: ../gone\n", "no pointer\n", ""] {
            fs::write(root.join("w/.git"), text).expect("a file");
            assert_eq!(said(&root, "w", &["/w:/x:rw"]), None, "{text}");
        }
    }
}

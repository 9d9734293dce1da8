//! A branch of the repository itself that is made of one of the sandbox's, or goes on to it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Dir, Mode, OFlags};

use super::host::Host;
use super::name::{Branch, BranchName, Oid};
use super::receive::Received;
use super::refs::{self, Existing, Update};
use super::{Change, Pulled, Tip};
use crate::error::{Error, Kind, Result};

/// Bytes of a file that names what a work tree has checked out.
const MAX_FILE: u64 = 4096;
const HEADS: &str = "refs/heads/";

/// What becomes of the branch.
pub(super) struct Plan {
    name: BranchName,
    old: Option<Oid>,
    tip: Oid,
}

/// Which commit it is to lead to, and whether it may: nobody works on it.
///
/// # Errors
/// [`Kind::Conflict`] where it is checked out, or has no room; [`Kind::Repository`] where no branch of the sandbox is
/// meant by it.
pub(super) fn plan(
    host: &Host,
    before: &Existing,
    branches: &[Branch],
    name: &BranchName,
) -> Result<Plan> {
    let same = branches.iter().find(|branch| branch.name == *name);
    let branch = match (same, branches) {
        (Some(branch), _) => branch,
        (None, [only]) => only,
        (None, _) => {
            return Err(Error::new(
                Kind::Repository,
                format!("the sandbox has no branch \"{name}\", and several others"),
            )
            .hint(format!(
                "name the one that it is to be made of: `amika sandbox pull NAME BRANCH --branch {name}`"
            )));
        }
    };
    let full = [HEADS.as_bytes(), name.as_bytes()].concat();
    let refused = |why: String| Error::new(Kind::Conflict, why);
    let old = match before.at(&full) {
        Some(None) => {
            return Err(
                refused(format!("branch \"{name}\" leads to another ref here"))
                    .hint("name another branch"),
            );
        }
        Some(Some(old)) => Some(old.clone()),
        None => None,
    };
    for other in before.below(HEADS.as_bytes()) {
        let is_case = host.ignores_case
            && other != name.as_bytes()
            && other.eq_ignore_ascii_case(name.as_bytes());
        if name.is_in_the_way_of(other) || is_case {
            let other = super::shown(other);
            return Err(
                refused(format!("branch \"{other}\" is in the way of \"{name}\""))
                    .hint("name another branch"),
            );
        }
    }
    let used = checked_out(host, &full).map_err(|error| {
        let place = host.repository.place();
        Error::new(
            Kind::Repository,
            format!("the work trees of {} cannot be told", place.display()),
        )
        .caused_by(&error)
    })?;
    if let Some(place) = used {
        return Err(
            refused(format!("branch \"{name}\" is checked out in {place}")).hint(format!(
                "without `--branch` the commits come beside it, and `git merge {}/{}` there takes them",
                "amika-NAME", branch.name
            )),
        );
    }
    Ok(Plan {
        name: name.clone(),
        old,
        tip: branch.tip.clone(),
    })
}

impl Plan {
    /// What is written; nothing where it leads there already.
    pub(super) fn update(&self) -> Option<Update> {
        (self.old.as_ref() != Some(&self.tip)).then(|| Update {
            name: [HEADS.as_bytes(), self.name.as_bytes()].concat(),
            tip: self.tip.clone(),
            expected: Some(self.old.clone()),
        })
    }

    /// The commit that has to come.
    pub(super) fn tip(&self) -> Tip {
        Tip::of_branch(&self.name, &self.tip)
    }

    /// Refuses to leave commits behind.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where the commit does not go on from the branch.
    pub(super) async fn must_go_on(&self, received: &Received) -> Result<()> {
        let Some(old) = &self.old else { return Ok(()) };
        if received.goes_on_from(old, &self.tip).await? {
            return Ok(());
        }
        Err(Error::new(
            Kind::Conflict,
            format!(
                "branch \"{}\" has commits here that the sandbox's has not",
                self.name
            ),
        )
        .hint("name another branch, or pull without `--branch` and merge the two"))
    }

    /// What became of it.
    pub(super) fn pulled(self) -> Pulled {
        Pulled {
            change: match &self.old {
                None => Change::New,
                Some(old) if *old == self.tip => Change::Unchanged,
                Some(_) => Change::Updated,
            },
            branch: self.name,
            old: self.old,
            new: self.tip,
        }
    }
}

/// The work tree that has a branch checked out, or is about to go back to it.
fn checked_out(host: &Host, full: &[u8]) -> io::Result<Option<String>> {
    let top = host.repository.directory()?;
    if !host.repository.is_bare() && is_used(&top, full)? {
        return Ok(Some(super::shown(
            host.repository.place().as_os_str().as_bytes(),
        )));
    }
    let Ok(all) = refs::open(&top, &[b"worktrees".to_vec()], false) else {
        return Ok(None);
    };
    for entry in Dir::read_from(&all)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name == b"." || name == b".." {
            continue;
        }
        let Ok(one) = refs::open(&all, &[name], false) else {
            continue;
        };
        if is_used(&one, full)? {
            let place = read(&one, &["gitdir"])?.unwrap_or_default();
            let place = place.trim_ascii_end();
            let place = place.strip_suffix(b"/.git").unwrap_or(place);
            return Ok(Some(super::shown(place)));
        }
    }
    Ok(None)
}

/// Whether a git directory's work tree is on a branch, by itself or during a rebase or a bisection.
fn is_used(git: &OwnedFd, full: &[u8]) -> io::Result<bool> {
    let short = full.strip_prefix(HEADS.as_bytes()).unwrap_or(full);
    for path in [
        &["HEAD"][..],
        &["rebase-merge", "head-name"],
        &["rebase-apply", "head-name"],
        &["BISECT_START"],
    ] {
        let text = read(git, path)?.unwrap_or_default();
        let text = text.trim_ascii_end();
        let text = text.strip_prefix(b"ref:").unwrap_or(text).trim_ascii();
        if text == full || (path == ["BISECT_START"] && text == short) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A file beneath a git directory, or where it is a link, what that says: so git once wrote HEAD.
fn read(git: &OwnedFd, path: &[&str]) -> io::Result<Option<Vec<u8>>> {
    let mut parts: Vec<Vec<u8>> = path.iter().map(|part| part.as_bytes().to_vec()).collect();
    let name = parts.pop().unwrap_or_default();
    let Ok(at) = refs::open(git, &parts, false) else {
        return Ok(None);
    };
    let name = OsStr::from_bytes(&name);
    if let Ok(link) = rustix::fs::readlinkat(&at, name, Vec::new()) {
        return Ok(Some(link.into_bytes()));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(&at, name, flags, Mode::empty()) else {
        return Ok(None);
    };
    let mut text = Vec::new();
    File::from(file).take(MAX_FILE).read_to_end(&mut text)?;
    Ok(Some(text))
}

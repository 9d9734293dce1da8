//! Whether a work tree has anything that its HEAD has not.

use super::error::GitError;
use super::index::Mode;
use super::plan::DEPTH;
use super::refs;
use super::source::Location;
use super::waits;
use super::workshop::Workshop;

/// LFS files are compared as they are: the filter would write into a store.
const AS_THEY_ARE: [(&str, &str); 3] = [
    ("filter.lfs.clean", ""),
    ("filter.lfs.process", ""),
    ("filter.lfs.required", "false"),
];

/// Whether `git status` would show anything. Git itself does not look into submodules here, since it
/// would trust their configuration: each is looked at by itself.
pub(super) fn any(location: &Location, workshop: &Workshop) -> Result<bool, GitError> {
    within(location, workshop, 0)
}

fn within(location: &Location, workshop: &Workshop, depth: usize) -> Result<bool, GitError> {
    let Some(tree) = location.tree() else {
        return Ok(false);
    };
    let index = location.index()?;
    waits::none_in(tree, index)?;
    let git = location.git().with_settings(&AS_THEY_ARE);
    let shown = git.output(&[
        "status",
        "--porcelain",
        "-z",
        "--untracked-files=normal",
        "--ignore-submodules=all",
    ])?;
    if !shown.is_empty() || depth == DEPTH {
        return Ok(!shown.is_empty());
    }
    let Some(index) = index else { return Ok(false) };
    for entry in index.entries() {
        if entry.mode != Mode::Gitlink {
            continue;
        }
        if let Some(module) = location.at_path(&entry.path, workshop)? {
            let head = refs::resolve(&module.git(), "HEAD")?;
            if head.as_deref() != Some(&*entry.oid) || within(&module, workshop, depth + 1)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

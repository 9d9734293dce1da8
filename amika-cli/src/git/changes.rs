//! Whether a work tree has anything that its HEAD has not.

use super::error::GitError;
use super::plan::DEPTH;
use super::source::Location;
use super::submodule;

/// LFS files are compared as they are: the filter would write into the host's store.
const AS_THEY_ARE: [(&str, &str); 3] = [
    ("filter.lfs.clean", ""),
    ("filter.lfs.process", ""),
    ("filter.lfs.required", "false"),
];

/// Whether `git status` would show anything. Git itself does not look into submodules here, since it
/// would trust their configuration.
pub(super) fn any(location: &Location) -> Result<bool, GitError> {
    within(location, 0)
}

fn within(location: &Location, depth: usize) -> Result<bool, GitError> {
    let Some(root) = location.work_tree.as_deref() else {
        return Ok(false);
    };
    let git = location.git().with_settings(&AS_THEY_ARE);
    let shown = git.output(&[
        "status",
        "--porcelain",
        "-z",
        "--untracked-files=normal",
        "--ignore-submodules=dirty",
    ])?;
    if !shown.is_empty() || depth == DEPTH {
        return Ok(!shown.is_empty());
    }
    let mut modules: Vec<Vec<u8>> = Vec::new();
    git.each_line(&["ls-files", "-s", "-z", "--full-name"], |line| {
        let tab = line.iter().position(|&byte| byte == b'\t');
        if let Some(tab) = tab.filter(|_| line.starts_with(b"160000 ")) {
            modules.push(line[tab + 1..].to_vec());
        }
        Ok(())
    })?;
    for path in modules {
        if let Some(module) = submodule::at_path(root, &path)
            && within(&module, depth + 1)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

//! Submodules of a tree, and where the host keeps their repositories.

use std::path::{Path, PathBuf};

use super::command::Git;
use super::config::Settings;
use super::error::GitError;
use super::source::{Location, join};

/// An entry of `.gitmodules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submodule {
    /// Its name; the directory beneath `.git/modules/`.
    pub(super) name: String,
    /// Its path in the tree.
    pub(super) path: String,
    /// Where it comes from, as `.gitmodules` says.
    pub(super) url: String,
}

/// Reads `.gitmodules` of a commit, or of a work tree.
pub(super) fn list(
    git: &Git,
    commit: Option<&str>,
    work_tree: Option<&Path>,
) -> Result<Vec<Submodule>, GitError> {
    let listed = match (commit, work_tree) {
        (_, Some(work_tree)) => {
            let file = work_tree.join(".gitmodules");
            if !std::fs::symlink_metadata(&file).is_ok_and(|meta| meta.is_file()) {
                return Ok(Vec::new());
            }
            let file = file.to_string_lossy().into_owned();
            git.output(&["config", "--no-includes", "-f", &file, "--list", "-z"])?
        }
        (Some(commit), None) => {
            let blob = format!("{commit}:.gitmodules");
            if git.try_output(&["cat-file", "-e", &blob])?.is_err() {
                return Ok(Vec::new());
            }
            git.output(&["config", "--no-includes", "--blob", &blob, "--list", "-z"])?
        }
        (None, None) => return Ok(Vec::new()),
    };
    Ok(parse(&Settings::parse(&listed)))
}

fn parse(settings: &Settings) -> Vec<Submodule> {
    settings
        .section("submodule")
        .filter(|(name, variable, _)| *variable == "path" && safe(name))
        .map(|(name, _, path)| Submodule {
            name: name.to_owned(),
            path: path.to_owned(),
            url: settings
                .get(&format!("submodule.{name}.url"))
                .unwrap_or_default()
                .to_owned(),
        })
        .collect()
}

/// Whether a name stays beneath `.git/modules/`; the rule of git.
fn safe(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('/')
        && name
            .split(['/', '\\'])
            .all(|part| !matches!(part, "" | "." | ".."))
}

/// The repository that is checked out at a path of the work tree; not one around it.
pub(super) fn at_path(work_tree: &Path, path: &[u8]) -> Option<Location> {
    let directory = join(work_tree, path);
    std::fs::symlink_metadata(directory.join(".git")).ok()?;
    let found = Location::of(&directory).ok()?;
    let same = found.work_tree.as_ref()?.canonicalize().ok()? == directory.canonicalize().ok()?;
    same.then_some(found)
}

/// A repository of the submodule that has the commit, wherever the host keeps it.
pub(super) fn with_commit(
    parent: &Location,
    submodule: &Submodule,
    commit: &str,
) -> Option<Location> {
    let checked_out = parent
        .work_tree
        .as_deref()
        .and_then(|work_tree| at_path(work_tree, submodule.path.as_bytes()));
    let kept = [&parent.git_dir, &parent.common_dir].map(|directory| {
        let git_dir: PathBuf = directory.join("modules").join(&submodule.name);
        let is_there = git_dir.join("HEAD").is_file();
        is_there
            .then(|| Location::of_git_dir(git_dir, parent.sha256).ok())
            .flatten()
    });
    checked_out
        .into_iter()
        .chain(kept.into_iter().flatten())
        .find(|location| {
            let wanted = format!("{commit}^{{tree}}");
            let git = location.git_in(None);
            matches!(git.try_output(&["cat-file", "-e", &wanted]), Ok(Ok(_)))
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_directory() {
        let listed = "submodule.a/b.path\nx|submodule.../e.path\ny|submodule./e.path\nz|submodule.a/b.url\nu";
        let found = parse(&Settings::parse(listed.replace('|', "\0").as_bytes()));
        assert_eq!(
            found,
            [Submodule {
                name: "a/b".into(),
                path: "x".into(),
                url: "u".into()
            }]
        );
    }
}

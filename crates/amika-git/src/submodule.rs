//! Submodules of a tree, and where the host keeps their repositories.

use amika_core::git_files::config;
use amika_core::repo_path::{RepoPath, SubmoduleName, escaped};

use super::error::GitError;
use super::index::{Entry, Mode};
use super::settings::Settings;
use super::source::Location;
use super::tree;
use super::workshop::Workshop;

/// The file that lists them.
const FILE: &[u8] = b".gitmodules";

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

/// Reads `.gitmodules` of a commit, by its entries, or of the work tree.
pub(super) fn list(
    location: &Location,
    entries: &[Entry],
    on_disk: bool,
) -> Result<Vec<Submodule>, GitError> {
    let limit = config::MAX_FILE as u64;
    let content = match location.tree() {
        // A link in its place is not followed, as git has it.
        Some(tree) if on_disk => tree.read(FILE, limit).unwrap_or_default(),
        None if on_disk => None,
        _ => {
            let found = entries.iter().find(|entry| &*entry.path == FILE);
            match found.filter(|entry| matches!(entry.mode, Mode::File | Mode::Executable)) {
                Some(entry) => Some(tree::whole(
                    &location.git(),
                    "blob",
                    &entry.oid,
                    location.format(),
                    limit,
                )?),
                None => None,
            }
        }
    };
    let entries =
        config::parse(&content.unwrap_or_default()).map_err(|error| GitError::NotUnderstood {
            place: location.root().join(".gitmodules"),
            why: error.to_string(),
        })?;
    parse(&Settings::of_file(&entries))
}

/// Of a name or path that could lead elsewhere nothing is taken, and the copy ends.
fn parse(settings: &Settings) -> Result<Vec<Submodule>, GitError> {
    let bad = |why: String| GitError::BadPath {
        of: ".gitmodules",
        why,
    };
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(bad(format!("\"{}\" is not UTF-8", escaped(bytes)))),
    };
    let mut modules = Vec::new();
    for (name, variable, path) in settings.section("submodule") {
        if variable != "path" {
            continue;
        }
        SubmoduleName::new(name.to_vec()).map_err(|error| bad(error.to_string()))?;
        let path = path.strip_suffix(b"/").unwrap_or(path);
        RepoPath::new(path.to_vec()).map_err(|error| bad(error.to_string()))?;
        let name = text(name)?;
        modules.push(Submodule {
            path: text(path)?,
            url: settings
                .get(&format!("submodule.{name}.url"))
                .unwrap_or_default()
                .to_owned(),
            name,
        });
    }
    Ok(modules)
}

/// A repository of the submodule that has the commit, wherever the host keeps it.
pub(super) fn with_commit(
    parent: &Location,
    submodule: &Submodule,
    commit: &str,
    workshop: &Workshop,
) -> Result<Option<Location>, GitError> {
    let checked_out = parent.at_path(submodule.path.as_bytes(), workshop)?;
    let kept = parent.module(submodule.name.as_bytes(), workshop)?;
    for location in checked_out.into_iter().chain(kept) {
        if location.sha256 != parent.sha256 {
            continue;
        }
        let wanted = format!("{commit}^{{tree}}");
        let git = location.git_in(None);
        if git.try_output(&["cat-file", "-e", &wanted])?.is_ok() {
            return Ok(Some(location));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn listed(text: &str) -> Result<Vec<Submodule>, GitError> {
        parse(&Settings::of_file(&config::parse(text.as_bytes()).unwrap()))
    }

    #[test]
    fn a_name_or_path_cannot_leave_its_directory() {
        assert_eq!(
            listed("[submodule \"a/b\"]\n\tpath = x/\n\turl = u\n").unwrap(),
            [Submodule {
                name: "a/b".into(),
                path: "x".into(),
                url: "u".into()
            }]
        );
        for (name, path) in [
            ("../e", "y"),
            ("/e", "y"),
            ("a/../../e", "y"),
            ("e", "../y"),
            ("e", "/y"),
            ("e", ".git/y"),
            ("e", "a/.GIT"),
        ] {
            let text = format!("[submodule \"{name}\"]\n\tpath = {path}\n");
            assert!(listed(&text).is_err(), "{text}");
        }
    }
}

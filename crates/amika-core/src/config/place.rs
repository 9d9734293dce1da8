//! Paths of the repository, which none of them may leave.

use toml::Spanned;
use toml::de::DeValue;

use super::RepoFile;
use super::read::{Section, quoted};

/// A file of the repository by its path, or why it can be none.
pub(super) fn file(
    section: &mut Section<'_>,
    value: &Spanned<DeValue<'_>>,
    key: &str,
    path: &str,
) -> RepoFile {
    match why_refused(path) {
        Some(reason) => {
            let message = format!("{key} {} {reason}", quoted(path));
            let help = "name a file of the repository, relative to its root";
            RepoFile::Refused(section.error(value.span(), message).with_help(help))
        }
        None => RepoFile::Path(section.locate(value.span(), path.to_owned())),
    }
}

/// Why a path can be none of a file of the repository.
pub(crate) fn why_refused(path: &str) -> Option<&'static str> {
    let names_root = path.split('/').all(|part| part.is_empty() || part == ".");
    why_outside(path).or_else(|| names_root.then_some("names a directory"))
}

/// Why a path can be none of the repository. A cloned repository must never be able to name a file of the host.
pub(super) fn why_outside(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("is empty")
    } else if path.starts_with('/') {
        Some("is absolute: it must stand in the repository")
    } else if path.split('/').any(|part| part == "..") {
        Some("has \"..\" in it: it must stand in the repository")
    } else if path.chars().any(char::is_control) {
        Some("has control characters in it")
    } else if path
        .split('/')
        .any(|part| part.eq_ignore_ascii_case(".git"))
    {
        // What stands there is no part of the repository's content.
        Some("stands in \".git\"")
    } else {
        None
    }
}

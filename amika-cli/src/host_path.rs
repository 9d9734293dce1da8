//! How a path of this machine is told that cannot be used: clean, with what there is in its place.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::error::{CommandError, ExitCode};

/// The path as a person would write it in full: absolute, without `.`, and without `..` as far as it
/// exists. It need not exist, and links stay as they are where no `..` follows one.
pub fn clean(path: &Path) -> PathBuf {
    let Ok(absolute) = std::path::absolute(path) else {
        return path.to_owned();
    };
    if !absolute
        .components()
        .any(|part| part == Component::ParentDir)
    {
        return absolute;
    }
    let existing = nearest_existing(&absolute);
    let rest = absolute.strip_prefix(existing).unwrap_or(Path::new(""));
    match existing.canonicalize() {
        Ok(real) if rest.as_os_str().is_empty() => real,
        Ok(real) => real.join(rest),
        Err(_) => absolute,
    }
}

/// What of a path that does not exist may have been meant, or is missing.
///
/// `None` where all of it exists but its last part, and nothing beside that is alike.
pub fn hint(path: &Path) -> Option<String> {
    let path = clean(path);
    let existing = nearest_existing(&path);
    let mut missing = path.strip_prefix(existing).ok()?.iter();
    let first = missing.next()?.to_string_lossy();
    let beside: Vec<String> = std::fs::read_dir(existing)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let names = beside.iter().map(String::as_str);
    if let Some(near) = amika_core::nearest::nearest(&first, names) {
        let sibling = existing.join(near);
        let mut meant = sibling.clone();
        meant.extend(missing);
        let meant = if meant.exists() { meant } else { sibling };
        return Some(format!("did you mean {}?", meant.display()));
    }
    missing.next()?;
    Some(format!("of this path, {} exists", existing.display()))
}

/// The error of a path that could not be read. `what` stands before it in the message, with what
/// parts it from the path: `setup script `.
pub fn unreadable(code: ExitCode, what: &str, path: &Path, error: &std::io::Error) -> CommandError {
    let shown = clean(path);
    if error.kind() != ErrorKind::NotFound {
        let message = format!("{what}{} cannot be read", shown.display());
        return CommandError::new(code, message).caused_by(error);
    }
    // The end of a path may be a link, which is there although what it leads to is not.
    let why = if shown.is_symlink() {
        "is a link that leads nowhere"
    } else {
        "does not exist"
    };
    let refusal = CommandError::new(code, format!("{what}{} {why}", shown.display()));
    match hint(&shown) {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

/// The longest part of an absolute path that exists.
fn nearest_existing(path: &Path) -> &Path {
    let mut parts = path.ancestors();
    parts
        .find(|part| part.symlink_metadata().is_ok())
        .unwrap_or(Path::new("/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("data/deep")).unwrap();
        symlink("data/deep", root.join("link")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        (directory, root)
    }

    #[test]
    fn a_path_is_shown_without_detours() {
        let (_guard, root) = directory();
        for (path, clean_path) in [
            ("./missing", "missing"),
            ("data/.//./missing/", "data/missing"),
            ("data/../missing", "missing"),
            // Where the kernel goes, not where the text does.
            ("link/../missing", "data/missing"),
            ("link/missing", "link/missing"),
            ("data/deep/..", "data"),
        ] {
            assert_eq!(clean(&root.join(path)), root.join(clean_path), "{path}");
        }
        assert!(clean(Path::new("./x")).is_absolute());
    }

    #[test]
    fn what_is_missing_is_told_once_with_what_is_near() {
        let (_guard, root) = directory();
        let told = |path: &str| {
            let path = root.join(path);
            let error = path.metadata().unwrap_err();
            let error = unreadable(ExitCode::Usage, "mount ", &path, &error);
            assert!(error.causes.is_empty(), "{error:?}");
            (error.message, error.hints.join("; "))
        };
        let at = |path: &str| root.join(path).display().to_string();
        let missing = |path: &str| format!("mount {} does not exist", at(path));
        for (path, hint) in [
            ("./dtaa", format!("did you mean {}?", at("data"))),
            ("dat/deep", format!("did you mean {}?", at("data/deep"))),
            ("dat/else", format!("did you mean {}?", at("data"))),
            (
                "data/x/yyyy",
                format!("of this path, {} exists", at("data")),
            ),
            ("quite-else", String::new()),
        ] {
            let clean = path.trim_start_matches("./");
            assert_eq!(told(path), (missing(clean), hint), "{path}");
        }
        let (message, _) = told("broken");
        assert_eq!(
            message,
            format!("mount {} is a link that leads nowhere", at("broken"))
        );
    }

    #[test]
    fn what_is_in_the_way_is_the_cause() {
        let (_guard, root) = directory();
        std::fs::write(root.join("file"), "").unwrap();
        let path = root.join("file/x");
        let error = path.metadata().unwrap_err();
        let told = unreadable(ExitCode::Usage, "", &path, &error);
        assert_eq!(told.message, format!("{} cannot be read", path.display()));
        assert_eq!(told.causes.len(), 1);
    }
}

//! How a path of this machine is told: clean, with what there is in its place.

use std::path::{Component, Path, PathBuf};

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
}

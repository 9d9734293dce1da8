//! The error of a path of this machine that cannot be used.

use std::io::ErrorKind;
use std::path::Path;

use amika_host::path::{clean, hint};

use crate::error::{Error, Kind};
use amika_core::text::shell_path;

/// The error of a path that could not be read. `what` stands before it in the message, with what
/// parts it from the path: `setup script `.
pub fn unreadable(kind: Kind, what: &str, path: &Path, error: &std::io::Error) -> Error {
    let shown = clean(path);
    if error.kind() != ErrorKind::NotFound {
        let message = format!("{what}{} cannot be read", shown.display());
        return Error::new(kind, message).caused_by(error);
    }
    // The end of a path may be a link, which is there although what it leads to is not.
    let why = if shown.is_symlink() {
        "is a link that leads nowhere"
    } else {
        "does not exist"
    };
    let refusal = Error::new(kind, format!("{what}{} {why}", shown.display()));
    match (hint(&shown), shown.parent()) {
        (Some(hint), _) => refusal.hint(hint),
        (None, Some(parent)) => {
            let parent = shell_path(&parent.display().to_string());
            refusal.hint(format!("`ls -A {parent}` shows what is there"))
        }
        (None, None) => refusal,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

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
    fn what_is_missing_is_told_once_with_what_is_near() {
        let (_guard, root) = directory();
        let told = |path: &str| {
            let path = root.join(path);
            let error = path.metadata().unwrap_err();
            let error = unreadable(Kind::Invalid, "mount ", &path, &error);
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
            (
                "quite-else",
                format!("`ls -A {}` shows what is there", root.display()),
            ),
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
        let told = unreadable(Kind::Invalid, "", &path, &error);
        assert_eq!(told.message, format!("{} cannot be read", path.display()));
        assert_eq!(told.causes.len(), 1);
    }
}

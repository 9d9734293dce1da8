//! Where temporary files go: the directory that the environment names, or a usual one where that cannot be used.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// Those that every machine has, as the Filesystem Hierarchy Standard has them.
const USUAL: [&str; 2] = ["/tmp", "/var/tmp"];

/// A directory in which nothing can be made.
#[derive(Debug)]
pub struct Unusable {
    /// Which one.
    pub path: PathBuf,
    /// The system's reason.
    pub why: io::Error,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, why } = self;
        write!(f, "{}: {why}", path.display())
    }
}

/// Makes something in the directory that is named, or else in the first usual one in which it can be made;
/// says too why not in the one that is named.
///
/// # Errors
/// All that were tried. One that is only full is the last: what is to be kept is large, and the user chose it.
pub fn make<T>(
    named: &Path,
    mut attempt: impl FnMut(&Path) -> io::Result<T>,
) -> Result<(T, Option<Unusable>), Vec<Unusable>> {
    let mut tried = Vec::new();
    let others = USUAL.map(Path::new).into_iter();
    for path in std::iter::once(named).chain(others.filter(|other| *other != named)) {
        let made = if path.is_absolute() {
            attempt(path)
        } else {
            // It would be another one for each program, and maybe a repository's.
            Err(io::Error::other("it is not an absolute path"))
        };
        match made {
            Ok(made) => return Ok((made, tried.into_iter().next())),
            Err(why) => {
                let is_full = matches!(
                    why.kind(),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded
                );
                let path = path.to_owned();
                tried.push(Unusable { path, why });
                if is_full {
                    break;
                }
            }
        }
    }
    Err(tried)
}

/// The directory that is named, or the first usual one in which this user may make files; the one that is
/// named where there is none. Says too why it is not the one that is named.
pub fn directory(named: &Path) -> (PathBuf, Option<Unusable>) {
    let look = |path: &Path| {
        let is_directory = path.metadata()?.is_dir();
        rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK)?;
        if is_directory {
            Ok(path.to_owned())
        } else {
            Err(ErrorKind::NotADirectory.into())
        }
    };
    make(named, look).unwrap_or_else(|_| (named.to_owned(), None))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_can_be_made_another_is_taken() {
        let own = tempfile::tempdir().unwrap();
        let file = own.path().join("file");
        std::fs::write(&file, "").unwrap();
        let make_in = |named: &Path| make(named, |path| tempfile::tempdir_in(path)).unwrap();
        let (made, unusable) = make_in(own.path());
        assert!(made.path().starts_with(own.path()) && unusable.is_none());
        assert_eq!(directory(own.path()).0, own.path());
        for named in [
            Path::new("/nonexistent/x"),
            &file,
            Path::new("relative"),
            Path::new("/proc"),
        ] {
            let (made, unusable) = make_in(named);
            assert!(made.path().starts_with("/tmp"), "{}", named.display());
            assert_eq!(unusable.unwrap().path, named);
        }
        for named in [Path::new("/nonexistent/x"), &file, Path::new("")] {
            let (directory, unusable) = directory(named);
            assert_eq!(directory, Path::new("/tmp"));
            assert_eq!(unusable.unwrap().path, named);
        }
    }

    #[test]
    fn all_that_were_tried_are_told_and_a_full_one_is_the_last() {
        let tried = |kind: ErrorKind| {
            let made = make(Path::new("/named"), |_| Err::<(), _>(kind.into()));
            let tried = made.unwrap_err();
            tried.into_iter().map(|one| one.path).collect::<Vec<_>>()
        };
        assert_eq!(
            tried(ErrorKind::PermissionDenied),
            ["/named", "/tmp", "/var/tmp"].map(PathBuf::from)
        );
        assert_eq!(tried(ErrorKind::StorageFull), [PathBuf::from("/named")]);
        let twice = make(Path::new("/tmp"), |_| {
            Err::<(), _>(ErrorKind::NotFound.into())
        });
        assert_eq!(twice.unwrap_err().len(), 2);
    }
}

//! One directory of the copy by itself, as a build of an image is given it.

use std::io;

use super::emit;
use super::error::GitError;
use super::plan::Plan;
use super::writer::{Owner, TarWriter};

/// The files below a directory, in memory.
pub(super) fn archive(
    plan: &Plan,
    directory: &str,
    keep: &dyn Fn(&[u8]) -> bool,
    limit: u64,
) -> Result<Vec<u8>, GitError> {
    let below = match directory {
        "" => Vec::new(),
        directory => format!("{directory}/").into_bytes(),
    };
    let mut bounded = Bounded {
        bytes: Vec::new(),
        limit,
        directory,
    };
    let mut tar = TarWriter::new(Owner { uid: 0, gid: 0 }, "", &mut bounded)
        .of_directory(directory.as_bytes());
    let keep = |path: &[u8]| path.strip_prefix(below.as_slice()).is_some_and(keep);
    let written = emit::files(plan, &keep, &mut tar).and_then(|()| tar.finish());
    match written {
        Ok(()) => Ok(bounded.bytes),
        Err(error) => Err(match error.downcast::<GitError>() {
            Ok(ours) => ours,
            Err(error) => GitError::io("read", plan.location.root())(error),
        }),
    }
}

/// Bytes in memory, so many at most.
struct Bounded<'a> {
    bytes: Vec<u8>,
    limit: u64,
    directory: &'a str,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + data.len()) as u64 > self.limit {
            return Err(GitError::TooLarge {
                path: self.directory.to_owned(),
                limit: self.limit,
            }
            .into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

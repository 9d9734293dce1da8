//! Filling a volume that was made now with an archive, before the sandbox starts.
//!
//! A small archive is put through the engine's API into the sandbox's own container, which never ran.
//! The engine unpacks it at a few hundred bytes per microsecond and 60 µs a file; a large one therefore goes
//! through a pipe to amikad in a container that has nothing but the volume, where engine and `amika`
//! share a kernel.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::filler::{Filler, Piped};
use super::plan::Plan;
use crate::deliver::{Fault, put};
use amika_core::tar_time;

use crate::sandboxes::Sandboxes;
use amika_engine::{Base, Existing, MountSpec};

/// From so many files on, a container that unpacks them is started sooner than the engine would be done.
const MANY_FILES: usize = 4000;
/// From so many bytes on, likewise.
const MANY_BYTES: u64 = 512 * 1024 * 1024;

/// What is known beforehand of an archive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expected {
    /// Files in it, at least.
    pub files: usize,
    /// Bytes of it, at least.
    pub bytes: u64,
    /// It has a time before 1970, or one that an engine cannot give to a file: it makes 1970 of it.
    pub has_odd_time: bool,
}

impl Expected {
    /// What is in a directory of the host, counted until it is known to be large. What cannot be read
    /// is told of when it is packed.
    pub(super) fn of_directory(directory: &Path) -> Self {
        let mut found = Self::default();
        let mut waiting = vec![directory.to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if let Ok(meta) = entry.metadata() {
                    found.has_odd_time |= tar_time::is_odd(meta.mtime());
                    found.bytes += if is_directory { 0 } else { meta.len() };
                }
                if is_directory {
                    waiting.push(entry.path());
                }
                found.files += 1;
                if found.is_large() {
                    return found;
                }
            }
        }
        found
    }

    fn is_large(self) -> bool {
        self.has_odd_time || self.files >= MANY_FILES || self.bytes >= MANY_BYTES
    }
}

/// What came of filling a volume.
pub(super) struct Filled<T> {
    /// What the writer of the archive returned.
    pub value: T,
    /// Whether the files have times that no engine gives them: amikad unpacked it.
    pub keeps_odd_times: bool,
    /// Where the names in the archive begin in the sandbox; none where other mounts are beneath, which stay as they are.
    pub at: Option<String>,
}

/// The warning that so many files did not get their times.
pub(super) fn untimely(count: usize) -> String {
    format!("{count} of before 1970 or after 2262 did not get their time, and have one of 1970")
}

/// Fills the volume at `target` with the archive that `write` writes, each name of which it begins with
/// the prefix that it is told.
///
/// # Errors
/// [`Fault`]; half of it may be in the volume then.
pub(super) async fn fill<T: Send + 'static>(
    engine: &Sandboxes,
    plan: &Plan,
    container: &str,
    target: &str,
    expected: Expected,
    write: impl FnOnce(&str, &mut dyn Write) -> io::Result<T> + Send + 'static,
) -> Result<Filled<T>, Fault> {
    let by = |keeps_odd_times, at: Option<&str>| {
        let at = at.map(str::to_owned);
        move |value| Filled {
            value,
            keeps_odd_times,
            at,
        }
    };
    let volume = plan
        .container
        .mounts
        .iter()
        .find(|mount| mount.target() == target);
    if let Some(volume) = volume
        && expected.is_large()
        && engine.is_local()
        && let Some(piped) = Piped::open(engine, plan, volume).await?
    {
        let written = piped.write(engine, move |to| write("", to)).await;
        return written.map(by(true, None));
    }
    let Base { at, prefix } = engine.base(target).await?;
    let write = move |to: &mut dyn Write| write(&prefix, to);
    // What belongs beneath a mount beneath would be written through that, into the host's files.
    if let Some(volume) = volume
        && has_mount_beneath(&plan.container.mounts, target)
    {
        let filler = Filler::make(engine, plan, volume, None).await?;
        let result = put(engine, filler.id(), &at, Existing::Replaced, write).await;
        filler.remove(engine).await?;
        return result.map(by(false, None));
    }
    let put = put(engine, container, &at, Existing::Replaced, write).await;
    put.map(by(false, Some(&at)))
}

fn has_mount_beneath(mounts: &[MountSpec], target: &str) -> bool {
    mounts
        .iter()
        .any(|mount| mount.target() != target && Path::new(mount.target()).starts_with(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(target: &str) -> MountSpec {
        MountSpec::Bind {
            source: "/s".into(),
            target: target.into(),
            read_only: false,
        }
    }

    #[test]
    fn what_is_mounted_beneath_a_volume_is_seen() {
        let mounts = [bind("/x"), bind("/x/y"), bind("/xy"), bind("/z")];
        assert!(has_mount_beneath(&mounts, "/x"));
        assert!(!has_mount_beneath(&mounts, "/z"));
        assert!(!has_mount_beneath(&mounts, "/xy"));
    }

    #[test]
    fn many_files_or_bytes_make_an_archive_large() {
        let large = |files, bytes| {
            Expected {
                files,
                bytes,
                has_odd_time: false,
            }
            .is_large()
        };
        assert!(!large(MANY_FILES - 1, MANY_BYTES - 1));
        assert!(large(MANY_FILES, 0));
        assert!(large(1, MANY_BYTES));
        let old = Expected {
            has_odd_time: true,
            ..Expected::default()
        };
        assert!(old.is_large());
    }
}

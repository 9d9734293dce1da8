//! Whose the directory of a new volume is, on an engine that decides it at the first start.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bytes::Bytes;

use super::copy::What;
use super::plan::Plan;
use crate::error::{Error, Kind, Result};
use crate::sandboxes::Sandboxes;
use amika_engine::Existing;
use amika_host::archive::{Modes, TarOut};

/// Without another: as the engine makes directories.
const MODE: u32 = 0o755;

/// Prepares a container that was never started: Podman gives a new volume's directory the owner and the mode that the
/// container's own directory has at that place, whatever an archive has given it before. Docker does so only where
/// the image has one.
///
/// # Errors
/// Those of the engine.
pub(super) async fn prepare(
    engine: &Sandboxes,
    plan: &Plan,
    container: &str,
    agent: (u32, u32),
) -> Result<()> {
    let directories = directories(plan);
    if directories.is_empty() || !engine.is_podman().await? {
        return Ok(());
    }
    let archive = archive(&directories, agent).map_err(|error| {
        Error::new(Kind::Failure, "a directory cannot be packed").caused_by(&error)
    })?;
    // Put at the root, it lands beneath the volumes. A file of the image makes way for no directory.
    let archive = futures_util::stream::once(async { Ok(Bytes::from(archive)) });
    Ok(engine
        .put_archive_stream(container, "/", Existing::KeptInKind, archive)
        .await?)
}

/// The places of volumes that are the agent's, with their modes.
fn directories(plan: &Plan) -> Vec<(&str, u32)> {
    let clone = plan
        .clone_target
        .iter()
        .map(|target| (target.as_str(), MODE));
    let copies = plan.copies.iter().filter_map(|copy| {
        let mode = match &copy.what {
            What::Directory(source) => source.metadata().map_or(MODE, |meta| meta.mode() & 0o7777),
            What::EmptyVolume | What::RepositoryDirectory(_) => MODE,
            What::File(_) | What::RepositoryFile { .. } => return None,
        };
        Some((copy.target.as_str(), mode))
    });
    clone.chain(copies).collect()
}

fn archive(directories: &[(&str, u32)], owner: (u32, u32)) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    let mut tar = TarOut::new(&mut archive, owner, Modes::Kept, "");
    for (target, mode) in directories {
        tar.directory(Path::new(target.trim_matches('/')), *mode, 0)?;
    }
    tar.finish()?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_an_entry_from_the_root_with_owner_and_mode() {
        let packed = archive(&[("/data/", 0o711), ("/a/b", 0o755)], (7, 8)).unwrap();
        let mut archive = tar::Archive::new(packed.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert!(header.entry_type().is_dir());
            let owner = (header.uid().unwrap(), header.gid().unwrap());
            assert_eq!(owner, (7, 8));
            let path = entry.path().unwrap().display().to_string();
            (path, header.mode().unwrap() & 0o7777)
        });
        let entries: Vec<_> = entries.collect();
        let expected = [("data", 0o711), ("a/b", 0o755)].map(|(path, mode)| (path.into(), mode));
        assert_eq!(entries, expected);
    }
}

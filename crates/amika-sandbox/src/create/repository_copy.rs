//! Copies of what is in the repository, put beside its clone before the sandbox starts.

use std::io::{self, Read as _, Write};
use std::path::Path;

use amika_git as git;
use amika_host::archive::{Modes, Report, TarOut};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::fill::Expected;
use crate::error::{Error, Kind, Result};
use crate::unsaved::Manifest;

/// The most that is copied for one entry, in bytes: it is held in memory.
const LIMIT: u64 = 128 << 20;

/// What of a repository is copied, held in memory.
pub(super) enum Content {
    /// A directory: an archive of the names in it.
    Directory(Vec<u8>),
    /// A file.
    File {
        /// What it says.
        content: Vec<u8>,
        /// Its mode.
        mode: u32,
    },
}

/// Reads a directory that is to be copied; empty for the root.
///
/// # Errors
/// [`Kind::Invalid`] for more than is copied; those of reading the repository.
pub(super) async fn directory(
    repository: &git::Repository,
    path: &str,
    flag: &str,
) -> Result<Content> {
    let archive = repository.directory_tar(path, |_| true, LIMIT).await;
    Ok(Content::Directory(
        archive.map_err(|error| told(error, flag))?,
    ))
}

/// Reads a file that is to be copied.
///
/// # Errors
/// As [`directory`].
pub(super) async fn file(
    repository: &git::Repository,
    path: &str,
    executable: bool,
    flag: &str,
) -> Result<Content> {
    let content = repository.file(path, LIMIT).await;
    Ok(Content::File {
        content: content
            .map_err(|error| told(error, flag))?
            .unwrap_or_default(),
        mode: if executable { 0o755 } else { 0o644 },
    })
}

fn told(error: git::GitError, flag: &str) -> Error {
    match error {
        git::GitError::TooLarge { .. } => Error::new(
            Kind::Invalid,
            format!(
                "{flag}: it has more than {} MiB: so much is not copied",
                LIMIT >> 20
            ),
        )
        .hint("mount less of it, or copy it in the setup script"),
        error => error.into(),
    }
}

impl Content {
    /// What is known of it beforehand.
    pub(super) fn expected(&self) -> Expected {
        let bytes = match self {
            Self::Directory(bytes) | Self::File { content: bytes, .. } => bytes.len() as u64,
        };
        Expected {
            // An archive has a block for each name at least.
            files: usize::try_from(bytes / 1024).unwrap_or(usize::MAX),
            bytes,
            has_odd_time: false,
        }
    }

    /// Packs it, to be unpacked as `name`; without one, as the place where it is put. All of it is as young as the copy.
    ///
    /// # Errors
    /// Those of the archive.
    pub(super) fn pack(
        &self,
        name: &str,
        agent: (u32, u32),
        to: &mut dyn Write,
    ) -> io::Result<(Report, Manifest)> {
        let now = amika_host::clock::now_millis() / 1000;
        let mtime = i64::try_from(now).unwrap_or_default();
        let mut manifest = Manifest::begin(now);
        let mut tar = TarOut::new(to, agent, Modes::Kept, "");
        let mut report = Report::default();
        match self {
            Self::File { content, mode } => {
                let size = content.len() as u64;
                tar.file(Path::new(name), *mode, mtime, size, content.as_slice())?;
                let digest = Sha256::digest(content);
                manifest.add_file(Path::new(""), size, mtime, Some(&digest));
                report.file(size);
            }
            Self::Directory(archive) => {
                if name.is_empty() {
                    tar.root(0o755, mtime)?;
                } else {
                    tar.directory(Path::new(name), 0o755, mtime)?;
                }
                let mut entries = tar::Archive::new(archive.as_slice());
                for entry in entries.entries()? {
                    let mut entry = entry?;
                    let path = entry.path()?.into_owned();
                    let place = Path::new(name).join(&path);
                    let mode = entry.header().mode()?;
                    match entry.header().entry_type() {
                        EntryType::Directory => tar.directory(&place, mode, mtime)?,
                        EntryType::Symlink => {
                            let target = entry.link_name_bytes().unwrap_or_default();
                            let target = target.into_owned();
                            manifest.add_link(&path, &target);
                            tar.symlink(&place, path_of(&target), mtime)?;
                        }
                        _ => {
                            let mut content = Vec::new();
                            entry.read_to_end(&mut content)?;
                            let size = content.len() as u64;
                            let digest = Sha256::digest(&content);
                            manifest.add_file(&path, size, mtime, Some(&digest));
                            tar.file(&place, mode, mtime, size, content.as_slice())?;
                            report.file(size);
                        }
                    }
                }
            }
        }
        report.odd_times = tar.finish()?;
        Ok((report, manifest))
    }
}

fn path_of(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

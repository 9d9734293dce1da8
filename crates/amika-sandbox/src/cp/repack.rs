//! An archive made into another one on its way into a sandbox: names of the copy, one owner, and
//! nothing that is neither file nor directory nor link.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tar::{Archive, EntryType};

use amika_core::archive_name::Names;
use amika_host::archive::{Modes, Report, TarOut, at, modified};

/// Reads an archive to its end and writes the other one, its names in the directory `prefix`.
///
/// # Errors
/// When it is no archive, or has a name that leads out of it.
pub(super) fn repack(
    from: impl Read,
    mut names: Names,
    owner: (u32, u32),
    prefix: &str,
    to: impl Write,
) -> io::Result<Report> {
    let mut tar = TarOut::new(to, owner, Modes::WithoutBorrowedRights, prefix);
    let mut report = Report::default();
    let mut archive = Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let place = names.place(&entry.path_bytes()).map_err(io::Error::other)?;
        let path: PathBuf = place.iter().collect();
        if place.is_empty() {
            continue;
        }
        let mtime = modified(&mut entry).unwrap_or_default();
        let mode = entry.header().mode()?;
        match kind {
            EntryType::Directory => tar.directory(&path, mode, mtime)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                tar.file(&path, mode, mtime, size, &mut entry)
                    .map_err(at(&path))?;
                report.file(size);
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = Path::new(std::ffi::OsStr::from_bytes(&target));
                tar.symlink(&path, target, mtime).map_err(at(&path))?;
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                match names.place(&target) {
                    Ok(target) => {
                        let target: PathBuf = target.iter().collect();
                        tar.hard_link(&path, &target, mode, mtime)
                            .map_err(at(&path))?;
                    }
                    Err(_) => report.skip(&path, "a hard link to a file outside the copy"),
                }
            }
            EntryType::Fifo => report.skip(&path, "a named pipe"),
            EntryType::Char | EntryType::Block => report.skip(&path, "a device"),
            _ => report.skip(&path, "of an unknown kind"),
        }
    }
    report.odd_times = tar.finish()?;
    Ok(report)
}

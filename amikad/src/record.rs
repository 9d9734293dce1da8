//! What a boot leaves behind for whoever looks at the stopped container.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use amika_core::contract::path;
use amika_core::wire::BootRecord;
use nix::libc;

/// Replaces the boot record in one step: a reader finds the old one or the new one.
///
/// Not synced to the disk: it must outlive the container, not a power cut, and a slow disk must not
/// hold up the loop that reaps.
pub(crate) fn write(record: &BootRecord) -> io::Result<()> {
    let file = Path::new(path::BOOT_RECORD);
    let bytes = serde_json::to_vec(record)?;
    write_atomically(file, &bytes).or_else(|_| {
        // A full disk: what the record says of an earlier moment is false by now, and its room may
        // be all there is. No record is better than one that misleads.
        fs::remove_file(file)?;
        write_atomically(file, &bytes)
    })
}

/// Writes `bytes` beside `file` and renames them into place.
pub(crate) fn write_atomically(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    let write = || {
        // Whatever stands there, of a boot that was broken off or a FIFO that would hold us up, is not opened.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        // O_EXCL follows no link.
        options.write(true).create_new(true);
        options.open(&new)?.write_all(bytes)
    };
    let written = write().and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        // Nothing half-written stays; that this may fail too changes nothing.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Tells Kubernetes and the like why the container ends, where they left a file for it.
pub(crate) fn write_termination_log(message: &str) {
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .truncate(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    if let Ok(mut file) = options.open("/dev/termination-log") {
        // A message of last resort has no other place to go.
        let _ = file.write_all(message.as_bytes());
    }
}

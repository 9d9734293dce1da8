//! Files of the user's that nobody else may read, replaced as a whole or not at all.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes what is to take the place of a file, beside it and with mode 0600; a missing directory is made.
///
/// `NamedTempFile::persist` puts it there. It is on the disk by then, and goes when it is dropped before.
///
/// # Errors
/// Those of the system.
pub fn staged(target: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let directory = target.parent().unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let mut file = tempfile::Builder::new()
        .prefix(".amika-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

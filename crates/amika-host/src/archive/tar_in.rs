//! What an entry of an archive says, wherever it says so.

use std::io::{self, Read};

use amika_core::tar_time;
use tar::Entry;

/// When it was last written, in seconds since 1970: a record before it goes before the header's field.
///
/// # Errors
/// When neither is a time.
pub fn modified<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<i64> {
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions.flatten() {
            if extension.key_bytes() == b"mtime"
                && let Ok(text) = extension.value()
                && let Some(seconds) = tar_time::parse_record(text)
            {
                return Ok(seconds);
            }
        }
    }
    tar_time::parse_field(&entry.header().as_old().mtime)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its time is no number"))
}

//! The content of a file that somebody may be writing to.

use std::fs::File;
use std::io::{self, Cursor, Read};

/// A file up to this size is read before it is announced, so that it is as long as it was found.
const AT_ONCE: u64 = 1024 * 1024;

/// Why something is not in a copy.
pub const GONE: &str = "gone while it was copied";
/// Why a copy ends with zero bytes.
pub const CUT: &str = "cut while it was copied: the rest of it is zero bytes";

/// As many bytes as it says, whatever happens to the file.
pub struct Content {
    from: From,
    size: u64,
    left: u64,
    was_cut: bool,
}

enum From {
    Memory(Cursor<Vec<u8>>),
    File(File),
}

/// Opens the content of a file, of which the system says that it has so many bytes. What is appended
/// meanwhile does not come along.
///
/// # Errors
/// Those of reading.
pub fn open(file: File, announced: u64) -> io::Result<Content> {
    let (from, size) = if announced <= AT_ONCE {
        let mut content = Vec::new();
        Read::take(&file, announced).read_to_end(&mut content)?;
        let size = content.len() as u64;
        (From::Memory(Cursor::new(content)), size)
    } else {
        (From::File(file), announced)
    };
    Ok(Content {
        from,
        size,
        left: size,
        was_cut: false,
    })
}

impl Content {
    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file turned out to be shorter, so that zero bytes stand in place of what was announced.
    pub fn was_cut(&self) -> bool {
        self.was_cut
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX);
        let limit = buffer.len().min(limit);
        let buffer = &mut buffer[..limit];
        let mut read = match &mut self.from {
            _ if self.was_cut => 0,
            From::Memory(memory) => memory.read(buffer)?,
            From::File(file) => file.read(buffer)?,
        };
        if read == 0 && limit > 0 {
            self.was_cut = true;
            buffer.fill(0);
            read = limit;
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_grows_has_the_size_that_it_had_and_what_shrinks_what_is_left() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"12345").unwrap();
        let again = || {
            let mut file = file.try_clone().unwrap();
            io::Seek::rewind(&mut file).unwrap();
            file
        };
        let read = |mut content: Content| {
            let mut all = Vec::new();
            content.read_to_end(&mut all).unwrap();
            assert_eq!(all.len() as u64, content.size());
            (all, content.was_cut())
        };
        assert_eq!(read(open(again(), 3).unwrap()), (b"123".to_vec(), false));
        assert_eq!(read(open(again(), 9).unwrap()), (b"12345".to_vec(), false));
        let announced = AT_ONCE + 1;
        let (all, was_cut) = read(open(again(), announced).unwrap());
        assert!(was_cut && all.starts_with(b"12345\0\0"));
    }
}

//! Files with holes: blocks of nothing but zeros are not written, as the file that was copied may not have
//! had them either.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};

/// What file systems have or leave out at once.
const BLOCK: usize = 4096;
const HOLE: i64 = 4096;
/// Bytes that are read at once.
const BUFFER: usize = 16 * BLOCK;

/// Copies a stream into a new file to its end; returns its bytes, those of holes too.
///
/// # Errors
/// Those of both.
pub(super) fn copy(mut from: impl Read, to: &mut File) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    let mut ends_in_hole = false;
    loop {
        let filled = fill(&mut from, &mut buffer)?;
        for block in buffer[..filled].chunks(BLOCK) {
            ends_in_hole = block.len() == BLOCK && block.iter().all(|byte| *byte == 0);
            if ends_in_hole {
                to.seek_relative(HOLE)?;
            } else {
                to.write_all(block)?;
            }
        }
        size += filled as u64;
        if filled < BUFFER {
            break;
        }
    }
    if ends_in_hole {
        to.set_len(size)?;
    }
    Ok(size)
}

/// Fills a buffer, unless the stream ends before.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn zeros_take_no_room_and_every_byte_is_there() {
        let mut ends_in_zeros = vec![0; 40 * BLOCK];
        ends_in_zeros[20 * BLOCK] = 1;
        let mut odd = vec![0; 33 * BLOCK + 7];
        odd[100] = 2;
        for (content, blocks) in [
            (vec![], 0),
            (vec![0; 3], 1),
            (vec![0; 64 * BLOCK], 0),
            (ends_in_zeros, 1),
            (odd, 2),
            (vec![7; 17 * BLOCK], 17),
        ] {
            let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).expect("a file");
            let size = copy(content.as_slice(), &mut file).expect("copied");
            assert_eq!(size, content.len() as u64);
            let mut read = Vec::new();
            file.rewind().expect("rewound");
            file.read_to_end(&mut read).expect("read");
            assert!(read == content, "{size} bytes");
            let room = file.metadata().expect("there").blocks() * 512;
            assert!(room <= blocks * BLOCK as u64, "{size} bytes take {room}");
        }
    }
}

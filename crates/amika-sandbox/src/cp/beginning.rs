//! What the first block of a stream tells: whether it is a tar archive, or what it is in its place.

use std::io::{self, Read};

use crate::error::{Error, Kind};

/// Bytes of a header, and of all that an archive consists of.
const BLOCK: usize = 512;
/// Where a header has its checksum, which counts as spaces in it.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Compressions, with what each begins with and the program that undoes it.
const COMPRESSIONS: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\xfd7zXZ\0", "xz", "xz -d"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// What a stream is that is no archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoArchive {
    /// It has not a byte.
    #[error("standard input is empty, and no tar archive")]
    Empty,
    /// An archive, perhaps, but compressed.
    #[error("standard input is compressed with {name}, and no tar archive as it is")]
    Compressed {
        /// The compression.
        name: &'static str,
        /// The program that undoes it, reading and writing streams.
        program: &'static str,
    },
    /// Something else.
    #[error("standard input is no tar archive")]
    Other,
}

impl From<NoArchive> for Error {
    fn from(what: NoArchive) -> Self {
        let error = Self::new(Kind::Failure, what.to_string());
        match what {
            NoArchive::Compressed { program, .. } => {
                error.hint(format!("put `{program} |` before `amika`"))
            }
            NoArchive::Empty | NoArchive::Other => error.hint(
                "`tar -c FILES | amika sandbox cp - NAME:PATH` sends files; a path in place of `-` needs no tar",
            ),
        }
    }
}

/// Reads the first block, and gives the whole stream back.
///
/// # Errors
/// Those of the stream; [`NoArchive`] in one of [`io::ErrorKind::InvalidData`].
pub(super) fn archive(mut from: impl Read) -> io::Result<impl Read> {
    let mut first = Vec::with_capacity(BLOCK);
    from.by_ref().take(BLOCK as u64).read_to_end(&mut first)?;
    match tell(&first) {
        None => Ok(io::Cursor::new(first).chain(from)),
        Some(what) => Err(io::Error::new(io::ErrorKind::InvalidData, what)),
    }
}

/// What a stream is that begins so, unless it is an archive.
fn tell(first: &[u8]) -> Option<NoArchive> {
    if first.is_empty() {
        return Some(NoArchive::Empty);
    }
    let compressed = COMPRESSIONS
        .into_iter()
        .find(|(magic, ..)| first.starts_with(magic));
    if let Some((_, name, program)) = compressed {
        return Some(NoArchive::Compressed { name, program });
    }
    (first.len() < BLOCK || !is_block(first)).then_some(NoArchive::Other)
}

/// Whether a block is a header with a right checksum, or the end of an archive of nothing.
fn is_block(block: &[u8]) -> bool {
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| u32::from(if CHECKSUM.contains(&at) { b' ' } else { *byte }))
        .sum();
    let field = String::from_utf8_lossy(&block[CHECKSUM]);
    let digits = field.trim_matches([' ', '\0']);
    u32::from_str_radix(digits, 8) == Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_passed_on_whole_and_the_rest_is_named() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        builder
            .append_data(&mut header, "a", &b"hi"[..])
            .expect("appended");
        let whole = builder.into_inner().expect("an archive");
        let mut read = Vec::new();
        archive(whole.as_slice())
            .and_then(|mut stream| stream.read_to_end(&mut read))
            .expect("an archive");
        assert_eq!(read, whole);
        // `tar -c -T /dev/null`
        assert!(archive(&[0; 10_240][..]).is_ok());

        let mut broken = whole.clone();
        broken[0] = b'b';
        for (bytes, expected) in [
            (&b""[..], NoArchive::Empty),
            (
                b"\x1f\x8b\x08",
                NoArchive::Compressed {
                    name: "gzip",
                    program: "gunzip",
                },
            ),
            (
                b"BZh91AY",
                NoArchive::Compressed {
                    name: "bzip2",
                    program: "bunzip2",
                },
            ),
            (b"hello", NoArchive::Other),
            (&whole[..511], NoArchive::Other),
            (&broken, NoArchive::Other),
            (&[0xe9; 2000], NoArchive::Other),
        ] {
            let error = archive(bytes).map(drop).expect_err("no archive");
            let what = error.get_ref().and_then(|inner| inner.downcast_ref());
            assert_eq!(what, Some(&expected), "{}", bytes.escape_ascii());
        }
    }
}

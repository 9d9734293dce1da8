//! Loose objects, of which there can be thousands, each a file: git gets those of few bytes as one pack that
//! is made here, and they are kept as they were for the copy. So each is read once, is what its name says,
//! and costs no file of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use amika_core::git_files::oid::{ObjectFormat, Oid};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use super::error::GitError;

/// Bytes of an object that goes into a pack.
const MAX_OBJECT: usize = 4 << 20;
/// Bytes of a pack after which another one is begun.
const MAX_PACK: usize = 64 << 20;
/// The most bytes of one block of a stream that is not compressed.
const BLOCK: usize = 0xffff;

/// Where an object's file is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    offset: u64,
    /// Bytes.
    pub(super) length: u64,
}

/// The files of loose objects, one behind the other.
#[derive(Debug)]
pub(super) struct Shelf {
    file: File,
}

impl Shelf {
    /// What was kept.
    pub(super) fn read(&self, kept: Kept) -> io::Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(kept.length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut content, kept.offset)?;
        Ok(content)
    }
}

/// What makes packs of loose objects.
pub(super) struct Packer {
    format: ObjectFormat,
    /// Where packs belong.
    to: PathBuf,
    shelf: io::BufWriter<File>,
    kept: u64,
    pack: Vec<u8>,
    entries: BTreeMap<Oid, (u32, u32)>,
}

/// What came of an object.
pub(super) enum Taken {
    /// It is in a pack.
    Packed(Kept),
    /// It is too large for that.
    Large,
    /// It is damaged, or another than its name says.
    Damaged,
}

impl Packer {
    /// One that puts packs into `to`.
    pub(super) fn new(to: &Path, format: ObjectFormat) -> Result<Self, GitError> {
        let place = to.with_extension("loose");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&place)
            .map_err(GitError::io("write", &place))?;
        // It needs no name: whoever has it open reads it.
        let _ = std::fs::remove_file(&place);
        Ok(Self {
            format,
            to: to.to_owned(),
            shelf: io::BufWriter::with_capacity(256 * 1024, file),
            kept: 0,
            pack: Vec::new(),
            entries: BTreeMap::new(),
        })
    }

    /// Takes an object by its file.
    pub(super) fn take(&mut self, name: &str, content: &[u8]) -> Result<Taken, GitError> {
        let Ok(whole) = decompress_to_vec_zlib_with_limit(content, MAX_OBJECT) else {
            // A file that is cut has no end either; git sees that by itself.
            return Ok(if content.len() < 16 {
                Taken::Damaged
            } else {
                Taken::Large
            });
        };
        let oid = self.format.hash(&whole);
        let Some((kind, body)) = parts(&whole).filter(|_| oid.to_string() == name) else {
            return Ok(Taken::Damaged);
        };
        if self.pack.len() + body.len() > MAX_PACK {
            self.flush()?;
        }
        if self.pack.is_empty() {
            self.pack.extend_from_slice(b"PACK\0\0\0\x02\0\0\0\0");
        }
        let begin = self.pack.len();
        head(kind, body.len(), &mut self.pack);
        stored(body, &mut self.pack);
        let offset = u32::try_from(begin).unwrap_or(u32::MAX);
        self.entries
            .insert(oid, (offset, crc32(&self.pack[begin..])));
        self.keep(content).map(Taken::Packed)
    }

    /// Keeps a file as it is.
    fn keep(&mut self, content: &[u8]) -> Result<Kept, GitError> {
        let kept = Kept {
            offset: self.kept,
            length: content.len() as u64,
        };
        self.shelf
            .write_all(content)
            .map_err(GitError::io("write", &self.to))?;
        self.kept += kept.length;
        Ok(kept)
    }

    /// Writes the pack and its index.
    fn flush(&mut self) -> Result<(), GitError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.pack[8..12].copy_from_slice(&count.to_be_bytes());
        let sum = self.format.hash(&self.pack);
        self.pack.extend_from_slice(sum.as_bytes());
        let mut index = b"\xfftOc\0\0\0\x02".to_vec();
        let mut counts = [0_u32; 256];
        for oid in self.entries.keys() {
            counts[usize::from(oid.as_bytes()[0])] += 1;
        }
        let mut so_far = 0;
        for count in counts {
            so_far += count;
            index.extend_from_slice(&so_far.to_be_bytes());
        }
        for oid in self.entries.keys() {
            index.extend_from_slice(oid.as_bytes());
        }
        for (_, crc) in self.entries.values() {
            index.extend_from_slice(&crc.to_be_bytes());
        }
        for (offset, _) in self.entries.values() {
            index.extend_from_slice(&offset.to_be_bytes());
        }
        index.extend_from_slice(sum.as_bytes());
        let index_sum = self.format.hash(&index);
        index.extend_from_slice(index_sum.as_bytes());
        for (kind, content) in [("pack", &self.pack), ("idx", &index)] {
            let place = self.to.join(format!("pack-{sum}.{kind}"));
            std::fs::write(&place, content).map_err(GitError::io("write", place))?;
        }
        self.pack.clear();
        self.entries.clear();
        Ok(())
    }

    /// Writes what is left; where all files are kept.
    pub(super) fn finish(mut self) -> Result<Shelf, GitError> {
        self.flush()?;
        let place = self.to.clone();
        let file = self.shelf.into_inner().map_err(io::Error::from);
        let file = file.map_err(GitError::io("write", place))?;
        Ok(Shelf { file })
    }
}

/// The number that packs have for an object's kind, and its content.
fn parts(whole: &[u8]) -> Option<(u8, &[u8])> {
    let end = whole.iter().take(32).position(|&byte| byte == 0)?;
    let body = &whole[end + 1..];
    let text = std::str::from_utf8(&whole[..end]).ok()?;
    let (kind, size) = text.split_once(' ')?;
    let kind = match kind {
        "commit" => 1,
        "tree" => 2,
        "blob" => 3,
        "tag" => 4,
        _ => return None,
    };
    (size.parse() == Ok(body.len())).then_some((kind, body))
}

/// The head of an entry of a pack: kind and size.
fn head(kind: u8, mut size: usize, to: &mut Vec<u8>) {
    let low = u8::try_from(size & 15).unwrap_or(0);
    let mut byte = (kind << 4) | low;
    size >>= 4;
    while size > 0 {
        to.push(byte | 0x80);
        byte = u8::try_from(size & 0x7f).unwrap_or(0);
        size >>= 7;
    }
    to.push(byte);
}

/// A zlib stream that does not compress.
fn stored(body: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(&[0x78, 0x01]);
    let mut blocks = body.chunks(BLOCK).peekable();
    if blocks.peek().is_none() {
        to.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        to.push(u8::from(blocks.peek().is_none()));
        to.extend_from_slice(&length.to_le_bytes());
        to.extend_from_slice(&(!length).to_le_bytes());
        to.extend_from_slice(block);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    // As many as cannot overflow before they are reduced.
    for part in body.chunks(5552) {
        for &byte in part {
            a += u32::from(byte);
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    to.extend_from_slice(&(b << 16 | a).to_be_bytes());
}

/// The checksum that a pack's index has of each entry.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let mut crc = !0_u32;
    for &byte in bytes {
        let [low, ..] = crc.to_le_bytes();
        crc = TABLE[usize::from(low ^ byte)] ^ (crc >> 8);
    }
    !crc
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    let mut first: u32 = 0;
    while at < 256 {
        let mut value = first;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0xedb8_8320
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[at] = value;
        at += 1;
        first += 1;
    }
    table
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn git_reads_what_is_packed_and_nothing_else_is() {
        for (name, format) in [
            ("sha1", ObjectFormat::Sha1),
            ("sha256", ObjectFormat::Sha256),
        ] {
            let root = tempfile::tempdir().unwrap();
            let git = |arguments: &[&str]| {
                let output = Command::new("git")
                    .current_dir(root.path())
                    .env("GIT_CONFIG_GLOBAL", "/dev/null")
                    .args(["-c", "user.name=Me", "-c", "user.email=me@example.com"])
                    .args(arguments)
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{arguments:?}: {output:?}");
                String::from_utf8(output.stdout).unwrap()
            };
            git(&["init", "-q", &format!("--object-format={name}")]);
            std::fs::write(root.path().join("empty"), "").unwrap();
            std::fs::write(root.path().join("small"), "x").unwrap();
            std::fs::write(root.path().join("large"), "a line\n".repeat(30_000)).unwrap();
            git(&["add", "-A"]);
            git(&["commit", "-q", "-m", "first"]);
            git(&["tag", "-a", "v1", "-m", "v1"]);
            let objects = root.path().join(".git/objects");
            let packs = objects.join("pack");
            let mut packer = Packer::new(&packs, format).unwrap();
            let all = git(&["cat-file", "--batch-all-objects", "--batch-check"]);
            let mut count = 0;
            for line in all.lines() {
                let oid = line.split(' ').next().unwrap();
                let place = objects.join(&oid[..2]).join(&oid[2..]);
                let content = std::fs::read(&place).unwrap();
                let other = "0".repeat(oid.len());
                assert!(matches!(
                    packer.take(&other, &content).unwrap(),
                    Taken::Damaged
                ));
                let taken = packer.take(oid, &content).unwrap();
                assert!(
                    matches!(taken, Taken::Packed(kept) if kept.length == content.len() as u64)
                );
                std::fs::remove_file(place).unwrap();
                count += 1;
            }
            assert!(matches!(packer.take("x", b"").unwrap(), Taken::Damaged));
            packer.finish().unwrap();
            assert_eq!(count, 6);
            git(&["fsck", "--full", "--strict"]);
            assert_eq!(
                git(&["cat-file", "--batch-all-objects", "--batch-check"]),
                all
            );
            // What it says of each entry is looked at when entries are used again.
            git(&["repack", "-q", "-a", "-d", "-f"]);
        }
    }
}

//! What a place in a sandbox was made of, as a digest of each entry: tells what in it is still as it was.
//!
//! `amika` makes one of each copy of host files, and amikad one of the home: of what the image and setup put there.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Version of the file.
const VERSION: u32 = 1;
/// Bytes of a digest: enough that no two of a copy are alike by chance.
const LENGTH: usize = 16;

type Digest = [u8; LENGTH];

/// Digests of the files and links of a copy. Directories are not among them: they hold no work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// When the copy was begun, in seconds since the Unix epoch: whatever is written inside is as young.
    made: u64,
    /// In order once it was read; in the order of packing before.
    digests: Vec<Digest>,
}

/// The first line of a manifest's file; the digests follow.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    target: String,
    made: u64,
}

impl Manifest {
    /// That of a copy that is begun now, in seconds since the Unix epoch.
    pub fn begin(now: u64) -> Self {
        Self {
            made: now,
            digests: Vec::new(),
        }
    }

    /// Sorts it, so that it can be asked.
    pub fn close(&mut self) {
        self.digests.sort_unstable();
        self.digests.dedup();
    }

    /// Whether the time and size of such a file do not tell whether it was written since, so that its
    /// content has to. An archive may have the second after the one in which it was written, where an engine rounds.
    pub fn needs_content(&self, modified: i64) -> bool {
        since_1970(modified).saturating_add(1) >= self.made
    }

    /// Notes a regular file: its path in the copy, bytes, time in seconds since the Unix epoch, and
    /// SHA-256 where [`Manifest::needs_content`] says so.
    pub fn add_file(&mut self, path: &Path, size: u64, modified: i64, content: Option<&[u8]>) {
        self.digests.push(of_file(path, size, modified, content));
    }

    /// Notes a symbolic link.
    pub fn add_link(&mut self, path: &Path, target: &[u8]) {
        self.digests.push(of_link(path, target));
    }

    /// Whether the copy had this file.
    pub fn has_file(&self, path: &Path, size: u64, modified: i64, content: Option<&[u8]>) -> bool {
        self.has(&of_file(path, size, modified, content))
    }

    /// Whether the copy had this link.
    pub fn has_link(&self, path: &Path, target: &[u8]) -> bool {
        self.has(&of_link(path, target))
    }

    fn has(&self, digest: &Digest) -> bool {
        self.digests.binary_search(digest).is_ok()
    }

    /// The file of the manifest of a copy at `target`.
    pub fn into_file(mut self, target: &str) -> Vec<u8> {
        self.close();
        let head = Head {
            version: VERSION,
            target: target.to_owned(),
            made: self.made,
        };
        // A struct of a string and numbers always serialises.
        let mut file = serde_json::to_vec(&head).unwrap_or_default();
        file.push(b'\n');
        file.extend(self.digests.as_flattened());
        file
    }

    /// Reads such a file, and the place that it is of; `None` when it is none.
    pub fn from_file(file: &[u8]) -> Option<(String, Self)> {
        let end = file.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&file[..end]).ok()?;
        let (digests, rest) = file[end + 1..].as_chunks();
        let is_good = head.version == VERSION && rest.is_empty() && digests.is_sorted();
        let (made, digests) = (head.made, digests.to_vec());
        is_good.then_some((head.target, Self { made, digests }))
    }
}

/// Engines make 1970 of a time before it.
fn since_1970(modified: i64) -> u64 {
    u64::try_from(modified).unwrap_or(0)
}

fn of_file(path: &Path, size: u64, modified: i64, content: Option<&[u8]>) -> Digest {
    let numbers = [size.to_le_bytes(), since_1970(modified).to_le_bytes()];
    cut(&[
        if content.is_some() { b"F" } else { b"f" },
        numbers.as_flattened(),
        content.unwrap_or_default(),
        path.as_os_str().as_bytes(),
    ])
}

fn of_link(path: &Path, target: &[u8]) -> Digest {
    let length = (target.len() as u64).to_le_bytes();
    cut(&[b"l", &length, target, path.as_os_str().as_bytes()])
}

/// A digest of parts of which all but the last have a known length.
fn cut(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(&hash.finalize()[..LENGTH]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> &Path {
        Path::new(text)
    }

    #[test]
    fn it_is_read_as_it_was_written_and_knows_what_it_has() {
        let mut manifest = Manifest {
            made: 100,
            digests: Vec::new(),
        };
        for number in 0..50 {
            manifest.add_file(path(&format!("d/{number}")), number, 9, None);
        }
        manifest.add_file(path("young"), 1, 100, Some(&[7; 32]));
        manifest.add_link(path("link"), b"target");
        assert!(!manifest.needs_content(98));
        assert!(manifest.needs_content(99) && manifest.needs_content(100));
        let file = manifest.into_file("/home/amika/data");
        let (target, read) = Manifest::from_file(&file).expect("a manifest");
        assert_eq!((target.as_str(), read.made), ("/home/amika/data", 100));
        assert!(read.has_file(path("d/7"), 7, 9, None));
        assert!(read.has_file(path("young"), 1, 100, Some(&[7; 32])));
        assert!(read.has_link(path("link"), b"target"));
        for (name, size, modified) in [("d/8", 7, 9), ("d/7", 8, 9), ("d/7", 7, 8)] {
            assert!(!read.has_file(path(name), size, modified, None));
        }
        assert!(!read.has_file(path("young"), 1, 100, Some(&[8; 32])));
        assert!(!read.has_link(path("link"), b"targe"));
        for broken in [&b""[..], b"x\n", &file[..file.len() - 1]] {
            assert_eq!(Manifest::from_file(broken), None);
        }
    }
}

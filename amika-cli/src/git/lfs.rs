//! Files kept in Git LFS: taken from the host's own store, never downloaded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::blobs::{BlobError, Blobs};
use super::command::Git;
use super::config::Settings;
use super::error::GitError;
use super::index::Entry;

/// A pointer is a short text; larger content is no pointer.
const POINTER_LIMIT: u64 = 1024;

/// What a pointer says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer {
    oid: String,
    size: u64,
}

/// A content that the host has.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Where it is on the host.
    pub(super) path: PathBuf,
    /// Its place beneath `.git/`.
    pub(super) place: String,
    /// Bytes.
    pub(super) size: u64,
}

/// The contents that a tree needs.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// By the pointer's object name in git.
    pub(super) of: HashMap<String, Object>,
    /// Files whose content the host does not have: their pointers are all there is.
    pub(super) missing: usize,
}

/// Finds the contents for pointers among the entries.
pub(super) fn find(
    git: &Git,
    settings: &Settings,
    common_dir: &Path,
    entries: &[&Entry],
) -> Result<Objects, GitError> {
    let mut objects = Objects::default();
    if entries.is_empty() {
        return Ok(objects);
    }
    let store = common_dir.join(settings.get("lfs.storage").unwrap_or("lfs"));
    let oids = entries.iter().map(|entry| &*entry.oid);
    std::thread::scope(|scope| {
        let mut blobs = Blobs::start(scope, git, oids)?;
        for entry in entries {
            let size = match blobs.next(&entry.oid) {
                Ok(size) => size,
                // The copy itself says so, with the file's name.
                Err(BlobError::Missing) => continue,
                Err(BlobError::Broken(error)) => {
                    return Err(GitError::io("read", common_dir)(error));
                }
            };
            let read = GitError::io("read", common_dir);
            if size > POINTER_LIMIT {
                blobs.skip(size).map_err(read)?;
                continue;
            }
            let Some(pointer) = parse(&blobs.small(size).map_err(read)?) else {
                continue;
            };
            let place = format!(
                "objects/{}/{}/{}",
                &pointer.oid[..2],
                &pointer.oid[2..4],
                pointer.oid
            );
            let path = store.join(&place);
            if std::fs::metadata(&path).is_ok_and(|found| found.len() == pointer.size) {
                let place = format!("lfs/{place}");
                let size = pointer.size;
                objects
                    .of
                    .insert(entry.oid.to_string(), Object { path, place, size });
            } else if pointer.size > 0 {
                objects.missing += 1;
            }
        }
        Ok(objects)
    })
}

fn parse(content: &[u8]) -> Option<Pointer> {
    let text = std::str::from_utf8(content).ok()?;
    let mut lines = text.lines();
    lines
        .next()?
        .strip_prefix("version https://git-lfs.github.com/spec/")?;
    let (mut oid, mut size) = (None, None);
    for line in lines {
        if let Some(hash) = line.strip_prefix("oid sha256:") {
            let hexadecimal = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            oid = hexadecimal.then(|| hash.to_ascii_lowercase());
        } else if let Some(bytes) = line.strip_prefix("size ") {
            size = bytes.parse().ok();
        }
    }
    Some(Pointer {
        oid: oid?,
        size: size?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_and_nothing_else_is_one() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let text =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        let pointer = parse(text.as_bytes()).unwrap();
        assert_eq!((pointer.oid.as_str(), pointer.size), (oid, 12345));
        assert_eq!(parse(text.replace(oid, "../../x").as_bytes()), None);
        assert_eq!(parse(text.replace("12345", "-1").as_bytes()), None);
        assert_eq!(parse(b"hello"), None);
    }
}

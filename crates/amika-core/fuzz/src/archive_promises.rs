//! What holds for the heads of every tar archive, whatever it is: shared by the fuzz target and by the tests that
//! replay its corpus.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use amika_core::archive_name::{Names, stays_beneath};

/// Entries of an archive that are looked at.
const MOST: usize = 1_000;

/// Panics when a promise is broken.
pub(crate) fn archive_promises(bytes: &[u8]) {
    for mut names in [
        Names::kept(),
        Names::rooted(Some("new".into())),
        Names::rooted(None),
    ] {
        let mut archive = tar::Archive::new(bytes);
        let Ok(entries) = archive.entries() else {
            return;
        };
        for entry in entries.take(MOST) {
            let Ok(entry) = entry else { break };
            let raw = entry.path_bytes();
            match names.place(&raw) {
                Ok(path) => {
                    for part in &path {
                        let part = part.as_bytes();
                        assert!(!part.is_empty() && part != b"." && part != b"..", "{raw:?}");
                        assert!(!part.contains(&b'/') && !part.contains(&0), "{raw:?}");
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(!text.contains(char::is_control), "{text:?}");
                    assert!(text.len() < 300, "{}", text.len());
                }
            }
            if let Some(target) = entry.link_name_bytes() {
                for depth in 0..4 {
                    assert!(!stays_beneath(&target, depth) || ends_beneath(&target, depth));
                }
            }
        }
    }
}

/// Whether a path that is followed from so many directories beneath a root ends beneath it, where no part of it is
/// a link: what the rule must never allow more than.
fn ends_beneath(target: &[u8], depth: usize) -> bool {
    if target.starts_with(b"/") {
        return false;
    }
    let mut at = depth;
    for part in target.split(|byte| *byte == b'/').map(OsStr::from_bytes) {
        if part == ".." {
            let Some(above) = at.checked_sub(1) else {
                return false;
            };
            at = above;
        } else if !part.is_empty() && part != "." {
            at += 1;
        }
    }
    true
}

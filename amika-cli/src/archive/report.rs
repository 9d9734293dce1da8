//! What a copy took along, and what it left out.

use std::io;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

/// How many of the entries that were left out are named.
const NAMED: usize = 100;

/// What a copy did.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Report {
    /// Regular files that were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many entries were left out.
    pub skipped_count: u64,
    /// The first hundred of them.
    pub skipped: Vec<Skipped>,
}

/// An entry that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Skipped {
    /// Its path in the copy; what is no text, or steers terminals, is escaped.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl Report {
    /// Counts a regular file.
    pub fn file(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    /// Notes an entry that is left out.
    pub fn skip(&mut self, path: &Path, reason: &str) {
        self.skipped_count += 1;
        if self.skipped.len() < NAMED {
            self.skipped.push(Skipped {
                path: shown(path),
                reason: reason.to_owned(),
            });
        }
    }
}

/// A path that can be shown: names in a sandbox are the sandbox's.
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// Says of which entry an error is.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}

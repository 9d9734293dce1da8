//! What a copy took along, and what it left out.

use std::io;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::OddTimes;

/// How many of the entries that were left out are named.
const NAMED: usize = 100;
/// How many of what changed are in a line.
const TOLD: usize = 5;
/// Characters of a path that are shown.
const LONGEST: usize = 200;

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
    /// How many entries changed while they were copied.
    pub changed_count: u64,
    /// The first hundred of them, and how.
    pub changed: Vec<Skipped>,
    /// How many git directories out of a sandbox were made inert: git runs nothing that they name.
    pub inert_count: u64,
    /// The first hundred of them.
    pub inert: Vec<Inert>,
    /// How many files came out of a sandbox on which programs of this machine act: direnv, editors, agents.
    pub acted_on_count: u64,
    /// The first hundred of them.
    pub acted_on: Vec<String>,
    /// How many have another time than their source, since the sandbox does not run: before 1970, or after 2262.
    pub untimely_count: u64,
    /// Times that have to be set afterwards.
    #[serde(skip)]
    pub odd_times: OddTimes,
}

/// A git directory that was made inert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Inert {
    /// Its path in the copy, as that of what was left out.
    pub path: String,
    /// What of it was written anew (`config`) or left out.
    pub what: Vec<String>,
}

/// An entry that was left out, or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Skipped {
    /// Its path in the copy; what is no text, or steers terminals, is escaped.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A line about what programs of this machine act on, of so many paths, which names the first ones; none where there is none.
pub fn told_acted_on(paths: &[String], count: u64) -> Option<String> {
    let named: Vec<&str> = paths.iter().take(TOLD).map(String::as_str).collect();
    let more = match count.saturating_sub(named.len() as u64) {
        0 => String::new(),
        more => format!(" and {more} more (`-o json` names them)"),
    };
    (!named.is_empty()).then(|| {
        format!(
            "direnv, editors or agents of this machine act on what came out: {}{more}; look at it before you allow that",
            named.join(", ")
        )
    })
}

impl Report {
    /// Counts a regular file.
    pub fn file(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    /// Notes a git directory that was made inert.
    pub fn make_inert(&mut self, path: &Path, what: Vec<String>) {
        self.inert_count += 1;
        if self.inert.len() < NAMED {
            let path = match shown(path) {
                here if here.is_empty() => ".".to_owned(),
                path => path,
            };
            self.inert.push(Inert { path, what });
        }
    }

    /// Notes a file on which programs of this machine act.
    pub fn act_on(&mut self, path: &Path) {
        self.acted_on_count += 1;
        if self.acted_on.len() < NAMED {
            self.acted_on.push(shown(path));
        }
    }

    /// A line about what programs of this machine act on, which names the first ones; none where nothing came.
    pub fn told_acted_on(&self) -> Option<String> {
        told_acted_on(&self.acted_on, self.acted_on_count)
    }

    /// Notes what changed while it was copied.
    pub fn change(&mut self, path: &Path, how: &str) {
        self.changed_count += 1;
        if self.changed.len() < NAMED {
            self.changed.push(Skipped {
                path: shown(path),
                reason: how.to_owned(),
            });
        }
    }

    /// A line about what changed, which names the first ones; none where nothing did.
    pub fn told_changes(&self) -> Option<String> {
        if self.changed_count == 0 {
            return None;
        }
        let named: Vec<String> = self
            .changed
            .iter()
            .take(TOLD)
            .map(|one| format!("{} ({})", one.path, one.reason))
            .collect();
        let more = if self.changed_count > TOLD as u64 {
            ", …"
        } else {
            ""
        };
        Some(format!(
            "{} changed while they were copied: {}{more}",
            self.changed_count,
            named.join(", ")
        ))
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

/// A path that can be shown: names in a sandbox are the sandbox's. A long one is cut.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut shown: String = text.escape_debug().take(LONGEST).collect();
    if text.escape_debug().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Says of which entry an error is.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}

//! The audit as lines of JSON in the data directory, for whatever gathers logs: `audit.jsonl`, and those before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::clock::shown;
use crate::store::AuditEntry;

/// The file that is written.
const FILE: &str = "audit.jsonl";

/// Beginning of the names of those before it; their time follows, in milliseconds since the Unix epoch.
const BEFORE: &str = "audit-";

/// The size at which a new one is begun, in bytes.
const LARGE: u64 = 16 << 20;

/// How long one is kept, in milliseconds.
const KEPT: i64 = 90 * 24 * 60 * 60 * 1000;

/// The file, which is opened when it is first written to.
#[derive(Debug)]
pub struct AuditFile {
    directory: PathBuf,
    large: u64,
    open: Mutex<Option<(File, u64)>>,
}

impl AuditFile {
    /// The one of a data directory.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            large: LARGE,
            open: Mutex::default(),
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// Those of the system; the next line is tried again.
    pub fn write(&self, entry: &AuditEntry) -> io::Result<()> {
        let line = serde_json::json!({
            "at": shown(entry.at),
            "user_id": entry.user_id,
            "user_name": entry.user_name,
            "key_id": entry.key_id,
            "action": entry.action,
            "target": entry.target,
            "from": entry.from_address,
            "status": entry.status,
            "trace_id": entry.trace_id,
        });
        let line = format!("{line}\n");
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut file, size) = match open.take() {
            Some((_, size)) if size >= self.large => {
                self.turn(entry.at)?;
                self.opened()?
            }
            Some(open) => open,
            None => self.opened()?,
        };
        file.write_all(line.as_bytes())?;
        *open = Some((file, size + line.len() as u64));
        Ok(())
    }

    fn opened(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.directory.join(FILE))?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    fn turn(&self, now: i64) -> io::Result<()> {
        let to = self.directory.join(format!("{BEFORE}{now}.jsonl"));
        std::fs::rename(self.directory.join(FILE), to)
    }

    /// Removes those whose last line is older than 90 days.
    ///
    /// # Errors
    /// Those of the system.
    pub fn forget(&self, now: i64) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let at = name.to_str().and_then(|name| {
                let at = name.strip_prefix(BEFORE)?.strip_suffix(".jsonl")?;
                at.parse::<i64>().ok()
            });
            if at.is_some_and(|at| at < now - KEPT) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn lines_are_whole_files_are_turned_and_old_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        let audit = AuditFile {
            large: 300,
            ..AuditFile::new(directory.path())
        };
        let entry = |at| AuditEntry {
            at,
            user_id: None,
            user_name: Some("ada\n\"x\"".to_owned()),
            key_id: None,
            action: "POST /x".to_owned(),
            target: None,
            from_address: "192.0.2.1".to_owned(),
            status: 201,
            trace_id: "t".to_owned(),
        };
        for at in 0..5 {
            audit.write(&entry(at)).unwrap();
        }
        let names = || {
            let names = std::fs::read_dir(directory.path()).unwrap();
            let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["audit-2.jsonl", "audit-4.jsonl", "audit.jsonl"]);
        let text = std::fs::read_to_string(directory.path().join("audit-2.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["at"], "1970-01-01T00:00:00.001Z");
        assert_eq!(lines[0]["user_name"], "ada\n\"x\"");
        audit.forget(KEPT + 3).unwrap();
        assert_eq!(names(), ["audit-4.jsonl", "audit.jsonl"]);
        // Whoever restarts goes on where it was.
        AuditFile::new(directory.path()).write(&entry(9)).unwrap();
        let text = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 2);
    }
}

//! The files that differ, as git tells programs of them.

use amika_core::untrusted::Untrusted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DIFF, MAX_LIST, untold};
use crate::commits::{Inside, Source as _};
use crate::error::{Error, Kind, Result};

/// A file that differs.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Its path in the repository; what steers terminals is escaped.
    pub path: String,
    /// The path that it had, where it was renamed or copied.
    pub old_path: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Lines that are new; null of a binary file.
    pub added: Option<u64>,
    /// Lines that are gone; null of a binary file.
    pub deleted: Option<u64>,
    /// Whether it is binary.
    pub binary: bool,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its content or mode is another.
    Modified,
    /// It has another path.
    Renamed,
    /// It is a copy of another.
    Copied,
    /// It was a file, a link or a submodule, and is another of these.
    TypeChanged,
}

/// The files that differ between two trees.
///
/// # Errors
/// [`Kind::Repository`] where git cannot tell, or says something else.
pub(super) async fn between(
    inside: &Inside,
    from: &str,
    to: &str,
    paths: &[String],
) -> Result<Vec<Change>> {
    let mut arguments = DIFF.to_vec();
    arguments.extend(["--no-color", "--raw", "--numstat", "-z", from, to, "--"]);
    arguments.extend(paths.iter().map(String::as_str));
    let told = inside.git(&arguments, Vec::new(), MAX_LIST).await?;
    if told.code != 0 {
        return Err(untold(&told.stderr, told.code));
    }
    read(&told.stdout).ok_or_else(|| {
        Error::new(
            Kind::Repository,
            "the sandbox's git says nothing that could be read of what changed",
        )
    })
}

/// Reads the entries of `--raw`, which come first, and of `--numstat`.
fn read(text: &[u8]) -> Option<Vec<Change>> {
    let mut fields = text.split(|byte| *byte == 0).peekable();
    let shown = |path: &[u8]| Untrusted::new(&String::from_utf8_lossy(path)).to_string();
    let mut changes = Vec::new();
    while let Some(entry) = fields.next_if(|field| field.starts_with(b":")) {
        let status = entry.rsplit(|byte| *byte == b' ').next()?.first()?;
        let (status, has_two) = match status {
            b'A' => (Status::Added, false),
            b'D' => (Status::Deleted, false),
            b'M' => (Status::Modified, false),
            b'T' => (Status::TypeChanged, false),
            b'R' => (Status::Renamed, true),
            b'C' => (Status::Copied, true),
            _ => return None,
        };
        let old = if has_two { Some(fields.next()?) } else { None };
        changes.push(Change {
            path: shown(fields.next()?),
            old_path: old.map(shown),
            status,
            added: None,
            deleted: None,
            binary: false,
        });
    }
    for change in &mut changes {
        let mut counts = fields.next()?.splitn(3, |byte| *byte == b'\t');
        let mut count = || Some(String::from_utf8_lossy(counts.next()?).into_owned());
        let (added, deleted) = (count()?, count()?);
        change.binary = added == "-";
        change.added = added.parse().ok();
        change.deleted = deleted.parse().ok();
        let path = counts.next()?;
        let path = if path.is_empty() {
            fields.next()?;
            fields.next()?
        } else {
            path
        };
        if shown(path) != change.path {
            return None;
        }
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_counts_are_read_together() {
        let text = b":100644 100644 a b M\0x\0:100644 100644 a b R090\0old\0n\x1bw\0:000000 100644 0 b A\0bin\0\
            1\t2\tx\x003\t0\t\0old\0n\x1bw\0-\t-\tbin\0";
        let changes = read(text).expect("it can be read");
        let told: Vec<_> = changes
            .iter()
            .map(|it| (it.path.as_str(), it.status, it.added, it.deleted, it.binary))
            .collect();
        assert_eq!(
            told,
            [
                ("x", Status::Modified, Some(1), Some(2), false),
                ("n\\u{1b}w", Status::Renamed, Some(3), Some(0), false),
                ("bin", Status::Added, None, None, true),
            ]
        );
        assert_eq!(changes[1].old_path.as_deref(), Some("old"));
        assert_eq!(read(b""), Some(Vec::new()));
        for other in [
            &b":100644 100644 a b M\0x\0"[..],
            b":100644 100644 a b M\0x\x001\t2\ty\0",
            b":100644 100644 a b Z\0x\x001\t2\tx\0",
        ] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }
}

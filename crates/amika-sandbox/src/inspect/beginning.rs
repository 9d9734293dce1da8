//! The repository as it was when its sandbox was made, from the record that `create` left in the sandbox.

use amika_core::contract::path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// A record of so many bytes has tens of thousands of refs.
const MAX_BYTES: usize = 8 << 20;

/// What the sandbox's repository began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Beginning {
    /// The commit; null when there was none yet.
    pub commit: Option<String>,
    /// The tree of all files that came along, what is ignored apart: what `git add -A && git write-tree`
    /// would have printed. Null when it could not be known.
    pub tree: Option<String>,
    /// Whether that differs from the commit's.
    pub dirty: bool,
}

impl Beginning {
    /// Reads the record; `None` where there is none, or none that can be read.
    pub async fn of(engine: &Sandboxes, sandbox: &Sandbox) -> Option<Self> {
        sandbox.record.repository.as_ref()?;
        let file = engine
            .read_regular_file(&sandbox.container.id, path::GIT_SNAPSHOT, MAX_BYTES)
            .await;
        serde_json::from_slice::<Self>(&file.ok()??.content)
            .ok()
            .filter(Self::is_sound)
    }

    /// Whoever is root in the sandbox may have written anything.
    fn is_sound(&self) -> bool {
        [&self.commit, &self.tree]
            .into_iter()
            .flatten()
            .all(|oid| oid.len() <= 64 && oid.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }

    /// The commit, and whether more than it came along.
    pub fn words(&self) -> String {
        let commit = self.commit.as_deref().unwrap_or("none yet");
        let more = if self.dirty {
            ", with uncommitted changes"
        } else {
            ""
        };
        format!("{commit}{more}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_object_names_is_shown() {
        let of = |commit: &str| Beginning {
            commit: Some(commit.to_owned()),
            tree: None,
            dirty: true,
        };
        assert!(of("0123abcd").is_sound());
        for other in ["\u{1b}[2J", "HEAD", &"a".repeat(65)] {
            assert!(!of(other).is_sound(), "{other:?}");
        }
        assert_eq!(of("0a").words(), "0a, with uncommitted changes");
    }
}

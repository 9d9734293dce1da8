//! Whether a setup script that succeeded is run again: not before it changes, or a file that its work depends on.

use std::io;
use std::path::{Path, PathBuf};

use amika_core::contract::{env, path};
use amika_core::hex::hex;
use sha2::{Digest, Sha256};

use super::hash_head;
use crate::environment::Environment;
use crate::files::read_small;
use crate::record::write_atomically;

/// Bytes of a file that are looked at.
const FILE_LIMIT: u64 = 64 << 20;

/// Bytes of what is remembered.
const MARK_LIMIT: u64 = 1 << 10;

/// What a script that is run once depends on.
#[derive(Debug)]
pub(crate) struct Once {
    /// SHA-256 of the script as it was at boot, in hexadecimal digits.
    script: String,
    /// Files, in the order of the environment.
    files: Vec<PathBuf>,
}

impl Once {
    /// What the environment says: none where the script is run at each start, or cannot be read.
    pub(crate) fn of(environment: &Environment, agent_cwd: &Path) -> Option<Self> {
        let value = environment.get(env::SETUP_ONCE)?.to_str()?;
        let files = amika_core::setup_once::files(value)?;
        Some(Self {
            script: hash_head(Path::new(path::SETUP_SCRIPT), u64::MAX).ok()?,
            files: files.map(|file| agent_cwd.join(file)).collect(),
        })
    }

    /// Whether it succeeded already, and nothing changed since.
    pub(crate) fn is_done(&self) -> bool {
        let done = read_small(Path::new(path::SETUP_DONE), MARK_LIMIT);
        done.is_ok_and(|done| done.trim_ascii() == self.digest().as_bytes())
    }

    /// Remembers that it succeeded. The files are looked at as they are now: what it made of them itself is no change.
    pub(crate) fn remember(&self) -> io::Result<()> {
        write_atomically(Path::new(path::SETUP_DONE), self.digest().as_bytes())
    }

    fn digest(&self) -> String {
        if self.files.is_empty() {
            return self.script.clone();
        }
        let mut digest = Sha256::new();
        digest.update(&self.script);
        for file in &self.files {
            // One that is not there, or is no file, is like any other content.
            let content = hash_head(file, FILE_LIMIT).unwrap_or_else(|_| "-".to_owned());
            digest.update([b'\n']);
            digest.update(content);
        }
        hex(&digest.finalize())
    }
}

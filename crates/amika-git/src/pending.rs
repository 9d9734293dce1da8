//! LFS content of a URL's repository. It is on a server that the repository may name, and git signs in there with
//! what the user has for it: so it is not fetched before whoever asked for the copy has said where from.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::cache;
use super::clone::{self, Listener};
use super::error::GitError;
use super::lfs::Lfs;
use super::prepared::Prepared;
use super::workshop::Workshop;
use super::{Facts, Repository, blocking, finish};

/// What is needed to fetch it, and to plan the copy anew with it.
pub(super) struct Pending {
    pub(super) prepared: Prepared,
    pub(super) workshop: Workshop,
    /// The URL, with what signs in.
    pub(super) address: String,
    /// The bare repository that was fetched.
    pub(super) git_dir: PathBuf,
    /// Where it is kept for the next time.
    pub(super) cache: Option<PathBuf>,
    /// What was known before the copy was planned.
    pub(super) facts: Facts,
}

impl Repository {
    /// Whether it has LFS content that [`Repository::with_lfs`] fetches.
    pub fn awaits_lfs(&self) -> bool {
        self.0.pending.is_some()
    }

    /// The servers of LFS content that the repository names, beside the one of its URL.
    pub fn lfs_servers(&self) -> &[String] {
        let pending = self.0.pending.as_ref();
        let servers = pending.and_then(|pending| pending.prepared.lfs_servers.as_deref());
        servers.unwrap_or_default()
    }

    /// The same repository with its LFS content, where it is at a URL and has any: from the servers that it names
    /// only where these are `trusted`. What is not had is among the warnings of its facts.
    ///
    /// # Errors
    /// [`GitError`], but not for content that could not be fetched.
    pub async fn with_lfs(self, trusted: bool, listener: Listener<'_>) -> Result<Self, GitError> {
        let Some(pending) = &self.0.pending else {
            return Ok(self);
        };
        let named = self.lfs_servers();
        let lfs = if trusted || named.is_empty() {
            Lfs::OfUrl
        } else {
            Lfs::Untrusted(named.to_vec())
        };
        if let (Lfs::OfUrl, Some(commit)) = (&lfs, pending.prepared.selection.head.commit()) {
            let nowhere = pending.workshop.nowhere();
            let is_fetched = clone::lfs(
                &self.0.machine,
                &pending.address,
                &pending.git_dir,
                nowhere,
                commit,
                listener,
            )
            .await;
            if let (true, Some(cache)) = (is_fetched, &pending.cache) {
                cache::keep_lfs(cache, &pending.git_dir).await;
            }
        }
        let machine = self.0.machine.clone();
        let made = blocking(move || {
            let Some(Pending {
                prepared,
                workshop,
                facts,
                ..
            }) = &self.0.pending
            else {
                return Ok(self);
            };
            let scratch = Arc::clone(&self.0.scratch);
            let mut made = finish(prepared, facts.clone(), None, lfs, scratch, workshop)?;
            // What was decided by it was decided.
            made.config_toml = self
                .0
                .config_toml
                .get()
                .cloned()
                .map_or_else(OnceLock::new, OnceLock::from);
            Ok(Self(Arc::new(made)))
        })
        .await;
        made.map_err(|error| error.told(machine.temporary()))
    }
}

//! A repository on its way into a sandbox: one that is copied in, or one that is in a volume already.

use amika_core::config::{RepoConfig, ScriptKey};
use amika_core::label;
use amika_core::trust::{Origin, Trust};

use super::from_volume::Kept;
use crate::error::Result;
use amika_git as git;

/// What there is of each script that a repository may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts<T> {
    /// Of the one that must exit 0 before CMD starts.
    pub setup: Option<T>,
    /// Of the one that runs at each start after that.
    pub start: Option<T>,
}

impl<T> Scripts<T> {
    /// Says what there is of one.
    pub fn put(&mut self, key: ScriptKey, value: T) {
        match key {
            ScriptKey::Setup => self.setup = Some(value),
            ScriptKey::Start => self.start = Some(value),
        }
    }

    /// Something else of each.
    pub fn map<U>(self, of: impl Fn(T) -> U) -> Scripts<U> {
        Scripts {
            setup: self.setup.map(&of),
            start: self.start.map(&of),
        }
    }
}

/// A repository on its way into a sandbox.
pub(super) struct Source {
    /// What of it goes in.
    pub contents: Contents,
    /// Its configuration; empty without a file.
    pub config: RepoConfig,
    /// The configured scripts, once they were found to be usable.
    pub scripts: Scripts<String>,
    /// Where it comes from, as trust goes by it.
    pub origin: Origin,
    /// The bytes of the configuration, as far as any of it may apply.
    pub bytes: Option<Vec<u8>>,
    /// What is told of where it comes from, in place of its path.
    pub of: Option<String>,
}

/// What of a repository goes into a sandbox.
pub(super) enum Contents {
    /// A copy of it.
    Copied(git::Repository),
    /// The work of an earlier sandbox, as it lies in its volume.
    Kept(Box<Kept>),
}

impl Source {
    /// Where it comes from, as others are told.
    pub(super) fn told_source(&self) -> &str {
        self.of.as_deref().unwrap_or(self.named())
    }

    /// Where it comes from, as the user is told.
    pub(super) fn named(&self) -> &str {
        match &self.contents {
            Contents::Copied(repository) => &repository.facts().source,
            Contents::Kept(kept) => &kept.source,
        }
    }

    /// What holds for it where the user set nothing: what an agent worked in is not this machine's user's own any more.
    pub(super) fn default_trust(&self) -> Trust {
        match &self.contents {
            Contents::Copied(_) => self.origin.default_trust(),
            Contents::Kept(_) => Trust::Ask,
        }
    }

    /// What the labels say of it.
    pub(super) fn label(&self) -> label::Repository {
        let (name, branch) = match &self.contents {
            Contents::Copied(repository) => {
                let facts = repository.facts();
                (facts.name.clone(), facts.branch.clone())
            }
            Contents::Kept(kept) => (kept.repository.clone(), kept.branch.clone()),
        };
        label::Repository {
            name,
            source: Some(label::RepositorySource::from(self.told_source())),
            branch,
        }
    }

    /// The servers that it alone names, from which its LFS content would come.
    pub(super) fn lfs_servers(&self) -> &[String] {
        match &self.contents {
            Contents::Copied(repository) => repository.lfs_servers(),
            Contents::Kept(_) => &[],
        }
    }

    /// What it begins with; what is in a volume already has begun long ago.
    ///
    /// # Errors
    /// Those of reading the repository.
    pub(super) async fn snapshot(&self) -> Result<Option<git::Snapshot>> {
        match &self.contents {
            Contents::Copied(repository) => Ok(Some(repository.snapshot().await?)),
            Contents::Kept(_) => Ok(None),
        }
    }

    /// The volume that it lies in already.
    pub(super) fn volume(&self) -> Option<&str> {
        match &self.contents {
            Contents::Copied(_) => None,
            Contents::Kept(kept) => Some(&kept.volume),
        }
    }

    /// What is to be copied in.
    pub(super) fn to_copy(&self) -> Option<&git::Repository> {
        match &self.contents {
            Contents::Copied(repository) => Some(repository),
            Contents::Kept(_) => None,
        }
    }
}

//! Sandboxes that were made and started, and nobody was told of: their `create` was killed meanwhile.
//!
//! A create leaves a mark in the lock file of the sandbox's name before it makes anything, and takes
//! it away once it has told of the sandbox. The same create finds the mark of a killed one, and goes
//! on where that one was ended. A mark without a sandbox of its id says nothing: what unmakes a sandbox
//! need not care for it.

use amika_core::hex::hex;
use amika_core::label::{SandboxId, key};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::daemon::Token;
use crate::lock::FileLock;
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerFacts, ContainerState};
use amika_git::Snapshot;

/// What a create leaves for the next one of that name, should it be killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The sandbox that it makes.
    pub id: SandboxId,
    /// What it was asked for, as [`Asked::fingerprint`] tells it.
    pub asked: String,
}

impl Mark {
    /// The mark of a killed create; none where none was left, or it cannot be read.
    pub fn read(lock: &FileLock) -> Option<Self> {
        serde_json::from_slice(&lock.content().ok()?).ok()
    }

    /// Whether a container is the sandbox that it speaks of, started and left to itself.
    pub fn is_of(&self, container: &ContainerFacts) -> bool {
        use ContainerState::{Exited, Restarting, Running};
        container.labels.get(key::ID).map(String::as_str) == Some(self.id.as_str())
            && matches!(container.state, Running | Restarting | Exited)
    }

    /// Leaves the mark. Without one the create still works: the next one of that name then knows less.
    pub fn leave(&self, lock: &FileLock) {
        let json = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = lock.write(&json) {
            tracing::debug!(%error, "no mark can be left");
        }
    }
}

/// Takes away what a create left: somebody was told of its sandbox.
pub fn clear(lock: &FileLock) {
    if let Err(error) = lock.write(&[]) {
        tracing::debug!(%error, "the mark cannot be taken away");
    }
}

/// As [`clear`], for a command that does not hold the lock: whoever names the sandbox knows of it. A
/// create that holds the lock sees to its mark itself.
pub fn is_known(engine: &Sandboxes, name: &str) {
    if let Ok(lock) = engine.locks().take_name(name)
        && Mark::read(&lock).is_some()
    {
        clear(&lock);
    }
}

/// What a create was asked for, but for the repository.
#[derive(Clone)]
pub struct Asked([u8; 32]);

impl Asked {
    /// All that holds for the sandbox, and the volume that it is given. What a program of another version prints of it may differ: its
    /// creates are then told apart, and nothing is lost by that.
    pub fn of(
        settings: &impl std::fmt::Debug,
        copy: amika_git::Copy,
        volume: Option<&str>,
    ) -> Self {
        Self(Sha256::digest(format!("{copy:?} {volume:?} {settings:?}")).into())
    }

    /// A fingerprint of that and of the repository. The sandbox's token goes in, which only this user
    /// can work out, since a short secret among the settings could else be guessed.
    pub fn fingerprint(&self, token: &Token, repository: Option<&Snapshot>) -> String {
        let repository = serde_json::to_vec(&repository).unwrap_or_default();
        let mut digest = Sha256::new();
        token.feed(&mut digest);
        digest.update(self.0);
        digest.update(repository);
        hex(&digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use amika_core::config::RepoConfig;
    use amika_core::credential::Selection;
    use amika_core::port::HostIp;
    use amika_core::settings::{AskedLimits, Layer};

    use super::*;
    use crate::create::{HostRights, Request, Scripts, Settings, merge};
    use crate::daemon::UserKey;
    use amika_git::Copy;

    fn settings(secret: &str) -> Settings {
        let request = Request {
            name: None,
            image: None,
            setup: None,
            setup_once: false,
            opencode: None,
            env: BTreeMap::from([("SECRET".to_owned(), secret.to_owned())]),
            secret_env: BTreeMap::new(),
            without_env: std::collections::BTreeSet::new(),
            unset_env: Vec::new(),
            mounts: Vec::new(),
            rights: HostRights::default(),
            credentials: Selection::none(),
            own_ways: crate::create::OwnWays::none(),
            dotfiles: None,
            publish: Vec::new(),
            port_host_ip: HostIp::LOCALHOST,
            expose_opencode: false,
            network: None,
            own_uid: false,
            limits: AskedLimits::default(),
            cap_add: std::collections::BTreeSet::new(),
            command: Vec::new(),
            stamp: amika_core::label::Labels::new(),
        };
        merge(
            &request,
            Layer::silent(),
            &RepoConfig::default(),
            Scripts::default(),
        )
        .expect("settings")
    }

    fn snapshot(commit: &str) -> Snapshot {
        Snapshot {
            version: 1,
            name: "repo".into(),
            source: "/repo".into(),
            object_format: "sha1".into(),
            branch: Some("main".into()),
            commit: Some(commit.into()),
            tree: None,
            dirty: false,
            refs: BTreeMap::new(),
        }
    }

    #[test]
    fn a_fingerprint_is_equal_for_the_same_request_only() {
        let key = UserKey::of_bytes([7; 32]);
        let tell = |secret: &str, copy, id: &str, commit: Option<&str>| {
            let repository = commit.map(snapshot);
            Asked::of(&settings(secret), copy, None)
                .fingerprint(&key.token(id), repository.as_ref())
        };
        let dirty = Copy::Dirty {
            include_ignored: false,
        };
        let first = tell("pw", Copy::Clean, "id", Some("1"));
        assert_eq!(first, tell("pw", Copy::Clean, "id", Some("1")));
        assert_eq!(first.len(), 64);
        for other in [
            tell("pv", Copy::Clean, "id", Some("1")),
            tell("pw", dirty, "id", Some("1")),
            tell("pw", Copy::Clean, "other", Some("1")),
            tell("pw", Copy::Clean, "id", Some("2")),
            tell("pw", Copy::Clean, "id", None),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_mark_is_read_back_and_garbage_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let lock = FileLock::at(&directory.path().join("lock")).expect("a lock");
        assert_eq!(Mark::read(&lock), None);
        let mark = Mark {
            id: SandboxId::from_random([1; 16]),
            asked: "a".repeat(64),
        };
        mark.leave(&lock);
        assert_eq!(Mark::read(&lock), Some(mark.clone()));
        let shorter = Mark {
            asked: "b".into(),
            ..mark
        };
        shorter.leave(&lock);
        assert_eq!(Mark::read(&lock), Some(shorter));
        lock.write(b"{\"id\":").expect("written");
        assert_eq!(Mark::read(&lock), None);
        clear(&lock);
        assert_eq!(lock.content().expect("read"), b"");
    }
}

//! The token of a sandbox's API, derived and never stored.
//!
//! One random key belongs to the user (0600). A sandbox's token is HMAC-SHA256 of its id under that
//! key; the container is given only the token's SHA-256. So there is nothing to put into the
//! container, nothing to read back, and nothing in a commit of it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use amika_core::hex::hex;
use amika_core::proof::Key;
use amika_host::machine::Machine;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, Result};

/// Length of the key in bytes.
pub const KEY_LENGTH: usize = 32;

/// The user's key.
pub struct UserKey([u8; KEY_LENGTH]);

/// The token of one sandbox.
#[derive(Clone)]
pub struct Token(String);

impl UserKey {
    /// Reads the user's key, or makes it at first use. Where the home has no place for it, one of this
    /// boot is taken, else `passing`, with a warning: sandboxes are then reached through the engine.
    ///
    /// # Errors
    /// When there is a file that is not a key.
    pub fn load(
        machine: &Machine,
        warn: impl FnOnce(&str),
        passing: impl FnOnce() -> [u8; KEY_LENGTH],
    ) -> Result<Self> {
        let data = machine.data_dir();
        let error = match Self::load_from(&data) {
            Err(error) if !is_broken(&data) => error,
            loaded => return loaded,
        };
        warn(&format!(
            "{}; a key that does not stay is used, and what was made with another is reached through the engine",
            error.message
        ));
        Self::load_from(&machine.runtime_dir()).or_else(|_| Ok(Self(passing())))
    }

    fn load_from(dir: &Path) -> Result<Self> {
        let path = dir.join("key");
        let failed = |error: &std::io::Error| {
            Error::new(
                Kind::Failure,
                format!("the key {} cannot be used", path.display()),
            )
            .caused_by(error)
        };
        match File::open(&path) {
            Ok(file) => read_key(file).map_err(|error| {
                failed(&error).hint(format!(
                    "remove {}; sandboxes made with the old key are then reached through exec",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(dir).map_err(|error| failed(&error))?;
                make_key(dir, &path).map_err(|error| failed(&error))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// A key of a test's own.
    #[cfg(test)]
    pub fn of_bytes(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(bytes)
    }

    /// The token of the sandbox with this id.
    #[allow(clippy::missing_panics_doc, reason = "no key is too long or too short")]
    pub fn token(&self, sandbox_id: &str) -> Token {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(sandbox_id.as_bytes());
        Token(hex(&mac.finalize().into_bytes()))
    }

    /// A key for another purpose: it tells nothing of this one, nor of any token, since no sandbox's
    /// id is what is digested here.
    #[allow(clippy::missing_panics_doc, reason = "no key is too long or too short")]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(b"amika key for: ");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl Token {
    /// What amikad and its client prove to each other that they know; the token itself stays here.
    pub fn key(&self) -> Key {
        Key::of_token(self.0.as_bytes())
    }

    /// Makes a digest one that only who has the token can make.
    pub fn feed(&self, digest: &mut Sha256) {
        digest.update(self.0.as_bytes());
    }

    /// Hexadecimal SHA-256 of the token: what the container may know.
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }
}

/// Whether there is a file in a key's place that can be read and is none.
fn is_broken(dir: &Path) -> bool {
    File::open(dir.join("key")).is_ok_and(|file| read_key(file).is_err())
}

fn read_key(mut file: File) -> std::io::Result<UserKey> {
    let mut key = [0; KEY_LENGTH];
    file.read_exact(&mut key)?;
    Ok(UserKey(key))
}

/// Writes a new key beside its place and links it there, so that of two first uses at the same time
/// one wins and both read the same key.
fn make_key(dir: &Path, path: &Path) -> std::io::Result<UserKey> {
    let key: [u8; KEY_LENGTH] = rand::random();
    // Of a name that nobody else can have: the process's id is another's in another container with this home.
    let mut file = tempfile::Builder::new().prefix(".key-").tempfile_in(dir)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.error),
        _ => read_key(File::open(path)?),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_private() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let first = UserKey::load_from(dir.path()).expect("made").token("id");
        let second = UserKey::load_from(dir.path()).expect("read").token("id");
        assert_eq!(first.0, second.0);
        let mode = dir
            .path()
            .join("key")
            .metadata()
            .expect("the key")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("the dir").count(), 1);
    }

    #[test]
    fn of_many_first_uses_at_once_all_have_one_key() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let load = || UserKey::load_from(dir.path()).expect("a key").token("id").0;
        let tokens: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(load)).collect();
            let ends = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            ends.map(|end| end.expect("no panic")).collect()
        });
        assert!(tokens.iter().all(|token| *token == tokens[0]));
        assert_eq!(tokens[0], load());
        assert_eq!(std::fs::read_dir(dir.path()).expect("the dir").count(), 1);
    }

    #[test]
    fn tokens_differ_by_sandbox_and_are_not_their_digest() {
        let key = UserKey([7; KEY_LENGTH]);
        assert_ne!(key.token("a").0, key.token("b").0);
        assert_ne!(key.token("a").0, key.token("a").sha256());
        assert_eq!(key.token("a").sha256().len(), 64);
    }

    #[test]
    fn a_short_key_is_refused() {
        let dir = tempfile::tempdir().expect("a temp dir");
        std::fs::write(dir.path().join("key"), b"short").expect("writable");
        assert!(UserKey::load_from(dir.path()).is_err());
    }
}

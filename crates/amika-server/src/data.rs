//! The data directory: one server's alone, with the keys that are not in the database.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use amika_core::hex::unhex;
use amika_core::label::SandboxId;
use amika_host::machine::Machine;
use amika_host::private_file;
use amika_host::regular_file::{self, Links};
use amika_sandbox::error::{Error, Kind, Result};

use crate::seal::{KEY_LENGTH, Seal};

/// Environment variable that has the key of secrets, in hexadecimal digits, in place of the file.
pub const SECRETS_KEY: &str = "AMIKA_SECRETS_KEY";

/// File of the database.
pub const DATABASE: &str = "amika.db";

/// File of the key that secrets are sealed with.
pub const SECRETS_KEY_FILE: &str = "secrets.key";

/// File of the key that the server's sandboxes are signed with; the library makes it.
pub const RECORD_KEY_FILE: &str = "key";

/// File of the server's id, which stands in the database too.
const SERVER_ID: &str = "server-id";

/// A data directory that this process holds.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The kernel lets go of it when the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    /// Takes a directory, which is made if need be, for this user's eyes only.
    ///
    /// # Errors
    /// [`Kind::Conflict`] while another server holds it.
    pub fn take(path: &Path) -> Result<Self> {
        let failed = |error: &io::Error| {
            let message = format!("the data directory {} cannot be used", path.display());
            Error::new(Kind::Failure, message).caused_by(error)
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed(&error))?;
        let path = path.canonicalize().map_err(|error| failed(&error))?;
        let mode = path.metadata().map_err(|error| failed(&error))?.mode();
        if mode & 0o077 != 0 {
            let message = format!(
                "the data directory {} is open to others (mode {:o})",
                path.display(),
                mode & 0o777
            );
            return Err(Error::new(Kind::Invalid, message).hint(format!(
                "`chmod 700 {}`",
                amika_core::text::shell_path(&path.display().to_string())
            )));
        }
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                Kind::Conflict,
                format!("another server uses the data directory {}", path.display()),
            )
            .hint("stop it, or choose another directory with `--data`")),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Where copies go before a migration.
    pub fn backups(&self) -> PathBuf {
        self.path.join("backups")
    }

    /// The server's id, where it is kept.
    pub fn server_id(&self) -> Option<String> {
        let (bytes, _) =
            regular_file::read(&self.path.join(SERVER_ID), Links::Refused, 1024).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let id: SandboxId = text.trim().parse().ok()?;
        Some(id.to_string())
    }

    /// Keeps the server's id beside its keys.
    ///
    /// # Errors
    /// Those of the system.
    pub fn keep_server_id(&self, id: &str) -> Result<()> {
        let path = self.path.join(SERVER_ID);
        let kept = private_file::staged(&path, format!("{id}\n").as_bytes())
            .and_then(|file| Ok(file.persist(&path)?));
        kept.map(drop).map_err(|error| {
            let message = format!("the server's id cannot be kept in {}", path.display());
            Error::new(Kind::Failure, message).caused_by(&error)
        })
    }

    /// What secrets are sealed with: the environment's key, else that of the file, which is made at first
    /// use.
    ///
    /// # Errors
    /// For a key that is none, and for a file that others may read.
    pub fn seal(&self, machine: &Machine) -> Result<Seal> {
        seal(&self.path, machine)
    }
}

fn seal(directory: &Path, machine: &Machine) -> Result<Seal> {
    if let Some(text) = machine
        .variable(SECRETS_KEY)
        .filter(|text| !text.is_empty())
    {
        let key = text.to_str().and_then(key_of);
        return key.map(|key| Seal::new(&key)).ok_or_else(|| {
            let message = format!("{SECRETS_KEY} is not {} hexadecimal digits", KEY_LENGTH * 2);
            Error::new(Kind::Invalid, message).hint("`openssl rand -hex 32` makes one")
        });
    }
    let path = directory.join(SECRETS_KEY_FILE);
    let unusable = |why: &dyn std::error::Error| {
        let message = format!("the key of secrets {} cannot be used", path.display());
        Error::new(Kind::Failure, message).caused_by(why)
    };
    match regular_file::read(&path, Links::Refused, 1024) {
        Ok((bytes, meta)) => {
            if meta.mode() & 0o077 != 0 {
                return Err(unusable(&io::Error::other("others may read it"))
                    .hint(format!("`chmod 600 {}`", path.display())));
            }
            let key = std::str::from_utf8(&bytes).ok().and_then(key_of);
            key.map(|key| Seal::new(&key)).ok_or_else(|| {
                unusable(&io::Error::other("it is no key"))
                    .hint("put back the one of your backup: without it no secret can be read")
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key: [u8; KEY_LENGTH] = rand::random();
            let text = amika_core::hex::hex(&key) + "\n";
            let staged = private_file::staged(&path, text.as_bytes());
            staged
                .and_then(|file| Ok(file.persist(&path)?))
                .map_err(|error| unusable(&error))?;
            Ok(Seal::new(&key))
        }
        Err(error) => Err(unusable(&error)),
    }
}

fn key_of(text: &str) -> Option<[u8; KEY_LENGTH]> {
    unhex(text.trim())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_directory_is_one_servers_and_nobody_elses_to_read() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("deep/data");
        let held = DataDir::take(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        let refused = DataDir::take(&path).unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict);
        drop(held);
        assert!(DataDir::take(&path).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(DataDir::take(&path).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn the_key_of_secrets_is_made_once_and_one_that_others_read_is_refused() {
        let machine = Machine::of_process();
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::take(&parent.path().join("data")).unwrap();
        let sealed = data.seal(&machine).unwrap().seal("id", b"word");
        assert_eq!(
            data.seal(&machine).unwrap().open("id", &sealed).as_deref(),
            Some(&b"word"[..])
        );
        let file = data.path().join(SECRETS_KEY_FILE);
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(data.seal(&machine).is_err());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "no key").unwrap();
        assert!(data.seal(&machine).is_err());
    }
}

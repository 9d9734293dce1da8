//! As whom one is signed in, and where: kept in a file of the user's that nobody else may read.

use std::fmt;
use std::io;
use std::path::Path;

use amika_host::private_file;
use amika_host::regular_file::{self, Links};
use serde::{Deserialize, Serialize};

use crate::address::Address;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// A server, and a key of its.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The server.
    pub address: Address,
    /// `amk_…`
    pub key: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize, Serialize)]
struct File {
    address: String,
    key: String,
}

/// The account that is kept in a file, if any.
///
/// # Errors
/// When the file cannot be read, or is none that [`keep`] wrote.
pub fn kept(file: &Path) -> io::Result<Option<Account>> {
    let (bytes, _) = match regular_file::read(file, Links::Followed, LARGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let read: File = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    let address = read.address.parse().map_err(io::Error::other)?;
    Ok(Some(Account {
        address,
        key: read.key,
    }))
}

/// Keeps an account in a file, in place of the one that is there, with mode 0600.
///
/// # Errors
/// Those of the system.
pub fn keep(file: &Path, account: &Account) -> io::Result<()> {
    let kept = File {
        address: account.address.to_string(),
        key: account.key.clone(),
    };
    let mut text = serde_json::to_vec_pretty(&kept).map_err(io::Error::other)?;
    text.push(b'\n');
    private_file::staged(file, &text)?.persist(file)?;
    Ok(())
}

/// Removes the file; whether there was one.
///
/// # Errors
/// Those of the system.
pub fn forget(file: &Path) -> io::Result<bool> {
    match std::fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_account_is_kept_for_its_user_alone_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("amika/auth.json");
        assert_eq!(kept(&file).unwrap(), None);
        let account = Account {
            address: "http://localhost:8080".parse().unwrap(),
            key: "amk_x".to_owned(),
        };
        keep(&file, &account).unwrap();
        assert_eq!(kept(&file).unwrap().as_ref(), Some(&account));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{account:?}").contains("amk_x"));
        assert!(forget(&file).unwrap());
        assert!(!forget(&file).unwrap());
        std::fs::write(&file, "{}").unwrap();
        assert!(kept(&file).is_err());
    }
}

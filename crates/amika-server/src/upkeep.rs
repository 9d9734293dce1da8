//! Looking at a server's data, copying it, and putting a copy back: while no server holds it.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use amika_host::machine::Machine;
use amika_host::private_file;
use amika_host::regular_file::{self, Links};
use amika_sandbox::error::{Error, Kind, Result};

use crate::clock::Clock;
use crate::data::{DATABASE, DataDir, RECORD_KEY_FILE, SECRETS_KEY, SECRETS_KEY_FILE};
use crate::start::existing;
use crate::store::open::{copy_of, look, open};

/// The largest file of keys.
const KEY_FILE: u64 = 1024;

/// What was found to be right.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// The data directory.
    pub data: PathBuf,
    /// The version of the store's tables.
    pub version: i64,
}

/// Looks whether a server could start with this data directory: its keys, its database, all of its secrets.
///
/// # Errors
/// What is wrong, with what to do; [`Kind::Conflict`] while a server runs.
pub async fn check(data: &Path, machine: &Machine) -> Result<Checked> {
    let data = existing(data)?;
    let seal = data.seal(machine)?;
    let version = look(&data.database()).await?;
    let unreadable = crate::store::open::unreadable_secrets(&data.database(), &seal).await?;
    if unreadable > 0 {
        return Err(Error::new(
            Kind::Failure,
            format!(
                "{unreadable} secrets cannot be read with the key of {}",
                key_place(&data, machine)
            ),
        )
        .hint("put back the key that they were kept with: it is in the backup that they are in"));
    }
    Ok(Checked {
        data: data.path().to_owned(),
        version,
    })
}

fn key_place(data: &DataDir, machine: &Machine) -> String {
    match machine.variable(SECRETS_KEY) {
        Some(value) if !value.is_empty() => SECRETS_KEY.to_owned(),
        _ => data.path().join(SECRETS_KEY_FILE).display().to_string(),
    }
}

/// Copies a server's data to a new directory: database and keys. It may run meanwhile: the database is copied as
/// it is at one moment.
///
/// # Errors
/// [`Kind::Conflict`] where there is something at `to` already.
pub async fn backup(data: &Path, to: &Path) -> Result<()> {
    if !data.join(DATABASE).exists() {
        return existing(data).map(drop);
    }
    let failed = |error: &dyn std::error::Error| {
        Error::new(
            Kind::Failure,
            format!("no backup can be made at {}", to.display()),
        )
        .caused_by(error)
    };
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(|error| failed(&error))?;
    }
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(to)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::new(
                Kind::Conflict,
                format!("there is something at {} already", to.display()),
            )
            .hint("a backup is a directory of its own: name one that is not there yet"),
            _ => failed(&error),
        })?;
    copy_of(&data.join(DATABASE), &to.join(DATABASE)).await?;
    for name in [SECRETS_KEY_FILE, RECORD_KEY_FILE] {
        copy_key(&data.join(name), &to.join(name)).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// A key that is not there is none to copy: it stands in the environment, or was never needed.
fn copy_key(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = match regular_file::read(from, Links::Refused, KEY_FILE) {
        Ok((bytes, _)) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    private_file::staged(to, &bytes)?.persist(to)?;
    Ok(())
}

/// Puts a backup, or a copy of the database alone, in the place of a server's data. What was there is kept in
/// `backups/`, whose path is returned.
///
/// # Errors
/// For what is no backup; [`Kind::Conflict`] while a server runs.
pub async fn restore(data: &Path, from: &Path, clock: &Clock) -> Result<Option<PathBuf>> {
    let database = if from.is_dir() {
        from.join(DATABASE)
    } else {
        from.to_owned()
    };
    if !database.is_file() {
        let message = format!("{} is no backup", from.display());
        return Err(Error::new(Kind::NotFound, message)
            .hint("name the directory that `amika server backup` made, or a file of backups/"));
    }
    look(&database).await?;
    let data = DataDir::take(data)?;
    let failed = |error: &io::Error| {
        let message = format!(
            "{} cannot be restored from {}",
            data.path().display(),
            from.display()
        );
        Error::new(Kind::Failure, message).caused_by(error)
    };
    let kept = data
        .backups()
        .join(format!("before-restore-{}", clock.now()));
    let had = move_away(data.path(), &kept, from.is_dir()).map_err(|error| failed(&error))?;
    copy_of(&database, &data.database()).await?;
    if from.is_dir() {
        for name in [SECRETS_KEY_FILE, RECORD_KEY_FILE] {
            copy_key(&from.join(name), &data.path().join(name)).map_err(|error| failed(&error))?;
        }
    }
    // It is brought up to date now, so that what is wrong is told now.
    open(&data, clock.now()).await?.close().await;
    Ok(had.then_some(kept))
}

/// Moves what makes up the data into a directory; whether there was anything.
fn move_away(data: &Path, to: &Path, with_keys: bool) -> io::Result<bool> {
    let wal = format!("{DATABASE}-wal");
    let shm = format!("{DATABASE}-shm");
    let mut names = vec![DATABASE, &wal, &shm];
    if with_keys {
        names.extend([SECRETS_KEY_FILE, RECORD_KEY_FILE]);
    }
    let mut any = false;
    for name in names {
        if data.join(name).exists() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(to)?;
            std::fs::rename(data.join(name), to.join(name))?;
            any = true;
        }
    }
    Ok(any)
}

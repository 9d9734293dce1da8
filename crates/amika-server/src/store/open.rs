//! Opening the database: made, brought up to date after a copy of it, or refused with what to do.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use amika_sandbox::error::{Error, Kind, Result};
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::{Store, get};
use crate::data::DataDir;

/// Readers that go beside each other.
const READERS: u32 = 3;

/// The newest version of the tables that this program knows.
pub const VERSION: i64 = 7;

/// Every step from nothing to [`VERSION`]. One that was released is never changed.
fn migrations() -> Migrator {
    let step = |version, name: &'static str, sql: &'static str| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(vec![
        step(1, "begin", include_str!("../../migrations/0001_begin.sql")),
        step(2, "live", include_str!("../../migrations/0002_live.sql")),
        step(
            3,
            "inside",
            include_str!("../../migrations/0003_inside.sql"),
        ),
        step(4, "far", include_str!("../../migrations/0004_far.sql")),
        step(
            5,
            "first message",
            include_str!("../../migrations/0005_first_message.sql"),
        ),
        step(6, "runs", include_str!("../../migrations/0006_runs.sql")),
        step(
            7,
            "sidecars",
            include_str!("../../migrations/0007_sidecars.sql"),
        ),
    ])
}

fn options(path: &Path) -> SqliteConnectOptions {
    unlogged(path).journal_mode(SqliteJournalMode::Wal)
}

/// Those that leave a database's way of writing as it is: to change it is a write.
fn unlogged(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        // What was answered is on the disk.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("secure_delete", "ON")
        .pragma("trusted_schema", "OFF")
}

/// Opens the database of a data directory; `now` names the copy that is made before tables change.
///
/// # Errors
/// [`Kind::Failure`] with what to do for one that is damaged or of a newer program, and where it cannot be
/// opened.
pub async fn open(data: &DataDir, now: i64) -> Result<Store> {
    let path = data.database();
    let is_new = !path.exists();
    // SQLite's files beside it get the same mode.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failed(&path, "cannot be opened").caused_by(&error))?;
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options(&path))
        .await
        .map_err(|error| damaged(&path, data, &error))?;
    let found = check(&write).await.map_err(|why| match why {
        Found::Bad(error) => damaged(&path, data, &error),
        Found::Damaged(what) => damaged(&path, data, &std::io::Error::other(what)),
    })?;
    if found > VERSION {
        return Err(failed(
            &path,
            &format!("was written by a newer amika: its tables are of version {found}, this one knows {VERSION}"),
        )
        .hint("install that version again")
        .hint(format!(
            "or go back to the copy that was made before: `amika server restore FILE`, with a file of {}",
            data.backups().display()
        )));
    }
    if !is_new && found < VERSION {
        let to = data.backups().join(format!("amika-v{found}-{now}.db"));
        copy(&write, &to).await?;
    }
    migrations()
        .run(&write)
        .await
        .map_err(|error| failed(&path, "cannot be brought up to date").caused_by(&error))?;
    let read = SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_with(options(&path).read_only(true))
        .await
        .map_err(|error| failed(&path, "cannot be read").caused_by(&error))?;
    Ok(Store::new(read, write))
}

/// Looks into a database that nobody else uses, and changes nothing.
///
/// # Errors
/// As [`open`].
pub async fn look(path: &Path) -> Result<i64> {
    let options = unlogged(path).read_only(true);
    let bad = |why: &dyn std::error::Error| {
        failed(path, "is damaged, or is no database of amika's").caused_by(why)
    };
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .map_err(|error| bad(&error))?;
    let found = check(&pool).await;
    pool.close().await;
    match found {
        Ok(version) if version > VERSION => Err(failed(
            path,
            &format!(
                "is of a newer amika: its tables are of version {version}, this one knows {VERSION}"
            ),
        )
        .hint("install that version")),
        Ok(version) => Ok(version),
        Err(Found::Bad(error)) => Err(bad(&error)),
        Err(Found::Damaged(what)) => Err(bad(&std::io::Error::other(what))),
    }
}

enum Found {
    Bad(sqlx::Error),
    Damaged(String),
}

impl From<sqlx::Error> for Found {
    fn from(error: sqlx::Error) -> Self {
        Self::Bad(error)
    }
}

/// The version of the tables, 0 where there are none.
async fn check(pool: &SqlitePool) -> Result<i64, Found> {
    let row = sqlx::query("PRAGMA quick_check(1)").fetch_one(pool).await?;
    let said: String = get(&row, "quick_check")?;
    if said != "ok" {
        return Err(Found::Damaged(said));
    }
    let tables = sqlx::query("SELECT name FROM sqlite_schema WHERE name = '_sqlx_migrations'");
    if tables.fetch_optional(pool).await?.is_none() {
        let any = sqlx::query("SELECT name FROM sqlite_schema LIMIT 1");
        return match any.fetch_optional(pool).await? {
            None => Ok(0),
            Some(_) => Err(Found::Damaged(
                "it has tables of somebody else's".to_owned(),
            )),
        };
    }
    let row = sqlx::query("SELECT max(version) AS version FROM _sqlx_migrations")
        .fetch_one(pool)
        .await?;
    let version: Option<i64> = get(&row, "version")?;
    Ok(version.unwrap_or(0))
}

/// Writes a whole copy of the database, while it is used.
///
/// # Errors
/// Where there is a file already, and those of the system.
async fn copy(pool: &SqlitePool, to: &Path) -> Result<()> {
    let failed = |error: &dyn std::error::Error| {
        let message = format!("no copy of the database can be made at {}", to.display());
        Error::new(Kind::Failure, message).caused_by(error)
    };
    let parent = to.parent().unwrap_or(Path::new("."));
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
        .create(parent)
        .map_err(|error| failed(&error))?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| failed(&error))?;
    let name = to
        .to_str()
        .ok_or_else(|| failed(&std::io::Error::other("its name is not UTF-8")))?;
    // It writes into a file that is there as long as that is empty.
    sqlx::query("VACUUM INTO ?")
        .bind(name)
        .execute(pool)
        .await
        .map_err(|error| failed(&error))?;
    let file = std::fs::File::open(to).and_then(|file| file.sync_all());
    file.map_err(|error| failed(&error))
}

fn failed(path: &Path, what: &str) -> Error {
    Error::new(
        Kind::Failure,
        format!("the database {} {what}", path.display()),
    )
}

fn damaged(path: &Path, data: &DataDir, why: &dyn std::error::Error) -> Error {
    failed(path, "is damaged, or is no database of amika's")
        .caused_by(why)
        .hint(format!(
            "put a backup in its place: `amika server restore FILE`; copies from before upgrades are in {}",
            data.backups().display()
        ))
        .hint("sandboxes are not lost with it: they are on the engine, each with its owner in its labels")
}

/// A whole copy of a database file, which a server may be using.
///
/// # Errors
/// As [`copy`].
pub async fn copy_of(path: &Path, to: &Path) -> Result<()> {
    // Without the write-ahead log's files beside it a reader must be able to make them.
    let options = unlogged(path).create_if_missing(false);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .map_err(|error| failed(path, "cannot be read").caused_by(&error))?;
    let copied = copy(&pool, to).await;
    pool.close().await;
    copied
}

/// How many secrets of a database a key does not open.
///
/// # Errors
/// Where it cannot be read.
pub async fn unreadable_secrets(path: &Path, seal: &crate::seal::Seal) -> Result<usize> {
    let unreadable = |error: sqlx::Error| failed(path, "cannot be read").caused_by(&error);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(unlogged(path).create_if_missing(false))
        .await
        .map_err(unreadable)?;
    if check(&pool).await.unwrap_or(0) == 0 {
        pool.close().await;
        return Ok(0);
    }
    let rows = sqlx::query("SELECT id, sealed FROM secrets")
        .fetch_all(&pool)
        .await
        .map_err(unreadable)?;
    pool.close().await;
    let opens = |row: &sqlx::sqlite::SqliteRow| -> Result<bool, sqlx::Error> {
        let (id, sealed): (String, Vec<u8>) = (get(row, "id")?, get(row, "sealed")?);
        Ok(seal.open(&id, &sealed).is_some())
    };
    let opened = rows.iter().map(|row| opens(row).map_err(unreadable));
    let opened: Vec<bool> = opened.collect::<Result<_>>()?;
    Ok(opened.into_iter().filter(|opened| !opened).count())
}

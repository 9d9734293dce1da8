//! What the engine cannot hold, in one `SQLite` database: one file for each group of tables.

mod agents;
mod api_keys;
mod audit;
mod git_user;
mod holders;
mod idempotency;
pub mod open;
mod operations;
mod repositories;
mod sandbox_services;
mod sandboxes;
mod secrets;
mod services;
mod sessions;
mod uploads;
mod users;

pub use agents::{SessionRow, TurnEnd, TurnRow};
pub use api_keys::{ApiKey, NewKey};
pub use audit::Entry as AuditEntry;
pub use git_user::GitUser;
pub use idempotency::Claim;
pub use operations::{LifecycleRow, Meaning, OperationRow};
pub use repositories::{Repository, Saved};
pub use sandbox_services::SandboxServiceRow;
pub use sandboxes::{Failure, SandboxRow};
pub use secrets::{NewSecret, Secret, SecretChange};
pub use services::ServiceRow;
pub use uploads::Upload;
pub use users::{Changed, User};

use std::sync::Arc;

use sqlx::sqlite::{SqlitePool, SqliteRow};

use crate::changes::Changes;
use holders::Holders;

/// The database. Reads go beside each other, and beside the one write that goes at a time.
#[derive(Clone, Debug)]
pub struct Store {
    read: SqlitePool,
    write: SqlitePool,
    /// Where it is counted what was changed, once that is kept.
    changes: Arc<Changes>,
    holders: Holders,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk.
    #[error("the disk of the data directory is full")]
    Full,
    /// Another has that name already.
    #[error("the name is taken")]
    Taken,
    /// Anything else.
    #[error("the database does not answer as it should")]
    Other(#[source] sqlx::Error),
}

/// What the store returns.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// `SQLite`'s number for a full disk or database.
const SQLITE_FULL: &str = "13";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(it) if it.is_unique_violation() => Self::Taken,
            Some(it) if it.code().as_deref() == Some(SQLITE_FULL) => Self::Full,
            _ => Self::Other(error),
        }
    }
}

impl Store {
    fn new(read: SqlitePool, write: SqlitePool) -> Self {
        Self {
            read,
            write,
            changes: Arc::default(),
            holders: Holders::default(),
        }
    }

    /// Where it is counted what was changed.
    pub fn changes(&self) -> &Arc<Changes> {
        &self.changes
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answers(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Ends all connections, once what they do is done.
    pub async fn close(&self) {
        self.read.close().await;
        // What is in the log goes into the database: then that file alone is all there is.
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
        if let Err(error) = checkpoint.execute(&self.write).await {
            tracing::warn!(%error, "the database's log stays beside it");
        }
        self.write.close().await;
    }

    /// A value that the server keeps of itself; `make` makes it where there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn meta(&self, name: &str, make: impl FnOnce() -> String) -> Result<String> {
        sqlx::query("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(make())
            .execute(&self.write)
            .await?;
        let row = sqlx::query("SELECT value FROM meta WHERE name = ?")
            .bind(name)
            .fetch_one(&self.read)
            .await?;
        Ok(get(&row, "value")?)
    }
}

/// A column of a row.
fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, sqlx::Error>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    sqlx::Row::try_get(row, column)
}

/// As [`read`], of JSON that may not be there.
fn read_if_there<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
) -> Result<Option<T>, sqlx::Error> {
    match get::<Option<&str>>(row, column)? {
        Some(_) => read(row, column, |text| serde_json::from_str(text)).map(Some),
        None => Ok(None),
    }
}

/// A column that holds JSON or one of our words: what cannot be read is an error of the store.
fn read<T, E: std::error::Error + Send + Sync + 'static>(
    row: &SqliteRow,
    column: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, sqlx::Error> {
    let text: String = get(row, column)?;
    parse(&text).map_err(|error| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    })
}

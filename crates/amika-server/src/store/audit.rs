//! Who did what, and what came of it.

use super::{Result, Store, get};

/// How long entries are kept, in milliseconds.
pub(super) const KEPT: i64 = 90 * 24 * 60 * 60 * 1000;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: i64,
    /// By whom: an id; none for one who did not sign in.
    pub user_id: Option<String>,
    /// The name then.
    pub user_name: Option<String>,
    /// With which key; none for the page.
    pub key_id: Option<String>,
    /// The method and the route.
    pub action: String,
    /// On what: the path.
    pub target: Option<String>,
    /// From which address.
    pub from_address: String,
    /// The status of the answer.
    pub status: u16,
    /// Finds the request's lines in the log.
    pub trace_id: String,
}

/// An entry with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Counts up.
    pub id: i64,
    /// What was done.
    pub entry: Entry,
}

impl Store {
    /// Adds one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_audit(&self, entry: &Entry) -> Result<()> {
        sqlx::query(
            "INSERT INTO audit (at, user_id, user_name, key_id, action, target, from_address, status, trace_id) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(entry.at)
        .bind(&entry.user_id)
        .bind(&entry.user_name)
        .bind(&entry.key_id)
        .bind(&entry.action)
        .bind(&entry.target)
        .bind(&entry.from_address)
        .bind(entry.status)
        .bind(&entry.trace_id)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// The latest first: at most `limit`, of those before that with the id `before`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn audit(&self, limit: u32, before: Option<i64>) -> Result<Vec<Kept>> {
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
        )
        .bind(before)
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        let kept = rows.iter().map(|row| {
            Ok(Kept {
                id: get(row, "id")?,
                entry: Entry {
                    at: get(row, "at")?,
                    user_id: get(row, "user_id")?,
                    user_name: get(row, "user_name")?,
                    key_id: get(row, "key_id")?,
                    action: get(row, "action")?,
                    target: get(row, "target")?,
                    from_address: get(row, "from_address")?,
                    status: get(row, "status")?,
                    trace_id: get(row, "trace_id")?,
                },
            })
        });
        Ok(kept.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Removes what is older than 90 days: entries here, operations that are over, and what happened to sandboxes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget(&self, now: i64) -> Result<()> {
        for old in [
            "DELETE FROM audit WHERE at < ?",
            "DELETE FROM operations WHERE created_at < ? AND state <> 'running'",
            "DELETE FROM lifecycle_events WHERE created_at < ?",
        ] {
            sqlx::query(old)
                .bind(now - KEPT)
                .execute(&self.write)
                .await?;
        }
        Ok(())
    }
}

//! What was, or is, done to sandboxes, with the steps of it.

use sqlx::sqlite::SqliteRow;

use super::sandboxes::Failure;
use super::{Result, Store, get};

/// Something that is or was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// Its id.
    pub id: String,
    /// `create`, `start`, `stop`, `restart`, `delete`.
    pub kind: String,
    /// On which sandbox.
    pub sandbox_id: String,
    /// What that was called.
    pub sandbox_name: String,
    /// Who asked for it; none is a timer.
    pub user_id: Option<String>,
    /// Whose the sandbox is; none is known of what no server made.
    pub owner_id: Option<String>,
    /// What was asked for besides the kind.
    pub detail: Option<String>,
    /// `running`, `succeeded`, `failed`, `canceled`.
    pub state: String,
    /// Why it failed.
    pub error: Option<Failure>,
    /// What came of it, as JSON.
    pub result: Option<String>,
    /// When it began.
    pub created_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
}

/// A step of an operation, or something else that happened to a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleRow {
    /// Counts up.
    pub id: i64,
    /// The operation's kind.
    pub run_kind: String,
    /// The step.
    pub step: String,
    /// `started`, `succeeded`, `failed`.
    pub status: String,
    /// More of it.
    pub detail: Option<String>,
    /// When.
    pub created_at: i64,
}

/// What the end of an operation means for its sandbox.
#[derive(Clone, Copy, Debug)]
pub enum Meaning<'a> {
    /// It is what it was.
    Nothing,
    /// It is no more.
    Gone,
    /// Why what was asked for did not come to be; none where it did.
    Failure(Option<&'a Failure>),
}

fn row_of(row: &SqliteRow) -> Result<OperationRow, sqlx::Error> {
    let error: Option<String> = get(row, "error")?;
    Ok(OperationRow {
        id: get(row, "id")?,
        kind: get(row, "kind")?,
        sandbox_id: get(row, "sandbox_id")?,
        sandbox_name: get(row, "sandbox_name")?,
        user_id: get(row, "user_id")?,
        owner_id: get(row, "owner_id")?,
        detail: get(row, "detail")?,
        state: get(row, "state")?,
        error: error.and_then(|text| serde_json::from_str(&text).ok()),
        result: get(row, "result")?,
        created_at: get(row, "created_at")?,
        ended_at: get(row, "ended_at")?,
    })
}

fn step_of(row: &SqliteRow) -> Result<LifecycleRow, sqlx::Error> {
    Ok(LifecycleRow {
        id: get(row, "id")?,
        run_kind: get(row, "run_kind")?,
        step: get(row, "step")?,
        status: get(row, "status")?,
        detail: get(row, "detail")?,
        created_at: get(row, "created_at")?,
    })
}

impl Store {
    /// Notes that one begins.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn begin_operation(&self, new: &OperationRow) -> Result<()> {
        sqlx::query(
            "INSERT INTO operations (id, kind, sandbox_id, sandbox_name, user_id, owner_id, detail, state, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?)",
        )
        .bind(&new.id)
        .bind(&new.kind)
        .bind(&new.sandbox_id)
        .bind(&new.sandbox_name)
        .bind(&new.user_id)
        .bind(&new.owner_id)
        .bind(&new.detail)
        .bind(new.created_at)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Notes how one ended, and with it what that means for its sandbox: both, or neither.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_operation(&self, row: &OperationRow, meaning: Meaning<'_>) -> Result<()> {
        let json =
            |failure: Option<&Failure>| failure.and_then(|it| serde_json::to_string(it).ok());
        let mut both = self.write.begin().await?;
        sqlx::query(
            "UPDATE operations SET state = ?, error = ?, result = ?, ended_at = ? WHERE id = ?",
        )
        .bind(&row.state)
        .bind(json(row.error.as_ref()))
        .bind(&row.result)
        .bind(row.ended_at)
        .bind(&row.id)
        .execute(&mut *both)
        .await?;
        match meaning {
            Meaning::Nothing => {}
            Meaning::Gone => {
                sqlx::query("DELETE FROM sandboxes WHERE id = ?")
                    .bind(&row.sandbox_id)
                    .execute(&mut *both)
                    .await?;
            }
            Meaning::Failure(failure) => {
                sqlx::query("UPDATE sandboxes SET failure = ? WHERE id = ?")
                    .bind(json(failure))
                    .bind(&row.sandbox_id)
                    .execute(&mut *both)
                    .await?;
            }
        }
        both.commit().await?;
        self.changes.rows();
        Ok(())
    }

    /// One.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn operation(&self, id: &str) -> Result<Option<OperationRow>> {
        let row = sqlx::query("SELECT * FROM operations WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.as_ref().map(row_of).transpose()?)
    }

    /// The latest begun first: of a user or of all, of one state or of all; at most `limit`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn operations(
        &self,
        of: Option<&str>,
        state: Option<&str>,
        limit: u32,
    ) -> Result<Vec<OperationRow>> {
        let rows = sqlx::query(
            "SELECT * FROM operations WHERE (?1 IS NULL OR user_id = ?1 OR owner_id = ?1) \
             AND (?2 IS NULL OR state = ?2) ORDER BY created_at DESC, rowid DESC LIMIT ?3",
        )
        .bind(of)
        .bind(state)
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(row_of).collect::<Result<_, _>>()?)
    }

    /// Those that a server was at when it ended, the first begun first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn unfinished_operations(&self) -> Result<Vec<OperationRow>> {
        let rows =
            sqlx::query("SELECT * FROM operations WHERE state = 'running' ORDER BY created_at, id")
                .fetch_all(&self.read)
                .await?;
        Ok(rows.iter().map(row_of).collect::<Result<_, _>>()?)
    }

    /// Notes a step of an operation; its number.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_lifecycle(&self, of: &OperationRow, new: &LifecycleRow) -> Result<i64> {
        let row = sqlx::query(
            "INSERT INTO lifecycle_events (sandbox_id, user_id, operation_id, run_kind, step, status, detail, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(&of.sandbox_id)
        .bind(&of.user_id)
        .bind(&of.id)
        .bind(&new.run_kind)
        .bind(&new.step)
        .bind(&new.status)
        .bind(&new.detail)
        .bind(new.created_at)
        .fetch_one(&self.write)
        .await?;
        Ok(get(&row, "id")?)
    }

    /// The steps of an operation after the one with this number, the first first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn steps(&self, operation_id: &str, after: i64) -> Result<Vec<LifecycleRow>> {
        let rows = sqlx::query(
            "SELECT * FROM lifecycle_events WHERE operation_id = ? AND id > ? ORDER BY id LIMIT 1000",
        )
        .bind(operation_id)
        .bind(after)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(step_of).collect::<Result<_, _>>()?)
    }

    /// What happened to a sandbox, the first first: the last thousand.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn lifecycle(&self, sandbox_id: &str) -> Result<Vec<LifecycleRow>> {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT * FROM lifecycle_events WHERE sandbox_id = ? ORDER BY id DESC LIMIT 1000) ORDER BY id",
        )
        .bind(sandbox_id)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(step_of).collect::<Result<_, _>>()?)
    }
}

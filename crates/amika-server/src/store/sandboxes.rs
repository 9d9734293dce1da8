//! What the engine cannot hold of sandboxes: owners, timers that may change, how a create failed.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;

use super::{Result, Store, get, read};
use crate::sandboxes::sign_ins::ResolvedAgentCredential;

/// A sandbox of this server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxRow {
    /// Its id, which its container is stamped with.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// Its name.
    pub name: String,
    /// What was asked for, as JSON, without values that may be secret.
    pub request: serde_json::Value,
    /// Idle minutes until it is stopped; 0 is never.
    pub auto_stop: i64,
    /// Minutes after a stop until it is deleted; none is never.
    pub auto_delete: Option<i64>,
    /// Until when it is not stopped.
    pub keep_awake_until: Option<i64>,
    /// How many processors it counts for; none is all that the engine has.
    pub cpus: Option<i64>,
    /// For how much memory, in bytes; none is all that the engine gives to one.
    pub memory: Option<i64>,
    /// Words of the user's own.
    pub metadata: BTreeMap<String, String>,
    /// Variables that are secrets, each with the secret's name.
    pub secret_env: BTreeMap<String, String>,
    /// What came of the sign-ins that were asked for.
    pub credentials: Vec<ResolvedAgentCredential>,
    /// What its agent is told once setup succeeded, until that was begun.
    pub initial_prompt: Option<String>,
    /// Why what was asked for last did not come to be.
    pub failure: Option<Failure>,
    /// When it was asked for.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

impl SandboxRow {
    /// One of which nothing is known but whose it is, from then on: it is neither stopped nor deleted by itself.
    pub fn new(id: String, user_id: String, name: String, now: i64) -> Self {
        Self {
            id,
            user_id,
            name,
            request: serde_json::json!({}),
            auto_stop: 0,
            auto_delete: None,
            keep_awake_until: None,
            cpus: None,
            memory: None,
            metadata: BTreeMap::new(),
            secret_env: BTreeMap::new(),
            credentials: Vec::new(),
            initial_prompt: None,
            failure: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// The stable word.
    pub code: String,
    /// One sentence.
    pub message: String,
}

fn row_of(row: &SqliteRow) -> Result<SandboxRow, sqlx::Error> {
    let failure: Option<String> = get(row, "failure")?;
    Ok(SandboxRow {
        id: get(row, "id")?,
        user_id: get(row, "user_id")?,
        name: get(row, "name")?,
        request: read(row, "request", |text| serde_json::from_str(text))?,
        auto_stop: get(row, "auto_stop_interval")?,
        auto_delete: get(row, "auto_delete_interval")?,
        keep_awake_until: get(row, "keep_awake_until")?,
        cpus: get(row, "cpus")?,
        memory: get(row, "memory")?,
        metadata: read(row, "metadata", |text| serde_json::from_str(text))?,
        secret_env: read(row, "secret_env", |text| serde_json::from_str(text))?,
        credentials: read(row, "credentials", |text| serde_json::from_str(text))?,
        initial_prompt: get(row, "initial_prompt")?,
        failure: failure.and_then(|text| serde_json::from_str(&text).ok()),
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

impl Store {
    /// All.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sandboxes(&self) -> Result<Vec<SandboxRow>> {
        let rows = sqlx::query("SELECT * FROM sandboxes ORDER BY created_at, id")
            .fetch_all(&self.read)
            .await?;
        Ok(rows.iter().map(row_of).collect::<Result<_, _>>()?)
    }

    /// One.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sandbox(&self, id: &str) -> Result<Option<SandboxRow>> {
        let row = sqlx::query("SELECT * FROM sandboxes WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.as_ref().map(row_of).transpose()?)
    }

    /// Notes what one is given, by name: variables that are secrets, and what came of sign-ins.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_given(
        &self,
        id: &str,
        secret_env: &BTreeMap<String, String>,
        credentials: &[ResolvedAgentCredential],
    ) -> Result<()> {
        sqlx::query("UPDATE sandboxes SET secret_env = ?, credentials = ? WHERE id = ?")
            .bind(serde_json::json!(secret_env).to_string())
            .bind(serde_json::json!(credentials).to_string())
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Adds one; whether no other has its name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_sandbox(&self, new: &SandboxRow) -> Result<bool> {
        let done = sqlx::query(
            "INSERT INTO sandboxes (id, user_id, name, request, auto_stop_interval, auto_delete_interval, \
             keep_awake_until, metadata, created_at, updated_at, cpus, memory, initial_prompt) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12 \
             WHERE NOT EXISTS (SELECT 1 FROM sandboxes WHERE name = ?3)",
        )
        .bind(&new.id)
        .bind(&new.user_id)
        .bind(&new.name)
        .bind(new.request.to_string())
        .bind(new.auto_stop)
        .bind(new.auto_delete)
        .bind(new.keep_awake_until)
        .bind(serde_json::json!(new.metadata).to_string())
        .bind(new.created_at)
        .bind(new.cpus)
        .bind(new.memory)
        .bind(&new.initial_prompt)
        .execute(&self.write)
        .await?;
        self.changes.rows();
        Ok(done.rows_affected() > 0)
    }

    /// Puts this in place of what may change of one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn change_sandbox(&self, row: &SandboxRow) -> Result<()> {
        sqlx::query(
            "UPDATE sandboxes SET name = ?, auto_stop_interval = ?, auto_delete_interval = ?, \
             keep_awake_until = ?, metadata = ?, updated_at = ? WHERE id = ?",
        )
        .bind(&row.name)
        .bind(row.auto_stop)
        .bind(row.auto_delete)
        .bind(row.keep_awake_until)
        .bind(serde_json::json!(row.metadata).to_string())
        .bind(row.updated_at)
        .bind(&row.id)
        .execute(&self.write)
        .await?;
        self.changes.rows();
        Ok(())
    }

    /// Notes another name of one that had this one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rename_sandbox(&self, id: &str, from: &str, to: &str) -> Result<()> {
        sqlx::query("UPDATE sandboxes SET name = ? WHERE id = ? AND name = ?")
            .bind(to)
            .bind(id)
            .bind(from)
            .execute(&self.write)
            .await?;
        self.changes.rows();
        Ok(())
    }

    /// The ids of those that nothing was ever done to. Of what is old that is not known any more: operations are
    /// forgotten.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn untouched_sandboxes(&self, now: i64) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT id FROM sandboxes WHERE created_at > ? AND NOT EXISTS \
             (SELECT 1 FROM operations WHERE operations.sandbox_id = sandboxes.id)",
        )
        .bind(now - super::audit::KEPT)
        .fetch_all(&self.read)
        .await?;
        let ids = rows.iter().map(|row| get(row, "id"));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Those whose agent was not told its first message yet.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn untold_sandboxes(&self) -> Result<Vec<SandboxRow>> {
        let rows = sqlx::query("SELECT * FROM sandboxes WHERE initial_prompt IS NOT NULL")
            .fetch_all(&self.read)
            .await?;
        Ok(rows.iter().map(row_of).collect::<Result<_, _>>()?)
    }

    /// Forgets the first message of one's agent: it is told, or nobody is there to hear it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_initial_prompt(&self, id: &str) -> Result<()> {
        sqlx::query("UPDATE sandboxes SET initial_prompt = NULL WHERE id = ?")
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Forgets one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_sandbox(&self, id: &str) -> Result<()> {
        sqlx::query("DELETE FROM sandboxes WHERE id = ?")
            .bind(id)
            .execute(&self.write)
            .await?;
        self.changes.rows();
        Ok(())
    }
}

//! Conversations with agents, and their turns.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;

use super::{Result, Store, get, read};

/// How long conversations are kept that nobody goes on with, in milliseconds.
const KEPT: i64 = 90 * 24 * 60 * 60 * 1000;

/// A conversation with an agent in a sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// In which sandbox.
    pub sandbox_id: String,
    /// What that is called, or was.
    pub sandbox_name: String,
    /// Whose it is.
    pub user_id: String,
    /// `claude`, `codex`, `opencode`.
    pub agent: String,
    /// What the agent calls it.
    pub agent_session_id: Option<String>,
    /// `active`, `completed`, `failed`.
    pub status: String,
    /// Words of the user's own, as JSON.
    pub metadata: serde_json::Value,
    /// When it began.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

/// A message to an agent, and what it answered.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnRow {
    /// Its id.
    pub id: String,
    /// Of which conversation.
    pub session_id: String,
    /// Whether it begins that.
    pub is_new: bool,
    /// The job of amikad that runs it.
    pub job: Option<String>,
    /// `running`, `completed`, `failed`.
    pub state: String,
    /// What was said to the agent.
    pub message: String,
    /// Whether the agent failed.
    pub is_error: Option<bool>,
    /// What it answered.
    pub result: Option<String>,
    /// What it says that it cost, in US dollars.
    pub cost_usd: Option<f64>,
    /// When it was asked for.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
}

/// How a turn ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TurnEnd {
    /// Whether it came to an answer.
    pub is_completed: bool,
    /// Whether the agent failed.
    pub is_error: bool,
    /// What it answered.
    pub result: String,
    /// What it says that it cost.
    pub cost_usd: Option<f64>,
}

fn session(row: &SqliteRow) -> Result<SessionRow, sqlx::Error> {
    Ok(SessionRow {
        id: get(row, "id")?,
        sandbox_id: get(row, "sandbox_id")?,
        sandbox_name: get(row, "sandbox_name")?,
        user_id: get(row, "user_id")?,
        agent: get(row, "agent")?,
        agent_session_id: get(row, "agent_session_id")?,
        status: get(row, "status")?,
        metadata: read(row, "metadata", |text| serde_json::from_str(text))?,
        started_at: get(row, "started_at")?,
        ended_at: get(row, "ended_at")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

fn turn(row: &SqliteRow) -> Result<TurnRow, sqlx::Error> {
    Ok(TurnRow {
        id: get(row, "id")?,
        session_id: get(row, "session_id")?,
        is_new: get(row, "is_new")?,
        job: get(row, "job")?,
        state: get(row, "state")?,
        message: get(row, "message")?,
        is_error: get(row, "is_error")?,
        result: get(row, "result")?,
        cost_usd: get(row, "cost_usd")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
        ended_at: get(row, "ended_at")?,
    })
}

impl Store {
    /// Adds a conversation.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_session(&self, new: &SessionRow) -> Result<()> {
        sqlx::query(
            "INSERT INTO agent_sessions (id, sandbox_id, sandbox_name, user_id, agent, agent_session_id, status, \
             metadata, started_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.id)
        .bind(&new.sandbox_id)
        .bind(&new.sandbox_name)
        .bind(&new.user_id)
        .bind(&new.agent)
        .bind(&new.agent_session_id)
        .bind(&new.status)
        .bind(new.metadata.to_string())
        .bind(new.started_at)
        .bind(new.created_at)
        .bind(new.updated_at)
        .execute(&self.write)
        .await?;
        self.changes.doings();
        Ok(())
    }

    /// One.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn agent_session(&self, id: &str) -> Result<Option<SessionRow>> {
        let row = sqlx::query("SELECT * FROM agent_sessions WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.as_ref().map(session).transpose()?)
    }

    /// Those of a sandbox, the last used first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sessions_of_sandbox(&self, sandbox_id: &str) -> Result<Vec<SessionRow>> {
        let rows = sqlx::query(
            "SELECT * FROM agent_sessions WHERE sandbox_id = ? ORDER BY updated_at DESC, rowid DESC",
        )
        .bind(sandbox_id)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(session).collect::<Result<_, _>>()?)
    }

    /// Those of a user, the last used first, and how many there are in all.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sessions_of_user(
        &self,
        user_id: &str,
        limit: u32,
    ) -> Result<(Vec<SessionRow>, i64)> {
        let rows = sqlx::query(
            "SELECT *, count(*) OVER () AS total FROM agent_sessions WHERE user_id = ? \
             ORDER BY updated_at DESC, rowid DESC LIMIT ?",
        )
        .bind(user_id)
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        let total = rows.first().map(|row| get(row, "total")).transpose()?;
        let rows = rows.iter().map(session).collect::<Result<_, _>>()?;
        Ok((rows, total.unwrap_or(0)))
    }

    /// The conversation of each sandbox, or of one, that was gone on with last and may go on, by the sandbox's id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn current_sessions(
        &self,
        sandbox_id: Option<&str>,
    ) -> Result<BTreeMap<String, String>> {
        let rows = sqlx::query(
            "SELECT sandbox_id, id FROM agent_sessions WHERE status = 'active' AND sandbox_id = coalesce(?, sandbox_id) \
             ORDER BY updated_at, rowid",
        )
        .bind(sandbox_id)
        .fetch_all(&self.read)
        .await?;
        let each = rows
            .iter()
            .map(|row| Ok((get(row, "sandbox_id")?, get(row, "id")?)));
        Ok(each.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Puts this in place of what may change of one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn change_session(&self, row: &SessionRow) -> Result<()> {
        sqlx::query(
            "UPDATE agent_sessions SET agent_session_id = ?, status = ?, metadata = ?, ended_at = ?, updated_at = ? \
             WHERE id = ?",
        )
        .bind(&row.agent_session_id)
        .bind(&row.status)
        .bind(row.metadata.to_string())
        .bind(row.ended_at)
        .bind(row.updated_at)
        .bind(&row.id)
        .execute(&self.write)
        .await?;
        self.changes.doings();
        Ok(())
    }

    /// Notes what the agent calls a conversation.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn name_session(&self, id: &str, agent_session_id: &str, now: i64) -> Result<()> {
        sqlx::query("UPDATE agent_sessions SET agent_session_id = ?, updated_at = ? WHERE id = ?")
            .bind(agent_session_id)
            .bind(now)
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Adds a turn, unless another of its conversation runs; whether it did. With the first message of a new sandbox's
    /// agent goes the note that it is to be told: it is told once.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_turn(&self, new: &TurnRow, first_of: Option<&str>) -> Result<bool> {
        let mut transaction = self.write.begin().await?;
        let done = sqlx::query(
            "INSERT INTO agent_turns (id, session_id, is_new, state, message, created_at, updated_at) \
             SELECT ?1, ?2, ?3, 'running', ?4, ?5, ?5 \
             WHERE NOT EXISTS (SELECT 1 FROM agent_turns WHERE session_id = ?2 AND state = 'running')",
        )
        .bind(&new.id)
        .bind(&new.session_id)
        .bind(new.is_new)
        .bind(&new.message)
        .bind(new.created_at)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE sandboxes SET initial_prompt = NULL WHERE id = ?")
            .bind(first_of)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Notes the job that runs a turn.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_job(&self, id: &str, job: &str, now: i64) -> Result<()> {
        sqlx::query("UPDATE agent_turns SET job = ?, updated_at = ? WHERE id = ?")
            .bind(job)
            .bind(now)
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Notes how a turn ended.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_turn(&self, id: &str, end: &TurnEnd, now: i64) -> Result<()> {
        sqlx::query(
            "UPDATE agent_turns SET state = ?, is_error = ?, result = ?, cost_usd = ?, updated_at = ?5, ended_at = ?5 \
             WHERE id = ?6",
        )
        .bind(if end.is_completed { "completed" } else { "failed" })
        .bind(end.is_error)
        .bind(&end.result)
        .bind(end.cost_usd)
        .bind(now)
        .bind(id)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// One turn.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn turn(&self, id: &str) -> Result<Option<TurnRow>> {
        let row = sqlx::query("SELECT * FROM agent_turns WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.as_ref().map(turn).transpose()?)
    }

    /// The turns of a conversation, the first first: the last thousand.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn turns(&self, session_id: &str) -> Result<Vec<TurnRow>> {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT *, rowid AS number FROM agent_turns WHERE session_id = ? \
             ORDER BY number DESC LIMIT 1000) ORDER BY number",
        )
        .bind(session_id)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(turn).collect::<Result<_, _>>()?)
    }

    /// Those that a server was at when it ended.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn unfinished_turns(&self) -> Result<Vec<TurnRow>> {
        let rows = sqlx::query("SELECT * FROM agent_turns WHERE state = 'running'")
            .fetch_all(&self.read)
            .await?;
        Ok(rows.iter().map(turn).collect::<Result<_, _>>()?)
    }

    /// Forgets conversations that nobody went on with since.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_sessions(&self, now: i64) -> Result<()> {
        sqlx::query("DELETE FROM agent_sessions WHERE updated_at < ?")
            .bind(now - KEPT)
            .execute(&self.write)
            .await?;
        self.changes.doings();
        Ok(())
    }
}

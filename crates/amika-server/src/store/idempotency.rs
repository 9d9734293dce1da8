//! Requests that bear a key of their sender's, with the first answer to each.

use super::{Result, Store, get};

/// How long an answer is kept, in milliseconds.
const KEPT: i64 = 24 * 60 * 60 * 1000;

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is this request's now.
    Mine,
    /// Another request has it.
    Other,
    /// The same request has it, and there is no answer yet.
    Unanswered,
    /// The same request has it, and was answered so.
    Answered {
        /// The status.
        status: u16,
        /// The body; of one that holds a secret only the id.
        body: String,
    },
}

impl Store {
    /// Takes a key for a request of this fingerprint, unless it was taken within a day.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn claim_key(
        &self,
        user_id: &str,
        key: &str,
        fingerprint: &[u8],
        now: i64,
    ) -> Result<Claim> {
        let mut all_or_nothing = self.write.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM idempotency WHERE created_at < ?")
            .bind(now - KEPT)
            .execute(&mut *all_or_nothing)
            .await?;
        let done = sqlx::query(
            "INSERT INTO idempotency (user_id, key, fingerprint, created_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(user_id)
        .bind(key)
        .bind(fingerprint)
        .bind(now)
        .execute(&mut *all_or_nothing)
        .await?;
        let row = sqlx::query(
            "SELECT fingerprint, status, body FROM idempotency WHERE user_id = ? AND key = ?",
        )
        .bind(user_id)
        .bind(key)
        .fetch_one(&mut *all_or_nothing)
        .await?;
        all_or_nothing.commit().await?;
        if done.rows_affected() > 0 {
            return Ok(Claim::Mine);
        }
        let taken_by: Vec<u8> = get(&row, "fingerprint")?;
        if taken_by != fingerprint {
            return Ok(Claim::Other);
        }
        let (status, body): (Option<u16>, Option<String>) =
            (get(&row, "status")?, get(&row, "body")?);
        Ok(match status {
            Some(status) => Claim::Answered {
                status,
                body: body.unwrap_or_default(),
            },
            None => Claim::Unanswered,
        })
    }

    /// Keeps the answer to a request that has a key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn answer_key(
        &self,
        user_id: &str,
        key: &str,
        status: u16,
        body: &str,
    ) -> Result<()> {
        sqlx::query("UPDATE idempotency SET status = ?, body = ? WHERE user_id = ? AND key = ?")
            .bind(status)
            .bind(body)
            .bind(user_id)
            .bind(key)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Gives a key back: nothing was done, the request may come again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn release_key(&self, user_id: &str, key: &str) -> Result<()> {
        sqlx::query("DELETE FROM idempotency WHERE user_id = ? AND key = ? AND status IS NULL")
            .bind(user_id)
            .bind(key)
            .execute(&self.write)
            .await?;
        Ok(())
    }
}

//! Sign-in links and sessions of the page: of each only digests.

use super::users::user;
use super::{Result, Store, User, get};
use crate::auth::token::Hash;

/// How long a sign-in link can be used, in milliseconds.
pub const LINK_LIFE: i64 = 10 * 60 * 1000;

/// How long a session may be idle, in milliseconds.
const IDLE: i64 = 12 * 60 * 60 * 1000;

/// How long a session lasts in all, in milliseconds.
const LIFE: i64 = 7 * 24 * 60 * 60 * 1000;

/// A session that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub user: User,
    /// When it ends whatever is done.
    pub ends_at: i64,
}

impl Store {
    /// Adds a link by which a user signs in once.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_link(&self, user_id: &str, hash: &Hash, now: i64) -> Result<()> {
        sqlx::query("DELETE FROM sign_in_links WHERE expires_at <= ?")
            .bind(now)
            .execute(&self.write)
            .await?;
        sqlx::query("INSERT INTO sign_in_links (hash, user_id, expires_at) VALUES (?, ?, ?)")
            .bind(&hash.0[..])
            .bind(user_id)
            .bind(now + LINK_LIFE)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Takes a link, which is gone then: the id of its user, where it still held.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn take_link(&self, hash: &Hash, now: i64) -> Result<Option<String>> {
        let row =
            sqlx::query("DELETE FROM sign_in_links WHERE hash = ? RETURNING user_id, expires_at")
                .bind(&hash.0[..])
                .fetch_optional(&self.write)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let expires_at: i64 = get(&row, "expires_at")?;
        Ok(if now < expires_at {
            Some(get(&row, "user_id")?)
        } else {
            None
        })
    }

    /// Begins a session; what is over goes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn begin_session(
        &self,
        user_id: &str,
        cookie: &Hash,
        second: &Hash,
        now: i64,
    ) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE last_used_at <= ? OR created_at <= ?")
            .bind(now - IDLE)
            .bind(now - LIFE)
            .execute(&self.write)
            .await?;
        sqlx::query(
            "INSERT INTO sessions (cookie_hash, second_hash, user_id, created_at, last_used_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&cookie.0[..])
        .bind(&second.0[..])
        .bind(user_id)
        .bind(now)
        .bind(now)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// The session of a cookie and its second secret, where both are of one that holds. Its use is noted once
    /// a minute.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn session(&self, cookie: &Hash, second: &Hash, now: i64) -> Result<Option<Session>> {
        let row = sqlx::query(
            "SELECT users.*, second_hash, last_used_at, sessions.created_at AS begun_at FROM sessions \
             JOIN users ON users.id = user_id WHERE cookie_hash = ? AND disabled = 0",
        )
        .bind(&cookie.0[..])
        .fetch_optional(&self.read)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let kept: Vec<u8> = get(&row, "second_hash")?;
        let last_used_at: i64 = get(&row, "last_used_at")?;
        let begun_at: i64 = get(&row, "begun_at")?;
        if !second.matches(&kept) || now >= last_used_at + IDLE || now >= begun_at + LIFE {
            return Ok(None);
        }
        if now >= last_used_at + 60_000 {
            sqlx::query("UPDATE sessions SET last_used_at = ? WHERE cookie_hash = ?")
                .bind(now)
                .bind(&cookie.0[..])
                .execute(&self.write)
                .await?;
        }
        Ok(Some(Session {
            user: user(&row)?,
            ends_at: begun_at + LIFE,
        }))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_session(&self, cookie: &Hash) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE cookie_hash = ?")
            .bind(&cookie.0[..])
            .execute(&self.write)
            .await?;
        Ok(())
    }
}

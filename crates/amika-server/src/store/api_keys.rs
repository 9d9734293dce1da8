//! API keys: of each only a digest.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::sqlite::SqliteRow;

use super::holders::Holder;
use super::users::user;
use super::{Result, Store, get};
use crate::auth::scope::Scope;
use crate::auth::token::Hash;

/// A key as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Its ends.
    pub shown: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

/// A key to add.
pub struct NewKey<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whose it is.
    pub user_id: &'a str,
    /// What its owner calls it.
    pub name: &'a str,
    /// What is kept of it.
    pub hash: &'a Hash,
    /// What may be shown of it.
    pub shown: &'a str,
    /// What it may be used for.
    pub scopes: &'a [Scope],
    /// The time.
    pub now: i64,
}

fn key(row: &SqliteRow) -> Result<ApiKey, sqlx::Error> {
    Ok(ApiKey {
        id: get(row, "id")?,
        name: get(row, "name")?,
        shown: get(row, "shown")?,
        scopes: scopes(row)?,
        last_used_at: get(row, "last_used_at")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

/// A word that a later version knows gives no right here.
fn scopes(row: &SqliteRow) -> Result<Vec<Scope>, sqlx::Error> {
    let text: String = get(row, "scopes")?;
    Ok(text
        .split(',')
        .filter_map(|word| word.parse().ok())
        .collect())
}

impl Store {
    /// Adds one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_key(&self, new: NewKey<'_>) -> Result<()> {
        let scopes: Vec<&str> = new.scopes.iter().map(|it| it.as_str()).collect();
        sqlx::query(
            "INSERT INTO api_keys (id, user_id, name, hash, shown, scopes, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(new.id)
        .bind(new.user_id)
        .bind(new.name)
        .bind(&new.hash.0[..])
        .bind(new.shown)
        .bind(scopes.join(","))
        .bind(new.now)
        .bind(new.now)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// A user's keys, the newest first: at most `limit`, after that with the id `after`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keys(
        &self,
        user_id: &str,
        limit: u32,
        after: Option<&str>,
    ) -> Result<Vec<ApiKey>> {
        let rows = sqlx::query(
            "SELECT * FROM api_keys WHERE user_id = ?1 AND (?2 IS NULL OR (created_at, id) < \
             (SELECT created_at, id FROM api_keys WHERE id = ?2 AND user_id = ?1)) \
             ORDER BY created_at DESC, id DESC LIMIT ?3",
        )
        .bind(user_id)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(key).collect::<Result<_, _>>()?)
    }

    /// Removes one of a user's; whether there was one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_key(&self, user_id: &str, id: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM api_keys WHERE id = ? AND user_id = ?")
            .bind(id)
            .bind(user_id)
            .execute(&self.write)
            .await?;
        self.changes.people();
        Ok(done.rows_affected() > 0)
    }

    /// Whose a key is and what it may be used for. A user who is kept out has no key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn who_has(&self, hash: &Hash) -> Result<Option<Holder>> {
        let mark = self.changes.marks().people;
        if let Some(holder) = self.holders.get(hash, mark) {
            return Ok(Some(holder));
        }
        let row = sqlx::query(
            "SELECT users.*, api_keys.id AS key_id, hash, scopes, last_used_at FROM api_keys \
             JOIN users ON users.id = user_id WHERE hash = ? AND disabled = 0",
        )
        .bind(&hash.0[..])
        .fetch_optional(&self.read)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let kept: Vec<u8> = get(&row, "hash")?;
        if !hash.matches(&kept) {
            return Ok(None);
        }
        let last_used_at: Option<i64> = get(&row, "last_used_at")?;
        let holder = Holder {
            key_id: get(&row, "key_id")?,
            user: user(&row)?,
            scopes: scopes(&row)?,
            last_used_at: Arc::new(last_used_at.unwrap_or(0).into()),
        };
        self.holders.keep(hash, mark, &holder);
        Ok(Some(holder))
    }

    /// Notes that a key was used, once a minute: what is noted already costs no turn at writing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_use(&self, holder: &Holder, now: i64) -> Result<()> {
        if !holder.is_to_be_noted(now) {
            return Ok(());
        }
        sqlx::query("UPDATE api_keys SET last_used_at = ? WHERE id = ?")
            .bind(now)
            .bind(&holder.key_id)
            .execute(&self.write)
            .await?;
        holder.last_used_at.store(now, Ordering::Relaxed);
        Ok(())
    }
}

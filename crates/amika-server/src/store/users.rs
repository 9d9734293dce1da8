//! Users.

use sqlx::sqlite::SqliteRow;

use super::{Result, Store, get, read};
use crate::auth::scope::Role;
use crate::config::Quota;

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: String,
    /// The name, which nobody else has.
    pub name: String,
    /// An address, where one was given.
    pub email: Option<String>,
    /// What it is here.
    pub role: Role,
    /// Whether it is kept out.
    pub is_disabled: bool,
    /// How much it may have, where that was said of it.
    pub quota: Quota,
    /// When it was made.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

pub(super) fn user(row: &SqliteRow) -> Result<User, sqlx::Error> {
    Ok(User {
        id: get(row, "id")?,
        name: get(row, "name")?,
        email: get(row, "email")?,
        role: read(row, "role", str::parse)?,
        is_disabled: get(row, "disabled")?,
        quota: Quota {
            sandboxes: get(row, "max_sandboxes")?,
            cpus: get(row, "max_cpus")?,
            memory: get(row, "max_memory")?,
        },
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

impl Store {
    /// Whether there is nobody yet.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn has_no_user(&self) -> Result<bool> {
        let one = sqlx::query("SELECT 1 FROM users LIMIT 1");
        Ok(one.fetch_optional(&self.write).await?.is_none())
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn users(&self) -> Result<Vec<User>> {
        let rows = sqlx::query("SELECT * FROM users ORDER BY name")
            .fetch_all(&self.read)
            .await?;
        Ok(rows.iter().map(user).collect::<Result<_, _>>()?)
    }

    /// One of them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn user(&self, id: &str) -> Result<Option<User>> {
        let row = sqlx::query("SELECT * FROM users WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.as_ref().map(user).transpose()?)
    }

    /// The administrator who has been here longest.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn first_admin(&self) -> Result<Option<User>> {
        let row = sqlx::query(
            "SELECT * FROM users WHERE role = 'admin' AND disabled = 0 ORDER BY created_at, id LIMIT 1",
        )
        .fetch_optional(&self.read)
        .await?;
        Ok(row.as_ref().map(user).transpose()?)
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`super::StoreError::Taken`] for a name that somebody has.
    pub async fn add_user(&self, user: &User) -> Result<()> {
        sqlx::query(
            "INSERT INTO users (id, name, email, role, disabled, max_sandboxes, max_cpus, max_memory, created_at, \
             updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&user.id)
        .bind(&user.name)
        .bind(&user.email)
        .bind(user.role.as_str())
        .bind(user.is_disabled)
        .bind(user.quota.sandboxes)
        .bind(user.quota.cpus)
        .bind(user.quota.memory)
        .bind(user.created_at)
        .bind(user.updated_at)
        .execute(&self.write)
        .await?;
        self.changes.people();
        Ok(())
    }

    /// Puts this in place of what is kept of it; whether there is such a user. The last administrator who may
    /// sign in stays one.
    ///
    /// # Errors
    /// [`super::StoreError::Taken`] for a name that somebody has.
    pub async fn change_user(&self, user: &User) -> Result<Changed> {
        let is_admin = user.role == Role::Admin && !user.is_disabled;
        let done = sqlx::query(
            "UPDATE users SET name = ?, email = ?, role = ?, disabled = ?, max_sandboxes = ?, max_cpus = ?, \
             max_memory = ?, updated_at = ? WHERE id = ? \
             AND (? OR EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND disabled = 0 AND id <> ?))",
        )
        .bind(&user.name)
        .bind(&user.email)
        .bind(user.role.as_str())
        .bind(user.is_disabled)
        .bind(user.quota.sandboxes)
        .bind(user.quota.cpus)
        .bind(user.quota.memory)
        .bind(user.updated_at)
        .bind(&user.id)
        .bind(is_admin)
        .bind(&user.id)
        .execute(&self.write)
        .await?;
        self.changes.people();
        self.changed(&user.id, done.rows_affected()).await
    }

    /// Removes one with all keys, sessions and secrets. The last administrator who may sign in stays, and whoever has
    /// sandboxes, unless they go over to another.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_user(&self, id: &str, heir: Option<&str>) -> Result<Changed> {
        let mut all_or_nothing = self.write.begin().await?;
        if let Some(heir) = heir {
            sqlx::query("UPDATE sandboxes SET user_id = ? WHERE user_id = ?")
                .bind(heir)
                .bind(id)
                .execute(&mut *all_or_nothing)
                .await?;
        }
        let left = sqlx::query("SELECT count(*) AS count FROM sandboxes WHERE user_id = ?")
            .bind(id)
            .fetch_one(&mut *all_or_nothing)
            .await?;
        let left: i64 = get(&left, "count")?;
        if left > 0 {
            return Ok(Changed::HasSandboxes(left));
        }
        let done = sqlx::query(
            "DELETE FROM users WHERE id = ? \
             AND EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND disabled = 0 AND id <> ?)",
        )
        .bind(id)
        .bind(id)
        .execute(&mut *all_or_nothing)
        .await?;
        if done.rows_affected() > 0 {
            all_or_nothing.commit().await?;
            self.changes.people();
            self.changes.rows();
            return Ok(Changed::Done);
        }
        drop(all_or_nothing);
        self.changed(id, 0).await
    }

    async fn changed(&self, id: &str, rows: u64) -> Result<Changed> {
        Ok(match rows {
            0 if self.user(id).await?.is_some() => Changed::IsLastAdmin,
            0 => Changed::NotThere,
            _ => Changed::Done,
        })
    }
}

/// What came of a change of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was made.
    Done,
    /// There is no such user.
    NotThere,
    /// Nobody could administer the server then.
    IsLastAdmin,
    /// It has that many sandboxes.
    HasSandboxes(i64),
}

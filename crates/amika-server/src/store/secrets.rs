//! Secrets, sealed.

use sqlx::sqlite::SqliteRow;

use super::{Result, Store, get};

/// A secret, without what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its id.
    pub id: String,
    /// Whose it is; of one that is everybody's, who made it.
    pub user_id: String,
    /// What it is for: a word of [`crate::api::secrets`].
    pub kind: String,
    /// Whether it is everybody's.
    pub is_org: bool,
    /// Its name, one for each kind and owner.
    pub name: String,
    /// What its owner says of it.
    pub description: Option<String>,
    /// What kind of sign-in it is, where it is one.
    pub r#type: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

/// A secret to add, with what it is.
pub struct NewSecret<'a> {
    /// All that may be shown.
    pub secret: &'a Secret,
    /// What may not, sealed.
    pub sealed: &'a [u8],
}

/// A change; none of a member leaves it.
#[derive(Default)]
pub struct SecretChange<'a> {
    /// Another name.
    pub name: Option<&'a str>,
    /// Another description.
    pub description: Option<&'a str>,
    /// Another type.
    pub r#type: Option<&'a str>,
    /// Something else, sealed.
    pub sealed: Option<&'a [u8]>,
}

fn secret(row: &SqliteRow) -> Result<Secret, sqlx::Error> {
    let scope: String = get(row, "scope")?;
    Ok(Secret {
        id: get(row, "id")?,
        user_id: get(row, "user_id")?,
        kind: get(row, "kind")?,
        is_org: scope == "org",
        name: get(row, "name")?,
        description: get(row, "description")?,
        r#type: get(row, "type")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

impl Store {
    /// Those of a kind that a user has: his own and everybody's, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn secrets(&self, user_id: &str, kind: &str) -> Result<Vec<Secret>> {
        let rows = sqlx::query(
            "SELECT * FROM secrets WHERE kind = ? AND (scope = 'org' OR user_id = ?) ORDER BY name, scope DESC",
        )
        .bind(kind)
        .bind(user_id)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(secret).collect::<Result<_, _>>()?)
    }

    /// One that a user has: his own or everybody's.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn secret(&self, user_id: &str, id: &str) -> Result<Option<Secret>> {
        let row =
            sqlx::query("SELECT * FROM secrets WHERE id = ? AND (scope = 'org' OR user_id = ?)")
                .bind(id)
                .bind(user_id)
                .fetch_optional(&self.read)
                .await?;
        Ok(row.as_ref().map(secret).transpose()?)
    }

    /// What one is, sealed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sealed(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let row = sqlx::query("SELECT sealed FROM secrets WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.map(|row| get(&row, "sealed")).transpose()?)
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`super::StoreError::Taken`] for a name that another of its kind and owner has.
    pub async fn add_secret(&self, new: NewSecret<'_>) -> Result<()> {
        let it = new.secret;
        sqlx::query(
            "INSERT INTO secrets (id, user_id, kind, scope, name, description, type, sealed, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&it.id)
        .bind(&it.user_id)
        .bind(&it.kind)
        .bind(if it.is_org { "org" } else { "user" })
        .bind(&it.name)
        .bind(&it.description)
        .bind(&it.r#type)
        .bind(new.sealed)
        .bind(it.created_at)
        .bind(it.updated_at)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Changes one; what it is then, where there is one.
    ///
    /// # Errors
    /// [`super::StoreError::Taken`] for a name that another of its kind and owner has.
    pub async fn change_secret(
        &self,
        id: &str,
        change: SecretChange<'_>,
        now: i64,
    ) -> Result<Option<Secret>> {
        let row = sqlx::query(
            "UPDATE secrets SET name = coalesce(?, name), description = coalesce(?, description), \
             type = coalesce(?, type), sealed = coalesce(?, sealed), updated_at = ? WHERE id = ? RETURNING *",
        )
        .bind(change.name)
        .bind(change.description)
        .bind(change.r#type)
        .bind(change.sealed)
        .bind(now)
        .bind(id)
        .fetch_optional(&self.write)
        .await?;
        Ok(row.as_ref().map(secret).transpose()?)
    }

    /// Removes one; whether there was one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_secret(&self, id: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM secrets WHERE id = ?")
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

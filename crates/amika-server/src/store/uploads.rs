//! Working copies that were sent, until they are too old.

use std::collections::HashSet;

use sqlx::sqlite::SqliteRow;

use super::{Result, Store, get};

/// One that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id, the name of its directory.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// The repository's name.
    pub name: String,
    /// Bytes of its files.
    pub bytes: i64,
    /// When it came.
    pub created_at: i64,
    /// Until when a sandbox can be made of it.
    pub expires_at: i64,
}

fn upload(row: &SqliteRow) -> Result<Upload, sqlx::Error> {
    Ok(Upload {
        id: get(row, "id")?,
        user_id: get(row, "user_id")?,
        name: get(row, "name")?,
        bytes: get(row, "bytes")?,
        created_at: get(row, "created_at")?,
        expires_at: get(row, "expires_at")?,
    })
}

impl Store {
    /// Notes one, unless its user has as many as that already; whether it was noted.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_upload(&self, upload: &Upload, most: i64) -> Result<bool> {
        let added = sqlx::query(
            "INSERT INTO uploads (id, user_id, name, bytes, created_at, expires_at) SELECT ?, ?, ?, ?, ?, ? \
             WHERE (SELECT count(*) FROM uploads WHERE user_id = ? AND expires_at > ?) < ?",
        )
        .bind(&upload.id)
        .bind(&upload.user_id)
        .bind(&upload.name)
        .bind(upload.bytes)
        .bind(upload.created_at)
        .bind(upload.expires_at)
        .bind(&upload.user_id)
        .bind(upload.created_at)
        .bind(most)
        .execute(&self.write)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Notes how large one is that came whole.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_upload(&self, id: &str, bytes: i64) -> Result<()> {
        sqlx::query("UPDATE uploads SET bytes = ? WHERE id = ?")
            .bind(bytes)
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// One that came whole, and can still be used.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn upload(&self, id: &str, now: i64) -> Result<Option<Upload>> {
        let row =
            sqlx::query("SELECT * FROM uploads WHERE id = ? AND expires_at > ? AND bytes >= 0")
                .bind(id)
                .bind(now)
                .fetch_optional(&self.read)
                .await?;
        Ok(row.as_ref().map(upload).transpose()?)
    }

    /// Forgets one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_upload(&self, id: &str) -> Result<()> {
        sqlx::query("DELETE FROM uploads WHERE id = ?")
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Forgets what was over at a time; of the ids that are told, those that nothing is known of any more. Whoever
    /// asks has looked for them before, so that one that comes meanwhile is never taken for an old one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn over_uploads(&self, over_at: i64, mut ids: Vec<String>) -> Result<Vec<String>> {
        sqlx::query("DELETE FROM uploads WHERE expires_at <= ?")
            .bind(over_at)
            .execute(&self.write)
            .await?;
        let rows = sqlx::query("SELECT id FROM uploads")
            .fetch_all(&self.read)
            .await?;
        let kept = rows
            .iter()
            .map(|row| get::<String>(row, "id"))
            .collect::<Result<HashSet<_>, _>>()?;
        ids.retain(|id| !kept.contains(id));
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;
    use crate::auth::scope::Role;
    use crate::config::Quota;
    use crate::data::DataDir;
    use crate::store::User;
    use crate::store::open::open;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_over_is_what_was_looked_for_and_is_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::take(&directory.path().join("data")).unwrap();
        let store = open(&data, 0).await.unwrap();
        let user = User {
            id: "u".to_owned(),
            name: "u".to_owned(),
            email: None,
            role: Role::Member,
            is_disabled: false,
            quota: Quota::default(),
            created_at: 0,
            updated_at: 0,
        };
        store.add_user(&user).await.unwrap();
        for (id, expires_at) in [("old", 10), ("young", 20), ("came-meanwhile", 30)] {
            let upload = Upload {
                id: id.to_owned(),
                user_id: "u".to_owned(),
                name: "app".to_owned(),
                bytes: -1,
                created_at: 0,
                expires_at,
            };
            assert!(store.add_upload(&upload, 9).await.unwrap());
        }
        let over = store.over_uploads(10, ids(&["old", "young", "left"])).await;
        assert_eq!(over.unwrap(), ids(&["old", "left"]));
    }
}

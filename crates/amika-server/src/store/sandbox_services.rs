//! Services of running sandboxes, beside those that they were made with.

use sqlx::sqlite::SqliteRow;

use super::{Result, Store, get};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxServiceRow {
    /// Its id.
    pub id: String,
    /// Of which sandbox it is.
    pub sandbox_id: String,
    /// Its name, one of its kind in the sandbox.
    pub name: String,
    /// The port inside.
    pub port: u16,
    /// `http` or `https`, where a URL is wanted.
    pub url_scheme: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

fn service(row: &SqliteRow) -> Result<SandboxServiceRow, sqlx::Error> {
    Ok(SandboxServiceRow {
        id: get(row, "id")?,
        sandbox_id: get(row, "sandbox_id")?,
        name: get(row, "name")?,
        port: get(row, "port")?,
        url_scheme: get(row, "url_scheme")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

impl Store {
    /// Those of a sandbox, or of all, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sandbox_services(
        &self,
        sandbox_id: Option<&str>,
    ) -> Result<Vec<SandboxServiceRow>> {
        let rows = sqlx::query(
            "SELECT * FROM sandbox_services WHERE sandbox_id = coalesce(?, sandbox_id) ORDER BY name",
        )
        .bind(sandbox_id)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(service).collect::<Result<_, _>>()?)
    }

    /// Adds one, unless its sandbox has as many as that already; whether it was added.
    ///
    /// # Errors
    /// [`super::StoreError::Taken`] for a name that another has, and those of the store.
    pub async fn add_sandbox_service(&self, it: &SandboxServiceRow, most: i64) -> Result<bool> {
        let added = sqlx::query(
            "INSERT INTO sandbox_services (id, sandbox_id, name, port, url_scheme, created_at, updated_at) \
             SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM sandbox_services WHERE sandbox_id = ?) < ?",
        )
        .bind(&it.id)
        .bind(&it.sandbox_id)
        .bind(&it.name)
        .bind(it.port)
        .bind(&it.url_scheme)
        .bind(it.created_at)
        .bind(it.updated_at)
        .bind(&it.sandbox_id)
        .bind(most)
        .execute(&self.write)
        .await?;
        self.changes.rows();
        Ok(added.rows_affected() == 1)
    }

    /// Changes one; whether it was there.
    ///
    /// # Errors
    /// [`super::StoreError::Taken`] for a name that another has, and those of the store.
    pub async fn change_sandbox_service(&self, it: &SandboxServiceRow) -> Result<bool> {
        let changed = sqlx::query(
            "UPDATE sandbox_services SET name = ?, port = ?, url_scheme = ?, updated_at = ? WHERE id = ?",
        )
        .bind(&it.name)
        .bind(it.port)
        .bind(&it.url_scheme)
        .bind(it.updated_at)
        .bind(&it.id)
        .execute(&self.write)
        .await?;
        self.changes.rows();
        Ok(changed.rows_affected() == 1)
    }

    /// Removes one; whether it was there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_sandbox_service(&self, id: &str) -> Result<bool> {
        let removed = sqlx::query("DELETE FROM sandbox_services WHERE id = ?")
            .bind(id)
            .execute(&self.write)
            .await?;
        self.changes.rows();
        Ok(removed.rows_affected() == 1)
    }
}

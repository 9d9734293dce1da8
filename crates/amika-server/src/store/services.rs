//! Services that are saved for a repository.

use amika_core::service::{Service, ServicePort};
use sqlx::sqlite::SqliteRow;

use super::{Result, Store, get, read, read_if_there};

/// A saved definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRow {
    /// Its id.
    pub id: String,
    /// The repository's id.
    pub repository_id: String,
    /// What it defines.
    pub service: Service,
    /// When it was made.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

fn row_of(row: &SqliteRow) -> Result<ServiceRow, sqlx::Error> {
    Ok(ServiceRow {
        id: get(row, "id")?,
        repository_id: get(row, "repository_id")?,
        service: Service {
            name: get(row, "name")?,
            ports: read(row, "ports", |text| {
                serde_json::from_str::<Vec<ServicePort>>(text)
            })?,
            run: read_if_there(row, "run")?,
            sidecar: read_if_there(row, "sidecar")?,
        },
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

fn services_of(rows: &[SqliteRow]) -> Result<Vec<Service>, sqlx::Error> {
    rows.iter().map(|row| Ok(row_of(row)?.service)).collect()
}

impl Store {
    /// Those of a repository, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn services(&self, repository_id: &str) -> Result<Vec<ServiceRow>> {
        let rows = sqlx::query("SELECT * FROM services WHERE repository_id = ? ORDER BY name")
            .bind(repository_id)
            .fetch_all(&self.read)
            .await?;
        Ok(rows.iter().map(row_of).collect::<Result<_, _>>()?)
    }

    /// One of them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn service(&self, id: &str) -> Result<Option<ServiceRow>> {
        let row = sqlx::query("SELECT * FROM services WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.as_ref().map(row_of).transpose()?)
    }

    /// Adds one, or puts it in place of that with this id. From then on the saved ones count. `among` is given the others
    /// there are within the same step, and says what it is beside them.
    ///
    /// # Errors
    /// [`super::StoreError::Taken`] for a name that another has; the inner one is what `among` says.
    pub async fn put_service<E>(
        &self,
        repository_id: &str,
        id: &str,
        among: impl FnOnce(&[Service]) -> Result<ServiceRow, E>,
    ) -> Result<Result<ServiceRow, E>> {
        let mut step = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let rows = sqlx::query("SELECT * FROM services WHERE repository_id = ? AND id <> ?")
            .bind(repository_id)
            .bind(id)
            .fetch_all(&mut *step)
            .await?;
        let new = match among(&services_of(&rows)?) {
            Ok(new) => new,
            Err(refused) => return Ok(Err(refused)),
        };
        let run = new.service.run.as_ref();
        let sidecar = new.service.sidecar.as_ref();
        sqlx::query(
            "INSERT INTO services (id, repository_id, name, ports, run, sidecar, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, ports = excluded.ports, run = excluded.run, \
             sidecar = excluded.sidecar, updated_at = excluded.updated_at",
        )
        .bind(&new.id)
        .bind(&new.repository_id)
        .bind(&new.service.name)
        .bind(serde_json::json!(new.service.ports).to_string())
        .bind(run.map(|run| serde_json::json!(run).to_string()))
        .bind(sidecar.map(|sidecar| serde_json::json!(sidecar).to_string()))
        .bind(new.created_at)
        .bind(new.updated_at)
        .execute(&mut *step)
        .await?;
        sqlx::query("UPDATE repositories SET services_saved = 1 WHERE id = ?")
            .bind(repository_id)
            .execute(&mut *step)
            .await?;
        step.commit().await?;
        Ok(Ok(new))
    }

    /// Removes one, unless `unless` has something against it, which is given the others and its name; whether there was
    /// one. The saved ones go on to count, also when none is left.
    ///
    /// # Errors
    /// Those of the store; the inner one is what `unless` says.
    pub async fn remove_service<E>(
        &self,
        id: &str,
        unless: impl FnOnce(&[Service], &str) -> Result<(), E>,
    ) -> Result<Result<bool, E>> {
        let mut step = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let row = sqlx::query("SELECT * FROM services WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *step)
            .await?;
        let Some(row) = row.as_ref().map(row_of).transpose()? else {
            return Ok(Ok(false));
        };
        let rows = sqlx::query("SELECT * FROM services WHERE repository_id = ? AND id <> ?")
            .bind(&row.repository_id)
            .bind(id)
            .fetch_all(&mut *step)
            .await?;
        if let Err(refused) = unless(&services_of(&rows)?, &row.service.name) {
            return Ok(Err(refused));
        }
        sqlx::query("DELETE FROM services WHERE id = ?")
            .bind(id)
            .execute(&mut *step)
            .await?;
        step.commit().await?;
        Ok(Ok(true))
    }

    /// Removes all of a repository: the file's count again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn back_to_the_file(&self, repository_id: &str) -> Result<()> {
        let mut step = self.write.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM services WHERE repository_id = ?")
            .bind(repository_id)
            .execute(&mut *step)
            .await?;
        sqlx::query("UPDATE repositories SET services_saved = 0 WHERE id = ?")
            .bind(repository_id)
            .execute(&mut *step)
            .await?;
        step.commit().await?;
        Ok(())
    }
}

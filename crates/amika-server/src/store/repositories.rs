//! Settings that are saved for a repository.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;

use super::{Result, Store, get, read};

/// A repository with what is saved for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its id.
    pub id: String,
    /// By what it is known ([`amika_core::canonical::canonical`]).
    pub canonical_url: String,
    /// The URL as it was given, without what signs in.
    pub repo_url: String,
    /// Who saved it first.
    pub user_id: String,
    /// What is saved.
    pub saved: Saved,
    /// Whether the saved services count, and not the file's.
    pub services_saved: bool,
    /// When it was made.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

/// Saved settings; none of a member means that nothing is saved of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Path of the setup script in the repository.
    pub setup_script: Option<String>,
    /// Text of a setup script; it wins over the path.
    pub setup_script_text: Option<String>,
    /// Path of the start script in the repository.
    pub start_script: Option<String>,
    /// Name of a preset.
    pub sandbox_preset: Option<String>,
    /// Word of a size.
    pub sandbox_size: Option<String>,
    /// Name of a snapshot; kept and without effect.
    pub default_snapshot: Option<String>,
    /// Variables by name.
    pub env_vars: Option<BTreeMap<String, String>>,
}

fn repository(row: &SqliteRow) -> Result<Repository, sqlx::Error> {
    let env_vars: Option<String> = get(row, "env_vars")?;
    Ok(Repository {
        id: get(row, "id")?,
        canonical_url: get(row, "canonical_url")?,
        repo_url: get(row, "repo_url")?,
        user_id: get(row, "user_id")?,
        saved: Saved {
            setup_script: get(row, "setup_script")?,
            setup_script_text: get(row, "setup_script_text")?,
            start_script: get(row, "start_script")?,
            sandbox_preset: get(row, "sandbox_preset")?,
            sandbox_size: get(row, "sandbox_size")?,
            default_snapshot: get(row, "default_snapshot")?,
            env_vars: match env_vars {
                Some(_) => Some(read(row, "env_vars", |text| serde_json::from_str(text))?),
                None => None,
            },
        },
        services_saved: get(row, "services_saved")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

impl Store {
    /// All, by URL.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn repositories(&self) -> Result<Vec<Repository>> {
        let rows = sqlx::query("SELECT * FROM repositories ORDER BY canonical_url")
            .fetch_all(&self.read)
            .await?;
        Ok(rows.iter().map(repository).collect::<Result<_, _>>()?)
    }

    /// One by its id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn repository(&self, id: &str) -> Result<Option<Repository>> {
        let row = sqlx::query("SELECT * FROM repositories WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.as_ref().map(repository).transpose()?)
    }

    /// One by what it is known by.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn repository_of(&self, canonical_url: &str) -> Result<Option<Repository>> {
        let row = sqlx::query("SELECT * FROM repositories WHERE canonical_url = ?")
            .bind(canonical_url)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.as_ref().map(repository).transpose()?)
    }

    /// The repository of that URL, which is added if need be. With `saved` that takes the place of all that is
    /// saved of its settings; its services stay.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn put_repository(&self, new: &Repository, saves: bool) -> Result<Repository> {
        let settings = &new.saved;
        let env_vars = settings
            .env_vars
            .as_ref()
            .map(|vars| serde_json::json!(vars).to_string());
        let row = sqlx::query(
            "INSERT INTO repositories (id, canonical_url, repo_url, user_id, setup_script, setup_script_text, \
             start_script, sandbox_preset, sandbox_size, default_snapshot, env_vars, created_at, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12) \
             ON CONFLICT (canonical_url) DO UPDATE SET \
             repo_url = iif(?13, ?3, repo_url), \
             setup_script = iif(?13, ?5, setup_script), \
             setup_script_text = iif(?13, ?6, setup_script_text), \
             start_script = iif(?13, ?7, start_script), \
             sandbox_preset = iif(?13, ?8, sandbox_preset), \
             sandbox_size = iif(?13, ?9, sandbox_size), \
             default_snapshot = iif(?13, ?10, default_snapshot), \
             env_vars = iif(?13, ?11, env_vars), \
             updated_at = iif(?13, ?12, updated_at) RETURNING *",
        )
        .bind(&new.id)
        .bind(&new.canonical_url)
        .bind(&new.repo_url)
        .bind(&new.user_id)
        .bind(&settings.setup_script)
        .bind(&settings.setup_script_text)
        .bind(&settings.start_script)
        .bind(&settings.sandbox_preset)
        .bind(&settings.sandbox_size)
        .bind(&settings.default_snapshot)
        .bind(env_vars)
        .bind(new.updated_at)
        .bind(saves)
        .fetch_one(&self.write)
        .await?;
        Ok(repository(&row)?)
    }

    /// Removes one with all that is saved for it; whether there was one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_repository(&self, id: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM repositories WHERE id = ?")
            .bind(id)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

//! The name and address that commits in a user's sandboxes bear.

use super::{Result, Store, get};

/// Who commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitUser {
    /// git's `user.name`.
    pub name: Option<String>,
    /// git's `user.email`.
    pub email: Option<String>,
}

impl Store {
    /// A user's.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn git_user(&self, user_id: &str) -> Result<GitUser> {
        let row = sqlx::query("SELECT git_name, git_email FROM users WHERE id = ?")
            .bind(user_id)
            .fetch_one(&self.read)
            .await?;
        Ok(GitUser {
            name: get(&row, "git_name")?,
            email: get(&row, "git_email")?,
        })
    }

    /// Puts this in its place.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn set_git_user(&self, user_id: &str, to: &GitUser) -> Result<()> {
        sqlx::query("UPDATE users SET git_name = ?, git_email = ? WHERE id = ?")
            .bind(&to.name)
            .bind(&to.email)
            .bind(user_id)
            .execute(&self.write)
            .await?;
        Ok(())
    }
}

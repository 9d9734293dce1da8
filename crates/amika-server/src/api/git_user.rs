//! The name and address that commits in the caller's sandboxes bear.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check;
use super::error::{Failures, Result};
use super::extract::Body;
use crate::auth::caller::{Reader, Writer};
use crate::state::App;
use crate::store::GitUser;

/// Who commits; null where git's own rule decides.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GitUserSettings {
    /// git's `user.name`.
    name: Option<String>,
    /// git's `user.email`.
    email: Option<String>,
}

/// The caller's.
#[utoipa::path(get, path = "/git-user-settings", tag = "settings",
    responses((status = 200, body = GitUserSettings), Failures))]
pub async fn show(State(app): State<Arc<App>>, caller: Reader) -> Result<Json<GitUserSettings>> {
    let GitUser { name, email } = app.store.git_user(&caller.user.id).await?;
    Ok(Json(GitUserSettings { name, email }))
}

/// Puts this in its place.
#[utoipa::path(post, path = "/git-user-settings", tag = "settings", request_body = GitUserSettings,
    responses((status = 200, body = GitUserSettings), Failures))]
pub async fn set(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<GitUserSettings>,
) -> Result<Json<GitUserSettings>> {
    for (field, value) in [("/name", &body.name), ("/email", &body.email)] {
        value
            .as_deref()
            .map_or(Ok(()), |value| check::text(field, value, 255))?;
    }
    let to = GitUser {
        name: body.name,
        email: body.email,
    };
    app.store.set_git_user(&caller.user.id, &to).await?;
    Ok(Json(GitUserSettings {
        name: to.name,
        email: to.email,
    }))
}

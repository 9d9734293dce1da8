//! Taking over what the command line or another server made.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path};
use super::sandboxes::{entry, find, json};
use crate::auth::caller::Admin;
use crate::sandboxes::request::{AUTO_STOP, interval};
use crate::sandboxes::show::Sandbox;
use crate::state::App;
use crate::store::SandboxRow;

/// How a sandbox is taken over.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AdoptSandbox {
    /// Whose it is from now on; left out: the caller's.
    user_id: Option<String>,
    /// Idle minutes until it is stopped, 0 to 10080; 0: never. Left out: 30.
    auto_stop_interval: Option<i64>,
    /// Minutes after a stop until it is deleted, 0 to 10080; -1 and left out: never.
    auto_delete_interval: Option<i64>,
}

/// Takes over a sandbox that this server did not make. Its timers run from now on; what it says of files of this machine
/// is followed no more than before.
#[utoipa::path(post, path = "/sandboxes/{ref}/adopt", tag = "sandboxes", params(("ref" = String, Path, description = "Id or name.")),
    request_body = AdoptSandbox, responses((status = 200, body = Sandbox), Failures))]
pub async fn adopt(
    State(app): State<Arc<App>>,
    caller: Admin,
    Path(reference): Path<String>,
    Body(body): Body<AdoptSandbox>,
) -> Result<impl IntoResponse> {
    let auto_stop = interval("/auto_stop_interval", body.auto_stop_interval, 0)?;
    let auto_delete = interval("/auto_delete_interval", body.auto_delete_interval, -1)?;
    let found = find(&app, &caller, &reference).await?;
    if found.row.is_some() {
        return Err(ApiError::conflict("the sandbox is this server's already"));
    }
    let name = found.there()?.to_owned();
    let id = found.id();
    if id.is_empty() {
        return Err(ApiError::conflict(
            "the sandbox cannot be taken over: its labels do not tell which one it is",
        ));
    }
    let owner = body.user_id.unwrap_or_else(|| caller.user.id.clone());
    let user = app.store.user(&owner).await?;
    if user.is_none_or(|user| user.is_disabled) {
        let message = "user_id must name a user who may sign in";
        return Err(ApiError::field("/user_id", message));
    }
    let now = app.clock.now();
    let row = SandboxRow {
        auto_stop: auto_stop.unwrap_or(AUTO_STOP),
        auto_delete: auto_delete.filter(|minutes| *minutes >= 0),
        ..SandboxRow::new(id, owner, name, now)
    };
    if !app.store.add_sandbox(&row).await? {
        return Err(ApiError::conflict("another sandbox has its name"));
    }
    let adopted = entry(&app, &caller, &row.id).await?;
    Ok(json(adopted.json.clone()))
}

//! Changing what may change of a sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use amika_core::name::SandboxName;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Found, entry, find, json};
use crate::api::check;
use crate::api::error::{ApiError, Failures, Result};
use crate::api::extract::{Body, Path};
use crate::auth::caller::Writer;
use crate::sandboxes::operations::seen;
use crate::sandboxes::request::interval;
use crate::sandboxes::show::Sandbox;
use crate::state::App;
use crate::store::SandboxRow;

/// A change of a sandbox; a member that is left out or null stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeSandbox {
    /// Another name.
    name: Option<String>,
    /// Idle minutes until it is stopped, 0 to 10080; 0: never.
    auto_stop_interval: Option<i64>,
    /// Minutes after a stop until it is deleted, 0 to 10080; -1: never.
    auto_delete_interval: Option<i64>,
    /// Until when it is not stopped (RFC 3339).
    keep_awake_until: Option<String>,
    /// All words of the caller's own.
    metadata: Option<BTreeMap<String, String>>,
}

/// Changes what may change of a sandbox.
#[utoipa::path(patch, path = "/sandboxes/{ref}", tag = "sandboxes", params(("ref" = String, Path, description = "Id or name.")),
    request_body = ChangeSandbox, responses((status = 200, body = Sandbox), Failures))]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Body(body): Body<ChangeSandbox>,
) -> Result<impl IntoResponse> {
    let found = find(&app, &caller, &reference).await?;
    let Some(mut row) = found.row.clone() else {
        return Err(ApiError::conflict(
            "this server did not make it: adopt it first",
        ));
    };
    let auto_stop = interval("/auto_stop_interval", body.auto_stop_interval, 0)?;
    row.auto_stop = auto_stop.unwrap_or(row.auto_stop);
    if let Some(minutes) = interval("/auto_delete_interval", body.auto_delete_interval, -1)? {
        row.auto_delete = (minutes >= 0).then_some(minutes);
    }
    if let Some(text) = &body.keep_awake_until {
        let at: jiff::Timestamp = text.parse().map_err(|_| {
            ApiError::field(
                "/keep_awake_until",
                "keep_awake_until is a time as 2026-01-31T12:00:00Z",
            )
        })?;
        row.keep_awake_until = Some(at.as_millisecond());
    }
    if let Some(words) = body.metadata {
        if words.len() > 50 {
            return Err(ApiError::field(
                "/metadata",
                "at most 50 words are kept of a sandbox",
            ));
        }
        for (name, value) in &words {
            check::text(&format!("/metadata/{name}"), name, 63)?;
            check::text(&format!("/metadata/{name}"), value, 255)?;
        }
        row.metadata = words;
    }
    row.updated_at = app.clock.now();
    let to = body.name.as_deref().map(|name| {
        SandboxName::for_new(name).map_err(|error| ApiError::field("/name", error.to_string()))
    });
    let to = to.transpose()?.filter(|to| to.as_str() != found.name());
    if let Some(to) = to {
        rename(&app, &found, &mut row, &to).await?;
    } else {
        app.store.change_sandbox(&row).await?;
    }
    let changed = entry(&app, &caller, &row.id).await?;
    Ok(json(changed.json.clone()))
}

/// Renames it on the engine and changes what is kept of it, or neither. A server that is killed between the two finds
/// the new name when it starts again.
async fn rename(app: &App, found: &Found, row: &mut SandboxRow, to: &SandboxName) -> Result<()> {
    let from = found.there()?.to_owned();
    let back: SandboxName = from
        .parse()
        .map_err(|_| ApiError::conflict("the sandbox has a name that it cannot get back"))?;
    let engine = app.engines.get().await?;
    let (_canceler, cancel) = amika_sandbox::cancel::new();
    engine.rename(&from, to, &cancel).await?;
    row.name = to.to_string();
    let stored = app.store.change_sandbox(row).await;
    if stored.is_err()
        && let Err(error) = engine.rename(to.as_str(), &back, &cancel).await
    {
        tracing::error!(
            error.message,
            "a sandbox has its new name, though nothing was kept"
        );
    }
    seen(app).await;
    Ok(stored?)
}

//! OpenCode in a sandbox: what signs a browser in.

use std::sync::Arc;

use amika_core::contract::service;
use amika_core::wire::{Phase, ServiceState};
use amika_sandbox::error::{Error, Kind};
use amika_sandbox::sandbox::Sandbox;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::Path;
use super::sandboxes::find;
use crate::auth::caller::Writer;
use crate::state::App;

/// What signs a browser in to OpenCode, on port 60998 of the sandbox.
#[derive(Serialize, ToSchema)]
pub struct OpenCodeAccess {
    username: String,
    password: String,
}

/// What signs a browser in to OpenCode on port 60998, reached by the tunnel; 504 while it does not answer yet.
#[utoipa::path(get, path = "/sandboxes/{ref}/opencode", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = OpenCodeAccess), (status = 504, body = super::error::ErrorBody), Failures))]
pub async fn access(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
) -> Result<Json<OpenCodeAccess>> {
    let found = find(&app, &caller, &reference).await?;
    let engine = app.engines.get().await?;
    let sandbox = Sandbox::find_made(&engine, found.there()?).await?;
    sandbox.must_run()?;
    let client = sandbox.client(&engine)?;
    let untold = |error: &dyn std::error::Error| {
        let message = "OpenCode in the sandbox cannot be asked for";
        ApiError::from(Error::new(Kind::NotReady, message).caused_by(error))
    };
    let status = client.status().await.map_err(|error| untold(&error))?;
    let opencode = status.services.get(service::OPENCODE).cloned();
    let opencode = opencode.unwrap_or_default();
    let is_yet_to_come = match opencode.state {
        // The first connection starts it.
        ServiceState::Ready | ServiceState::Listening => None,
        ServiceState::Off if !opencode.enabled => Some("is switched off"),
        ServiceState::Off if !opencode.installed && status.phase > Phase::Setup => {
            Some("is not installed")
        }
        ServiceState::Failed => Some("fails"),
        ServiceState::Stopped => Some("is stopped"),
        _ => {
            let error = Error::new(
                Kind::NotReady,
                "OpenCode in the sandbox does not answer yet",
            );
            return Err(error.into());
        }
    };
    if let Some(word) = is_yet_to_come {
        return Err(ApiError::conflict(format!(
            "OpenCode in the sandbox {word}"
        )));
    }
    let access = client.opencode_access().await;
    let access = access.map_err(|error| untold(&error))?;
    Ok(Json(OpenCodeAccess {
        username: access.username,
        password: access.password,
    }))
}

//! Volumes of sandboxes, and those that stayed when theirs were deleted.

use std::sync::Arc;

use amika_core::label::{Kind, key};
use amika_sandbox::volumes::VolumeView;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path};
use super::users::OkStatus;
use crate::auth::caller::{Caller, Reader, Writer};
use crate::clock::shown;
use crate::sandboxes::look::OWNER;
use crate::sandboxes::operations::KeptVolume;
use crate::sandboxes::snapshot::{Live, Snapshot};
use crate::state::App;

/// A volume.
#[derive(Debug, Serialize, ToSchema)]
pub struct Volume {
    name: String,
    /// What it holds: `home`, `git`, `named`, `rwcopy`, `state`, `docker`.
    kind: String,
    /// The sandbox that it belongs to; null when that is gone.
    sandbox: Option<String>,
    /// That sandbox's name when the volume was made.
    made_for: Option<String>,
    /// Name of the repository in it.
    repository: Option<String>,
    created_at: Option<String>,
    /// Names of sandboxes that mount it.
    used_by: Vec<String>,
}

impl From<VolumeView> for Volume {
    fn from(view: VolumeView) -> Self {
        let created_at = view.created_at.and_then(|at| i64::try_from(at).ok());
        Self {
            name: view.name,
            kind: view.kind.as_str().to_owned(),
            sandbox: view.sandbox,
            made_for: view.made_for,
            repository: view.repository,
            created_at: created_at.map(shown),
            used_by: view.used_by,
        }
    }
}

/// Whether somebody may see and remove it: it is of a sandbox of his, or was.
fn is_of(app: &App, caller: &Caller, all: &Snapshot, view: &VolumeView) -> bool {
    if caller.is_admin() {
        return true;
    }
    let me = caller.user.id.as_str();
    if let Some(name) = &view.sandbox {
        return all
            .find(name, |entry| entry.owner.as_deref() == Some(me))
            .is_some();
    }
    let of = |label: &str| view.stamp.get(label).map(String::as_str);
    of(key::SERVER) == Some(&app.server_id) && of(OWNER) == Some(me)
}

async fn visible(app: &App, caller: &Caller) -> Result<Vec<VolumeView>> {
    let all = Live::get(app).await?;
    let mut views = app.engines.get().await?.volumes().await?;
    views.retain(|view| is_of(app, caller, &all, view));
    Ok(views)
}

/// The caller's volumes, administrators' all.
#[utoipa::path(get, path = "/volumes", tag = "volumes", responses((status = 200, body = Vec<Volume>), Failures))]
pub async fn list(State(app): State<Arc<App>>, caller: Reader) -> Result<Json<Vec<Volume>>> {
    let views = visible(&app, &caller).await?;
    Ok(Json(views.into_iter().map(Volume::from).collect()))
}

/// Removes a volume that no sandbox uses, with what is in it.
#[utoipa::path(delete, path = "/volumes/{name}", tag = "volumes", params(("name" = String, Path)),
    responses((status = 200, body = OkStatus), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(name): Path<String>,
) -> Result<Json<OkStatus>> {
    let views = visible(&app, &caller).await?;
    if !views.iter().any(|view| view.name == name) {
        let shown: String = name.chars().take(100).collect();
        let message = format!("there is no volume \"{}\"", shown.escape_debug());
        return Err(ApiError::not_found(message));
    }
    app.engines.get().await?.delete_volume(&name).await?;
    Ok(Json(OkStatus { ok: true }))
}

/// Which volumes are removed.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PruneVolumes {
    /// Those alone that were made for a sandbox of this name.
    sandbox_name: Option<String>,
    /// Also those that may hold work.
    #[serde(default)]
    force: bool,
    /// Nothing is removed: the answer says what would be.
    #[serde(default)]
    dry_run: bool,
}

/// What came of it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct PrunedVolumes {
    /// Names of those that were removed, or would be.
    removed: Vec<String>,
    /// Those that stay, and why.
    kept: Vec<KeptVolume>,
}

/// Removes the caller's volumes whose sandbox is gone, administrators' all such. What may hold work stays unless it is
/// forced.
#[utoipa::path(post, path = "/volumes/prune", tag = "volumes", request_body = PruneVolumes,
    responses((status = 200, body = PrunedVolumes), Failures))]
pub async fn prune(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<PruneVolumes>,
) -> Result<Json<PrunedVolumes>> {
    let mut views = visible(&app, &caller).await?;
    views.retain(|view| view.sandbox.is_none() && view.used_by.is_empty());
    views.retain(|view| body.sandbox_name.is_none() || view.made_for == body.sandbox_name);
    let engine = app.engines.get().await?;
    let mut pruned = PrunedVolumes::default();
    for view in views {
        if let Some(reason) = may_hold_work(view.kind).filter(|_| !body.force) {
            pruned.kept.push(KeptVolume {
                name: view.name,
                reason: reason.to_owned(),
            });
            continue;
        }
        if !body.dry_run
            && let Err(error) = engine.delete_volume(&view.name).await
        {
            // Somebody took it into use since, or it has gone.
            pruned.kept.push(KeptVolume {
                name: view.name,
                reason: error.message,
            });
            continue;
        }
        pruned.removed.push(view.name);
    }
    Ok(Json(pruned))
}

/// Why a volume without a sandbox is not removed unasked. Whether there is work in it cannot be told without the sandbox.
fn may_hold_work(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Git => Some("it has a repository: commits and changes in it may be nowhere else"),
        Kind::Named => {
            Some("a repository's file names it: for its next sandbox, or for the data of a service")
        }
        Kind::Home | Kind::RwCopy => Some("it stayed since it may hold work"),
        Kind::State => Some("it tells what in the others is work"),
        _ => None,
    }
}

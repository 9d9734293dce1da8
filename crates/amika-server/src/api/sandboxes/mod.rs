//! Sandboxes: looked at here, made and changed next door.

mod change;
mod create;
mod live;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Path, Query};
use super::paging;
use crate::auth::caller::{Caller, Reader};
use crate::sandboxes::look::{OWNER, Seen};
use crate::sandboxes::show::{Sandbox, SandboxState};
use crate::sandboxes::snapshot::{Entry, Live};
use crate::state::App;
use crate::store::SandboxRow;
use amika_core::canonical::canonical;

// The macro that collects routes wants the paths beside the handlers.
pub use change::{__path_change, change};
pub use create::{__path_create, __path_plan, create, make, plan};

/// Which sandboxes; `metadata.KEY=VALUE` chooses those with this word of their user's.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Everybody's; administrators alone.
    #[serde(default)]
    all: bool,
    /// Those in this state.
    state: Option<SandboxState>,
    /// Those of this repository, however its URL is written.
    repo_url: Option<String>,
    /// Whether each is asked where its repository is now, which `head` tells then: `{"branch"}`, `{"commit"}` or null.
    #[serde(default)]
    heads: bool,
    /// Whether each is asked for that and for `details` too: `image, commits_ahead, changed, idle_ms, active_because,
    /// memory_bytes, size_bytes, volumes`, each null where it is not told within a second or two.
    #[serde(default)]
    details: bool,
    /// At most as many, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where the part begins, from the `Link` of the one before.
    cursor: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    rest: BTreeMap<String, String>,
}

/// Sandboxes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListSandboxesResponse(Vec<Sandbox>);

/// Whether somebody may see and touch it.
fn may_see(caller: &Caller, entry: &Entry) -> bool {
    caller.is_admin() || entry.owner.as_deref() == Some(&caller.user.id)
}

/// A sandbox that somebody may see and touch.
pub struct Found {
    /// What the store holds.
    pub row: Option<SandboxRow>,
    /// What is on the engine.
    pub seen: Option<Seen>,
}

impl Found {
    fn of(entry: &Entry) -> Self {
        Self {
            row: entry.row().map(|row| SandboxRow::clone(row)),
            seen: entry.seen().map(|seen| Seen::clone(seen)),
        }
    }

    /// Whose it is.
    pub fn owner(&self) -> Option<&str> {
        let of_row = self.row.as_ref().map(|row| row.user_id.as_str());
        of_row.or_else(|| Some(self.seen.as_ref()?.stamp.get(OWNER)?.as_str()))
    }

    /// Its id in the API.
    pub fn id(&self) -> String {
        let of_row = self.row.as_ref().map(|row| row.id.clone());
        of_row
            .or_else(|| Some(self.seen.as_ref()?.id().to_owned()))
            .unwrap_or_default()
    }

    /// Its name: that of the engine where it is there.
    pub fn name(&self) -> String {
        let seen = self.seen.as_ref().map(|seen| seen.view.name.clone());
        seen.or_else(|| Some(self.row.as_ref()?.name.clone()))
            .unwrap_or_default()
    }

    /// Its name, where it is on the engine.
    ///
    /// # Errors
    /// 409 while it is not.
    pub fn there(&self) -> Result<&str> {
        let seen = self.seen.as_ref().map(|seen| seen.view.name.as_str());
        seen.ok_or_else(|| {
            ApiError::conflict(format!(
                "sandbox \"{}\" is not there yet, or failed",
                self.name()
            ))
        })
    }
}

/// The sandbox with an id or name, the id first, as it is shown. What is another's is not there.
///
/// # Errors
/// 404.
pub async fn entry(app: &App, caller: &Caller, reference: &str) -> Result<Arc<Entry>> {
    let all = Live::get(app).await?;
    let found = all.find(reference, |entry| may_see(caller, entry));
    found.cloned().ok_or_else(|| {
        let shown: String = reference.chars().take(100).collect();
        ApiError::not_found(format!("there is no sandbox \"{}\"", shown.escape_debug()))
    })
}

/// The sandbox with an id or name, the id first. What is another's is not there.
///
/// # Errors
/// 404.
pub async fn find(app: &App, caller: &Caller, reference: &str) -> Result<Found> {
    let entry = entry(app, caller, reference).await?;
    Ok(Found::of(&entry))
}

/// All sandboxes of the caller's own, the oldest first.
///
/// # Errors
/// Those of the engine and of the store.
pub async fn own(app: &App, caller: &Caller) -> Result<Vec<Found>> {
    let all = Live::get(app).await?;
    let is_own = |entry: &&Arc<Entry>| entry.owner.as_deref() == Some(&caller.user.id);
    let own = all.all.iter().filter(is_own);
    Ok(own.map(|entry| Found::of(entry)).collect())
}

/// The caller's sandboxes, the oldest first.
#[utoipa::path(get, path = "/sandboxes", tag = "sandboxes", params(ListQuery),
    responses((status = 200, body = ListSandboxesResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response> {
    if query.all && !caller.is_admin() {
        return Err(ApiError::forbidden("only administrators see everybody's"));
    }
    let repository = query.repo_url.as_deref().map(canonical).transpose();
    let repository = repository.map_err(|error| ApiError::field("repo_url", error.to_string()))?;
    let words = query
        .rest
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("metadata.")?, value)));
    let words: Vec<(&str, &String)> = words.collect();
    let is_wanted = |entry: &Entry| {
        let Entry { sandbox, .. } = entry;
        (query.all || entry.owner.as_deref() == Some(&caller.user.id))
            && query.state.is_none_or(|state| sandbox.state == state)
            && words
                .iter()
                .all(|(name, value)| sandbox.metadata.get(*name) == Some(value))
            && (repository.is_none() || entry.repository == repository)
    };
    let all = Live::get(&app).await?;
    let wanted: Vec<&Arc<Entry>> = all.all.iter().filter(|entry| is_wanted(entry)).collect();
    let page = paging::Page {
        limit: query.limit,
        cursor: query.cursor,
    };
    let (part, headers) = paging::part(&uri, &page, &wanted, |entry| entry.order.clone())?;
    let depth = match (query.details, query.heads) {
        (true, _) => Some(live::Depth::Details),
        (false, true) => Some(live::Depth::Heads),
        (false, false) => None,
    };
    if let Some(depth) = depth {
        let all = part.iter().map(|entry| serde_json::from_slice(&entry.json));
        let mut all: Vec<serde_json::Value> = all
            .collect::<Result<_, _>>()
            .map_err(|_| ApiError::internal())?;
        live::add(&app, depth, &mut all).await?;
        return Ok((headers, axum::Json(all)).into_response());
    }
    let length = part.iter().map(|entry| entry.json.len() + 1).sum::<usize>();
    let mut body = Vec::with_capacity(length + 2);
    body.push(b'[');
    for entry in part {
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(&entry.json);
    }
    body.push(b']');
    Ok((headers, json(body.into())).into_response())
}

/// An answer that is JSON already.
pub fn json(body: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], body)
}

/// One.
#[utoipa::path(get, path = "/sandboxes/{ref}", tag = "sandboxes", params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Sandbox), Failures))]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
) -> Result<Response> {
    let entry = entry(&app, &caller, &reference).await?;
    Ok(json(entry.json.clone()).into_response())
}

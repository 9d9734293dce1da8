//! What was done: noted by a layer around all routes that change something, and shown to administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{Failures, Result};
use super::extract::Query;
use super::guard::TraceId;
use crate::auth::caller::{Admin, Caller, From};
use crate::clock::shown;
use crate::state::App;
use crate::store::AuditEntry;

/// The layer that notes what was asked for by all but looks; a socket when it is opened.
pub async fn note(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    // What a socket carries is more than a look.
    let is_look = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !request.headers().contains_key(header::UPGRADE);
    if is_look {
        return next.run(request).await;
    }
    let extensions = request.extensions();
    let caller = extensions.get::<Caller>().cloned();
    let address = extensions.get::<From>().map(|from| from.0.to_string());
    let trace_id = extensions.get::<TraceId>().map(|it| it.0.clone());
    let path = request.uri().path().to_owned();
    let route = extensions
        .get::<MatchedPath>()
        .map(|it| it.as_str().to_owned());
    let response = next.run(request).await;
    let entry = AuditEntry {
        at: app.clock.now(),
        user_id: caller.as_ref().map(|it| it.user.id.clone()),
        user_name: caller.as_ref().map(|it| it.user.name.clone()),
        key_id: caller.and_then(|it| it.key_id),
        action: format!("{method} {}", plain(&route.unwrap_or_default())),
        target: Some(plain(&path).chars().take(500).collect()),
        from_address: address.unwrap_or_default(),
        status: response.status().as_u16(),
        trace_id: trace_id.unwrap_or_default(),
    };
    tracing::info!(
        target: "audit",
        user = entry.user_name,
        action = entry.action,
        path = entry.target,
        from = entry.from_address,
        status = entry.status,
        trace_id = entry.trace_id,
    );
    if let Err(error) = app.audit.write(&entry) {
        tracing::error!(%error, "not noted in the file of the audit");
    }
    if let Err(error) = app.store.add_audit(&entry).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "not noted in the audit"
        );
    }
    response
}

/// A route or path under its one name.
pub fn plain(path: &str) -> &str {
    path.strip_prefix(super::PREFIX)
        .or_else(|| path.strip_prefix(super::SHORT_PREFIX))
        .unwrap_or(path)
}

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEvent {
    /// Counts up.
    id: i64,
    /// When.
    at: String,
    /// By whom; null for one who did not sign in.
    user_id: Option<String>,
    /// The name then.
    user_name: Option<String>,
    /// With which key; null for the page.
    key_id: Option<String>,
    /// The method and the route.
    action: String,
    /// On what.
    target: Option<String>,
    /// From which address.
    from: String,
    /// The status of the answer.
    status: u16,
    /// Finds the request in the log.
    trace_id: String,
}

/// What was done, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListAuditResponse {
    items: Vec<AuditEvent>,
    /// `before` for the next ones; null where there are none.
    next_before: Option<i64>,
}

/// Which.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// At most as many, 1 to 1000.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Those before this id.
    before: Option<i64>,
}

/// What was done here.
#[utoipa::path(get, path = "/audit", tag = "server", params(AuditQuery),
    responses((status = 200, body = ListAuditResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Admin,
    Query(query): Query<AuditQuery>,
) -> Result<Json<ListAuditResponse>> {
    let limit = super::paging::limit(query.limit, 100)?;
    let mut kept = app.store.audit(limit + 1, query.before).await?;
    let has_more = kept.len() > limit as usize;
    kept.truncate(limit as usize);
    Ok(Json(ListAuditResponse {
        next_before: kept.last().filter(|_| has_more).map(|it| it.id),
        items: kept
            .into_iter()
            .map(|kept| AuditEvent {
                id: kept.id,
                at: shown(kept.entry.at),
                user_id: kept.entry.user_id,
                user_name: kept.entry.user_name,
                key_id: kept.entry.key_id,
                action: kept.entry.action,
                target: kept.entry.target,
                from: kept.entry.from_address,
                status: kept.entry.status,
                trace_id: kept.entry.trace_id,
            })
            .collect(),
    }))
}

//! Who asks, and what the server is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Failures, Result};
use crate::auth::caller::Reader;
use crate::auth::scope::{Role, Scope};
use crate::state::{App, ORG};

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    id: String,
    name: String,
    email: Option<String>,
    org_id: &'static str,
    role: Role,
    /// What may be done with this key or session.
    scopes: Vec<Scope>,
    /// The key; null for the page.
    key_id: Option<String>,
}

/// Who asks.
#[utoipa::path(get, path = "/me", tag = "server", responses((status = 200, body = Me), Failures))]
pub async fn me(caller: Reader) -> Json<Me> {
    let caller = caller.0;
    let scopes = Scope::ALL
        .into_iter()
        .filter(|scope| *scope <= caller.scope);
    Json(Me {
        scopes: scopes.collect(),
        id: caller.user.id,
        name: caller.user.name,
        email: caller.user.email,
        org_id: ORG,
        role: caller.user.role,
        key_id: caller.key_id,
    })
}

/// What the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SystemInfo {
    /// The version of the program.
    version: &'static str,
    /// Stamped on what this server makes.
    server_id: String,
    /// Where it is found.
    address: String,
    org_id: &'static str,
}

/// What the server is.
#[utoipa::path(get, path = "/system", tag = "server", responses((status = 200, body = SystemInfo), Failures))]
pub async fn system(State(app): State<Arc<App>>, _: Reader) -> Result<Json<SystemInfo>> {
    Ok(Json(SystemInfo {
        version: env!("CARGO_PKG_VERSION"),
        server_id: app.server_id.clone(),
        address: app.address.clone(),
        org_id: ORG,
    }))
}

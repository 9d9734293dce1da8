//! Who asks.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Failures;
use crate::auth::caller::Reader;
use crate::auth::scope::{Role, Scope};
use crate::state::ORG;

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

//! Users: made by administrators, who hand over a link.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::check;
use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path, Query};
use crate::auth::caller::Admin;
use crate::auth::scope::Role;
use crate::auth::token::Token;
use crate::clock::shown;
use crate::config::Quota;
use crate::state::App;
use crate::store::{self, Changed};

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct OkStatus {
    /// Always true.
    pub ok: bool,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    id: String,
    name: String,
    email: Option<String>,
    role: Role,
    /// Whether it is kept out.
    disabled: bool,
    /// How many sandboxes it may have; null: as the configuration has it.
    max_sandboxes: Option<u32>,
    /// How many processors they may have together; null: as the configuration has it.
    max_cpus: Option<u32>,
    /// How many bytes of memory they may have together; null: as the configuration has it.
    max_memory: Option<i64>,
    created_at: String,
    updated_at: String,
}

impl From<store::User> for User {
    fn from(user: store::User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            email: user.email,
            role: user.role,
            disabled: user.is_disabled,
            max_sandboxes: user.quota.sandboxes,
            max_cpus: user.quota.cpus,
            max_memory: user.quota.memory,
            created_at: shown(user.created_at),
            updated_at: shown(user.updated_at),
        }
    }
}

/// A user that was made, with the link to hand over.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedUser {
    #[serde(flatten)]
    user: User,
    /// Signs in once, within 10 minutes.
    sign_in_url: String,
}

/// A user to make.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateUser {
    /// The name, which nobody else has.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// An address.
    email: Option<String>,
    /// What it is; left out: `member`.
    role: Option<Role>,
}

/// A change of a user; a member that is left out or null stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeUser {
    name: Option<String>,
    email: Option<String>,
    role: Option<Role>,
    /// Whether it is kept out: its keys and sessions do not hold meanwhile.
    disabled: Option<bool>,
    /// How many sandboxes it may have; -1: as the configuration has it.
    max_sandboxes: Option<i64>,
    /// How many processors they may have together; -1: as the configuration has it.
    max_cpus: Option<i64>,
    /// How many bytes of memory they may have together; -1: as the configuration has it.
    max_memory: Option<i64>,
}

/// Everybody, by name.
#[utoipa::path(get, path = "/users", tag = "users", responses((status = 200, body = Vec<User>), Failures))]
pub async fn list(State(app): State<Arc<App>>, _: Admin) -> Result<Json<Vec<User>>> {
    let users = app.store.users().await?;
    Ok(Json(users.into_iter().map(Into::into).collect()))
}

/// Makes a user, and a link to hand over.
#[utoipa::path(post, path = "/users", tag = "users", request_body = CreateUser,
    responses((status = 200, body = CreatedUser), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    _: Admin,
    Body(body): Body<CreateUser>,
) -> Result<Json<CreatedUser>> {
    checked(Some(&body.name), body.email.as_deref())?;
    let now = app.clock.now();
    let user = store::User {
        id: crate::id::new(),
        name: body.name,
        email: body.email,
        role: body.role.unwrap_or(Role::Member),
        is_disabled: false,
        quota: Quota::default(),
        created_at: now,
        updated_at: now,
    };
    app.store.add_user(&user).await?;
    let sign_in_url = link(&app, &user.id).await?;
    let user = user.into();
    Ok(Json(CreatedUser { user, sign_in_url }))
}

fn checked(name: Option<&str>, email: Option<&str>) -> Result<()> {
    name.map_or(Ok(()), |name| check::text("/name", name, 100))?;
    email.map_or(Ok(()), |email| check::text("/email", email, 255))
}

/// A new link by which a user signs in once. The token stands in the fragment, which no server is sent.
///
/// # Errors
/// Those of the store.
pub async fn link(app: &App, user_id: &str) -> store::Result<String> {
    let token = Token::new("aml_");
    app.store
        .add_link(user_id, &token.hash(), app.clock.now())
        .await?;
    Ok(format!("{}/#sign-in={}", app.address, token.reveal()))
}

/// Changes a user.
#[utoipa::path(patch, path = "/users/{id}", tag = "users", params(("id" = String, Path)),
    request_body = ChangeUser, responses((status = 200, body = User), Failures))]
pub async fn change(
    State(app): State<Arc<App>>,
    _: Admin,
    Path(id): Path<String>,
    Body(body): Body<ChangeUser>,
) -> Result<Json<User>> {
    checked(body.name.as_deref(), body.email.as_deref())?;
    let mut user = app.store.user(&id).await?.ok_or_else(none)?;
    user.name = body.name.unwrap_or(user.name);
    user.email = body.email.or(user.email);
    user.role = body.role.unwrap_or(user.role);
    user.is_disabled = body.disabled.unwrap_or(user.is_disabled);
    let quota = &mut user.quota;
    quota.sandboxes = number("/max_sandboxes", body.max_sandboxes, quota.sandboxes)?;
    quota.cpus = number("/max_cpus", body.max_cpus, quota.cpus)?;
    quota.memory = number("/max_memory", body.max_memory, quota.memory)?;
    user.updated_at = app.clock.now();
    done(app.store.change_user(&user).await?)?;
    Ok(Json(user.into()))
}

/// A number of a quota: what is said of it, none for -1, else what was.
fn number<T: TryFrom<i64>>(field: &str, asked: Option<i64>, was: Option<T>) -> Result<Option<T>> {
    match asked {
        None => Ok(was),
        Some(-1) => Ok(None),
        Some(number) => {
            let read = u32::try_from(number).is_ok() || field == "/max_memory" && number >= 0;
            let read = read.then(|| T::try_from(number).ok()).flatten();
            let refused = || ApiError::field(field, format!("{field} is a number from 0, or -1"));
            read.map(Some).ok_or_else(refused)
        }
    }
}

/// What becomes of a user's sandboxes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Leaving {
    /// The user who gets them.
    transfer_to: Option<String>,
}

/// Removes a user with its keys, sessions and secrets.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", params(("id" = String, Path), Leaving),
    responses((status = 200, body = OkStatus), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    _: Admin,
    Path(id): Path<String>,
    Query(leaving): Query<Leaving>,
) -> Result<Json<OkStatus>> {
    let heir = leaving.transfer_to.as_deref();
    if let Some(heir) = heir {
        let known = app.store.user(heir).await?;
        if heir == id || known.is_none_or(|user| user.is_disabled) {
            let message = "transfer_to must name another user, who may sign in";
            return Err(ApiError::field("/transfer_to", message));
        }
    }
    done(app.store.remove_user(&id, heir).await?)?;
    Ok(Json(OkStatus { ok: true }))
}

fn done(changed: Changed) -> Result<()> {
    match changed {
        Changed::Done => Ok(()),
        Changed::NotThere => Err(none()),
        Changed::IsLastAdmin => Err(ApiError::conflict(
            "it is the last administrator who can sign in: nobody could administer the server then",
        )),
        Changed::HasSandboxes(count) => Err(ApiError::conflict(format!(
            "the user has sandboxes ({count}): delete them, or name in transfer_to who gets them"
        ))),
    }
}

fn none() -> ApiError {
    ApiError::not_found("there is no such user")
}

//! Repositories, with the settings that are saved for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use amika_core::label::RepositorySource;
use amika_core::size::Size;
use amika_sandbox::preset::Preset;
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path, Query};
use super::users::OkStatus;
use super::{check, paging};
use crate::auth::caller::{Admin, Caller, Reader};
use crate::clock::shown;
use crate::state::{App, ORG};
use crate::store::{self, Saved};
use amika_core::canonical::canonical;

/// A repository. A setting that is null is not saved: what the repository's file says holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Repository {
    id: String,
    org_id: &'static str,
    user_id: String,
    repo_url: String,
    /// Path of the setup script in the repository.
    setup_script: Option<String>,
    /// Text of a setup script; it wins over the path.
    setup_script_text: Option<String>,
    /// Path of the start script in the repository.
    start_script: Option<String>,
    sandbox_preset: Option<String>,
    sandbox_size: Option<Size>,
    default_snapshot: Option<String>,
    /// Variables by name.
    env_vars: Option<BTreeMap<String, String>>,
    created_at: String,
    updated_at: String,
}

impl From<store::Repository> for Repository {
    fn from(repository: store::Repository) -> Self {
        let saved = repository.saved;
        Self {
            id: repository.id,
            org_id: ORG,
            user_id: repository.user_id,
            repo_url: repository.repo_url,
            setup_script: saved.setup_script,
            setup_script_text: saved.setup_script_text,
            start_script: saved.start_script,
            sandbox_preset: saved.sandbox_preset,
            sandbox_size: saved.sandbox_size.and_then(|size| size.parse().ok()),
            default_snapshot: saved.default_snapshot,
            env_vars: saved.env_vars,
            created_at: shown(repository.created_at),
            updated_at: shown(repository.updated_at),
        }
    }
}

/// A repository to save settings for. For one that is known already, a member that is left out stays as it is;
/// null takes it out of what is saved.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SaveRepository {
    repo_url: String,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    setup_script: Said<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    setup_script_text: Said<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    start_script: Said<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    sandbox_preset: Said<String>,
    #[serde(default)]
    #[schema(value_type = Option<Size>)]
    sandbox_size: Said<Size>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    default_snapshot: Said<String>,
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    env_vars: Said<BTreeMap<String, String>>,
}

/// The settings of a repository, all of them: a member that is left out or null is not saved.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReplaceRepository {
    setup_script: Option<String>,
    setup_script_text: Option<String>,
    start_script: Option<String>,
    sandbox_preset: Option<String>,
    sandbox_size: Option<Size>,
    default_snapshot: Option<String>,
    env_vars: Option<BTreeMap<String, String>>,
}

/// A member that may be left out, which is not the same as null.
#[derive(Debug, Default)]
enum Said<T> {
    /// It was left out.
    #[default]
    Nothing,
    /// It was given, or null.
    Is(Option<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Said<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(Self::Is)
    }
}

impl<T> Said<T> {
    /// What was said, or what was before.
    fn or(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Nothing => before,
            Self::Is(value) => value,
        }
    }
}

fn checked(saved: &Saved) -> Result<()> {
    for (field, path) in [
        ("/setup_script", &saved.setup_script),
        ("/start_script", &saved.start_script),
    ] {
        path.as_deref()
            .map_or(Ok(()), |path| check::repository_path(field, path))?;
    }
    let text = saved.setup_script_text.as_deref();
    text.map_or(Ok(()), |text| script_text("/setup_script_text", text))?;
    if let Some(preset) = &saved.sandbox_preset
        && Preset::parse(preset).is_none()
    {
        let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        let message = format!(
            "there is no preset \"{}\": the presets are {}",
            preset.escape_debug(),
            names.join(", ")
        );
        return Err(ApiError::field("/sandbox_preset", message));
    }
    let snapshot = saved.default_snapshot.as_deref();
    snapshot.map_or(Ok(()), |text| check::text("/default_snapshot", text, 255))?;
    saved
        .env_vars
        .as_ref()
        .map_or(Ok(()), |vars| variables("/env_vars", vars))
}

/// The text of a setup script.
pub fn script_text(field: &str, text: &str) -> Result<()> {
    const MOST: usize = 256 * 1024;
    if text.is_empty() || text.len() > MOST || text.contains('\0') {
        let message = format!("{field} must be a script of 1 to {MOST} bytes");
        return Err(ApiError::field(field, message));
    }
    Ok(())
}

/// Variables by name, by the rules of `--env` and `[env]`.
pub fn variables(field: &str, vars: &BTreeMap<String, String>) -> Result<()> {
    if vars.len() > amika_core::budget::VARIABLES {
        let message = format!(
            "at most {} variables are allowed",
            amika_core::budget::VARIABLES
        );
        return Err(ApiError::field(field, message));
    }
    for (name, value) in vars {
        let found = amika_core::env::check_name(name)
            .and_then(|()| amika_core::env::check_value(name, value));
        let place = format!("{field}/{}", name.replace('~', "~0").replace('/', "~1"));
        found.map_err(|error| ApiError::field(place, error.to_string()))?;
    }
    Ok(())
}

/// All, by URL.
#[utoipa::path(get, path = "/repositories", tag = "repositories", params(paging::Page),
    responses((status = 200, body = Vec<Repository>), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Reader,
    OriginalUri(uri): OriginalUri,
    Query(page): Query<paging::Page>,
) -> Result<Response> {
    let all = app.store.repositories().await?;
    let keyed = all
        .into_iter()
        .map(|it| Keyed(it.canonical_url.clone(), it.into()));
    let keyed: Vec<Keyed> = keyed.collect();
    paging::answer(&uri, &page, &keyed, |it| it.0.clone())
}

/// A repository behind what it is sorted by.
struct Keyed(String, Repository);

impl Serialize for Keyed {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.1.serialize(to)
    }
}

/// One.
#[utoipa::path(get, path = "/repositories/{id}", tag = "repositories", params(("id" = String, Path)),
    responses((status = 200, body = Repository), Failures))]
pub async fn show(
    State(app): State<Arc<App>>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<Json<Repository>> {
    found(&app, &id).await.map(|it| Json(it.into()))
}

pub(super) async fn found(app: &App, id: &str) -> Result<store::Repository> {
    let found = app.store.repository(id).await?;
    found.ok_or_else(|| ApiError::not_found("there is no such repository"))
}

/// Saves settings for the repository at a URL.
#[utoipa::path(post, path = "/repositories", tag = "repositories", request_body = SaveRepository,
    responses((status = 201, body = Repository), Failures))]
pub async fn save(
    State(app): State<Arc<App>>,
    caller: Admin,
    Body(body): Body<SaveRepository>,
) -> Result<(StatusCode, Json<Repository>)> {
    let mut new = blank(&app, &caller, "/repo_url", &body.repo_url)?;
    let _alone = app.saving.lock().await;
    let known = app.store.repository_of(&new.canonical_url).await?;
    let old = known.map(|known| known.saved).unwrap_or_default();
    let size = old.sandbox_size.and_then(|size| size.parse().ok());
    new.saved = Saved {
        setup_script: body.setup_script.or(old.setup_script),
        setup_script_text: body.setup_script_text.or(old.setup_script_text),
        start_script: body.start_script.or(old.start_script),
        sandbox_preset: body.sandbox_preset.or(old.sandbox_preset),
        sandbox_size: body
            .sandbox_size
            .or(size)
            .map(|size: Size| size.to_string()),
        default_snapshot: body.default_snapshot.or(old.default_snapshot),
        env_vars: body.env_vars.or(old.env_vars),
    };
    checked(&new.saved)?;
    let repository = app.store.put_repository(&new, true).await?;
    Ok((StatusCode::CREATED, Json(repository.into())))
}

/// A repository for which nothing is saved.
pub(super) fn blank(
    app: &App,
    caller: &Caller,
    field: &str,
    url: &str,
) -> Result<store::Repository> {
    let canonical_url =
        canonical(url).map_err(|error| ApiError::field(field, error.to_string()))?;
    let now = app.clock.now();
    Ok(store::Repository {
        id: crate::id::new(),
        canonical_url,
        repo_url: RepositorySource::from(url).as_str().to_owned(),
        user_id: caller.user.id.clone(),
        saved: Saved::default(),
        services_saved: false,
        created_at: now,
        updated_at: now,
    })
}

/// Puts these settings in place of all that are saved.
#[utoipa::path(put, path = "/repositories/{id}", tag = "repositories", params(("id" = String, Path)),
    request_body = ReplaceRepository, responses((status = 200, body = Repository), Failures))]
pub async fn replace(
    State(app): State<Arc<App>>,
    _: Admin,
    Path(id): Path<String>,
    Body(body): Body<ReplaceRepository>,
) -> Result<Json<Repository>> {
    let _alone = app.saving.lock().await;
    let mut repository = found(&app, &id).await?;
    repository.saved = Saved {
        setup_script: body.setup_script,
        setup_script_text: body.setup_script_text,
        start_script: body.start_script,
        sandbox_preset: body.sandbox_preset,
        sandbox_size: body.sandbox_size.map(|size| size.to_string()),
        default_snapshot: body.default_snapshot,
        env_vars: body.env_vars,
    };
    checked(&repository.saved)?;
    repository.updated_at = app.clock.now();
    let repository = app.store.put_repository(&repository, true).await?;
    Ok(Json(repository.into()))
}

/// Forgets a repository with its settings and services: its file holds.
#[utoipa::path(delete, path = "/repositories/{id}", tag = "repositories", params(("id" = String, Path)),
    responses((status = 200, body = OkStatus), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Json<OkStatus>> {
    if app.store.remove_repository(&id).await? {
        return Ok(Json(OkStatus { ok: true }));
    }
    Err(ApiError::not_found("there is no such repository"))
}

//! Services that are saved for a repository. Once one was saved, the store alone counts: none left means none,
//! until "back to the file".

use std::sync::Arc;

use amika_core::service::Service;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, Detail, Failures, Result};
use super::extract::{Body, Path};
use super::users::OkStatus;
use super::{check, repositories};
use crate::auth::caller::{Admin, Reader};
use crate::clock::shown;
use crate::definition::{self, PortDefinition, RunDefinition};
use crate::state::App;
use crate::store::{Repository, ServiceRow, StoreError};

/// A saved service.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceDefinition {
    id: String,
    repo_url: String,
    name: String,
    ports: Vec<PortDefinition>,
    #[serde(flatten)]
    run: RunDefinition,
    created_at: String,
    updated_at: String,
}

impl ServiceDefinition {
    fn of(row: ServiceRow, repository: &Repository) -> Self {
        Self {
            ports: PortDefinition::of(&row.service),
            run: RunDefinition::of(&row.service),
            id: row.id,
            repo_url: repository.repo_url.clone(),
            name: row.service.name,
            created_at: shown(row.created_at),
            updated_at: shown(row.updated_at),
        }
    }
}

/// A service to save.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateService {
    repo_url: String,
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// Its ports; none are allowed too.
    #[serde(default)]
    ports: Vec<PortDefinition>,
    #[serde(flatten)]
    run: RunDefinition,
}

/// A change of a service; a member that is left out or null stays. A `command` replaces all that was said of how it is run,
/// and an empty list takes it away.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeService {
    name: Option<String>,
    ports: Option<Vec<PortDefinition>>,
    #[serde(flatten)]
    run: RunDefinition,
}

/// Where a repository's services come from.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServicesSource {
    /// The saved ones count, none at all included.
    Saved,
    /// Those of the repository's file count, if it has any.
    File,
}

/// A repository's saved services.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryServices {
    source: ServicesSource,
    items: Vec<ServiceDefinition>,
}

/// Saves a service of a repository: from then on the saved ones count alone.
#[utoipa::path(post, path = "/services", tag = "repositories", request_body = CreateService,
    responses((status = 201, body = ServiceDefinition), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Admin,
    Body(body): Body<CreateService>,
) -> Result<(StatusCode, Json<ServiceDefinition>)> {
    let new = repositories::blank(&app, &caller, "/repo_url", &body.repo_url)?;
    // It is checked before a repository is added for it, and within the step that saves it.
    let beside_none = RunDefinition {
        depends_on: None,
        ..body.run.clone()
    };
    definition::read(&body.name, &body.ports, &beside_none, &[]).map_err(refused)?;
    check::text("/name", &body.name, 255)?;
    let repository = app.store.put_repository(&new, false).await?;
    let now = app.clock.now();
    let asked = Asked {
        name: &body.name,
        ports: &body.ports,
        run: &body.run,
    };
    let row = put(&app, crate::id::new(), &repository, asked, now).await?;
    Ok((
        StatusCode::CREATED,
        Json(ServiceDefinition::of(row, &repository)),
    ))
}

/// What is to be saved.
#[derive(Clone, Copy)]
struct Asked<'a> {
    name: &'a str,
    ports: &'a [PortDefinition],
    run: &'a RunDefinition,
}

async fn put(
    app: &App,
    id: String,
    repository: &Repository,
    asked: Asked<'_>,
    created_at: i64,
) -> Result<ServiceRow> {
    let now = app.clock.now();
    let beside = |others: &[Service]| {
        if others.iter().any(|other| other.name == asked.name) {
            return Err(taken());
        }
        let service = definition::read(asked.name, asked.ports, asked.run, others);
        Ok(ServiceRow {
            id: id.clone(),
            repository_id: repository.id.clone(),
            service: service.map_err(refused)?,
            created_at,
            updated_at: now,
        })
    };
    match app.store.put_service(&repository.id, &id, beside).await {
        Err(StoreError::Taken) => Err(taken()),
        Err(error) => Err(error.into()),
        Ok(done) => done,
    }
}

fn taken() -> ApiError {
    ApiError::conflict("the repository has a saved service with this name already")
}

fn refused(problems: Vec<definition::Problem>) -> ApiError {
    let message = problems
        .first()
        .map(|it| it.message.clone())
        .unwrap_or_default();
    let mut error = ApiError::usage(message);
    let details = problems.into_iter().map(|it| Detail {
        field: it.field,
        message: it.message,
    });
    error.details = details.collect();
    error
}

/// Changes a saved service.
#[utoipa::path(put, path = "/services/{id}", tag = "repositories", params(("id" = String, Path)),
    request_body = ChangeService, responses((status = 200, body = ServiceDefinition), Failures))]
pub async fn change(
    State(app): State<Arc<App>>,
    _: Admin,
    Path(id): Path<String>,
    Body(body): Body<ChangeService>,
) -> Result<Json<ServiceDefinition>> {
    let old = app.store.service(&id).await?.ok_or_else(none)?;
    let repository = repositories::found(&app, &old.repository_id).await?;
    let before = ServiceDefinition::of(old.clone(), &repository);
    let name = body.name.unwrap_or(old.service.name);
    check::text("/name", &name, 255)?;
    let ports = body.ports.unwrap_or(before.ports);
    let run = before.run.changed(body.run);
    let asked = Asked {
        name: &name,
        ports: &ports,
        run: &run,
    };
    let row = put(&app, old.id, &repository, asked, old.created_at).await?;
    Ok(Json(ServiceDefinition::of(row, &repository)))
}

/// Removes a saved service. The saved ones go on to count, also when none is left.
#[utoipa::path(delete, path = "/services/{id}", tag = "repositories", params(("id" = String, Path)),
    responses((status = 204), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let waiting = |others: &[Service], name: &str| match waits_for(others, name) {
        Some(other) => Err(ApiError::conflict(format!(
            "service \"{other}\" depends on it: change that one first"
        ))),
        None => Ok(()),
    };
    if app.store.remove_service(&id, waiting).await?? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(none())
}

/// A service that waits for the one of this name.
fn waits_for<'a>(others: &'a [Service], name: &str) -> Option<&'a str> {
    let waits = |service: &&Service| {
        let on = service.run.iter().flat_map(|run| &run.depends_on);
        on.into_iter().any(|on| on == name)
    };
    others
        .iter()
        .find(waits)
        .map(|service| service.name.as_str())
}

fn none() -> ApiError {
    ApiError::not_found("there is no such saved service")
}

/// A repository's saved services, and whether they count.
#[utoipa::path(get, path = "/repositories/{id}/services", tag = "repositories", params(("id" = String, Path)),
    responses((status = 200, body = RepositoryServices), Failures))]
pub async fn of_repository(
    State(app): State<Arc<App>>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<Json<RepositoryServices>> {
    let repository = repositories::found(&app, &id).await?;
    let rows = app.store.services(&repository.id).await?;
    let items = rows
        .into_iter()
        .map(|row| ServiceDefinition::of(row, &repository));
    Ok(Json(RepositoryServices {
        items: items.collect(),
        source: if repository.services_saved {
            ServicesSource::Saved
        } else {
            ServicesSource::File
        },
    }))
}

/// Back to the file: forgets all that are saved, and those of the repository's file count again.
#[utoipa::path(delete, path = "/repositories/{id}/services", tag = "repositories", params(("id" = String, Path)),
    responses((status = 200, body = OkStatus), Failures))]
pub async fn back_to_the_file(
    State(app): State<Arc<App>>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Json<OkStatus>> {
    let repository = repositories::found(&app, &id).await?;
    app.store.back_to_the_file(&repository.id).await?;
    Ok(Json(OkStatus { ok: true }))
}

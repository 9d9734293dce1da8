//! Services of sandboxes: those that they were made with, and those that are added while they run, which are reached by
//! the port route alone.

use std::sync::Arc;

use amika_core::contract::OPENCODE_PORT;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Detail, Failures, Result};
use super::extract::{Body, Path, Query};
use super::sandboxes::{Found, find, own as own_sandboxes};
use super::tunnel::open_port;
use crate::auth::caller::{Caller, Reader, Writer};
use crate::clock::shown;
use crate::ports::name::origin;
use crate::sandboxes::show::{SandboxState, states};
use crate::state::App;
use crate::store::{SandboxServiceRow, StoreError};

/// Services of one sandbox at most.
const MOST: i64 = 50;

/// How a service's URL begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UrlScheme {
    /// HTTP.
    Http,
    /// HTTPS.
    Https,
}

impl UrlScheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Where a service comes from.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxServiceSource {
    /// It was added while the sandbox ran.
    Table,
    /// The sandbox was made with it.
    Legacy,
}

/// Whose a service is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxServiceKind {
    /// The user's.
    User,
    /// The platform's.
    System,
}

/// A service of a sandbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct SandboxService {
    id: String,
    sandbox_id: String,
    name: String,
    port: u16,
    url_scheme: Option<String>,
    protocol: String,
    url: Option<String>,
    host_port: Option<u16>,
    source: SandboxServiceSource,
    kind: SandboxServiceKind,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl SandboxService {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A sandbox's services.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListSandboxServicesResponse {
    items: Vec<SandboxService>,
}

/// A service to add.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateSandboxService {
    /// 1 to 63 of lower-case letters, digits and `-`.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    #[schema(minimum = 1)]
    port: u16,
    /// Left out: no URL is wanted.
    url_scheme: Option<UrlScheme>,
}

/// A change of a service; a member that is left out or null stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeSandboxService {
    name: Option<String>,
    port: Option<u16>,
    url_scheme: Option<UrlScheme>,
}

/// Which sandbox.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfSandboxQuery {
    /// Id or name; left out: all of the caller's own.
    sandbox_ref: Option<String>,
}

/// By what a service is named.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Its name.
    Name,
    /// Its id.
    Id,
    /// Either, the id first.
    #[default]
    Ref,
}

/// How a service is named.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByQuery {
    /// Left out: `ref`.
    #[param(inline)]
    by: Option<By>,
}

fn told(app: &App, row: SandboxServiceRow) -> SandboxService {
    let url = origin(&app.config, &app.address, &row.sandbox_id, row.port);
    SandboxService {
        url: row.url_scheme.is_some().then_some(url),
        id: row.id,
        sandbox_id: row.sandbox_id,
        name: row.name,
        port: row.port,
        url_scheme: row.url_scheme,
        protocol: "tcp".to_owned(),
        host_port: None,
        source: SandboxServiceSource::Table,
        kind: SandboxServiceKind::User,
        created_at: Some(shown(row.created_at)),
        updated_at: Some(shown(row.updated_at)),
    }
}

/// Services of a sandbox, or of all: those that were added, and those that it was made with.
#[utoipa::path(get, path = "/sandbox-services", tag = "sandboxes", params(OfSandboxQuery),
    responses((status = 200, body = ListSandboxServicesResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    Query(query): Query<OfSandboxQuery>,
) -> Result<Json<ListSandboxServicesResponse>> {
    let of = match &query.sandbox_ref {
        Some(reference) => vec![find(&app, &caller, reference).await?],
        None => own_sandboxes(&app, &caller).await?,
    };
    let mut items = Vec::new();
    for found in of {
        items.extend(of_sandbox(&app, &found).await?);
    }
    Ok(Json(ListSandboxServicesResponse { items }))
}

/// Those of one sandbox, a port each: those that were added first.
///
/// # Errors
/// Those of the store.
pub async fn of_sandbox(app: &App, found: &Found) -> Result<Vec<SandboxService>> {
    let rows = app.store.sandbox_services(Some(&found.id())).await?;
    let added = rows.into_iter().map(|row| told(app, row));
    Ok(added.chain(made_with(app, found)).collect())
}

/// The services that one was made with.
fn made_with<'a>(app: &'a App, found: &'a Found) -> impl Iterator<Item = SandboxService> + 'a {
    let sandbox_id = found.id();
    let ports = found.seen.iter().flat_map(|seen| &seen.view.ports);
    let services = ports.filter_map(|port| Some((port.service.as_ref()?, port)));
    services.map(move |(name, port)| {
        let is_near = app.config.is_loopback_only();
        let routed = || origin(&app.config, &app.address, &sandbox_id, port.container_port);
        let url = port.url.clone();
        SandboxService {
            id: format!("{sandbox_id}:{name}:{}", port.container_port),
            sandbox_id: sandbox_id.clone(),
            name: name.clone(),
            port: port.container_port,
            url_scheme: url
                .as_ref()
                .and_then(|url| Some(url.split_once("://")?.0.to_owned())),
            protocol: port.protocol.clone(),
            url: url.map(|url| if is_near { url } else { routed() }),
            host_port: port.host_port,
            source: SandboxServiceSource::Legacy,
            kind: if port.container_port == OPENCODE_PORT {
                SandboxServiceKind::System
            } else {
                SandboxServiceKind::User
            },
            created_at: None,
            updated_at: None,
        }
    })
}

/// Adds a service to a sandbox that runs. It is among the sandbox's `services` at once, and is reached by the port route.
#[utoipa::path(post, path = "/sandboxes/{ref}/services", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")), request_body = CreateSandboxService,
    responses((status = 201, body = SandboxService), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Body(body): Body<CreateSandboxService>,
) -> Result<(StatusCode, Json<SandboxService>)> {
    must_be_name(&body.name)?;
    open_port(body.port)?;
    let found = own(&app, &caller, &reference).await?;
    must_run(&found)?;
    must_be_free(&found, &body.name)?;
    let now = app.clock.now();
    let row = SandboxServiceRow {
        id: crate::id::new(),
        sandbox_id: found.id(),
        name: body.name,
        port: body.port,
        url_scheme: body.url_scheme.map(|it| it.as_str().to_owned()),
        created_at: now,
        updated_at: now,
    };
    if !app
        .store
        .add_sandbox_service(&row, MOST)
        .await
        .map_err(|error| taken(error, &row.name))?
    {
        let message = format!("the sandbox has {MOST} services, as many as may be");
        return Err(ApiError::conflict(message));
    }
    Ok((StatusCode::CREATED, Json(told(&app, row))))
}

/// Changes a service that was added.
#[utoipa::path(put, path = "/sandboxes/{ref}/services/{service}", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("service" = String, Path, description = "As `by` says."), ByQuery),
    request_body = ChangeSandboxService, responses((status = 200, body = SandboxService), Failures))]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, service)): Path<(String, String)>,
    Query(query): Query<ByQuery>,
    Body(body): Body<ChangeSandboxService>,
) -> Result<Json<SandboxService>> {
    if let Some(name) = &body.name {
        must_be_name(name)?;
    }
    if let Some(port) = body.port {
        open_port(port)?;
    }
    let found = own(&app, &caller, &reference).await?;
    let mut row = one(&app, &found, &service, query.by).await?;
    if let Some(name) = body.name {
        must_be_free(&found, &name)?;
        row.name = name;
    }
    row.port = body.port.unwrap_or(row.port);
    if let Some(scheme) = body.url_scheme {
        row.url_scheme = Some(scheme.as_str().to_owned());
    }
    row.updated_at = app.clock.now();
    let changed = app.store.change_sandbox_service(&row).await;
    if !changed.map_err(|error| taken(error, &row.name))? {
        return Err(unknown(&service));
    }
    Ok(Json(told(&app, row)))
}

/// Removes a service that was added; what listens goes on.
#[utoipa::path(delete, path = "/sandboxes/{ref}/services/{service}", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("service" = String, Path, description = "As `by` says."), ByQuery),
    responses((status = 204), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, service)): Path<(String, String)>,
    Query(query): Query<ByQuery>,
) -> Result<StatusCode> {
    let found = own(&app, &caller, &reference).await?;
    let row = one(&app, &found, &service, query.by).await?;
    if !app.store.remove_sandbox_service(&row.id).await? {
        return Err(unknown(&service));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A sandbox that this server keeps something of.
async fn own(app: &App, caller: &Caller, reference: &str) -> Result<Found> {
    let found = find(app, caller, reference).await?;
    if found.row.is_none() {
        return Err(ApiError::conflict(
            "this server did not make it: adopt it first",
        ));
    }
    Ok(found)
}

fn must_run(found: &Found) -> Result<()> {
    let state = found.seen.as_ref().map(|seen| seen.view.state);
    let is_up = matches!(
        states(state, None, None).0,
        SandboxState::Started | SandboxState::Initializing
    );
    if state.is_some() && is_up {
        return Ok(());
    }
    Err(ApiError::conflict(format!(
        "sandbox \"{}\" does not run: services are added to one that does",
        found.name()
    )))
}

/// A name that a DNS label can be.
fn must_be_name(name: &str) -> Result<()> {
    let is_label = (1..=63).contains(&name.len())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_label {
        return Ok(());
    }
    Err(ApiError::field(
        "/name",
        "name is 1 to 63 of lower-case letters, digits and `-`, and neither begins nor ends with `-`",
    ))
}

/// Refuses a name that a service has with which the sandbox was made.
fn must_be_free(found: &Found, name: &str) -> Result<()> {
    let mut ports = found.seen.iter().flat_map(|seen| &seen.view.ports);
    if ports.any(|port| port.service.as_deref() == Some(name)) {
        return Err(named_so(name));
    }
    Ok(())
}

fn named_so(name: &str) -> ApiError {
    let message = format!("the sandbox has a service \"{name}\" already");
    let mut error = ApiError::conflict(message.clone());
    error.details.push(Detail {
        field: "/name".to_owned(),
        message,
    });
    error
}

fn taken(error: StoreError, name: &str) -> ApiError {
    match error {
        StoreError::Taken => named_so(name),
        other => other.into(),
    }
}

fn unknown(service: &str) -> ApiError {
    let shown: String = service.chars().take(100).collect();
    ApiError::not_found(format!(
        "no service \"{}\" was added to the sandbox",
        shown.escape_debug()
    ))
}

async fn one(app: &App, found: &Found, service: &str, by: Option<By>) -> Result<SandboxServiceRow> {
    let rows = app.store.sandbox_services(Some(&found.id())).await?;
    let by = by.unwrap_or_default();
    let by_id = rows
        .iter()
        .find(|row| row.id == service && matches!(by, By::Id | By::Ref));
    let by_name = rows
        .iter()
        .find(|row| row.name == service && matches!(by, By::Name | By::Ref));
    by_id.or(by_name).cloned().ok_or_else(|| unknown(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label_of_dns() {
        for good in ["a", "my-web-2", &"x".repeat(63)] {
            assert!(must_be_name(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a.b", "a_b", &"x".repeat(64)] {
            assert!(must_be_name(bad).is_err(), "{bad}");
        }
    }
}

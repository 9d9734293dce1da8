//! What the server is, what it has, and what is wrong with that.

use std::path::Path;
use std::sync::Arc;

use amika_sandbox::doctor::{Mending, Outcome, Report};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::Query;
use crate::auth::caller::Reader;
use crate::state::{App, ORG};

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
    /// The container engine; null while it does not answer.
    engine: Option<EngineInfo>,
    /// The disk of the data directory; null where the system does not tell.
    disk: Option<DiskInfo>,
    /// What was looked at, where that was asked for.
    checks: Option<Vec<SystemCheck>>,
}

/// The container engine.
#[derive(Debug, Serialize, ToSchema)]
pub struct EngineInfo {
    version: String,
    api_version: String,
    architecture: String,
    operating_system: String,
    storage_driver: String,
    /// Processors; 0 where it does not tell.
    cpus: i64,
    /// Bytes; 0 where it does not tell.
    memory: i64,
}

/// A disk, in bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiskInfo {
    size: u64,
    free: u64,
}

/// Something that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub struct SystemCheck {
    name: String,
    /// `ok`, `warning`, `failed`.
    result: &'static str,
    message: String,
}

/// How much is looked at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SystemQuery {
    /// Whether all is looked at that may be wrong with the engine and with what is on it; administrators alone.
    #[serde(default)]
    checks: bool,
}

/// What the server is, its engine and its disk.
#[utoipa::path(get, path = "/system", tag = "server", params(SystemQuery),
    responses((status = 200, body = SystemInfo), Failures))]
pub async fn system(
    State(app): State<Arc<App>>,
    caller: Reader,
    Query(query): Query<SystemQuery>,
) -> Result<Json<SystemInfo>> {
    if query.checks && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "only administrators see what is wrong with the engine",
        ));
    }
    let engine = match app.engines.answers().await {
        Ok(()) => engine(&app).await.ok(),
        Err(_) => None,
    };
    Ok(Json(SystemInfo {
        version: env!("CARGO_PKG_VERSION"),
        server_id: app.server_id.clone(),
        address: app.address.clone(),
        org_id: ORG,
        checks: if query.checks {
            Some(checks(&app, engine.is_some()).await)
        } else {
            None
        },
        engine,
        disk: disk(&app.config.data),
    }))
}

async fn engine(app: &App) -> Result<EngineInfo> {
    let engine = app.engines.get().await?;
    let facts = engine
        .system()
        .await
        .map_err(amika_sandbox::error::Error::from)?;
    Ok(EngineInfo {
        version: facts.version,
        api_version: facts.api_version,
        architecture: facts.architecture,
        operating_system: facts.operating_system,
        storage_driver: facts.storage_driver,
        cpus: facts.cpus,
        memory: facts.memory,
    })
}

fn disk(path: &Path) -> Option<DiskInfo> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(DiskInfo {
        size: stat.f_blocks * stat.f_frsize,
        free: stat.f_bavail * stat.f_frsize,
    })
}

/// As `amika doctor` has them, of the server's own user.
async fn checks(app: &App, is_there: bool) -> Vec<SystemCheck> {
    let mut report = Report::default();
    let examined = async {
        if !is_there {
            return app.engines.answers().await;
        }
        let engine = app.engines.get().await?;
        engine.examine(Mending::default(), &mut report).await
    };
    if let Err(error) = examined.await {
        report.fail("engine", &error);
    }
    let checks = report.checks.into_iter().map(|check| SystemCheck {
        name: check.name,
        result: match check.result {
            Outcome::Ok => "ok",
            Outcome::Warning => "warning",
            Outcome::Failed => "failed",
        },
        message: check.message,
    });
    checks.collect()
}

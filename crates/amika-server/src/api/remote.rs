//! Repositories where they are: their branches, and what their file declares.

use std::collections::BTreeMap;
use std::sync::Arc;

use amika_core::config::{self, ImageChoice, RepoConfig, RepoFile};
use amika_core::diagnostic::Diagnostic;
use amika_sandbox::error::Error;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Path, Query};
use super::{check, repositories};
use crate::auth::caller::Reader;
use crate::definition::{PortDefinition, RunDefinition};
use crate::sandboxes::cloning::cloning;
use crate::state::App;
use amika_core::canonical::canonical;

/// Which repository.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BranchesQuery {
    /// Its URL.
    repo_url: String,
}

/// A branch.
#[derive(Debug, Serialize, ToSchema)]
pub struct Branch {
    name: String,
    commit: String,
}

/// The branches of a repository.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListBranchesResponse {
    /// The one that a clone begins with; null where there is none.
    default_branch: Option<String>,
    /// By name; the first 10,000.
    items: Vec<Branch>,
}

/// The branches of a repository, as its server tells them.
#[utoipa::path(get, path = "/repositories/branches", tag = "repositories", params(BranchesQuery),
    responses((status = 200, body = ListBranchesResponse), Failures))]
pub async fn branches(
    State(app): State<Arc<App>>,
    caller: Reader,
    Query(query): Query<BranchesQuery>,
) -> Result<Json<ListBranchesResponse>> {
    let url = query.repo_url;
    canonical(&url).map_err(|error| ApiError::field("repo_url", error.to_string()))?;
    let cloning = cloning(&app, &caller.user.id, Some(&url)).await?;
    let url = cloning.url.as_deref().unwrap_or(&url);
    let found = amika_git::branches(&cloning.machine, url).await;
    let found = found.map_err(Error::from)?;
    let items = found.commits.into_iter();
    Ok(Json(ListBranchesResponse {
        default_branch: found.default,
        items: items
            .map(|(name, commit)| Branch { name, commit })
            .collect(),
    }))
}

/// Which state of a repository.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// A branch, a tag or a commit; left out: the default branch.
    branch: Option<String>,
}

/// A service that a repository's file declares.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeclaredService {
    name: String,
    ports: Vec<PortDefinition>,
    #[serde(flatten)]
    run: RunDefinition,
}

/// What a repository's file says where a setting is not saved; null where it says nothing.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct DeclaredSettings {
    /// Path of the setup script in the repository.
    setup_script: Option<String>,
    preset: Option<String>,
    image: Option<String>,
    /// Plain variables by name.
    env_vars: BTreeMap<String, String>,
}

impl DeclaredSettings {
    fn of(config: &RepoConfig) -> Self {
        let script = config.lifecycle.setup_script.as_ref();
        let image = config.sandbox.image.as_ref().map(|it| &it.value);
        Self {
            setup_script: script.and_then(|it| match it {
                RepoFile::Path(path) => Some(path.value.clone()),
                RepoFile::Refused(_) => None,
            }),
            preset: image.and_then(|it| match it {
                ImageChoice::Preset(name) => Some(name.clone()),
                ImageChoice::Image(_) | ImageChoice::Dockerfile(_) => None,
            }),
            image: image.and_then(|it| match it {
                ImageChoice::Image(name) => Some(name.clone()),
                ImageChoice::Preset(_) | ImageChoice::Dockerfile(_) => None,
            }),
            env_vars: config.env.clone(),
        }
    }
}

/// What a repository's file declares.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileServices {
    /// Whether there is a file.
    has_file: bool,
    /// The branch that was looked at; null for a commit by itself.
    branch: Option<String>,
    commit: Option<String>,
    items: Vec<DeclaredService>,
    settings: DeclaredSettings,
    /// What in the file is not understood.
    warnings: Vec<String>,
}

/// The services and settings of a repository's `.amika/config.toml` as it is now: what saved ones can begin with. Nothing is
/// saved.
#[utoipa::path(get, path = "/repositories/{id}/services/file", tag = "repositories",
    params(("id" = String, Path), FileQuery), responses((status = 200, body = FileServices), Failures))]
pub async fn services(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(id): Path<String>,
    Query(query): Query<FileQuery>,
) -> Result<Json<FileServices>> {
    if let Some(branch) = &query.branch {
        check::text("branch", branch, 255)?;
    }
    let repository = repositories::found(&app, &id).await?;
    let url = repository.repo_url;
    let cloning = cloning(&app, &caller.user.id, Some(&url)).await?;
    let request = amika_git::Request {
        spec: cloning.url.clone(),
        cache: cloning.cache.clone(),
        branch: query.branch,
        ..amika_git::Request::default()
    };
    let opened = amika_git::open(&cloning.machine, request, &app.config.data, &|_| {}).await;
    let opened = opened.map_err(Error::from)?;
    let file = opened.config_toml().await.map_err(Error::from)?;
    let facts = opened.facts();
    let mut answer = FileServices {
        has_file: file.is_some(),
        branch: facts.branch.clone(),
        commit: facts.commit.clone(),
        items: Vec::new(),
        settings: DeclaredSettings::default(),
        warnings: Vec::new(),
    };
    let parsed = file.map(|bytes| config::parse_bytes(&bytes));
    match parsed {
        None => {}
        Some(Ok(parsed)) => {
            answer.settings = DeclaredSettings::of(&parsed.config);
            let services = parsed.config.services.into_iter();
            answer.items = services
                .map(|service| DeclaredService {
                    ports: PortDefinition::of(&service),
                    run: RunDefinition::of(&service),
                    name: service.name,
                })
                .collect();
            answer.warnings = told(parsed.warnings);
        }
        Some(Err(diagnostics)) => answer.warnings = told(diagnostics),
    }
    Ok(Json(answer))
}

/// What is wrong, a sentence each.
fn told(diagnostics: Vec<Diagnostic>) -> Vec<String> {
    let each = diagnostics.into_iter().flat_map(|found| {
        if found.problems.is_empty() {
            return vec![found.message];
        }
        let problems = found.problems.into_iter();
        problems.map(|problem| problem.message).collect()
    });
    each.collect()
}

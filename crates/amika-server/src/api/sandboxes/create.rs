//! Making a sandbox.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amika_core::label::{Labels, key};
use amika_core::name::SandboxName;
use amika_core::service::check_merge;
use amika_core::settings::Layer;
use amika_core::size::Size;
use amika_core::trust::Trust;
use amika_sandbox::create::{
    Allowed, CreateRequest, SettingsLayer, Trusting, Wait, Wanted, WantedRepository,
};
use amika_sandbox::sandboxes::User;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{entry, json};
use crate::api::error::{ApiError, Detail, ErrorBody, Failures, Result};
use crate::api::extract::{Body, Query};
use crate::api::{credentials, uploads};
use crate::auth::caller::{Caller, Writer};
use crate::sandboxes::cloning::{Cloning, cloning};
use crate::sandboxes::look::{AUTO_DELETE, AUTO_STOP, ID, OWNER};
use crate::sandboxes::operations::{Begun, Order, Work, begin};
use crate::sandboxes::quota;
use crate::sandboxes::request::{CreateSandbox, Wish, saved};
use crate::sandboxes::show::Sandbox;
use crate::sandboxes::{conversation, given};
use crate::state::App;
use crate::store::SandboxRow;
use amika_core::canonical::canonical;

/// The longest that an answer is held, in seconds.
const LONGEST_WAIT: u64 = 600;

/// Tries to find a name that nobody has.
const NAMES: u32 = 20;

/// How long an answer is held.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds until which the answer is held, unless the sandbox is ready or failed before; at most 600.
    wait: Option<u64>,
}

/// Makes a sandbox. The answer comes at once, with the sandbox in the state `initializing`.
#[utoipa::path(post, path = "/sandboxes", tag = "sandboxes", params(WaitQuery), request_body = CreateSandbox,
    responses((status = 202, body = Sandbox), (status = 501, body = ErrorBody, description = "A member that this server has not."), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Query(query): Query<WaitQuery>,
    Body(body): Body<CreateSandbox>,
) -> Result<impl IntoResponse> {
    let (id, mut begun) = make(&app, &caller, body).await?;
    if let Some(seconds) = query.wait {
        let wait = Duration::from_secs(seconds.min(LONGEST_WAIT));
        let _ = tokio::time::timeout(wait, begun.ended()).await;
    }
    let made = entry(&app, &caller, &id).await?;
    Ok((StatusCode::ACCEPTED, json(made.json.clone())))
}

/// Begins to make a sandbox; its id in the API.
///
/// # Errors
/// What is wrong with the request; those of store and engine.
pub async fn make(app: &Arc<App>, caller: &Caller, body: CreateSandbox) -> Result<(String, Begun)> {
    Box::pin(begin_to_make(app, caller, body)).await
}

async fn begin_to_make(
    app: &Arc<App>,
    caller: &Caller,
    body: CreateSandbox,
) -> Result<(String, Begun)> {
    let mut wish = body.check(caller, &app.config.members)?;
    given::check(app, &caller.user.id, &body).await?;
    let copied = copied(app, caller, &body).await?;
    let cloning = with(app, caller, &wish, copied.is_some()).await?;
    let saved = of_store(app, wish.repo_url.as_deref()).await?;
    refuse_pairs(&wish, &saved)?;
    let size = body
        .size
        .or(saved_size(app, wish.repo_url.as_deref()).await?);
    let row = {
        // Of two creates at a time each is counted for the other.
        let _counting = app.counting.lock().await;
        quota::check(app, &caller.user, size).await?;
        row(app, caller, &body, &wish, size).await?
    };
    wish.sandbox.name = SandboxName::for_new(&row.name).ok();
    wish.sandbox.stamp = stamp(app, &row);
    let password = credentials::web_password(app, caller).await?;
    if let Some(password) = password {
        let name = amika_core::contract::env::OPENCODE_PASSWORD.to_owned();
        wish.sandbox.env.entry(name).or_insert(password);
    }
    let user = User::new(cloning.machine.clone(), crate::engine::silent());
    let allowed = allowed(app, caller, copied.is_some());
    let whose = (caller.user.id.as_str(), allowed);
    let mut request = asked(&body, wish, saved, &cloning, copied, whose);
    request.secrets = Some(Arc::new(given::Keeper {
        app: Arc::clone(app),
        sandbox_id: row.id.clone(),
        user_id: caller.user.id.clone(),
        asked: body.agent_credentials.clone(),
    }));
    let order = Order {
        sandbox_id: &row.id,
        name: &row.name,
        user_id: Some(&caller.user.id),
        owner_id: Some(&row.user_id),
    };
    let work = Work::Create(Box::new(request), Arc::new(user), cloning.keys);
    match begin(app, order, work).await {
        Ok(begun) => {
            if row.initial_prompt.is_some() {
                let told = conversation::once_ready(Arc::clone(app), begun.clone(), row.clone());
                tokio::spawn(told);
            }
            Ok((row.id, begun))
        }
        Err(error) => {
            app.store.remove_sandbox(&row.id).await?;
            Err(error)
        }
    }
}

/// The work tree that was sent for a sandbox.
async fn copied(app: &App, caller: &Caller, body: &CreateSandbox) -> Result<Option<PathBuf>> {
    match &body.upload_id {
        Some(id) => uploads::find(app, caller, id).await.map(Some),
        None => Ok(None),
    }
}

/// With what a wish's repository is cloned; nothing is fetched where it was sent.
async fn with(app: &App, caller: &Caller, wish: &Wish, is_sent: bool) -> Result<Cloning> {
    let url = wish.repo_url.as_deref().filter(|_| !is_sent);
    cloning(app, &caller.user.id, url).await
}

/// What is saved for a repository.
async fn of_store(app: &App, url: Option<&str>) -> Result<SettingsLayer> {
    let Some(url) = url.and_then(|url| canonical(url).ok()) else {
        return Ok(Layer::silent());
    };
    let Some(repository) = app.store.repository_of(&url).await? else {
        return Ok(Layer::silent());
    };
    let services = app.store.services(&repository.id).await?;
    Ok(saved(repository, services))
}

/// Refuses at once a port that is asked for and a saved service's; of the file's it is found once that is read.
fn refuse_pairs(wish: &Wish, saved: &SettingsLayer) -> Result<()> {
    let services = saved.services.as_deref().unwrap_or_default();
    check_merge(services, &wish.sandbox.publish)
        .map_err(|error| ApiError::from(amika_sandbox::ports::both(&error)))
}

/// The size that is saved for a repository.
async fn saved_size(app: &App, url: Option<&str>) -> Result<Option<Size>> {
    let Some(url) = url.and_then(|url| canonical(url).ok()) else {
        return Ok(None);
    };
    let repository = app.store.repository_of(&url).await?;
    let size = repository.and_then(|it| it.saved.sandbox_size);
    Ok(size.and_then(|size| size.parse().ok()))
}

/// Notes a sandbox under a name that nobody has.
async fn row(
    app: &App,
    caller: &Caller,
    body: &CreateSandbox,
    wish: &Wish,
    size: Option<Size>,
) -> Result<SandboxRow> {
    let look = app.looks.get(&app.engines).await?;
    let now = app.clock.now();
    let mut request = serde_json::json!(body);
    if let Some(members) = request.as_object_mut() {
        // What may be secret is not kept.
        for name in ["env_vars", "setup_script_text", "initial_prompt"] {
            members.remove(name);
        }
        members.insert("provider".into(), wish.provider.clone().into());
        let url = wish
            .repo_url
            .as_deref()
            .map(|url| amika_core::label::RepositorySource::from(url).to_string());
        for name in ["git_url", "github_url"] {
            members.remove(name);
        }
        members.insert("repo_url".into(), url.into());
    }
    let mut row = SandboxRow {
        request,
        auto_stop: wish.auto_stop,
        auto_delete: wish.auto_delete,
        cpus: size.map(Size::cpus),
        memory: size.map(Size::memory),
        metadata: body.metadata.clone(),
        secret_env: body.secret_env_vars.clone(),
        initial_prompt: body.initial_prompt.clone(),
        ..SandboxRow::new(crate::id::new(), caller.user.id.clone(), String::new(), now)
    };
    let asked = wish.sandbox.name.as_ref();
    for attempt in 0..NAMES {
        let made = || SandboxName::generate(attempt, |below| rand::random_range(0..below));
        row.name = asked.map_or_else(|| made().to_string(), ToString::to_string);
        if !look.contains_key(&row.name) && app.store.add_sandbox(&row).await? {
            return Ok(row);
        }
        if asked.is_some() {
            let message = format!("there is a sandbox \"{}\" already", row.name);
            let mut error = ApiError::conflict(message.clone());
            error.details.push(Detail {
                field: "/name".to_owned(),
                message,
            });
            return Err(error);
        }
    }
    Err(ApiError::conflict("no free name was found: give one"))
}

fn stamp(app: &App, row: &SandboxRow) -> Labels {
    let auto_delete = row.auto_delete.map(|minutes| minutes.to_string());
    let labels = [
        (key::SERVER, app.server_id.clone()),
        (ID, row.id.clone()),
        (OWNER, row.user_id.clone()),
        (AUTO_STOP, row.auto_stop.to_string()),
        (AUTO_DELETE, auto_delete.unwrap_or_default()),
    ];
    Labels::from(labels.map(|(key, value)| (key.to_owned(), value)))
}

/// Which images somebody may have: the rule for what is asked, held for what a repository's file chooses.
fn allowed(app: &App, caller: &Caller, is_sent: bool) -> Allowed {
    let members = &app.config.members;
    Allowed {
        any_image: caller.is_admin() || members.image,
        nested_engine: caller.is_admin() || members.coder_dind,
        saved: caller.is_admin() || !is_sent,
    }
}

fn asked(
    body: &CreateSandbox,
    wish: Wish,
    saved: SettingsLayer,
    cloning: &Cloning,
    copied: Option<PathBuf>,
    (owner, allowed): (&str, Allowed),
) -> CreateRequest {
    let has_script = wish.sandbox.setup.is_some() || saved.setup_script.is_some();
    let url = wish.repo_url;
    let (spec, copy, of) = match copied {
        // Whoever sent it chose what of it comes along.
        Some(place) => {
            let copy = amika_git::Copy::Dirty {
                include_ignored: true,
            };
            let of = url.unwrap_or_else(|| "a working copy that was sent".to_owned());
            (Some(place.display().to_string()), copy, Some(of))
        }
        None => (cloning.url.clone(), amika_git::Copy::Clean, None),
    };
    CreateRequest {
        repository: spec.map(|spec| {
            WantedRepository::Clone(Wanted {
                git: amika_git::Request {
                    spec: Some(spec),
                    branch: body.branch.clone(),
                    new_branch: body.new_branch_name.clone(),
                    copy,
                    cache: cloning.cache.clone(),
                },
                no_setup: body.skip_setup_script,
                has_script,
                of,
            })
        }),
        sandbox: wish.sandbox,
        saved,
        trust: Trusting::Setting(Trust::Auto),
        sign_ins_named: false,
        secrets: None,
        owner: owner.to_owned(),
        allowed,
        replace: false,
        wait: Wait::UntilReady(None),
    }
}

/// What a create would come to, each value with who decided it; nothing is made.
#[utoipa::path(post, path = "/sandboxes:plan", tag = "sandboxes", request_body = CreateSandbox,
    responses((status = 200, body = serde_json::Value), (status = 501, body = ErrorBody, description = "A member that this server has not."), Failures))]
pub async fn plan(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<CreateSandbox>,
) -> Result<Json<serde_json::Value>> {
    let wish = body.check(&caller, &app.config.members)?;
    given::check(&app, &caller.user.id, &body).await?;
    let copied = copied(&app, &caller, &body).await?;
    let cloning = with(&app, &caller, &wish, copied.is_some()).await?;
    let saved = of_store(&app, wish.repo_url.as_deref()).await?;
    let engine = app.engines.get().await?;
    let user = Arc::new(User::new(cloning.machine.clone(), crate::engine::silent()));
    let engine = amika_sandbox::sandboxes::Sandboxes::new(engine.engine().clone(), &user);
    let allowed = allowed(&app, &caller, copied.is_some());
    let whose = (caller.user.id.as_str(), allowed);
    let request = asked(&body, wish, saved, &cloning, copied, whose);
    let (_canceler, cancel) = amika_sandbox::cancel::new();
    let plan = engine
        .plan(request, crate::engine::silent(), &cancel)
        .await?;
    Ok(Json(
        serde_json::to_value(plan).map_err(|_| ApiError::internal())?,
    ))
}

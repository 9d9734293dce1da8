//! Sandboxes: looked at, made, changed and removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amika_core::label::{Labels, key};
use amika_core::name::SandboxName;
use amika_core::settings::Layer;
use amika_core::trust::Trust;
use amika_sandbox::create::{CreateRequest, SettingsLayer, Trusting, Wait, Wanted};
use amika_sandbox::sandboxes::User;
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path, Query};
use super::{check, paging};
use crate::auth::caller::{Caller, Reader, Writer};
use crate::canonical::canonical;
use crate::sandboxes::look::{AUTO_DELETE, AUTO_STOP, ID, Look, OWNER, Seen};
use crate::sandboxes::operations::{Order, Work, begin};
use crate::sandboxes::request::{CreateSandbox, Wish, interval, saved};
use crate::sandboxes::show::{Known, Sandbox, SandboxState, sandbox};
use crate::sandboxes::source;
use crate::state::App;
use crate::store::{SandboxRow, SandboxServiceRow};

/// The longest that an answer is held, in seconds.
const LONGEST_WAIT: u64 = 600;

/// Tries to find a name that nobody has.
const NAMES: u32 = 20;

/// Which sandboxes; `metadata.KEY=VALUE` chooses those with this word of their user's.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Everybody's; administrators alone.
    #[serde(default)]
    all: bool,
    /// Those in this state.
    state: Option<SandboxState>,
    /// Those of this repository, however its URL is written.
    repo_url: Option<String>,
    /// At most as many, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where the part begins, from the `Link` of the one before.
    cursor: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    rest: BTreeMap<String, String>,
}

/// Sandboxes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListSandboxesResponse(Vec<Sandbox>);

/// How long an answer is held.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds until which the answer is held, unless the sandbox is ready or failed before; at most 600.
    wait: Option<u64>,
}

/// All that is known: what the store holds, what is on the engine.
pub struct Everything {
    rows: Vec<SandboxRow>,
    look: Look,
}

impl Everything {
    /// Asks both.
    ///
    /// # Errors
    /// Those of the two.
    pub async fn get(app: &App) -> Result<Self> {
        // The store first: what was added to it meanwhile is found on the engine, and not the other way round.
        let rows = app.store.sandboxes().await?;
        let look = app.looks.get(&app.engines, &app.server_id).await?;
        Ok(Self { rows, look })
    }

    /// Each, with what the store holds and what is on the engine.
    fn each(&self) -> impl Iterator<Item = (Option<&SandboxRow>, Option<&Seen>)> {
        let by_id: BTreeMap<&str, &Seen> =
            self.look.values().map(|seen| (seen.id(), seen)).collect();
        let ids: BTreeSet<&str> = self.rows.iter().map(|row| row.id.as_str()).collect();
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| (Some(row), by_id.get(row.id.as_str()).copied()))
            .collect();
        let others = self
            .look
            .values()
            .filter(move |seen| !ids.contains(seen.id()));
        rows.into_iter()
            .chain(others.map(|seen| (None, Some(seen))))
    }
}

/// Whether somebody may see and touch it.
fn is_of(caller: &Caller, row: Option<&SandboxRow>, seen: Option<&Seen>) -> bool {
    let owner = row.map(|row| row.user_id.as_str());
    let owner = owner.or_else(|| seen?.stamp.get(OWNER).map(String::as_str));
    owner == Some(caller.user.id.as_str())
}

/// A sandbox that somebody may see and touch.
pub struct Found {
    /// What the store holds.
    pub row: Option<SandboxRow>,
    /// What is on the engine.
    pub seen: Option<Seen>,
}

impl Found {
    /// Its id in the API.
    pub fn id(&self) -> String {
        let of_row = self.row.as_ref().map(|row| row.id.clone());
        of_row
            .or_else(|| Some(self.seen.as_ref()?.id().to_owned()))
            .unwrap_or_default()
    }

    /// Its name: that of the engine where it is there.
    pub fn name(&self) -> String {
        let seen = self.seen.as_ref().map(|seen| seen.view.name.clone());
        seen.or_else(|| Some(self.row.as_ref()?.name.clone()))
            .unwrap_or_default()
    }

    /// Its name, where it is on the engine.
    ///
    /// # Errors
    /// 409 while it is not.
    pub fn there(&self) -> Result<&str> {
        let seen = self.seen.as_ref().map(|seen| seen.view.name.as_str());
        seen.ok_or_else(|| {
            ApiError::conflict(format!(
                "sandbox \"{}\" is not there yet, or failed",
                self.name()
            ))
        })
    }
}

/// The sandbox with an id or name, the id first. What is another's is not there.
///
/// # Errors
/// 404.
pub async fn find(app: &App, caller: &Caller, reference: &str) -> Result<Found> {
    let all = Everything::get(app).await?;
    let mut by_name = None;
    for (row, seen) in all.each() {
        if !caller.is_admin() && !is_of(caller, row, seen) {
            continue;
        }
        let found = || Found {
            row: row.cloned(),
            seen: seen.cloned(),
        };
        let id = row.map(|row| row.id.as_str()).or(seen.map(Seen::id));
        if id == Some(reference) {
            return Ok(found());
        }
        let name = seen
            .map(|seen| seen.view.name.as_str())
            .or(row.map(|row| row.name.as_str()));
        if name == Some(reference) {
            by_name = Some(found());
        }
    }
    by_name.ok_or_else(|| {
        let shown: String = reference.chars().take(100).collect();
        ApiError::not_found(format!("there is no sandbox \"{}\"", shown.escape_debug()))
    })
}

async fn shown(app: &App, found: &Found) -> Result<Sandbox> {
    let id = found.id();
    let doing = app.operations.of(&id);
    let user_id = found.row.as_ref().map(|row| row.user_id.as_str());
    let owner = match user_id {
        Some(id) => app.store.user(id).await?,
        None => None,
    };
    let heard = found.row.as_ref().and_then(|row| app.idleness.of(&row.id));
    let known = Known {
        row: found.row.as_ref(),
        seen: found.seen.as_ref(),
        doing: doing.as_ref().map(|(id, kind)| (id.as_str(), *kind)),
        heard: heard.as_ref(),
    };
    let added = app.store.sandbox_services(Some(&id)).await?;
    let sandbox = sandbox(
        known,
        owner
            .as_ref()
            .map(|user| (user.name.as_str(), user.email.as_deref())),
    );
    Ok(routed(app, sandbox, &added))
}

/// A sandbox with the services that were added to it, and where they are found.
fn routed(app: &App, sandbox: Sandbox, added: &[SandboxServiceRow]) -> Sandbox {
    let own: Vec<_> = added
        .iter()
        .filter(|row| row.sandbox_id == sandbox.id)
        .collect();
    let is_far = !app.config.is_loopback_only();
    sandbox.routed(own, is_far, |id, port| {
        crate::ports::name::origin(&app.config, &app.address, id, port)
    })
}

/// The caller's sandboxes, the oldest first.
#[utoipa::path(get, path = "/sandboxes", tag = "sandboxes", params(ListQuery),
    responses((status = 200, body = ListSandboxesResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response> {
    if query.all && !caller.is_admin() {
        return Err(ApiError::forbidden("only administrators see everybody's"));
    }
    let repository = query.repo_url.as_deref().map(canonical).transpose();
    let repository = repository.map_err(|error| ApiError::field("repo_url", error.to_string()))?;
    let words = query
        .rest
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("metadata.")?, value)));
    let words: Vec<(&str, &String)> = words.collect();
    let users = app.store.users().await?;
    let users: BTreeMap<&str, &crate::store::User> =
        users.iter().map(|user| (user.id.as_str(), user)).collect();
    let added = app.store.sandbox_services(None).await?;
    let all = Everything::get(&app).await?;
    let mut sandboxes = Vec::new();
    for (row, seen) in all.each() {
        if !query.all && !is_of(&caller, row, seen) {
            continue;
        }
        let id = row
            .map(|row| row.id.as_str())
            .or(seen.map(Seen::id))
            .unwrap_or_default();
        let doing = app.operations.of(id);
        let doing = doing.as_ref().map(|(id, kind)| (id.as_str(), *kind));
        let owner = row.and_then(|row| users.get(row.user_id.as_str()));
        let owner = owner.map(|user| (user.name.as_str(), user.email.as_deref()));
        let heard = app.idleness.of(id);
        let known = Known {
            row,
            seen,
            doing,
            heard: heard.as_ref(),
        };
        let sandbox = routed(&app, sandbox(known, owner), &added);
        let is_wanted = query.state.is_none_or(|state| sandbox.state == state)
            && words
                .iter()
                .all(|(name, value)| sandbox.metadata.get(*name) == Some(value))
            && repository.as_ref().is_none_or(|wanted| {
                sandbox
                    .repo_url
                    .as_deref()
                    .and_then(|url| canonical(url).ok())
                    .as_ref()
                    == Some(wanted)
            });
        if is_wanted {
            sandboxes.push(sandbox);
        }
    }
    sandboxes.sort_by_key(sorted_by);
    let page = paging::Page {
        limit: query.limit,
        cursor: query.cursor,
    };
    paging::answer(&uri, &page, &sandboxes, sorted_by)
}

fn sorted_by(sandbox: &Sandbox) -> String {
    format!(
        "{} {}",
        sandbox.created_at.as_deref().unwrap_or_default(),
        sandbox.id
    )
}

/// One.
#[utoipa::path(get, path = "/sandboxes/{ref}", tag = "sandboxes", params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Sandbox), Failures))]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
) -> Result<Json<Sandbox>> {
    let found = find(&app, &caller, &reference).await?;
    shown(&app, &found).await.map(Json)
}

/// Makes a sandbox. The answer comes at once, with the sandbox in the state `initializing`.
#[utoipa::path(post, path = "/sandboxes", tag = "sandboxes", params(WaitQuery), request_body = CreateSandbox,
    responses((status = 202, body = Sandbox), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Query(query): Query<WaitQuery>,
    Body(body): Body<CreateSandbox>,
) -> Result<(StatusCode, Json<Sandbox>)> {
    let mut wish = body.check(&caller)?;
    let copied = copied(&app, &caller, &body).await?;
    let machine = cloning(&app, &wish, copied.is_some()).await?;
    let saved = of_store(&app, wish.repo_url.as_deref()).await?;
    let row = row(&app, &caller, &body, &wish).await?;
    wish.sandbox.name = SandboxName::for_new(&row.name).ok();
    wish.sandbox.stamp = stamp(&app, &row);
    let user = User::new(machine, crate::engine::silent());
    let request = asked(&body, wish, saved, copied);
    let order = Order {
        sandbox_id: &row.id,
        name: &row.name,
        user_id: Some(&caller.user.id),
    };
    let work = Work::Create(Box::new(request), Arc::new(user));
    let begun = begin(&app, order, work).await;
    let mut begun = match begun {
        Ok(begun) => begun,
        Err(error) => {
            app.store.remove_sandbox(&row.id).await?;
            return Err(error);
        }
    };
    if let Some(seconds) = query.wait {
        let wait = Duration::from_secs(seconds.min(LONGEST_WAIT));
        let _ = tokio::time::timeout(wait, begun.ended()).await;
    }
    let found = find(&app, &caller, &row.id).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(&app, &found).await?)))
}

/// The work tree that was sent for a sandbox.
async fn copied(
    app: &App,
    caller: &Caller,
    body: &CreateSandbox,
) -> Result<Option<std::path::PathBuf>> {
    match &body.upload_id {
        Some(id) => super::uploads::find(app, caller, id).await.map(Some),
        None => Ok(None),
    }
}

/// The machine on which a wish's repository is cloned, or read where it was sent.
async fn cloning(app: &App, wish: &Wish, is_sent: bool) -> Result<amika_host::machine::Machine> {
    let machine = app.engines.machine();
    let allow = app.config.allow_private_git;
    if is_sent {
        // Nothing is fetched.
        return source::machine_for(None, machine, &app.config.data, allow).await;
    }
    source::machine_for(wish.repo_url.as_deref(), machine, &app.config.data, allow).await
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

/// Notes a sandbox under a name that nobody has.
async fn row(app: &App, caller: &Caller, body: &CreateSandbox, wish: &Wish) -> Result<SandboxRow> {
    app.looks.changed().await;
    let look = app.looks.get(&app.engines, &app.server_id).await?;
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
        id: crate::id::new(),
        user_id: caller.user.id.clone(),
        name: String::new(),
        request,
        auto_stop: wish.auto_stop,
        auto_delete: wish.auto_delete,
        keep_awake_until: None,
        metadata: body.metadata.clone(),
        failure: None,
        created_at: now,
        updated_at: now,
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
            error.details.push(super::error::Detail {
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

fn asked(
    body: &CreateSandbox,
    wish: Wish,
    saved: SettingsLayer,
    copied: Option<std::path::PathBuf>,
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
        None => (url, amika_git::Copy::Clean, None),
    };
    CreateRequest {
        repository: spec.map(|spec| Wanted {
            git: amika_git::Request {
                spec: Some(spec),
                branch: body.branch.clone(),
                new_branch: body.new_branch_name.clone(),
                copy,
            },
            no_setup: body.skip_setup_script,
            has_script,
            of,
        }),
        sandbox: wish.sandbox,
        saved,
        trust: Trusting::Setting(Trust::Auto),
        sign_ins_named: false,
        replace: false,
        wait: Wait::UntilReady(None),
    }
}

/// What a create would come to, each value with who decided it; nothing is made.
#[utoipa::path(post, path = "/sandboxes:plan", tag = "sandboxes", request_body = CreateSandbox,
    responses((status = 200, body = serde_json::Value), Failures))]
pub async fn plan(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<CreateSandbox>,
) -> Result<Json<serde_json::Value>> {
    let wish = body.check(&caller)?;
    let copied = copied(&app, &caller, &body).await?;
    let machine = cloning(&app, &wish, copied.is_some()).await?;
    let saved = of_store(&app, wish.repo_url.as_deref()).await?;
    let engine = app.engines.get().await?;
    let user = Arc::new(User::new(machine, crate::engine::silent()));
    let engine = amika_sandbox::sandboxes::Sandboxes::new(engine.engine().clone(), &user);
    let request = asked(&body, wish, saved, copied);
    let (_canceler, cancel) = amika_sandbox::cancel::new();
    let plan = engine
        .plan(request, crate::engine::silent(), &cancel)
        .await?;
    Ok(Json(
        serde_json::to_value(plan).map_err(|_| ApiError::internal())?,
    ))
}

/// A change of a sandbox; a member that is left out or null stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeSandbox {
    /// Another name.
    name: Option<String>,
    /// Idle minutes until it is stopped, 0 to 10080; 0: never.
    auto_stop_interval: Option<i64>,
    /// Minutes after a stop until it is deleted, 0 to 10080; -1: never.
    auto_delete_interval: Option<i64>,
    /// Until when it is not stopped (RFC 3339).
    keep_awake_until: Option<String>,
    /// All words of the caller's own.
    metadata: Option<BTreeMap<String, String>>,
}

/// Changes what may change of a sandbox.
#[utoipa::path(patch, path = "/sandboxes/{ref}", tag = "sandboxes", params(("ref" = String, Path, description = "Id or name.")),
    request_body = ChangeSandbox, responses((status = 200, body = Sandbox), Failures))]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Body(body): Body<ChangeSandbox>,
) -> Result<Json<Sandbox>> {
    let found = find(&app, &caller, &reference).await?;
    let Some(mut row) = found.row.clone() else {
        return Err(ApiError::conflict(
            "this server did not make it: adopt it first",
        ));
    };
    let auto_stop = interval("/auto_stop_interval", body.auto_stop_interval, 0)?;
    row.auto_stop = auto_stop.unwrap_or(row.auto_stop);
    if let Some(minutes) = interval("/auto_delete_interval", body.auto_delete_interval, -1)? {
        row.auto_delete = (minutes >= 0).then_some(minutes);
    }
    if let Some(text) = &body.keep_awake_until {
        let at: jiff::Timestamp = text.parse().map_err(|_| {
            ApiError::field(
                "/keep_awake_until",
                "keep_awake_until is a time as 2026-01-31T12:00:00Z",
            )
        })?;
        row.keep_awake_until = Some(at.as_millisecond());
    }
    if let Some(words) = body.metadata {
        if words.len() > 50 {
            return Err(ApiError::field(
                "/metadata",
                "at most 50 words are kept of a sandbox",
            ));
        }
        for (name, value) in &words {
            check::text(&format!("/metadata/{name}"), name, 63)?;
            check::text(&format!("/metadata/{name}"), value, 255)?;
        }
        row.metadata = words;
    }
    if let Some(name) = &body.name {
        let to = SandboxName::for_new(name)
            .map_err(|error| ApiError::field("/name", error.to_string()))?;
        if to.as_str() != found.name() {
            let engine = app.engines.get().await?;
            let (_canceler, cancel) = amika_sandbox::cancel::new();
            engine.rename(found.there()?, &to, &cancel).await?;
            row.name = to.to_string();
        }
    }
    row.updated_at = app.clock.now();
    app.store.change_sandbox(&row).await?;
    app.looks.changed().await;
    let found = find(&app, &caller, &row.id).await?;
    shown(&app, &found).await.map(Json)
}

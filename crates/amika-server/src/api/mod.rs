//! The routes: one file for each noun, and the layers around them.

mod adopt;
mod agent_send;
mod agent_sessions;
mod api_keys;
mod audit;
pub mod check;
pub mod credentials;
mod diff;
mod docs;
pub mod error;
mod events;
mod exec;
mod exec_events;
mod exec_socket;
mod extract;
mod files;
mod git_sign_ins;
mod git_user;
pub mod guard;
mod health;
pub mod idempotency;
mod jobs;
mod lifecycle;
mod logs;
mod me;
mod not_implemented;
mod opencode;
pub mod operations;
mod paging;
mod port_path;
pub mod reference;
mod remote;
pub mod repositories;
mod sandbox_services;
mod sandbox_sessions;
mod sandboxes;
pub mod secrets;
mod service_runs;
mod services;
mod session;
mod socket;
mod sse;
mod stream_body;
mod system;
mod terminal;
mod tickets;
mod tunnel;
pub mod uploads;
mod usage;
pub mod users;
mod volumes;

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, SecurityRequirement, Server};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use api_keys::make as make_key;
pub use audit::plain;
pub use extract::bytes as body_bytes;
pub use lifecycle::starting;
pub use paging::encoded;
pub use sandboxes::find as find_sandbox;
pub use tunnel::{open_port, refusal as no_tunnel};

use crate::auth::caller::authenticate;
use crate::auth::session::SECOND_HEADER;
use crate::state::App;
use error::{ApiError, Failures};

/// Where the routes are.
pub const PREFIX: &str = "/api/v0beta1";

/// Where they are too.
pub const SHORT_PREFIX: &str = "/api";

type Routes = OpenApiRouter<Arc<App>>;

/// Routes that want a key or a session.
fn guarded() -> Routes {
    use credentials::{claude, codex, github, opencode_auth};
    OpenApiRouter::new()
        .routes(routes!(me::me))
        .routes(routes!(system::system))
        .routes(routes!(git_user::show, git_user::set))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::delete))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::change, users::delete))
        .routes(routes!(audit::list))
        .routes(routes!(sandboxes::list, sandboxes::create))
        .routes(routes!(sandboxes::plan))
        .routes(routes!(
            sandboxes::show,
            sandboxes::change,
            lifecycle::delete
        ))
        .routes(routes!(lifecycle::start))
        .routes(routes!(lifecycle::stop))
        .routes(routes!(lifecycle::restart))
        .routes(routes!(lifecycle::events))
        .routes(routes!(operations::list))
        .routes(routes!(operations::operation, operations::cancel))
        .routes(routes!(adopt::adopt))
        .routes(routes!(usage::stats))
        .routes(routes!(usage::ports))
        .routes(routes!(opencode::access))
        .routes(routes!(volumes::list))
        .routes(routes!(volumes::delete))
        .routes(routes!(volumes::prune))
        .routes(routes!(events::events))
        .routes(routes!(logs::logs))
        .routes(routes!(exec::exec, exec::attached))
        .routes(routes!(jobs::list, jobs::create))
        .routes(routes!(jobs::show, jobs::end))
        .routes(routes!(jobs::log))
        .routes(routes!(jobs::signal))
        .routes(routes!(sandbox_services::list))
        .routes(routes!(service_runs::standing, sandbox_services::create))
        .routes(routes!(service_runs::start))
        .routes(routes!(service_runs::stop))
        .routes(routes!(service_runs::restart))
        .routes(routes!(sandbox_services::change, sandbox_services::delete))
        .routes(routes!(tickets::create))
        .routes(routes!(uploads::create))
        .routes(routes!(files::read, files::write))
        .routes(routes!(diff::diff))
        .routes(routes!(tunnel::tunnel))
        .routes(routes!(terminal::terminal))
        .routes(routes!(agent_send::send))
        .routes(routes!(agent_send::start))
        .routes(routes!(agent_send::show))
        .routes(routes!(sandbox_sessions::list, sandbox_sessions::create))
        .routes(routes!(sandbox_sessions::latest))
        .routes(routes!(sandbox_sessions::show, sandbox_sessions::change))
        .routes(routes!(agent_sessions::list, agent_sessions::send))
        .routes(routes!(agent_sessions::stream))
        .routes(routes!(agent_sessions::show))
        .routes(routes!(repositories::list, repositories::save))
        .routes(routes!(
            repositories::show,
            repositories::replace,
            repositories::delete
        ))
        .routes(routes!(services::of_repository, services::back_to_the_file))
        .routes(routes!(remote::branches))
        .routes(routes!(remote::services))
        .routes(routes!(services::create))
        .routes(routes!(services::change, services::delete))
        .routes(routes!(secrets::list, secrets::create))
        .routes(routes!(secrets::change, secrets::delete))
        .routes(routes!(secrets::reveal))
        .routes(routes!(git_sign_ins::list, git_sign_ins::create))
        .routes(routes!(git_sign_ins::delete))
        .routes(routes!(claude::list, claude::create))
        .routes(routes!(claude::delete))
        .routes(routes!(claude::reveal))
        .routes(routes!(codex::list, codex::create))
        .routes(routes!(codex::delete))
        .routes(routes!(codex::reveal))
        .routes(routes!(github::list, github::create))
        .routes(routes!(github::delete))
        .routes(routes!(github::reveal))
        .routes(routes!(opencode_auth::list, opencode_auth::create))
        .routes(routes!(opencode_auth::delete))
        .routes(routes!(opencode_auth::reveal))
        .routes(routes!(
            credentials::opencode,
            credentials::set_opencode,
            credentials::delete_opencode
        ))
        .routes(routes!(credentials::reveal_opencode))
}

/// Routes that sign in and out.
fn open() -> Routes {
    OpenApiRouter::new().routes(routes!(session::create, session::delete))
}

/// Routes at the root, for those who look after the server: open ones, and those that want a key.
fn at_the_root() -> [Routes; 2] {
    let open = OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz));
    [open, OpenApiRouter::new().routes(routes!(health::metrics))]
}

/// The document of the API, as JSON.
pub fn document() -> String {
    let told = |routes: Routes| routes.split_for_parts().1;
    let mut document = told(guarded());
    document.merge(told(open()));
    let [mut root, kept] = at_the_root().map(told);
    root.merge(kept);
    document_of(document, root)
}

/// All of it.
pub fn router(app: &Arc<App>) -> Router {
    let mut guarded = Router::from(guarded());
    let open = Router::from(open());
    for route in not_implemented::ROUTES {
        guarded = guarded.route(route, any(not_implemented::answer));
    }
    for route in port_path::ROUTES {
        guarded = guarded.route(route, any(port_path::answer));
    }
    let note = || from_fn_with_state(Arc::clone(app), audit::note);
    let known = || from_fn_with_state(Arc::clone(app), authenticate);
    let guarded = guarded
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .route_layer(from_fn_with_state(Arc::clone(app), idempotency::once))
        .route_layer(note())
        .layer(known());
    let open = open
        .method_not_allowed_fallback(wrong_method)
        .route_layer(note());
    let routes = guarded.merge(open);
    let [root, kept] = at_the_root().map(Router::from);
    let kept = kept.layer(known());
    Router::new()
        .nest(PREFIX, routes.clone())
        .nest(SHORT_PREFIX, routes)
        .merge(docs::routes(document()))
        .merge(root.merge(kept))
        .fallback(page_or_unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(app), guard::trace))
        .with_state(Arc::clone(app))
}

/// The document, with what holds for all of it.
fn document_of(mut document: OpenApi, at_root: OpenApi) -> String {
    document.paths.paths = std::mem::take(&mut document.paths.paths)
        .into_iter()
        .map(|(path, item)| (format!("{PREFIX}{path}"), item))
        .collect();
    document.merge(at_root);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in methods(item) {
            operation.operation_id = Some(operation_id(method, path));
        }
    }
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key: amk_…"))
        .build();
    let second = ApiKey::Header(ApiKeyValue::with_description(
        SECOND_HEADER,
        "The page's session: its cookie goes beside this.",
    ));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(key));
    components.add_security_scheme("session", SecurityScheme::ApiKey(second));
    components.responses.extend(Failures::components());
    for (name, schema) in [
        ("ErrorBody", error::ErrorBody::schema()),
        ("Detail", error::Detail::schema()),
    ] {
        components.schemas.insert(name.to_owned(), schema);
    }
    let any_of =
        ["key", "session"].map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
    document.info = InfoBuilder::new()
        .title("Amika")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Sandboxes for coding agents, and what is kept for them.",
        ))
        .build();
    document.security = Some(any_of.into());
    document.servers = Some(vec![Server::new("/")]);
    document.to_json().unwrap_or_default()
}

fn methods(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
        ("patch", &mut item.patch),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get_secrets_id` of `GET /api/v0beta1/secrets/{id}`.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    let words = path.split(|found: char| !found.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<&str> = std::iter::once(method).chain(words).collect();
    words.join("_")
}

async fn page_or_unknown(uri: OriginalUri, request: Request) -> Response {
    match crate::page::answer(&request) {
        Some(response) => response,
        None => unknown(uri).await.into_response(),
    }
}

async fn unknown(OriginalUri(uri): OriginalUri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::not_found(format!("there is no route {}", path.escape_debug()))
}

async fn wrong_method(request: Request) -> ApiError {
    let method = request.method();
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "usage",
        format!("the route does not take {method}"),
    )
}

#[allow(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(panic = text.unwrap_or_default(), "a handler panicked");
    ApiError::internal().into_response()
}

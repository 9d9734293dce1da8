//! What happens, to whoever follows.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;

use super::error::{Failures, Result};
use super::sse::{self, Next};
use crate::auth::caller::Reader;
use crate::sandboxes::bus::{Following, Told};
use crate::state::App;

/// What happens to the caller's sandboxes, to administrators of all, as server-sent events: `sandbox` (as it is shown),
/// `sandbox_gone`, `step` and `operation`. The first is `begin`: `{"resumed":true}` where nothing was missed since
/// `Last-Event-ID`, else false: what there is is to be read anew. Who reads too slowly is let go.
#[utoipa::path(get, path = "/events", tag = "sandboxes",
    params(("Last-Event-ID" = Option<String>, Header, description = "The event that was told last.")),
    responses((status = 200, body = String, content_type = "text/event-stream"), Failures))]
pub async fn events(
    State(app): State<Arc<App>>,
    caller: Reader,
    headers: HeaderMap,
) -> Result<Response> {
    let sees_all = caller.is_admin();
    let me = caller.user.id.clone();
    let is_for_me = move |told: &Told| sees_all || told.owner.as_deref() == Some(&me);
    // Whoever waits for what happens must have it looked for: the first to ask has it seen from then on.
    crate::sandboxes::snapshot::Live::get(&app).await?;
    let Following {
        missed,
        after,
        live,
    } = app.live.bus.follow(sse::last_id(&headers));
    let bus = Arc::clone(&app);
    let event = move |told: &Told| {
        let id = bus.live.bus.id(told.number);
        sse::event(Some(&id), told.subject.as_str(), &told.data)
    };
    let resumed = missed.is_some();
    // Who goes away before anything happens comes again from here.
    let id = (!resumed).then(|| app.live.bus.id(after));
    let begin = serde_json::json!({ "resumed": resumed }).to_string();
    let mut first: Vec<Bytes> = vec![sse::event(id.as_deref(), "begin", &begin)];
    let missed = missed.unwrap_or_default();
    first.extend(missed.iter().filter(|it| is_for_me(it)).map(|it| event(it)));
    let next = move |told: &Told| {
        if is_for_me(told) {
            Next::Event(event(told))
        } else {
            Next::Nothing
        }
    };
    Ok(sse::follow(&app, first, live, next))
}

//! Which request gets which answer.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amika_core::contract::OPENCODE_PORT;
use amika_core::wire::{
    CmdState, JOB_BODY, OpenCodeAccess, Phase, Readiness, ServiceState, SetupState, Status,
};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, header};
use serde_json::json;
use tokio::sync::oneshot;

use super::answer::{Answer, error, json, set};
use super::challenge::Session;
use super::limit::{Limit, Permit};
use super::{body, events, guard, jobs, log_stream, ports, tasks, terminals, tunnel};
use crate::lifecycle::ServiceEvent;
use crate::publish::{Command, Shared};
use crate::service::ServiceId;
use crate::{activity, exec_note};

/// How long the loop that reaps may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Log and event streams at a time.
pub(super) static STREAMS: Limit = Limit::new("streams", 128);

/// The way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The published port.
    Tcp,
    /// The socket that only root can open, which needs neither token nor host name.
    Root,
}

/// One log or event stream under way.
pub(super) type StreamPermit = Permit;

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    session: &Session,
    shared: &Arc<Shared>,
) -> Answer {
    let (request, body) = request.into_parts();
    route(&request, body, session, shared)
        .await
        .unwrap_or_else(|refusal| refusal)
}

/// The error is an answer as well: a refusal.
async fn route(
    request: &Parts,
    body: Incoming,
    session: &Session,
    shared: &Arc<Shared>,
) -> Result<Answer, Answer> {
    let door = session.door;
    if door == Door::Tcp {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        if let Some(refusal) = guard::check_origin(request, hostname.trim()) {
            return Err(refusal);
        }
    }
    let target = request.uri.path();
    let most = if target == "/v1/jobs" {
        JOB_BODY
    } else {
        body::BODY_LIMIT
    };
    if body.size_hint().lower() > most as u64 {
        return Err(body::too_large(most));
    }
    // The one route of v1 that asks for no proof: it is how one comes to it.
    if target == "/v1/challenge" {
        allow(request, &[Method::GET])?;
        return session.challenge(request, &shared.secrets);
    }
    if target == "/v1" || target.starts_with("/v1/") {
        session.check(&request.headers, &shared.secrets)?;
    }
    match target {
        "/livez" | "/healthz" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            Ok(liveness(shared).await)
        }
        "/startupz" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            let status = shared.status();
            Ok(readiness(has_started(&status), &status))
        }
        "/readyz" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            let status = shared.status();
            let ready = is_ready(&query(request, &["require"])?, &status)?;
            Ok(readiness(ready, &status))
        }
        "/v1/status" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            shared.look_at_memory();
            let head = crate::head::now().await;
            let status = Status {
                head,
                ..shared.status()
            };
            Ok(json(StatusCode::OK, &status))
        }
        "/v1/activity" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            query(request, &[])?;
            Ok(json(StatusCode::OK, &activity::report(shared).await))
        }
        "/v1/events" => {
            allow(request, &[Method::GET])?;
            let (permit, left) = (STREAMS.take(door)?, session.left.clone());
            Ok(events::stream(request, shared.clone(), permit, left))
        }
        "/v1/activity/input" => {
            allow(request, &[Method::POST])?;
            shared.activity.typed();
            Ok(json(StatusCode::ACCEPTED, &json!({ "noted": true })))
        }
        "/v1/ports" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            if ports::asks_to_follow(&query(request, &["follow"])?, request)? {
                let (permit, left) = (STREAMS.take(door)?, session.left.clone());
                return Ok(ports::follow(shared.clone(), permit, left));
            }
            Ok(ports::list().await)
        }
        "/v1/services/opencode" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            let access = OpenCodeAccess {
                port: OPENCODE_PORT,
                username: shared.secrets.opencode_user.clone(),
                password: shared.secrets.opencode_password().to_owned(),
            };
            Ok(json(StatusCode::OK, &access))
        }
        other => {
            if let Some(name) = other.strip_prefix("/v1/logs/") {
                allow(request, &[Method::GET, Method::HEAD])?;
                let query = query(request, &["tail", "since", "follow"])?;
                let (permit, left) = (STREAMS.take(door)?, session.left.clone());
                return log_stream::stream(name, request, &query, shared, permit, left);
            }
            if let Some((id, asked)) = asked_of_service(other) {
                allow(request, &[Method::POST])?;
                return ask_service(id, asked, request, body, shared).await;
            }
            if let Some(id) = other.strip_prefix("/v1/execs/") {
                allow(request, &[Method::GET, Method::HEAD])?;
                shared.look_at_memory();
                let message = "nothing was started under that id, or it is long gone";
                let found = exec_note::find(id);
                return found
                    .map(|exec| json(StatusCode::OK, &exec))
                    .ok_or_else(|| error(StatusCode::NOT_FOUND, "not_found", message));
            }
            if let Some(port) = tunnel_port(other) {
                allow(request, &[Method::POST])?;
                return tunnel::open(port, request, &body, door).await;
            }
            if let Some(rest) = below(other, "/v1/jobs") {
                return jobs::answer(rest, request, body, session, shared).await;
            }
            if let Some(rest) = below(other, "/v1/terminals") {
                return terminals::answer(rest, request, body, session, shared).await;
            }
            Err(tasks::nothing_here())
        }
    }
}

/// What follows `root` in a path of it or below it.
fn below<'a>(target: &'a str, root: &str) -> Option<&'a str> {
    let rest = target.strip_prefix(root)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// What `/v1/services/{name}/{start,stop,restart}` asks of which service.
fn asked_of_service(target: &str) -> Option<(ServiceId, Asked)> {
    let (name, verb) = target.strip_prefix("/v1/services/")?.rsplit_once('/')?;
    let asked = match verb {
        "start" => Asked::Start,
        "stop" => Asked::Stop,
        "restart" => Asked::Restart,
        _ => return None,
    };
    Some((ServiceId::of_name(name)?, asked))
}

/// What is asked of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Start,
    Stop,
    Restart,
}

/// The port in `/v1/ports/{port}/tunnel`, as it is written there.
fn tunnel_port(target: &str) -> Option<&str> {
    target.strip_prefix("/v1/ports/")?.strip_suffix("/tunnel")
}

/// Refuses other methods than these.
pub(super) fn allow(request: &Parts, methods: &[Method]) -> Result<(), Answer> {
    if methods.contains(&request.method) {
        return Ok(());
    }
    let names = methods
        .iter()
        .map(Method::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let message = format!("only {names} here");
    let mut refusal = error(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    );
    if let Ok(value) = names.parse() {
        refusal.headers_mut().insert(header::ALLOW, value);
    }
    Err(refusal)
}

/// The query's parameters; unknown ones are refused, so that a misspelt one is noticed.
pub(super) fn query(request: &Parts, known: &[&str]) -> Result<HashMap<String, String>, Answer> {
    let mut parameters = HashMap::new();
    let text = request.uri.query().unwrap_or_default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, "1"));
        if !known.contains(&key) {
            let message = format!("unknown parameter `{key}`; known: {}", known.join(", "));
            return Err(error(StatusCode::BAD_REQUEST, "bad_query", message));
        }
        parameters.insert(key.to_owned(), value.to_owned());
    }
    Ok(parameters)
}

/// Asks the loop that reaps, rather than saying that the HTTP side lives.
async fn liveness(shared: &Shared) -> Answer {
    let (sender, receiver) = oneshot::channel();
    shared.mailbox.send(Command::Ping(sender));
    if let Ok(Ok(())) = tokio::time::timeout(PING_TIMEOUT, receiver).await {
        return json(StatusCode::OK, &json!({ "phase": shared.status().phase }));
    }
    let message = "the loop that reaps does not answer";
    error(StatusCode::SERVICE_UNAVAILABLE, "stuck", message)
}

/// Setup exited 0, whatever came after it; or there was none, and CMD was let go.
fn has_started(status: &Status) -> bool {
    let setup = &status.setup;
    has_started_with(setup.state, setup.exit_code, status.cmd.state)
}

fn has_started_with(setup: SetupState, exit_code: Option<i32>, cmd: CmdState) -> bool {
    match setup {
        SetupState::Succeeded => true,
        SetupState::Absent => cmd != CmdState::Pending,
        // A stop that came while what setup made was handed over changes nothing of what setup did.
        SetupState::Cancelled => exit_code == Some(0),
        SetupState::Running | SetupState::Failed => false,
    }
}

fn is_ready(query: &HashMap<String, String>, status: &Status) -> Result<bool, Answer> {
    let running = status.phase == Phase::Running && status.cmd.state == CmdState::Running;
    match query.get("require").map(String::as_str) {
        None => Ok(running),
        Some(name) if status.services.get(name).is_some() => {
            // Of one that is started on demand whoever comes is served.
            let state = status.services.state(name);
            Ok(running && matches!(state, ServiceState::Ready | ServiceState::Listening))
        }
        Some(other) => {
            let names: Vec<&str> = status.services.0.keys().map(String::as_str).collect();
            let message = format!(
                "`require={other}`: what can be required is {}",
                names.join(", ")
            );
            Err(error(StatusCode::BAD_REQUEST, "bad_query", message))
        }
    }
}

fn readiness(ready: bool, status: &Status) -> Answer {
    let document = Readiness {
        ready,
        phase: status.phase,
    };
    if ready {
        return json(StatusCode::OK, &document);
    }
    let mut answer = json(StatusCode::SERVICE_UNAVAILABLE, &document);
    set(answer.headers_mut(), header::RETRY_AFTER, "1");
    answer
}

async fn ask_service(
    id: ServiceId,
    asked: Asked,
    request: &Parts,
    body: Incoming,
    shared: &Shared,
) -> Result<Answer, Answer> {
    let bytes = body::of_json_type(request, body, body::BODY_LIMIT).await?;
    if !bytes.is_empty() && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_err() {
        return Err(body::bad("the body is no JSON"));
    }
    let status = shared.status();
    let spec = id.spec();
    let service = status.services.get(spec.name).cloned().unwrap_or_default();
    if !service.enabled || !service.installed || status.phase >= Phase::Stopping {
        let message = format!(
            "{} is off in this sandbox, or the sandbox is stopping",
            spec.title
        );
        return Err(error(StatusCode::CONFLICT, "off", message));
    }
    let (event, answer) = match asked {
        // One that runs, or is about to, is left alone.
        Asked::Start if service.pid.is_some() || service.state == ServiceState::Starting => {
            return Ok(json(StatusCode::ACCEPTED, &json!({ "starting": false })));
        }
        Asked::Start => (ServiceEvent::RestartAsked, json!({ "starting": true })),
        Asked::Stop => (ServiceEvent::StopAsked, json!({ "stopping": true })),
        Asked::Restart => (ServiceEvent::RestartAsked, json!({ "restarting": true })),
    };
    shared.mailbox.send(Command::Service(id, event));
    Ok(json(StatusCode::ACCEPTED, &answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_started_has_started_for_good() {
        use CmdState::{Exited, Pending, Running};
        use SetupState as Setup;
        for (setup, code, cmd, started) in [
            (Setup::Absent, None, Pending, false),
            (Setup::Absent, None, Running, true),
            (Setup::Absent, None, Exited, true),
            (Setup::Running, None, Pending, false),
            (Setup::Failed, Some(1), Pending, false),
            (Setup::Succeeded, Some(0), Pending, true),
            // A stop between setup's success and CMD.
            (Setup::Cancelled, Some(0), Pending, true),
            (Setup::Cancelled, Some(3), Pending, false),
            (Setup::Cancelled, None, Pending, false),
        ] {
            let is = has_started_with(setup, code, cmd);
            assert_eq!(is, started, "{setup:?} {code:?} {cmd:?}");
        }
    }
}

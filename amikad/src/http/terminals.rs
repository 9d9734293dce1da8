//! `/v1/terminals`: terminals that stay when nobody looks at them.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

mod viewer;

use std::collections::HashMap;
use std::sync::Arc;

use amika_core::terminal::{UPGRADE, bounded};
use amika_core::wire::TerminalRequest;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, StatusCode};

use super::answer::{Answer, error, json, set, switching, text};
use super::challenge::Session;
use super::limit::Limit;
use super::route::{Door, allow, query};
use super::{Counted, body, tasks};
use crate::publish::{Command, Shared};
use crate::task::{Full, Keeps, Start, Streams};
use crate::terminal::{Size, Terminal};

static VIEWERS: Limit = Limit::new("viewers", 64);

/// What a terminal has that nobody gave a size.
const USUAL: Size = (80, 24);

/// Answers `/v1/terminals` and what is below it; `rest` is what follows that.
pub(super) async fn answer(
    rest: &str,
    request: &Parts,
    body: Incoming,
    session: &Session,
    shared: &Arc<Shared>,
) -> Result<Answer, Answer> {
    let Some(rest) = rest.strip_prefix('/') else {
        allow(request, &[Method::GET, Method::HEAD, Method::POST])?;
        query(request, &[])?;
        if request.method == Method::POST {
            let asked: TerminalRequest = body::json(request, body).await?;
            return start(asked, shared).await;
        }
        let kills = shared.look_at_memory().kills;
        let all = shared.terminals.all();
        let records: Vec<_> = all.iter().map(|one| one.record(kills)).collect();
        return Ok(json(StatusCode::OK, &records));
    };
    let (name, what) = rest.split_once('/').unwrap_or((rest, ""));
    let terminal = shared.terminals.find(name).ok_or_else(|| {
        let message = "no terminal has this name; `GET /v1/terminals` has those that are";
        error(StatusCode::NOT_FOUND, "unknown_terminal", message)
    })?;
    match what {
        "" => {
            allow(request, &[Method::GET, Method::HEAD, Method::DELETE])?;
            query(request, &[])?;
            let is_to_end = request.method == Method::DELETE && !terminal.has_ended();
            if is_to_end {
                shared.mailbox.send(Command::EndTask(terminal.task));
            }
            let status = if is_to_end {
                StatusCode::ACCEPTED
            } else {
                StatusCode::OK
            };
            Ok(told(status, &terminal, shared))
        }
        "screen" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            query(request, &[])?;
            Ok(text(StatusCode::OK, terminal.text()))
        }
        "attach" => {
            allow(request, &[Method::POST])?;
            let query = query(request, &["columns", "rows"])?;
            attach(terminal, &query, request, &body, session.door, shared)
        }
        _ => Err(tasks::nothing_here()),
    }
}

fn told(status: StatusCode, terminal: &Terminal, shared: &Shared) -> Answer {
    json(status, &terminal.record(shared.look_at_memory().kills))
}

async fn start(asked: TerminalRequest, shared: &Arc<Shared>) -> Result<Answer, Answer> {
    // By itself: a client that leaves meanwhile leaves no terminal half-made.
    let starting = tokio::spawn(start_program(asked, shared.clone()));
    let terminal = starting.await.unwrap_or_else(|_| Err(tasks::failed()))?;
    Ok(told(StatusCode::CREATED, &terminal, shared))
}

async fn start_program(
    asked: TerminalRequest,
    shared: Arc<Shared>,
) -> Result<Arc<Terminal>, Answer> {
    let name = asked.name.clone();
    let size = (
        asked.columns.unwrap_or(USUAL.0),
        asked.rows.unwrap_or(USUAL.1),
    );
    let program = asked
        .program()
        .map_err(|problem| body::bad(problem.to_string()))?;
    let (command, kept) = (program.command(), shared.clone());
    let made = tokio::task::spawn_blocking(move || kept.terminals.add(name, size, command));
    let (terminal, far) = match made.await {
        Ok(Ok(Ok(made))) => made,
        Ok(Ok(Err(Full::TooMany(most)))) => return Err(tasks::too_many("terminals", most)),
        Ok(Ok(Err(Full::NameTaken))) => {
            let message =
                "a terminal of this name runs; attach to it, end it, or take another name";
            return Err(error(StatusCode::CONFLICT, "name_taken", message));
        }
        Ok(Err(problem)) => {
            let why = format!("no terminal can be had: {problem}");
            return Err(tasks::cannot_start(&why));
        }
        Err(_) => return Err(tasks::failed()),
    };
    let started = tasks::start(&shared, |answer| Start {
        id: terminal.task,
        program,
        streams: Streams::Terminal(far),
        progress: terminal.progress.clone(),
        pump: None,
        answer,
    });
    if let Err(refusal) = started.await {
        shared.terminals.remove(&terminal);
        return Err(refusal);
    }
    tokio::spawn(terminal.clone().drive());
    Ok(terminal)
}

fn attach(
    terminal: Arc<Terminal>,
    query: &HashMap<String, String>,
    request: &Parts,
    body: &Incoming,
    door: Door,
    shared: &Arc<Shared>,
) -> Result<Answer, Answer> {
    if body.size_hint().exact() != Some(0) {
        return Err(body::bad(
            "what is typed comes after the answer; the request has no body",
        ));
    }
    let size = size(query)?;
    let asked = request.headers.get(header::UPGRADE);
    let asked = asked.and_then(|value| value.to_str().ok());
    let upgrade = request.extensions.get::<OnUpgrade>().cloned();
    let Some(upgrade) =
        upgrade.filter(|_| asked.is_some_and(|asked| asked.trim().eq_ignore_ascii_case(UPGRADE)))
    else {
        let message = "`Connection: Upgrade` and `Upgrade: terminal` are needed";
        let mut answer = error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message);
        set(answer.headers_mut(), header::UPGRADE, UPGRADE);
        return Err(answer);
    };
    let permit = VIEWERS.take(door)?;
    let shared = shared.clone();
    tokio::spawn(async move {
        // The end waits a moment for those who are told of it.
        let (_permit, _counted) = (permit, Counted::new());
        // A client that left before it got its answer sees nothing, and has no say in the size.
        if let Ok(outside) = upgrade.await {
            viewer::serve(outside, &terminal, size, &shared).await;
        }
    });
    Ok(switching(HeaderValue::from_static(UPGRADE)))
}

/// How much a viewer can see, if he says.
fn size(query: &HashMap<String, String>) -> Result<Option<Size>, Answer> {
    let number = |key: &str| {
        let text = query.get(key)?;
        Some(text.parse::<u16>().ok().filter(|number| *number > 0))
    };
    match (number("columns"), number("rows")) {
        (None, None) => Ok(None),
        (Some(Some(columns)), Some(Some(rows))) => Ok(Some(bounded(columns, rows))),
        _ => {
            let message =
                "`columns` and `rows` are both needed, or neither, and are numbers from 1 on";
            Err(error(StatusCode::BAD_REQUEST, "bad_query", message))
        }
    }
}

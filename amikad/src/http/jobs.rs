//! `/v1/jobs`: programs that run without anybody who waits for them.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use amika_core::wire::{JOB_BODY, JobRequest, Program, SignalRequest};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::answer::{Answer, error, json};
use super::challenge::Session;
use super::route::{STREAMS, allow, query};
use super::{body, log_stream, tasks};
use crate::args::parse_signal;
use crate::jobs::Job;
use crate::publish::{Command, Shared};
use crate::task::{Full, Keeps, Start, Streams};

/// Answers `/v1/jobs` and what is below it; `rest` is what follows that.
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
            let asked: JobRequest = body::json_up_to(JOB_BODY, request, body).await?;
            return start(asked, shared).await;
        }
        let kills = shared.look_at_memory().kills;
        let all = shared.jobs.all();
        let records: Vec<_> = all.iter().map(|job| job.record(kills)).collect();
        return Ok(json(StatusCode::OK, &records));
    };
    let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
    let job = shared.jobs.find(id).ok_or_else(|| {
        let message =
            "no job has this id; `GET /v1/jobs` has those that are, and 32 of those that ended";
        error(StatusCode::NOT_FOUND, "unknown_job", message)
    })?;
    match what {
        "" => {
            allow(request, &[Method::GET, Method::HEAD, Method::DELETE])?;
            query(request, &[])?;
            if request.method == Method::DELETE {
                return Ok(end(&job, shared));
            }
            Ok(told(StatusCode::OK, &job, shared))
        }
        "log" => {
            allow(request, &[Method::GET, Method::HEAD])?;
            let query = query(request, &["tail", "since", "follow"])?;
            let (permit, left) = (STREAMS.take(session.door)?, session.left.clone());
            log_stream::stream_job(job, request, &query, shared, permit, left)
        }
        "signal" => {
            allow(request, &[Method::POST])?;
            query(request, &[])?;
            let asked: SignalRequest = body::json(request, body).await?;
            signal(&job, &asked.signal, shared)
        }
        _ => Err(tasks::nothing_here()),
    }
}

fn told(status: StatusCode, job: &Job, shared: &Shared) -> Answer {
    json(status, &job.record(shared.look_at_memory().kills))
}

async fn start(asked: JobRequest, shared: &Arc<Shared>) -> Result<Answer, Answer> {
    let program = asked
        .program()
        .map_err(|problem| body::bad(problem.to_string()))?;
    // By itself: a client that leaves meanwhile leaves no job half-made.
    let starting = tokio::spawn(start_program(program, shared.clone()));
    let job = starting.await.unwrap_or_else(|_| Err(tasks::failed()))?;
    Ok(told(StatusCode::CREATED, &job, shared))
}

async fn start_program(program: Program, shared: Arc<Shared>) -> Result<Arc<Job>, Answer> {
    let (command, kept) = (program.command(), shared.clone());
    let input = program.input.clone();
    let made = tokio::task::spawn_blocking(move || {
        let input = input.as_deref().map(kept_in_memory).transpose()?;
        Ok::<_, std::io::Error>(kept.jobs.add(command)?.map(|made| (made, input)))
    });
    let ((job, output), input) = match made.await {
        Ok(Ok(Ok(made))) => made,
        Ok(Ok(Err(Full::TooMany(most)))) => return Err(tasks::too_many("jobs", most)),
        // Ids are made up: no two are alike.
        Ok(Ok(Err(Full::NameTaken))) | Err(_) => return Err(tasks::failed()),
        Ok(Err(problem)) => return Err(tasks::cannot_start(&problem.to_string())),
    };
    let started = tasks::start(&shared, |answer| Start {
        id: job.task,
        program,
        streams: Streams::Output { input, output },
        progress: job.progress.clone(),
        pump: Some(job.pump.clone()),
        answer,
    });
    if let Err(refusal) = started.await {
        shared.jobs.remove(&job);
        return Err(refusal);
    }
    Ok(job)
}

/// A text as a file, to be read from its beginning.
fn kept_in_memory(text: &str) -> std::io::Result<OwnedFd> {
    let mut file = crate::sys::memory_file(c"amikad-input")?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

/// Ends it, unless it has ended: TERM, and KILL after a grace.
fn end(job: &Job, shared: &Shared) -> Answer {
    if job.has_ended() {
        return told(StatusCode::OK, job, shared);
    }
    shared.mailbox.send(Command::EndTask(job.task));
    told(StatusCode::ACCEPTED, job, shared)
}

fn signal(job: &Job, signal: &str, shared: &Shared) -> Result<Answer, Answer> {
    let signo = parse_signal(signal).filter(|signo| *signo > 0);
    let signo = signo.ok_or_else(|| {
        body::bad("`signal`: a name such as `INT` or `SIGINT`, or a number from 1 to 64")
    })?;
    if job.has_ended() {
        let message = "the job has ended";
        return Err(error(StatusCode::CONFLICT, "ended", message));
    }
    shared.mailbox.send(Command::SignalTask(job.task, signo));
    Ok(told(StatusCode::ACCEPTED, job, shared))
}

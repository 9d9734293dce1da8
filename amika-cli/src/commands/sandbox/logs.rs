//! `amika sandbox logs`: the container's log, or one of those that amikad keeps in the sandbox.

mod lines;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Serialize;

pub(in crate::commands) use lines::Lines;

use crate::App;
use crate::args::sandbox::LogsArgs;
use crate::commands::{follow, interruptible};
use crate::error::{Error, Kind, Result};
use crate::logs::{Log, LogRequest, Pieces};
use crate::output::LogText;
use crate::terminal::{Output, Target};
use amika_engine::ExecOutput;

/// What `logs -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LogsView {
    /// The sandbox.
    sandbox: String,
    /// `container`, `setup`, `opencode`, `dockerd`, `amikad` or `job`.
    log: &'static str,
    /// The job's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    /// Its lines, oldest first; what is not UTF-8 is replaced.
    #[schemars(with = "Vec<String>")]
    lines: Lines,
}

pub(super) async fn run(args: &LogsArgs, app: &App) -> Result<u8> {
    run_with(args, app, async |which| open(which, args, app).await).await
}

/// Shows the log that `open` opens.
///
/// # Errors
/// Those of who is asked.
pub(in crate::commands) async fn run_with(
    args: &LogsArgs,
    app: &App,
    open: impl AsyncFnOnce(Log) -> Result<Pieces>,
) -> Result<u8> {
    refuse_endless_json(args.show.follow, app)?;
    let which = which(args);
    let pieces = interruptible(app, open(which)).await?;
    if args.show.follow {
        return follow(app, show(which, args, pieces, app)).await;
    }
    let shown = interruptible(app, show(which, args, pieces, app));
    shown.await.map(|()| 0)
}

/// Refuses to make one document of what has no end.
///
/// # Errors
/// [`Kind::Invalid`].
pub(in crate::commands) fn refuse_endless_json(follow: bool, app: &App) -> Result<()> {
    if follow && app.out.is_json() {
        return Err(Error::new(
            Kind::Invalid,
            "`--follow` has no end, and JSON is one document",
        )
        .hint("leave `--follow` or `-o json` out"));
    }
    Ok(())
}

async fn open(log: Log, args: &LogsArgs, app: &App) -> Result<Pieces> {
    let engine = crate::engine::connect(&app.user).await?;
    if let Some(job) = &args.job {
        let (follow, lines) = (args.show.follow, args.show.lines());
        return engine.job_log(&args.name, job, follow, lines).await;
    }
    let now = Duration::from_millis(amika_host::clock::now_millis());
    let since = args.since.map(|since| since.since_epoch(now).as_secs());
    let request = LogRequest {
        log,
        follow: args.show.follow,
        tail: args.show.lines(),
        since: since.map(|since| i32::try_from(since).unwrap_or(i32::MAX)),
    };
    engine.logs(&args.name, request).await
}

async fn show(which: Log, args: &LogsArgs, pieces: Pieces, app: &App) -> Result<()> {
    if app.out.is_json() {
        let view = LogsView {
            sandbox: args.name.clone(),
            log: args.job.as_ref().map_or(which.word(), |_| "job"),
            job: args.job.clone(),
            lines: Lines::gather(pieces, app.machine.temporary()).await?,
        };
        return app.out.result(&view, |_| Ok(()));
    }
    let any = pass_on(pieces, args.show.raw).await?;
    if !any && args.job.is_some() {
        app.out.note("the job wrote nothing yet, or nothing at all");
    } else if !any && which != Log::Container {
        app.out.note(&format!(
            "sandbox \"{}\" has no {} log: {}",
            args.name,
            which.word(),
            why_empty(which)
        ));
    }
    Ok(())
}

/// The log that the flags ask for.
fn which(args: &LogsArgs) -> Log {
    // At most one of them.
    let asked = [
        (args.setup, Log::Setup),
        (args.opencode, Log::OpenCode),
        (args.dockerd, Log::Dockerd),
        (args.amikad, Log::Amikad),
    ];
    let asked = asked.into_iter().find(|(is_asked, _)| *is_asked);
    asked.map_or(Log::Container, |(_, which)| which)
}

/// Why there may be nothing in it.
fn why_empty(log: Log) -> &'static str {
    match log {
        Log::Setup => "no setup script ran at its last start, or it wrote nothing",
        Log::OpenCode => "OpenCode is not installed, switched off, or wrote nothing",
        Log::Dockerd => "no Docker Engine was started in it: only the preset coder-dind has one",
        Log::Container | Log::Amikad => "nothing was written",
    }
}

/// What is written where.
fn target(piece: ExecOutput) -> (Target, Bytes) {
    match piece {
        ExecOutput::Stdout(bytes) => (Target::Stdout, bytes),
        ExecOutput::Stderr(bytes) => (Target::Stderr, bytes),
    }
}

/// Writes a log; whether there was anything. On a terminal only its colours steer the terminal, unless it is
/// wanted raw; a file or a pipe gets it as it is. A reader who goes away has seen enough.
pub(in crate::commands) async fn pass_on(mut pieces: Pieces, raw: bool) -> Result<bool> {
    let output = Output::start();
    let is_tame = [
        !raw && crate::output::is_shown(),
        !raw && crate::output::are_warnings_shown(),
    ];
    let mut texts = [LogText::default(), LogText::default()];
    let mut any = false;
    while let Some(piece) = pieces.next().await {
        let (target, bytes) = target(piece?);
        any |= !bytes.is_empty();
        let stream = usize::from(target == Target::Stderr);
        let bytes = if is_tame[stream] {
            texts[stream].of(&bytes).into()
        } else {
            bytes
        };
        if output.send(target, bytes).await.is_err() {
            break;
        }
    }
    for (target, text) in [Target::Stdout, Target::Stderr].into_iter().zip(&mut texts) {
        // Nobody reads any more: the end is told by `finish`.
        let _ = output.send(target, text.end().into()).await;
    }
    output.finish().await.map_err(|error| {
        Error::new(Kind::Failure, "the log cannot be written").caused_by(&error)
    })?;
    Ok(any)
}

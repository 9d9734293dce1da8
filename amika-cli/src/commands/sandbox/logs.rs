//! `amika sandbox logs`: the container's log, or one of those that amikad keeps in the sandbox.

mod lines;

use std::pin::Pin;
use std::time::{Duration, Instant};

use amika_core::contract::{path, service};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use schemars::JsonSchema;
use serde::Serialize;

use lines::Lines;

use crate::App;
use crate::args::sandbox::LogsArgs;
use crate::commands::{follow, interruptible};
use crate::daemon::{ClientError, LogPart};
use crate::error::{Error, Kind, Result};
use crate::output::LogText;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::terminal::{Output, Target};
use amika_engine::{ExecOutput, LogQuery};

/// More than amikad keeps of any log; a sandbox could put anything in its place.
const FILE_LIMIT: usize = 32 * 1024 * 1024;
/// A sandbox that runs answers by then, however long a try takes, and the pause between two tries.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
const ANSWER_PAUSE: Duration = Duration::from_millis(50);

/// A log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// What CMD writes, and setup's output with it; kept by the engine.
    Container,
    /// The setup script's, of the last boot.
    Setup,
    /// The `OpenCode` web server's.
    OpenCode,
    /// The Docker Engine's inside.
    Dockerd,
    /// The daemon's own.
    Amikad,
}

/// What `logs -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LogsView {
    /// The sandbox.
    sandbox: String,
    /// `container`, `setup`, `opencode`, `dockerd` or `amikad`.
    log: &'static str,
    /// Its lines, oldest first; what is not UTF-8 is replaced.
    #[schemars(with = "Vec<String>")]
    lines: Lines,
}

type Pieces<'a> = Pin<Box<dyn Stream<Item = Result<(Target, Bytes)>> + Send + 'a>>;

pub(super) async fn run(args: &LogsArgs, app: &App) -> Result<u8> {
    if args.follow && app.out.is_json() {
        return Err(Error::new(
            Kind::Invalid,
            "`--follow` has no end, and JSON is one document",
        )
        .hint("leave `--follow` or `-o json` out"));
    }
    let which = Which::of(args);
    let pieces = interruptible(app, open(which, args, app)).await?;
    if args.follow {
        return follow(app, show(which, args, pieces, app)).await;
    }
    let shown = interruptible(app, show(which, args, pieces, app));
    shown.await.map(|()| 0)
}

async fn open<'a>(which: Which, args: &LogsArgs, app: &App) -> Result<Pieces<'a>> {
    let engine = crate::engine::connect(&app.user).await?;
    let sandbox = Sandbox::find_made(&engine, &args.name).await?;
    match which.file() {
        None => Ok(container_log(&engine, &sandbox, args)),
        Some(file) if !sandbox.is_running() => {
            stored_log(&engine, &sandbox, file, args.lines()).await
        }
        Some(_) => live_log(&engine, &sandbox, which, args).await,
    }
}

async fn show(which: Which, args: &LogsArgs, pieces: Pieces<'_>, app: &App) -> Result<()> {
    if app.out.is_json() {
        let view = LogsView {
            sandbox: args.name.clone(),
            log: which.word(),
            lines: Lines::gather(pieces, app.machine.temporary()).await?,
        };
        return app.out.result(&view, |_| Ok(()));
    }
    if !pass_on(pieces, args.raw).await? && which != Which::Container {
        app.out.note(&format!(
            "sandbox \"{}\" has no {} log: {}",
            args.name,
            which.word(),
            which.why_empty()
        ));
    }
    Ok(())
}

impl Which {
    fn of(args: &LogsArgs) -> Self {
        // At most one of them.
        let asked = [
            (args.setup, Self::Setup),
            (args.opencode, Self::OpenCode),
            (args.dockerd, Self::Dockerd),
            (args.amikad, Self::Amikad),
        ];
        let asked = asked.into_iter().find(|(is_asked, _)| *is_asked);
        asked.map_or(Self::Container, |(_, which)| which)
    }

    /// Its name, also in amikad's API.
    fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Setup => "setup",
            Self::OpenCode => service::OPENCODE,
            Self::Dockerd => service::DOCKERD,
            Self::Amikad => "amikad",
        }
    }

    fn file(self) -> Option<&'static str> {
        match self {
            Self::Container => None,
            Self::Setup => Some(path::SETUP_LOG),
            Self::OpenCode => Some(path::OPENCODE_LOG),
            Self::Dockerd => Some(path::DOCKERD_LOG),
            Self::Amikad => Some(path::AMIKAD_LOG),
        }
    }

    fn why_empty(self) -> &'static str {
        match self {
            Self::Setup => "no setup script ran at its last start, or it wrote nothing",
            Self::OpenCode => "OpenCode is not installed, switched off, or wrote nothing",
            Self::Dockerd => {
                "no Docker Engine was started in it: only the preset coder-dind has one"
            }
            Self::Container | Self::Amikad => "nothing was written",
        }
    }
}

fn container_log<'a>(engine: &Sandboxes, sandbox: &Sandbox, args: &LogsArgs) -> Pieces<'a> {
    let now = Duration::from_millis(amika_host::clock::now_millis());
    let query = LogQuery {
        follow: args.follow,
        tail: args.lines(),
        since: args
            .since
            .map(|since| i32::try_from(since.since_epoch(now).as_secs()).unwrap_or(i32::MAX)),
        timestamps: false,
    };
    let log = engine.container_logs(&sandbox.container.id, &query);
    Box::pin(log.map(|piece| match piece? {
        ExecOutput::Stdout(bytes) => Ok((Target::Stdout, bytes)),
        ExecOutput::Stderr(bytes) => Ok((Target::Stderr, bytes)),
    }))
}

/// A log as the stopped container has it.
async fn stored_log<'a>(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    file: &str,
    tail: Option<usize>,
) -> Result<Pieces<'a>> {
    let content = engine
        .read_file(&sandbox.container.id, file, FILE_LIMIT)
        .await?
        .unwrap_or_default();
    let start = tail.map_or(0, |lines| tail_start(&content, lines));
    let piece = Bytes::from(content).slice(start..);
    Ok(Box::pin(futures_util::stream::iter([Ok((
        Target::Stdout,
        piece,
    ))])))
}

/// A log as amikad tells it, with what is yet to come when it is followed.
async fn live_log<'a>(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    which: Which,
    args: &LogsArgs,
) -> Result<Pieces<'a>> {
    let client = sandbox.client(engine)?;
    let begun = Instant::now();
    let log = loop {
        match client
            .log(
                which.word(),
                args.follow,
                args.lines().map_or(LogPart::All, LogPart::Tail),
            )
            .await
        {
            Ok(log) => break log,
            Err(ClientError::Unreachable(_)) if begun.elapsed() < ANSWER_WAIT => {
                let now = Sandbox::find_whole(engine, &sandbox.name).await?;
                if let Some(file) = which.file().filter(|_| !now.is_running()) {
                    return stored_log(engine, &now, file, args.lines()).await;
                }
                tokio::time::sleep(ANSWER_PAUSE).await;
            }
            Err(error) => return Err(no_answer(sandbox, &error)),
        }
    };
    let (engine, sandbox) = (engine.clone(), sandbox.clone());
    Ok(Box::pin(log.filter_map(move |piece| {
        let (engine, sandbox) = (engine.clone(), sandbox.clone());
        async move {
            match piece {
                Ok(bytes) => Some(Ok((Target::Stdout, bytes))),
                // A container that ends takes the connection with it: that is the log's end.
                Err(error) => match Sandbox::find_whole(&engine, &sandbox.name).await {
                    Ok(now) if now.is_running() => Some(Err(no_answer(&sandbox, &error))),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                },
            }
        }
    })))
}

fn no_answer(sandbox: &Sandbox, error: &ClientError) -> Error {
    let name = &sandbox.name;
    Error::new(
        Kind::Failure,
        format!("the log of sandbox \"{name}\" cannot be read"),
    )
    .caused_by(error)
    .hint(format!(
        "`amika sandbox logs {name}` shows the container's own log"
    ))
}

/// Writes a log; whether there was anything. On a terminal only its colours steer the terminal, unless it is
/// wanted raw; a file or a pipe gets it as it is. A reader who goes away has seen enough.
async fn pass_on(mut pieces: Pieces<'_>, raw: bool) -> Result<bool> {
    let output = Output::start();
    let is_tame = [
        !raw && crate::output::is_shown(),
        !raw && crate::output::are_warnings_shown(),
    ];
    let mut texts = [LogText::default(), LogText::default()];
    let mut any = false;
    while let Some(piece) = pieces.next().await {
        let (target, bytes) = piece?;
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

/// Where the last lines begin; a last line need not be ended.
fn tail_start(text: &[u8], lines: usize) -> usize {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    if lines == 0 {
        return text.len();
    }
    body.iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(lines - 1)
        .map_or(0, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_counts_lines_with_and_without_an_end() {
        let cases: [(&[u8], usize, &[u8]); 7] = [
            (b"a\nb\nc\n", 2, b"b\nc\n"),
            (b"a\nb\nc", 2, b"b\nc"),
            (b"a\nb\n", 5, b"a\nb\n"),
            (b"a\n\n\n", 2, b"\n\n"),
            (b"a\n", 0, b""),
            (b"", 3, b""),
            (b"\n", 1, b"\n"),
        ];
        for (text, count, expected) in cases {
            let found = &text[tail_start(text, count)..];
            assert_eq!(
                found,
                expected,
                "{:?} {count}",
                String::from_utf8_lossy(text)
            );
        }
    }
}

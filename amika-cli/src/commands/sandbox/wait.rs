//! `amika sandbox wait`.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::jobs::ended_with;
use crate::App;
use crate::args::sandbox::{Awaited, WaitArgs};
use crate::commands::interruptible;
use crate::error::Result;
use crate::wait::Condition;

/// How a wait ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct Waited {
    /// The sandbox.
    name: String,
    /// What came true: `ready`, `stopped`, `port:PORT/PROTOCOL` or `job:ID`.
    condition: String,
    /// The container's exit code, if it does not run any more; of a job the job's, 128 and its number for a signal.
    exit_code: Option<i64>,
    /// How long it took.
    took_ms: u64,
}

pub(super) async fn run(args: &WaitArgs, app: &App) -> Result<u8> {
    let begun = Instant::now();
    let engine = interruptible(app, async { Ok(crate::engine::connect(&app.user).await?) }).await?;
    // The time to wait is that of the whole command.
    let timeout = args
        .timeout
        .map(|timeout| timeout.saturating_sub(begun.elapsed()));
    let (progress, cancel) = (app.out.progress(), app.interrupt.cancel());
    let exit_code = match &args.condition {
        Awaited::Sandbox(condition) => {
            let waited = engine.wait(&args.name, *condition, timeout, progress, cancel);
            waited.await?
        }
        Awaited::Job(id) => {
            let ended = engine.wait_for_job(&args.name, id, timeout, cancel).await?;
            let code = ended_with(&ended).unwrap_or_default();
            Waited::tell(args, Some(code.into()), begun, app)?;
            // What no program ends with is a failure all the same.
            return Ok(u8::try_from(code).unwrap_or(u8::MAX));
        }
    };
    Waited::tell(args, exit_code, begun, app).map(|()| 0)
}

impl Waited {
    /// Prints how a wait ended that was begun then.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(in crate::commands) fn tell(
        args: &WaitArgs,
        exit_code: Option<i64>,
        begun: Instant,
        app: &App,
    ) -> Result<()> {
        let waited = Self {
            name: args.name.clone(),
            condition: args.condition.to_string(),
            exit_code,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        app.out.result(&waited, |out| match waited.exit_code {
            Some(code) if args.condition == Awaited::Sandbox(Condition::Stopped) => {
                writeln!(out, "{code}")
            }
            _ => Ok(()),
        })
    }
}

//! `amika sandbox wait`.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::WaitArgs;
use crate::commands::interruptible;
use crate::error::Result;
use crate::wait::Condition;

/// How a wait ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct Waited {
    /// The sandbox.
    name: String,
    /// What came true: `ready`, `stopped` or `port:PORT/PROTOCOL`.
    condition: String,
    /// The container's exit code, if it does not run any more.
    exit_code: Option<i64>,
    /// How long it took.
    took_ms: u64,
}

pub(super) async fn run(args: &WaitArgs, app: &App) -> Result<()> {
    let begun = Instant::now();
    let engine = interruptible(app, async { Ok(crate::engine::connect(&app.user).await?) }).await?;
    // The time to wait is that of the whole command.
    let timeout = args
        .timeout
        .map(|timeout| timeout.saturating_sub(begun.elapsed()));
    let (progress, cancel) = (app.out.progress(), app.interrupt.cancel());
    let exit_code = engine
        .wait(&args.name, args.condition, timeout, progress, cancel)
        .await?;
    Waited::tell(&args.name, args.condition, exit_code, begun, app)
}

impl Waited {
    /// Prints how a wait ended that was begun then.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(in crate::commands) fn tell(
        name: &str,
        condition: Condition,
        exit_code: Option<i64>,
        begun: Instant,
        app: &App,
    ) -> Result<()> {
        let waited = Self {
            name: name.to_owned(),
            condition: condition.to_string(),
            exit_code,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        app.out.result(&waited, |out| match waited.exit_code {
            Some(code) if condition == Condition::Stopped => writeln!(out, "{code}"),
            _ => Ok(()),
        })
    }
}

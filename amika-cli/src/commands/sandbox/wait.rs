//! `amika sandbox wait`.

use std::time::{Duration, Instant};

use amika_core::contract::path;
use amika_core::port::{Port, Protocol};
use amika_core::wire::{Outcome, Phase};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::{Condition, WaitArgs};
use crate::commands::interruptible;
use crate::daemon::read_boot_record;
use crate::engine::{ContainerState, Engine, EngineError, ExecSpec};
use crate::error::{CommandError, ExitCode, Result};
use crate::output::human_duration;
use crate::ready;
use crate::sandbox::{Sandbox, State};

/// First pause between two looks; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LAST_PAUSE: Duration = Duration::from_millis(400);

/// How a wait ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Waited {
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
    let engine = interruptible(app, async { Ok(Engine::connect().await?) }).await?;
    let exit_code = match args.condition {
        Condition::Ready => wait_ready(&engine, args, app).await?,
        Condition::Stopped => {
            let stopped = limited(args, begun, wait_stopped(&engine, &args.name));
            Some(interruptible(app, stopped).await?)
        }
        Condition::Port(port, protocol) => {
            let listening = wait_port(&engine, &args.name, port, protocol);
            interruptible(app, limited(args, begun, listening)).await?;
            None
        }
    };
    let waited = Waited {
        name: args.name.clone(),
        condition: args.condition.to_string(),
        exit_code,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    app.out.result(&waited, |out| match waited.exit_code {
        Some(code) if args.condition == Condition::Stopped => writeln!(out, "{code}"),
        _ => Ok(()),
    })
}

async fn wait_ready(engine: &Engine, args: &WaitArgs, app: &App) -> Result<Option<i64>> {
    let begun = Instant::now();
    let made = limited(args, begun, wait_made(engine, &args.name));
    let sandbox = interruptible(app, made).await?;
    if !sandbox.is_running() {
        let boot = read_boot_record(engine, &sandbox.container.id).await?;
        let code = sandbox.container.exit_code;
        return match boot.as_ref().map(|boot| (boot, boot.status.outcome)) {
            Some((boot, Some(Outcome::SetupFailed))) => Err(ready::setup_failed(&args.name, boot)),
            // A CMD that already did its work was ready to.
            Some((_, Some(Outcome::CmdExited))) if code == 0 => Ok(Some(code)),
            _ => sandbox.must_run().map(|()| None),
        };
    }
    // What setup wrote before the wait began is no news of a sandbox that is ready.
    let status = async { Ok(sandbox.client(engine)?.status().await.ok()) };
    let status = interruptible(app, limited(args, begun, status)).await?;
    if status.is_some_and(|status| status.phase == Phase::Running) {
        return Ok(None);
    }
    let left = args
        .timeout
        .map(|timeout| timeout.saturating_sub(begun.elapsed()));
    let mut steps = app.out.steps();
    match ready::wait(engine, &args.name, left, &mut steps, &app.interrupt).await? {
        ready::Ready::Running => Ok(None),
        ready::Ready::Finished => Ok(Some(0)),
    }
}

/// Waits while another process makes the sandbox.
async fn wait_made(engine: &Engine, name: &str) -> Result<Sandbox> {
    let mut pause = FIRST_PAUSE;
    loop {
        let sandbox = Sandbox::find(engine, name).await?;
        let state = sandbox.container.state;
        if State::tell(state, &sandbox.record, None, None) != State::Creating {
            return Ok(sandbox);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

async fn wait_stopped(engine: &Engine, name: &str) -> Result<i64> {
    let sandbox = Sandbox::find(engine, name).await?;
    if sandbox.container.state == ContainerState::Exited {
        return Ok(sandbox.container.exit_code);
    }
    Ok(engine.wait_container(&sandbox.container.id).await?)
}

/// Asks the daemon's own program inside: a published port would answer before anybody listens, and
/// one that is not published not at all.
async fn wait_port(engine: &Engine, name: &str, port: Port, protocol: Protocol) -> Result<()> {
    let spec = ExecSpec {
        command: vec![
            path::AMIKAD.to_owned(),
            "listening".to_owned(),
            format!("{}/{protocol}", port.get()),
        ],
        user: Some("0".to_owned()),
        ..ExecSpec::default()
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let sandbox = Sandbox::find(engine, name).await?;
        sandbox.must_run()?;
        match engine.run_exec(&sandbox.container.id, &spec).await {
            Ok(0) => return Ok(()),
            // What a shell says of a bad argument, and of a program that is not there.
            Ok(code @ (2 | 127)) => {
                return Err(CommandError::new(
                    ExitCode::Failure,
                    format!("sandbox \"{name}\" cannot tell who listens (exit code {code})"),
                )
                .hint("its amikad is of another version than this amika: make the sandbox anew"));
            }
            // Nobody yet; or the sandbox ended, before the call or under its hands: the next look
            // tells.
            Ok(_) | Err(EngineError::Conflict(_) | EngineError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Ends a wait that takes too long.
async fn limited<T>(
    args: &WaitArgs,
    begun: Instant,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(timeout) = args.timeout else {
        return wait.await;
    };
    let deadline = tokio::time::Instant::from_std(begun) + timeout;
    tokio::time::timeout_at(deadline, wait)
        .await
        .unwrap_or_else(|_| {
            let (name, condition) = (&args.name, args.condition);
            let waited = human_duration(begun.elapsed());
            Err(CommandError::new(
                ExitCode::NotReady,
                format!("sandbox \"{name}\": {condition} did not come true in {waited}"),
            )
            .hint(format!(
                "`amika sandbox inspect {name}` and `amika sandbox logs {name}` show what it does"
            )))
        })
}

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
use crate::error::{Error, Kind, Result};
use crate::ready;
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::Sandboxes;
use amika_core::text::human_duration;
use amika_engine::{ContainerState, EngineError, ExecSpec};

/// First pause between two looks; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LAST_PAUSE: Duration = Duration::from_millis(400);
/// What the first look may take, however short the time to wait is.
const ONE_LOOK: Duration = Duration::from_secs(10);

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
    let engine = interruptible(app, async { Ok(crate::engine::connect(&app.user).await?) }).await?;
    let exit_code = match args.condition {
        Condition::Ready => wait_ready(&engine, args, app).await?,
        Condition::Stopped => Some(interruptible(app, wait_stopped(&engine, args, begun)).await?),
        Condition::Port(port, protocol) => {
            let look = async || listens(&engine, &args.name, port, protocol).await;
            interruptible(app, until(args, begun, look)).await?;
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

async fn wait_ready(engine: &Sandboxes, args: &WaitArgs, app: &App) -> Result<Option<i64>> {
    let begun = Instant::now();
    let look = async || made(engine, &args.name).await;
    let sandbox = interruptible(app, until(args, begun, look)).await?;
    if !sandbox.is_running() {
        let boot = read_boot_record(engine, &sandbox.container.id).await?;
        let code = sandbox.container.exit_code;
        return match boot.as_ref().map(|boot| (boot, boot.status.outcome)) {
            Some((boot, Some(Outcome::SetupFailed))) => {
                Err(ready::setup_failed(&args.name, boot, u64::MAX))
            }
            // A CMD that already did its work was ready to.
            Some((_, Some(Outcome::CmdExited))) if code == 0 => Ok(Some(code)),
            Some((boot, Some(Outcome::CmdExited))) => {
                Err(ready::cmd_exited(&args.name, boot, code))
            }
            _ => sandbox.must_run().map(|()| None),
        };
    }
    // What setup wrote before the wait began is no news of a sandbox that is ready.
    let status = async { Ok(sandbox.client(engine)?.status().await.ok()) };
    let status = interruptible(app, first_look(args, begun, status)).await?;
    let runs = status.filter(|status| status.phase == Phase::Running);
    if let Some(status) = &runs
        && ready::is_settled(status, &sandbox.container.cmd, ready::now())
    {
        return Ok(None);
    }
    let left = args
        .timeout
        .map(|timeout| timeout.saturating_sub(begun.elapsed()));
    let mut steps = app.out.steps();
    match ready::wait(
        engine,
        &args.name,
        runs.is_none(),
        left,
        &mut steps,
        app.interrupt.cancel(),
    )
    .await?
    {
        ready::Ready::Running => Ok(None),
        ready::Ready::Finished => Ok(Some(0)),
    }
}

/// The sandbox, once no other process is making it.
///
/// # Errors
/// As [`Sandbox::must_be_made`] when nobody makes it to the end any more.
async fn made(engine: &Sandboxes, name: &str) -> Result<Option<Sandbox>> {
    let sandbox = Sandbox::find_whole(engine, name).await?;
    if sandbox.state_of_making() == Some(State::Creating) {
        return Ok(None);
    }
    sandbox.must_be_made()?;
    Ok(Some(sandbox))
}

async fn wait_stopped(engine: &Sandboxes, args: &WaitArgs, begun: Instant) -> Result<i64> {
    let mut sandbox = first_look(args, begun, Sandbox::find(engine, &args.name)).await?;
    if sandbox.container.state == ContainerState::Created {
        // The engine would say at once that it does not run.
        sandbox = until(args, begun, async || made(engine, &args.name).await).await?;
    }
    if matches!(
        sandbox.container.state,
        ContainerState::Exited | ContainerState::Dead
    ) {
        return Ok(sandbox.container.exit_code);
    }
    let ended = async { Ok(engine.wait_container(&sandbox.container.id).await?) };
    limited(args, begun, args.timeout, ended).await
}

/// Asks the daemon's own program inside: a published port would answer before anybody listens, and
/// one that is not published not at all.
async fn listens(
    engine: &Sandboxes,
    name: &str,
    port: Port,
    protocol: Protocol,
) -> Result<Option<()>> {
    let spec = ExecSpec {
        command: vec![
            path::AMIKAD.to_owned(),
            "listening".to_owned(),
            format!("{}/{protocol}", port.get()),
        ],
        user: Some("0".to_owned()),
        ..ExecSpec::default()
    };
    let sandbox = Sandbox::find_whole(engine, name).await?;
    sandbox.must_run()?;
    match engine.run_exec(&sandbox.container.id, &spec).await {
        Ok(0) => Ok(Some(())),
        // What a shell says of a bad argument, and of a program that is not there.
        Ok(code @ (2 | 127)) => Err(Error::new(
            Kind::Failure,
            format!("sandbox \"{name}\" cannot tell who listens (exit code {code})"),
        )
        .hint("its amikad is of another version than this amika: `amika sandbox exec` can look for the port")),
        // Nobody yet; or the sandbox ended, before the call or under its hands: the next look
        // tells.
        Ok(_) | Err(EngineError::Conflict(_) | EngineError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Looks until there is something to be seen. The first look is had however short the time: what is
/// true already takes none.
async fn until<T>(
    args: &WaitArgs,
    begun: Instant,
    look: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    if let Some(seen) = first_look(args, begun, look()).await? {
        return Ok(seen);
    }
    let looks = async {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    };
    limited(args, begun, args.timeout, looks).await
}

/// One look, which an engine that answers has time for.
async fn first_look<T>(
    args: &WaitArgs,
    begun: Instant,
    look: impl Future<Output = Result<T>>,
) -> Result<T> {
    let timeout = args.timeout.map(|timeout| timeout.max(ONE_LOOK));
    limited(args, begun, timeout, look).await
}

/// Ends a wait that takes too long.
async fn limited<T>(
    args: &WaitArgs,
    begun: Instant,
    timeout: Option<Duration>,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(timeout) = timeout else {
        return wait.await;
    };
    let deadline = tokio::time::Instant::from_std(begun) + timeout;
    tokio::time::timeout_at(deadline, wait)
        .await
        .unwrap_or_else(|_| {
            let (name, condition) = (&args.name, args.condition);
            let waited = human_duration(begun.elapsed());
            Err(Error::new(
                Kind::NotReady,
                format!("sandbox \"{name}\": {condition} did not come true in {waited}"),
            )
            .hint(format!(
                "`amika sandbox inspect {name}` and `amika sandbox logs {name}` show what it does"
            )))
        })
}

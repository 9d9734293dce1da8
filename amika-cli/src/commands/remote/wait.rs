//! `amika sandbox wait --remote`: what is waited for is looked at whenever the server tells that something changed.

use std::time::{Duration, Instant};

use amika_core::text::shell_quote;
use amika_core::untrusted::Untrusted;
use amika_remote::client::Call;
use futures_util::StreamExt as _;

use super::failure::told;
use super::{Server, operation};
use crate::App;
use crate::args::sandbox::{Awaited, WaitArgs};
use crate::commands::sandbox::jobs::ended_with;
use crate::commands::sandbox::wait::Waited;
use crate::error::{Error, Kind, Result};
use crate::wait::Condition;

/// Between two looks at what listens, of which no event tells.
const LOOK: Duration = Duration::from_millis(500);
/// Before a stream that ended is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn run(args: &WaitArgs, server: &Server, app: &App) -> Result<u8> {
    let begun = Instant::now();
    let deadline = async {
        match args.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        code = to_its_end(args, begun, server, app) => code,
        () = deadline => Err(late(args)),
    }
}

/// Waits for what is asked for, however long that takes, and tells of it.
async fn to_its_end(args: &WaitArgs, begun: Instant, server: &Server, app: &App) -> Result<u8> {
    match &args.condition {
        Awaited::Sandbox(condition) => {
            let exit_code = came_true(args, *condition, server).await?;
            Waited::tell(args, exit_code, begun, app).map(|()| 0)
        }
        Awaited::Job(id) => {
            let job = server.ended_job(&args.name, id).await?;
            let code = ended_with(&job).unwrap_or_default();
            Waited::tell(args, Some(code.into()), begun, app)?;
            // What no program ends with is a failure all the same.
            Ok(u8::try_from(code).unwrap_or(u8::MAX))
        }
    }
}

fn late(args: &WaitArgs) -> Error {
    let name = &args.name;
    let (message, hint) = match &args.condition {
        Awaited::Sandbox(condition) => (
            format!("\"{name}\" is not {condition} in time"),
            format!("`amika sandbox inspect --remote {name}` shows its state"),
        ),
        Awaited::Job(id) => (
            format!("job {} did not end in time", Untrusted::new(id)),
            format!(
                "`amika sandbox logs --remote {name} --job {}` shows what it does",
                shell_quote(id)
            ),
        ),
    };
    Error::new(Kind::NotReady, message).hint(hint)
}

/// Returns once it came true; with the exit code where there is one.
async fn came_true(args: &WaitArgs, condition: Condition, server: &Server) -> Result<Option<i64>> {
    // One that is made under the same name meanwhile is another.
    let (sandbox, _) = server.sandbox(&args.name).await?;
    let id = sandbox.id;
    loop {
        // The stream first: what changes after the look is told.
        let path = ["events"];
        let events = server.client.events(Call::get(&path), None);
        let mut events = std::pin::pin!(events.await.map_err(told)?);
        loop {
            if let Some(exit_code) = holds(args, condition, &id, server).await? {
                return Ok(exit_code);
            }
            let changed = async {
                while let Some(Ok(event)) = events.next().await {
                    if event.event.starts_with("sandbox") && event.data.contains(&id) {
                        return true;
                    }
                }
                false
            };
            let goes_on = match condition {
                Condition::Port(..) => tokio::time::timeout(LOOK, changed).await.unwrap_or(true),
                Condition::Ready | Condition::Stopped => changed.await,
            };
            if !goes_on {
                break;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether it came true; with the exit code where there is one.
async fn holds(
    args: &WaitArgs,
    condition: Condition,
    id: &str,
    server: &Server,
) -> Result<Option<Option<i64>>> {
    let (sandbox, _) = server.sandbox(id).await?;
    let is_up = sandbox.state == "started";
    let will_not = || {
        let message = format!(
            "\"{}\" is {}, and does not come to be {}",
            args.name, sandbox.state, args.condition
        );
        Error::new(Kind::Conflict, message)
    };
    match condition {
        Condition::Ready if is_up => Ok(Some(None)),
        Condition::Stopped if matches!(sandbox.state.as_str(), "stopped" | "failed") => {
            Ok(Some(None))
        }
        Condition::Ready | Condition::Port(..) if sandbox.state == "failed" => {
            Err(operation::failed(&sandbox).unwrap_or_else(will_not))
        }
        Condition::Ready | Condition::Port(..) if sandbox.state == "stopped" => Err(will_not()),
        Condition::Port(port, protocol) if is_up => {
            let heard = server.ports(id).await?;
            Ok(heard.contains_key(&(port, protocol)).then_some(None))
        }
        _ => Ok(None),
    }
}

//! `amika sandbox wait --remote`: what is waited for is looked at whenever the server tells that something changed.

use std::time::{Duration, Instant};

use amika_remote::client::Call;
use futures_util::StreamExt as _;

use super::failure::told;
use super::{Server, operation};
use crate::App;
use crate::args::sandbox::{Awaited, WaitArgs};
use crate::commands::sandbox::wait::Waited;
use crate::error::{Error, Kind, Result};
use crate::wait::Condition;

/// Between two looks at what listens, of which no event tells.
const LOOK: Duration = Duration::from_millis(500);
/// Before a stream that ended is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn run(args: &WaitArgs, server: &Server, app: &App) -> Result<()> {
    let begun = Instant::now();
    let Awaited::Sandbox(condition) = args.condition else {
        let hint = "`amika sandbox logs --remote -f NAME --job ID` goes on until the job ends";
        return Err(super::unsupported::option("--for job:ID", hint));
    };
    let deadline = async {
        match args.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        exit_code = came_true(args, condition, server) => {
            Waited::tell(args, exit_code?, begun, app)
        }
        () = deadline => {
            let message = format!("\"{}\" is not {} in time", args.name, args.condition);
            Err(Error::new(Kind::NotReady, message).hint(format!(
                "`amika sandbox inspect --remote {}` shows its state",
                args.name
            )))
        }
    }
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

//! `amika sandbox wait --remote`.

use std::time::{Duration, Instant};

use super::{Server, operation};
use crate::App;
use crate::args::sandbox::WaitArgs;
use crate::commands::sandbox::wait::Waited;
use crate::error::{Error, Kind, Result};
use crate::wait::Condition;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

pub(super) async fn run(args: &WaitArgs, server: &Server, app: &App) -> Result<()> {
    let begun = Instant::now();
    loop {
        if let Some(exit_code) = holds(args, server).await? {
            return Waited::tell(&args.name, args.condition, exit_code, begun, app);
        }
        if args
            .timeout
            .is_some_and(|timeout| begun.elapsed() >= timeout)
        {
            let message = format!("\"{}\" is not {} in time", args.name, args.condition);
            return Err(Error::new(Kind::NotReady, message).hint(format!(
                "`amika sandbox inspect --remote {}` shows its state",
                args.name
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether it came true; with the exit code where there is one.
async fn holds(args: &WaitArgs, server: &Server) -> Result<Option<Option<i64>>> {
    let (sandbox, _) = server.sandbox(&args.name).await?;
    let is_up = sandbox.state == "started";
    let will_not = || {
        let message = format!(
            "\"{}\" is {}, and does not come to be {}",
            args.name, sandbox.state, args.condition
        );
        Error::new(Kind::Conflict, message)
    };
    match args.condition {
        Condition::Ready if is_up => Ok(Some(None)),
        Condition::Stopped if matches!(sandbox.state.as_str(), "stopped" | "failed") => {
            Ok(Some(None))
        }
        Condition::Ready | Condition::Port(..) if sandbox.state == "failed" => {
            Err(operation::failed(&sandbox).unwrap_or_else(will_not))
        }
        Condition::Ready | Condition::Port(..) if sandbox.state == "stopped" => Err(will_not()),
        Condition::Port(port, protocol) if is_up => {
            let heard = server.ports(&args.name).await?;
            Ok(heard.contains_key(&(port, protocol)).then_some(None))
        }
        _ => Ok(None),
    }
}

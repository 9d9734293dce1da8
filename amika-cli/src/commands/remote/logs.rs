//! `amika sandbox logs --remote`.

use amika_engine::ExecOutput;
use amika_remote::client::Call;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::sandbox::LogsArgs;
use crate::error::Result;
use crate::logs::{Log, Pieces};

/// The log that is asked for, as it comes.
///
/// # Errors
/// Those of the server.
pub(super) async fn open(which: Log, args: &LogsArgs, server: &Server) -> Result<Pieces> {
    if args.dockerd {
        let hint = "`amika sandbox exec --remote NAME -- docker info` asks it";
        return Err(super::unsupported::option("--dockerd", hint));
    }
    if args.since.is_some() {
        return Err(super::unsupported::option(
            "--since",
            "`--tail` has the last lines",
        ));
    }
    let source = match &args.job {
        Some(job) => format!("job:{job}"),
        None => which.word().to_owned(),
    };
    let path = ["sandboxes", args.name.as_str(), "logs"];
    let call = Call::get(&path)
        .with("source", &source)
        .with("follow", &args.show.follow)
        .with_some("tail", args.show.lines().as_ref());
    let pieces = server.client.stream(call).await.map_err(told)?;
    // A log is one stream here: what it was written to is not told.
    Ok(pieces.map_ok(ExecOutput::Stdout).map_err(told).boxed())
}

pub(super) async fn run(args: &LogsArgs, server: &Server, app: &App) -> Result<u8> {
    crate::commands::sandbox::logs::run_with(args, app, async |which| {
        open(which, args, server).await
    })
    .await
}

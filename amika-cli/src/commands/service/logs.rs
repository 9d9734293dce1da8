//! `amika service logs`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::service::LogsArgs;
use crate::commands::follow;
use crate::commands::sandbox::logs::{Lines, pass_on, refuse_endless_json};
use crate::error::Result;
use crate::logs::Pieces;

/// What `service logs -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LogsView {
    /// The sandbox.
    sandbox: String,
    /// The service that was named; null for the only one there is.
    service: Option<String>,
    /// The lines, oldest first; what is not UTF-8 is replaced.
    #[schemars(with = "Vec<String>")]
    lines: Lines,
}

pub(super) async fn run(args: &LogsArgs, app: &App) -> Result<u8> {
    let open = async {
        let engine = crate::engine::connect(&app.user).await?;
        let (sandbox, service) = (&args.target.sandbox, args.target.service.as_deref());
        let (follow, lines) = (args.show.follow, args.show.lines());
        engine.service_log(sandbox, service, follow, lines).await
    };
    run_with(args, app, open).await
}

/// Shows a log that is opened so.
///
/// # Errors
/// Those of who opens it; [`crate::error::Kind::Invalid`] for a document that would have no end.
pub(in crate::commands) async fn run_with(
    args: &LogsArgs,
    app: &App,
    open: impl Future<Output = Result<Pieces>>,
) -> Result<u8> {
    refuse_endless_json(args.show.follow, app)?;
    let pieces = open.await?;
    if args.show.follow {
        return follow(app, show(args, pieces, app)).await;
    }
    show(args, pieces, app).await.map(|()| 0)
}

async fn show(args: &LogsArgs, pieces: Pieces, app: &App) -> Result<()> {
    if app.out.is_json() {
        let view = LogsView {
            sandbox: args.target.sandbox.clone(),
            service: args.target.service.clone(),
            lines: Lines::gather(pieces, app.machine.temporary()).await?,
        };
        return app.out.result(&view, |_| Ok(()));
    }
    if !pass_on(pieces, args.show.raw).await? {
        app.out
            .note("nothing was written, or the service was not started yet");
    }
    Ok(())
}

//! `amika sandbox start`.

use amika_core::label::SetupScript;
use amika_core::wire::NextBoot;

use super::each::{self, Done};
use crate::App;
use crate::args::sandbox::StartArgs;
use crate::create::{self, Setup, Upload};
use crate::engine::Engine;
use crate::error::Result;
use crate::ready;
use crate::sandbox::Sandbox;

pub(super) async fn run(args: &StartArgs, app: &App) -> Result<()> {
    let given = args
        .setup_script
        .as_deref()
        .map(create::read_script)
        .transpose()?;
    let engine = Engine::connect().await?;
    each::run(&args.names, app, async |name| {
        let sandbox = Sandbox::find(&engine, name).await?;
        if !sandbox.is_running() {
            prepare(&engine, &sandbox, given.as_ref(), args.skip_setup, app).await?;
            engine.start_container(&sandbox.container.id).await?;
        }
        if !args.no_wait {
            let mut steps = app.out.steps();
            ready::wait(&engine, name, args.timeout, &mut steps, &app.interrupt).await?;
        }
        Ok(Done::new(name, "started"))
    })
    .await
}

/// Puts in what the next start needs: a renewed setup script, and instructions for that start.
async fn prepare(
    engine: &Engine,
    sandbox: &Sandbox,
    given: Option<&Setup>,
    skip_setup: bool,
    app: &App,
) -> Result<()> {
    let mut uploads = Vec::new();
    match (given, &sandbox.record.setup_script) {
        (Some(Setup::File { content, .. }), _) => {
            uploads.push(Upload::setup_script(content.clone()))
        }
        (None, Some(SetupScript::Host(path))) if !skip_setup => {
            match create::read_script(path.as_ref()) {
                Ok(Setup::File { content, .. }) => uploads.push(Upload::setup_script(content)),
                Ok(_) => {}
                Err(error) => app.out.warn(&format!(
                    "{}; the sandbox's last copy is used",
                    error.message
                )),
            }
        }
        _ => {}
    }
    if skip_setup {
        uploads.push(Upload::next_boot(&NextBoot {
            skip_setup: true,
            rescue: false,
        }));
    }
    for upload in Upload::merge(uploads) {
        create::put(engine, &sandbox.container.id, &upload).await?;
    }
    Ok(())
}

//! `amika sandbox start`.

use std::time::Duration;

use super::each::{self, Done};
use crate::App;
use crate::args::sandbox::StartArgs;
use crate::commands::interruptible;
use crate::create::{self, Setup, Wait};
use crate::error::{Error, Result};
use crate::start::{StartRequest, Started};
use amika_engine::ContainerState;

pub(super) async fn run(args: &StartArgs, app: &App) -> Result<()> {
    let request = request(args)?;
    let stopped = |state| state == ContainerState::Exited;
    // Nothing is under way yet that would have to be unmade.
    let (engine, names) = interruptible(app, async {
        let engine = crate::engine::connect(&app.user).await?;
        let names = each::names(&engine, &args.names, args.all, stopped).await?;
        Ok((engine, names))
    })
    .await?;
    each::run(&names, app, async |name| {
        let progress = app.out.progress_of(name, &names);
        let cancel = app.interrupt.cancel();
        let started = engine.start(name, request.clone(), progress, cancel).await;
        Ok(done(
            name,
            "started",
            started.map_err(|error| in_flags(error, name, args))?,
        ))
    })
    .await
}

/// What the flags ask for.
///
/// # Errors
/// [`crate::error::Kind::Invalid`] for a script that cannot be used.
pub(super) fn request(args: &StartArgs) -> Result<StartRequest> {
    let script = args.setup_script.as_deref().map(create::read_script);
    let setup: Option<Setup> = script.transpose()?;
    Ok(StartRequest {
        setup,
        skip_setup: args.skip_setup,
        given: None,
        reassign_ports: args.reassign_ports,
        wait: waited_for(args.no_wait, args.no_wait_services, args.timeout),
    })
}

/// How far the flags let a command wait.
pub(super) fn waited_for(no_wait: bool, no_services: bool, timeout: Option<Duration>) -> Wait {
    match (no_wait, no_services) {
        (true, _) => Wait::No,
        (false, true) => Wait::UntilReady(timeout),
        (false, false) => Wait::UntilServed(timeout),
    }
}

/// What is told of a sandbox that was started.
pub(super) fn done(name: &str, result: &str, started: Started) -> Done {
    Done {
        moved_ports: started.moved_ports,
        ..Done::new(name, result)
    }
}

/// The refusal of what is of a start, of a sandbox that runs, in the flags that ask for it.
pub(super) fn in_flags(error: Error, name: &str, args: &StartArgs) -> Error {
    if error.field.is_none() {
        return error;
    }
    let script = args.setup_script.as_ref().map(|path| {
        let path = path.to_string_lossy();
        // What a shell would take apart is better typed anew.
        let plain = path
            .chars()
            .all(|c| c.is_alphanumeric() || "/._-".contains(c));
        format!("--setup-script {}", if plain { &path } else { "FILE" })
    });
    let flags: Vec<String> = script
        .into_iter()
        .chain(args.skip_setup.then(|| "--skip-setup".to_owned()))
        .chain(args.reassign_ports.then(|| "--reassign-ports".to_owned()))
        .collect();
    let Some(first) = flags.first() else {
        return error;
    };
    let flag = first.split(' ').next().unwrap_or_default();
    Error::new(
        error.kind,
        format!("sandbox \"{name}\" runs already: {flag} is of a start"),
    )
    .hint(format!(
        "`amika sandbox restart {name} {}` stops it and starts it so",
        flags.join(" ")
    ))
}

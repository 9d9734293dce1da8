//! `amika sandbox start`.

use amika_core::label::SetupScript;
use amika_core::service::HostPort;
use amika_core::wire::NextBoot;

use super::each::{self, Done};
use crate::App;
use crate::args::sandbox::StartArgs;
use crate::commands::interruptible;
use crate::create::{self, Setup, Upload};
use crate::error::{Error, Kind, Result};
use crate::reassign::{self, Moved};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::{ports, ready};
use amika_engine::{ContainerState, EngineError};
use amika_sandbox::progress::Steps;

pub(super) async fn run(args: &StartArgs, app: &App) -> Result<()> {
    let given = args
        .setup_script
        .as_deref()
        .map(create::read_script)
        .transpose()?;
    let stopped = |state| state == ContainerState::Exited;
    // Nothing is under way yet that would have to be unmade.
    let (engine, names) = interruptible(app, async {
        let engine = crate::engine::connect(&app.user).await?;
        let names = each::names(&engine, &args.names, args.all, stopped).await?;
        Ok((engine, names))
    })
    .await?;
    each::run(&names, app, async |name| {
        let steps = app.out.steps_of(name, &names);
        one(&engine, name, given.as_ref(), args, steps, app).await
    })
    .await
}

/// Starts one sandbox, unless it runs, and waits until it is ready, unless told not to.
///
/// # Errors
/// Those of the engine and of the wait; [`Kind::Conflict`] for a port that is
/// taken.
pub(super) async fn one(
    engine: &Sandboxes,
    name: &str,
    given: Option<&Setup>,
    args: &StartArgs,
    mut steps: Steps,
    app: &App,
) -> Result<Done> {
    let is_mended = reassign::recover(engine, name).await?;
    if is_mended {
        app.out.warn(&format!(
            "an earlier `start --reassign-ports {name}` was interrupted; that is mended now"
        ));
    }
    let sandbox = interruptible(app, Sandbox::find_made(engine, name));
    let sandbox = sandbox.await.map_err(|error| match error.kind {
        Kind::Canceled => Error::new(
            error.kind,
            format!("interrupted before sandbox \"{name}\" was started"),
        )
        .hint(format!("`amika sandbox start {name}` starts it")),
        _ => error,
    })?;
    crate::unreported::is_known(engine, name);
    if sandbox.container.state == ContainerState::Paused {
        sandbox.must_run()?;
    }
    let anew = !sandbox.is_running();
    // What was asked for then was done just now.
    let asks_what_is_done = is_mended && args.reassign_ports;
    if !anew && !asks_what_is_done {
        refuse_for_running(name, args)?;
    }
    let moved = if anew {
        start(engine, &sandbox, given, args, app).await?
    } else {
        Vec::new()
    };
    for port in &moved {
        app.out.note(&format!(
            "  {:<9} {} (was {})",
            steps.title("port"),
            port.to.url.clone().unwrap_or_else(|| port.to.arrow()),
            port.from.arrow()
        ));
    }
    if !args.no_wait {
        ready::wait(
            engine,
            name,
            anew,
            args.timeout,
            &mut steps,
            app.interrupt.cancel(),
        )
        .await?;
        say_what_is_amiss(engine, name, app).await;
    }
    Ok(Done {
        moved_ports: moved,
        ..Done::new(name, "started")
    })
}

/// Warns of an engine inside that is not up, and of published ports that do not reach who listens on them now.
async fn say_what_is_amiss(engine: &Sandboxes, name: &str, app: &App) {
    // It may be gone, or have done its work: then there is nobody.
    let Ok(sandbox) = Sandbox::find(engine, name).await else {
        return;
    };
    if !sandbox.is_running() {
        return;
    }
    let Ok(client) = sandbox.client(engine) else {
        return;
    };
    if let Ok(status) = client.status().await
        && let Some(warning) = crate::inner_engine::warning(&status.services, name)
    {
        app.out.warn(&warning);
    }
    let published = &sandbox.container.ports;
    for warning in crate::listening::out_of_reach(&client, name, published).await {
        app.out.warn(&warning);
    }
}

/// Refuses what is of the next start where there is none.
fn refuse_for_running(name: &str, args: &StartArgs) -> Result<()> {
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
        return Ok(());
    };
    let flag = first.split(' ').next().unwrap_or_default();
    Err(Error::new(
        Kind::Conflict,
        format!("sandbox \"{name}\" runs already: {flag} is of a start"),
    )
    .hint(format!(
        "`amika sandbox restart {name} {}` stops it and starts it so",
        flags.join(" ")
    )))
}

/// Starts a stopped sandbox; returns the ports that had to move.
async fn start(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    given: Option<&Setup>,
    args: &StartArgs,
    app: &App,
) -> Result<Vec<Moved>> {
    if engine.is_local() {
        crate::overlay::refuse(&sandbox.name, &sandbox.container.mounts)?;
    }
    crate::networks::mend(engine, sandbox).await?;
    let requests = &sandbox.container.port_requests;
    // Looked at first: a start that the engine refuses leaves its mark on the container.
    let mut taken = ports::requested(requests, None, engine.is_local());
    if taken.is_none() || args.reassign_ports {
        prepare(engine, sandbox, given, args.skip_setup, app).await?;
    }
    let started = async {
        if taken.is_none() {
            taken = try_start(engine, sandbox).await?;
        }
        started(engine, sandbox, taken, args, app).await
    };
    let started = started.await;
    if started.is_err() && args.skip_setup {
        // The next start is not to follow an order that was given for this one.
        let usual = Upload::next_boot(&NextBoot::default());
        if let Err(error) = create::put(engine, &sandbox.container.id, &usual).await {
            app.out.warn(&format!(
                "the order to skip setup could not be taken back: the next start of \"{}\" skips it: {}",
                sandbox.name, error.message
            ));
        }
    }
    started
}

/// Goes on once it is known which port is taken, if any.
async fn started(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    taken: Option<HostPort>,
    args: &StartArgs,
    app: &App,
) -> Result<Vec<Moved>> {
    let requests = &sandbox.container.port_requests;
    match taken {
        None => Ok(Vec::new()),
        Some(taken) if args.reassign_ports => {
            let _lock = engine.locks().take_name(&sandbox.name)?;
            reassign::start(engine, sandbox, taken, app.interrupt.cancel()).await
        }
        Some(taken) => {
            Err(ports::refuse_start(engine, &sandbox.name, &sandbox.record, requests, taken).await)
        }
    }
}

/// Starts the container, unless the engine finds a port taken, which is returned.
async fn try_start(engine: &Sandboxes, sandbox: &Sandbox) -> Result<Option<HostPort>> {
    let requests = &sandbox.container.port_requests;
    match ports::start_again(engine, &sandbox.container.id, requests).await {
        Ok(()) => Ok(None),
        Err(EngineError::PortTaken { port, message }) => {
            let taken = port.and_then(|port| ports::requested(requests, Some(port), true));
            taken
                .map(Some)
                .ok_or_else(|| EngineError::PortTaken { port, message }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts in what the next start needs: a renewed setup script, and instructions for that start.
async fn prepare(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    given: Option<&Setup>,
    skip_setup: bool,
    app: &App,
) -> Result<()> {
    let mut uploads = Vec::new();
    match (given, &sandbox.record.setup_script) {
        (Some(Setup::File { content, .. }), _) => {
            uploads.push(Upload::setup_script(content.clone()));
        }
        (None, Some(SetupScript::Host(path)))
            if !skip_setup && !sandbox.trust(engine)?.follows_host_paths() =>
        {
            app.out.warn(&not_followed(&sandbox.name, path));
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

/// The warning that a script of this machine was not read again.
fn not_followed(name: &str, path: &str) -> String {
    format!(
        "setup script {} is not read again: the record of sandbox \"{name}\", which names it, is not signed \
         with your key; the sandbox's last copy is used; `amika sandbox adopt {name}` trusts the record",
        crate::view::foreign_text(path)
    )
}

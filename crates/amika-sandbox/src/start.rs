//! Starting a sandbox that is stopped.

use std::sync::Arc;

use amika_core::label::SetupScript;
use amika_core::service::HostPort;
use amika_core::wire::NextBoot;

use crate::broken_off::interruptible;
use crate::cancel::Cancel;
use crate::create::{self, Setup, Upload, Wait};
use crate::error::{Error, Field, Kind, Result};
use crate::given::Given;
use crate::progress::{Progress, Steps};
use crate::reassign::{self, Moved};
use crate::sandbox::Sandbox;
use crate::sandboxes::{Sandboxes, to_its_end};
use crate::{ports, ready};
use amika_engine::{ContainerState, EngineError};

/// How a sandbox is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// The setup script from now on; none keeps the sandbox's own.
    pub setup: Option<Setup>,
    /// Whether this start runs no setup script.
    pub skip_setup: bool,
    /// What it is given from now on that neither its environment nor a label tells; none leaves what it has.
    pub given: Option<Given>,
    /// Whether ports that others took meanwhile are published elsewhere.
    pub reassign_ports: bool,
    /// Whether to wait for it.
    pub wait: Wait,
}

/// What came of a start.
#[derive(Clone, Debug)]
pub struct Started {
    /// Ports that are published elsewhere now.
    pub moved_ports: Vec<Moved>,
}

impl Sandboxes {
    /// Starts a sandbox, unless it runs, and waits for it as it was asked to. Its name is locked while its container
    /// is changed, and not while it is waited for.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a port that is taken, for one that is not made to the end or is paused, and
    /// with [`Error::field`] for what is asked of a start where it runs already; [`Kind::SetupFailed`],
    /// [`Kind::NotReady`] and [`Kind::Canceled`] of one that stays; those of the engine.
    pub async fn start(
        &self,
        name: &str,
        request: StartRequest,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<Started> {
        let (engine, cancel) = (self.for_one_operation(), cancel.clone());
        let name = name.to_owned();
        to_its_end(async move { one(&engine, &name, &request, &progress, &cancel).await }).await
    }
}

/// Starts one sandbox, unless it runs, and waits until it is ready, unless told not to.
///
/// # Errors
/// As [`Sandboxes::start`].
pub(crate) async fn one(
    engine: &Sandboxes,
    name: &str,
    request: &StartRequest,
    progress: &Arc<dyn Progress>,
    cancel: &Cancel,
) -> Result<Started> {
    let out = &**progress;
    let is_mended = Box::pin(reassign::recover(engine, name)).await?;
    if is_mended {
        out.warn(&format!(
            "an earlier `start --reassign-ports {name}` was interrupted; that is mended now"
        ));
    }
    let sandbox = interruptible(cancel, Sandbox::find_made(engine, name));
    let sandbox = not_started(name, sandbox.await)?;
    crate::unreported::is_known(engine, name);
    if sandbox.container.state == ContainerState::Paused {
        sandbox.must_run()?;
    }
    let anew = !sandbox.is_running();
    // What was asked for then was done just now.
    let asks_what_is_done = is_mended && request.reassign_ports;
    if !anew && !asks_what_is_done {
        refuse_for_running(name, request)?;
    }
    let moved_ports = if anew {
        let locks = engine.locks();
        let free = async { Ok(locks.change(name).await) };
        let _change = not_started(name, interruptible(cancel, free).await)?;
        Box::pin(start(engine, &sandbox, request, out, cancel)).await?
    } else {
        Vec::new()
    };
    for port in &moved_ports {
        out.note(&format!(
            "  {:<9} {} (was {})",
            out.title("port"),
            port.to.url.clone().unwrap_or_else(|| port.to.arrow()),
            port.from.arrow()
        ));
    }
    if let Some(until) = request.wait.until() {
        let mut steps = Steps::new(Arc::clone(progress));
        Box::pin(ready::wait(engine, name, anew, until, &mut steps, cancel)).await?;
        Box::pin(say_what_is_amiss(engine, name, out)).await;
    }
    Ok(Started { moved_ports })
}

/// Says of what was broken off that nothing was started.
fn not_started<T>(name: &str, before: Result<T>) -> Result<T> {
    before.map_err(|error| match error.kind {
        Kind::Canceled => Error::new(
            error.kind,
            format!("interrupted before sandbox \"{name}\" was started"),
        )
        .hint(format!("`amika sandbox start {name}` starts it")),
        _ => error,
    })
}

/// Warns of an engine inside that is not up, and of published ports that do not reach who listens on them now.
async fn say_what_is_amiss(engine: &Sandboxes, name: &str, out: &dyn Progress) {
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
        out.warn(&warning);
    }
    let published = &sandbox.container.ports;
    for warning in crate::listening::out_of_reach(&client, name, published).await {
        out.warn(&warning);
    }
}

/// Refuses what is of the next start where there is none.
fn refuse_for_running(name: &str, request: &StartRequest) -> Result<()> {
    let field = if request.setup.is_some() {
        Field::Setup
    } else if request.skip_setup {
        Field::SkipSetup
    } else if request.reassign_ports {
        Field::ReassignPorts
    } else {
        return Ok(());
    };
    Err(Error::new(
        Kind::Conflict,
        format!("sandbox \"{name}\" runs already: this is of a start"),
    )
    .field(field))
}

/// Starts a stopped sandbox; returns the ports that had to move.
async fn start(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    request: &StartRequest,
    out: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Moved>> {
    if engine.is_local() {
        crate::overlay::refuse(&sandbox.name, &sandbox.container.mounts)?;
    }
    crate::networks::mend(engine, sandbox).await?;
    let requests = &sandbox.container.port_requests;
    // Looked at first: a start that the engine refuses leaves its mark on the container.
    let mut taken = ports::requested(requests, None, engine.is_local());
    if taken.is_none() || request.reassign_ports {
        prepare(engine, sandbox, request, out).await?;
    }
    let started = async {
        if taken.is_none() || request.reassign_ports {
            crate::sidecars::start_of(engine, sandbox).await?;
        }
        if taken.is_none() {
            taken = try_start(engine, sandbox).await?;
        }
        started(engine, sandbox, taken, request, cancel).await
    };
    let started = started.await;
    if started.is_err() {
        crate::sidecars::after_failure(engine, sandbox).await;
    }
    if started.is_err() && request.skip_setup {
        // The next start is not to follow an order that was given for this one.
        let usual = Upload::next_boot(&NextBoot::default());
        if let Err(error) = create::put(engine, &sandbox.container.id, &usual).await {
            out.warn(&format!(
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
    request: &StartRequest,
    cancel: &Cancel,
) -> Result<Vec<Moved>> {
    let requests = &sandbox.container.port_requests;
    match taken {
        None => Ok(Vec::new()),
        Some(taken) if request.reassign_ports => {
            let _lock = engine.locks().take_name(&sandbox.name)?;
            reassign::start(engine, sandbox, taken, cancel).await
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
    request: &StartRequest,
    out: &dyn Progress,
) -> Result<()> {
    let skip_setup = request.skip_setup;
    let mut uploads = Vec::new();
    match (&request.setup, &sandbox.record.setup_script) {
        (Some(Setup::File { content, .. } | Setup::Text(content)), _) => {
            uploads.push(Upload::setup_script(content.clone()));
        }
        (None, Some(SetupScript::Host(path)))
            if !skip_setup && !sandbox.trust(engine)?.follows_host_paths() =>
        {
            out.warn(&not_followed(&sandbox.name, path));
        }
        (None, Some(SetupScript::Host(path))) if !skip_setup => {
            match create::read_script(path.as_ref()) {
                Ok(Setup::File { content, .. }) => uploads.push(Upload::setup_script(content)),
                Ok(_) => {}
                Err(error) => out.warn(&format!(
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
    let mut agent = (0, 0);
    if let Some(given) = &request.given {
        uploads.extend(create::renewing(engine, sandbox, given).await?);
        if uploads.iter().any(Upload::needs_agent) {
            agent = crate::owner::of(engine, sandbox).await?;
        }
    }
    for upload in Upload::merge(uploads) {
        create::put_as(engine, &sandbox.container.id, &upload, agent).await?;
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

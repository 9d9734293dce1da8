//! Carrying a plan out, each step with its undo. The first start is the commit point.

use std::collections::{BTreeMap, BTreeSet};

use amika_core::label::{Kind, key};
use amika_core::service::{Binding, HostPort, MAX_ROUNDS, ResolveError, has_sidecars};

use super::copy::{Into, copy_all, give_times};
use super::dotfiles;
use super::fill::{Expected, Filled, fill};
use super::misfit;
use super::plan::Plan;
use super::rights;
use super::settings::Settings;
use super::upload::Upload;
use super::volume_root;
use crate::cancel::Cancel;
use crate::deliver::Fault;
use crate::error::{self, Error, Result};
use crate::inject::Injection;
use crate::networks;
use crate::overlay;
use crate::ports;
use crate::progress::{Progress, Steps};
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::Sandboxes;
use crate::sidecars::{self, Beside};
use amika_engine::{ContainerFacts, EngineError};
use amika_git as git;

/// Settles host ports anew without those that the engine refused.
pub(super) type Settle<'a> =
    dyn Fn(&BTreeSet<HostPort>) -> Result<Vec<Binding>, ResolveError> + Sync + 'a;

/// A plan on its way to being carried out.
pub(super) struct Job<'a> {
    /// The engine.
    pub engine: &'a Sandboxes,
    /// What holds in the end.
    pub settings: &'a Settings,
    /// The repository to clone in.
    pub repository: Option<&'a git::Repository>,
    /// The user's dotfiles.
    pub dotfiles: Option<&'a git::Repository>,
    /// What is mounted at amikad's directory.
    pub injection: Option<&'a Injection>,
    /// The plan; its ports change when others took them meanwhile.
    pub plan: Plan,
    /// Settles host ports anew without those that the engine refused.
    pub settle: &'a Settle<'a>,
}

/// Makes the sandbox and starts it. When a step fails, or the user interrupts, what was made is
/// unmade in reverse.
///
/// # Errors
/// Those of the steps; [`error::Kind::Canceled`].
pub(super) async fn apply(
    job: &mut Job<'_>,
    out: &dyn Progress,
    steps: &mut Steps,
    cancel: &Cancel,
) -> Result<()> {
    let result = tokio::select! {
        result = make(job, out, steps) => result,
        () = cancel.requested() => Err(interrupted()),
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) => {
            steps.fail("");
            let is_directory = |source: &str| std::path::Path::new(source).is_dir();
            let error = misfit::explain(error, &job.settings.mounts, is_directory);
            Err(unmake(job.engine, &job.plan, error, out, cancel).await)
        }
    }
}

/// Unmakes what the plan makes, and returns the error that was the reason.
pub(super) async fn unmake(
    engine: &Sandboxes,
    plan: &Plan,
    reason: Error,
    out: &dyn Progress,
    cancel: &Cancel,
) -> Error {
    if reason.kind == error::Kind::Canceled {
        out.note("interrupted: removing what was made …");
    }
    let rest = "`amika doctor --fix` removes what is left";
    tokio::select! {
        undone = undo(engine, plan) => match undone {
            Ok(()) => reason,
            Err(left) => reason
                .cause(format!("what was made could not be removed: {}", left.message))
                .hint(rest),
        },
        () = cancel.requested_times(3) => {
            Error::new(error::Kind::Canceled, "interrupted while removing what was made").hint(rest)
        }
    }
}

/// The error of a command that the user broke off.
pub fn interrupted() -> Error {
    Error::new(
        error::Kind::Canceled,
        "interrupted; nothing was left behind of the new sandbox",
    )
}

async fn make(job: &mut Job<'_>, out: &dyn Progress, steps: &mut Steps) -> Result<()> {
    let engine = job.engine;
    steps.begin("container");
    let mut id = create_container(job).await?;
    if let Some(volume) = &job.plan.record.from_volume {
        still_there(engine, volume, &id).await?;
    }
    let agent = agent(engine, &job.plan, &id).await?;
    volume_root::prepare(engine, &job.plan, &id, agent).await?;
    put_all(job, &id, agent).await?;
    if let (Some(repository), Some(target)) = (job.repository, &job.plan.clone_target) {
        steps.finish(job.plan.name.as_str());
        steps.begin("clone");
        let summary = clone(engine, &job.plan, &id, repository, target, agent, out).await?;
        steps.finish(&summary);
        steps.begin("start");
    }
    if let Some(repository) = job.dotfiles {
        dotfiles::put(engine, &id, repository, agent).await?;
    }
    let mut untimely = BTreeMap::new();
    copy_all(copies(job, &id, agent), false, &mut untimely, out).await?;
    start_sidecars(engine, &job.plan).await?;
    // The probe of a port and its use are two moments: the engine's answer decides. On a conflict
    // the container is made again with another port; its volumes stay as they were filled.
    let mut refused = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        // Since the mounts were looked at, images were built and files copied.
        overlay::refuse_planned(job.plan.name.as_str(), &job.plan.container.mounts)?;
        let places = job.plan.bindings.iter().map(Binding::host);
        let port = match ports::start(engine, &id, places).await {
            Err(EngineError::PortTaken {
                port: Some(port),
                message,
            }) => {
                tracing::debug!(port, message, "host port taken");
                port
            }
            other => {
                other.map_err(|error| start_failed(error, job))?;
                steps.finish(job.plan.name.as_str());
                give_times(engine, &id, untimely, out).await;
                return Ok(());
            }
        };
        refused.extend(ports::refused(&job.plan.bindings, port));
        match (job.settle)(&refused) {
            Ok(bindings) => job.plan.rebind(bindings, job.settings),
            Err(error) => return Err(ports::refusal(engine, &error).await),
        }
        engine.remove_container(&id).await?;
        id = create_container(job).await?;
        volume_root::prepare(engine, &job.plan, &id, agent).await?;
        put_all(job, &id, agent).await?;
        copy_all(copies(job, &id, agent), true, &mut untimely, out).await?;
    }
    Err(Error::new(
        error::Kind::Conflict,
        "other programs take each port before it can be published",
    )
    .hint("name free host ports with `--port`"))
}

/// Makes and starts the services beside it: amikad looks whether they are up before it runs setup.
async fn start_sidecars(engine: &Sandboxes, plan: &Plan) -> Result<()> {
    let beside = Beside {
        id: &plan.record.id,
        sandbox: plan.name.as_str(),
        services: &plan.record.services,
        network: &plan.container.network,
        limits: plan.container.limits,
        stamp: plan.stamp.clone(),
        test: plan.record.test.as_deref(),
        bound_log: Some(plan.container.bound_log),
    };
    sidecars::start(engine, &beside).await
}

/// Where the copies of a job go.
fn copies<'a>(job: &'a Job<'_>, container: &'a str, agent: (u32, u32)) -> Into<'a> {
    Into {
        engine: job.engine,
        plan: &job.plan,
        repository: job.repository,
        container,
        agent,
    }
}

/// Refuses a volume that was removed since it was looked at: the engine makes an empty one in its place.
async fn still_there(engine: &Sandboxes, volume: &str, container: &str) -> Result<()> {
    let found = engine.inspect_volume(volume).await?;
    if found.is_some_and(|found| found.labels.contains_key(key::KIND)) {
        return Ok(());
    }
    engine.remove_container(container).await?;
    engine.remove_freed_volume(volume).await?;
    Err(Error::new(
        error::Kind::Conflict,
        format!("volume {volume} was removed meanwhile"),
    )
    .hint("`amika volume list` shows the volumes"))
}

async fn put_all(job: &Job<'_>, container: &str, agent: (u32, u32)) -> Result<()> {
    for upload in &Upload::merge(job.plan.uploads.clone()) {
        put_as(job.engine, container, upload, agent).await?;
    }
    Ok(())
}

/// Streams the working copy into its volume; returns what to show of it.
async fn clone(
    engine: &Sandboxes,
    plan: &Plan,
    container: &str,
    repository: &git::Repository,
    target: &str,
    agent: (u32, u32),
    out: &dyn Progress,
) -> Result<String> {
    let owner = git::Owner {
        uid: agent.0,
        gid: agent.1,
    };
    let git::Size {
        files,
        bytes,
        has_odd_time,
    } = repository.size();
    let source = repository.clone();
    let filled = fill(
        engine,
        plan,
        container,
        target,
        Expected {
            files,
            bytes,
            has_odd_time,
        },
        move |prefix, to| source.write_tar(owner, prefix, to),
    )
    .await;
    let facts = repository.facts();
    let refused = || {
        Error::new(
            error::Kind::Repository,
            format!("{} could not be copied into the sandbox", facts.source),
        )
    };
    let files = match filled {
        Ok(Filled {
            value: report,
            keeps_odd_times,
            ..
        }) => {
            if has_odd_time && !keeps_odd_times {
                out.warn("the clone: files of before 1970 or after 2262 did not get their time, and have one of 1970");
            }
            if let Some(changes) = report.told_changes() {
                out.warn(&format!("--no-clean: {changes}"));
            }
            report.files
        }
        // An engine that is gone is one thing, a volume that is full another.
        Err(Fault::Volume(error)) => {
            engine.must_answer().await?;
            return Err(refused().caused_by(&error));
        }
        Err(Fault::Source(error)) => {
            return Err(refused()
                .caused_by(&error)
                .hint("if the repository changed meanwhile (a `git gc`, a commit), try again"));
        }
    };
    let branch = facts.branch.as_deref().map_or_else(
        || {
            facts
                .commit
                .as_deref()
                .map_or("empty".to_owned(), |commit| {
                    format!("commit {}", &commit[..commit.len().min(12)])
                })
        },
        |branch| format!("branch {branch}"),
    );
    Ok(format!("{}, {branch}, {files} files", facts.name))
}

/// Sends an upload of which nothing belongs to the agent.
///
/// # Errors
/// Those of the engine.
pub async fn put(engine: &Sandboxes, container: &str, upload: &Upload) -> Result<()> {
    put_as(engine, container, upload, (0, 0)).await
}

/// Sends an upload; `agent` is the user and group of the agent, whose some of it is.
///
/// # Errors
/// Those of the engine.
pub async fn put_as(
    engine: &Sandboxes,
    container: &str,
    upload: &Upload,
    agent: (u32, u32),
) -> Result<()> {
    let archive = upload.archive(agent).map_err(|error| {
        Error::new(
            error::Kind::Failure,
            "a file for the sandbox cannot be packed",
        )
        .caused_by(&error)
    })?;
    engine.put_archive(container, upload.at, archive).await?;
    Ok(())
}

/// Makes the container, and the network if it is missing.
async fn create_container(job: &mut Job<'_>) -> Result<String> {
    let (engine, plan) = (job.engine, &mut job.plan);
    let wish = networks::Wish {
        sandbox: plan.name.clone(),
        id: plan.record.id.clone(),
        test: plan.record.test.clone(),
        has_sidecars: has_sidecars(&plan.record.services),
    };
    plan.container.network = plan
        .network
        .ensure(engine, &plan.container.network, &wish)
        .await?;
    let id = match engine.create_container(&plan.container).await {
        // Somebody took the name since it was looked at.
        Err(EngineError::Conflict(_)) => {
            if let Some(taken) = clear_name(engine, plan.name.as_str()).await? {
                return Err(name_taken(engine, plan.name.as_str(), &taken).await);
            }
            engine
                .create_container(&plan.container)
                .await
                .map_err(refused)?
        }
        other => other.map_err(refused)?,
    };
    // Not before: as long as no container has it, the volume may be removed as one that nobody uses.
    if let Some(injection) = job.injection {
        injection.ensure(engine, &plan.container.image).await?;
    }
    Ok(id)
}

/// Makes sure that a name is free; what an interrupted create of that name left is removed. The
/// sandbox that has the name is returned.
///
/// # Errors
/// [`error::Kind::Conflict`] when a stranger's container has it; those of the engine.
pub(super) async fn clear_name(engine: &Sandboxes, name: &str) -> Result<Option<ContainerFacts>> {
    let holder = match engine.inspect_container(name).await {
        Ok(holder) if holder.name == name => holder,
        // The engine also finds containers by a prefix of their id: that is no name.
        Ok(_) => return Ok(None),
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let sandbox = Sandbox::of(holder);
    let kind = sandbox.container.labels.get(key::KIND).map(String::as_str);
    match sandbox.state_of_making() {
        // What does not tell which sandbox it is may be anybody's work.
        Some(State::Interrupted) if sandbox.is_identified() => {
            crate::delete::remove_unfinished(engine, &sandbox.container, &sandbox.record).await?;
            Ok(None)
        }
        _ if kind == Some(Kind::Sandbox.as_str()) => Ok(Some(sandbox.container)),
        _ => Err(Error::new(
            error::Kind::Conflict,
            format!(
                "the name \"{name}\" is taken by a container that is not amika's; it is left alone"
            ),
        )
        .hint("choose another name with `--name`")),
    }
}

/// The error for a name that this sandbox has.
pub(super) async fn name_taken(engine: &Sandboxes, name: &str, holder: &ContainerFacts) -> Error {
    let error = Error::new(
        error::Kind::Conflict,
        format!("sandbox \"{name}\" already exists"),
    );
    let boot = match holder.state {
        amika_engine::ContainerState::Exited => crate::daemon::read_boot_record(engine, &holder.id)
            .await
            .ok()
            .flatten(),
        _ => None,
    };
    match boot.and_then(|boot| boot.status.outcome) {
        Some(amika_core::wire::Outcome::SetupFailed) => error
            .cause("its setup script failed")
            .hint(format!("`amika sandbox start {name}` tries again; `--replace` makes it anew")),
        _ if holder.state == amika_engine::ContainerState::Dead => error
            .cause("the engine removed it half-way and failed")
            .hint(format!(
                "`amika sandbox delete {name}` removes the rest of it but for a git volume"
            )),
        _ if holder.state == amika_engine::ContainerState::Exited => error.hint(format!(
            "`amika sandbox start {name}` starts it; `--replace` makes it anew; or choose another `--name`"
        )),
        _ => error.hint(format!(
            "`amika sandbox connect {name}` opens a shell in it; `--replace` makes it anew; or choose another `--name`"
        )),
    }
}

/// User and group of the agent; a user that the image names by a word is looked up in its files,
/// if anything is to be put in that belongs to it.
async fn agent(engine: &Sandboxes, plan: &Plan, container: &str) -> Result<(u32, u32)> {
    const LIMIT: usize = 1024 * 1024;
    let needed = plan.clone_target.is_some()
        || !plan.copies.is_empty()
        || plan.uploads.iter().any(Upload::needs_agent);
    match plan.owner {
        Some(owner) => return Ok(owner),
        None if !needed => return Ok((0, 0)),
        None => {}
    }
    let user = plan.record.user.as_deref().unwrap_or("root");
    let passwd = engine
        .read_file(container, "/etc/passwd", LIMIT)
        .await?
        .unwrap_or_default();
    let group = engine
        .read_file(container, "/etc/group", LIMIT)
        .await?
        .unwrap_or_default();
    crate::owner::find(
        user,
        &String::from_utf8_lossy(&passwd),
        &String::from_utf8_lossy(&group),
    )
    .ok_or_else(|| {
        Error::new(
            error::Kind::Image,
            format!("the image runs as user \"{user}\", which its /etc/passwd does not have"),
        )
        .hint("use an image whose USER exists, or a preset")
    })
}

/// Unmakes what the plan makes, whether it was made or not. Only what bears this plan's id goes.
async fn undo(engine: &Sandboxes, plan: &Plan) -> Result<()> {
    // What was broken off while it was being made is there only now.
    engine.settled().await;
    let name = plan.name.as_str();
    match engine.inspect_container(name).await {
        Ok(container)
            if container.labels.get(key::ID).map(String::as_str)
                == Some(plan.record.id.as_str()) =>
        {
            match engine.remove_container(&container.id).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(_) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    let id = plan.record.id.as_str();
    let mut of_services = Vec::new();
    if has_sidecars(&plan.record.services) {
        of_services = sidecars::volumes(engine, id).await?;
    }
    crate::others::remove(engine, id).await?;
    networks::remove_own(engine, id).await?;
    let made = plan.volumes.iter().chain(&plan.git_volume);
    for volume in made.chain(&of_services) {
        engine.remove_freed_volume(volume).await?;
    }
    for volume in &plan.user_volumes {
        let made_here = engine.inspect_volume(volume).await?.is_some_and(|facts| {
            facts.labels.get(key::ID).map(String::as_str) == Some(plan.record.id.as_str())
        });
        if made_here {
            engine.remove_freed_volume(volume).await?;
        }
    }
    Ok(())
}

fn refused(error: EngineError) -> Error {
    match error {
        EngineError::NotFound(message) if message.contains("network") => {
            Error::new(error::Kind::Invalid, "the network of --network went away").cause(message)
        }
        EngineError::NotFound(message) => Error::new(error::Kind::Image, message),
        other => other.into(),
    }
}

fn start_failed(error: EngineError, job: &Job<'_>) -> Error {
    let bound = job.engine.is_local().then(rights::bound_here).flatten();
    let error = match rights::explain(error, &job.plan.container, bound.as_deref()) {
        Ok(told) => return told,
        Err(other) => other,
    };
    let port_taken = matches!(error, EngineError::PortTaken { .. });
    let error = Error::from(error);
    if port_taken {
        error.hint(
            "choose another host port with `--port`, or leave it out and the system chooses one",
        )
    } else {
        error
    }
}

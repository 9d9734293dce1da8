//! `amika sandbox create`: args → repository and configuration → plan → container → ready.

mod adoption;
mod report;
mod request;
mod trust;

use std::collections::BTreeSet;

use amika_core::config::{self, RepoConfig};
use amika_core::credential::Selection;
use amika_core::name::SandboxName;
use amika_core::service::HostPort;
use amika_core::settings::Layer;
use amika_core::trust::Decision;

use adoption::Unreported;
pub(super) use report::CreatedView;
use report::report;

use crate::App;
use crate::args::sandbox::{ConnectArgs, CreateArgs};
use crate::create::{
    self, Job, MissingImage, Plan, Request, Settings, Source, Taken, TakenView, Upload, Wanted,
};
use crate::error::{Error, Kind, Result};
use crate::lock::FileLock;
use crate::networks::Choice;
use crate::output::Printer;
use crate::ports;
use crate::ready;
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::Sandboxes;
use crate::unreported::{self, Asked, Mark};
use amika_core::text::shell_quote;
use amika_git as git;
use amika_sandbox::progress::Steps;

/// How often a made-up name may turn out to be taken.
const NAME_TRIES: u32 = 20;

pub(super) async fn run(args: &CreateArgs, app: &App) -> Result<u8> {
    let request = read_request(args, app).await?;
    crate::environment::warn_of_unset(&request.unset_env, &app.out);
    if args.connect && !args.dry_run {
        refuse_shell_without_terminal(app)?;
    }
    let mut steps = app.out.steps();
    let prepared = tokio::select! {
        prepared = prepare(args, &request, app, &mut steps) => prepared?,
        () = app.interrupt.requested() => return Err(create::interrupted()),
    };
    let made = match prepared {
        Prepared::Made(made) => Some(*made),
        Prepared::New(new) => make(args, *new, app, &mut steps).await?,
    };
    let Some(made) = made else {
        return Ok(0);
    };
    let Made {
        engine,
        name,
        lock,
        taken,
        undo,
        nested_engine,
    } = made;
    let ready = if args.no_wait {
        None
    } else {
        let (timeout, interrupt) = (args.timeout, app.interrupt.cancel());
        let wait = ready::wait(&engine, name.as_str(), true, timeout, &mut steps, interrupt);
        let waited = if nested_engine {
            create::wait_with_inner_engine(&engine, name.as_str(), wait).await
        } else {
            wait.await
        };
        match (waited, &undo) {
            // Without its engine it is not what was asked for.
            (Err(error), Some(plan)) if error.kind == Kind::RightMissing => {
                let error = create::unmake(&engine, plan, error, &app.out, interrupt).await;
                forget_unmade(&engine, &name, &lock).await;
                return Err(error);
            }
            (Err(error), Some(plan)) if error.kind == Kind::Canceled => {
                let reason = create::interrupted();
                let error = create::unmake(&engine, plan, reason, &app.out, interrupt).await;
                forget_unmade(&engine, &name, &lock).await;
                return Err(error);
            }
            (Err(error), _) => {
                // Else the same create finds it, and tells of it.
                if !matches!(error.kind, Kind::Canceled | Kind::EngineUnreachable) {
                    unreported::clear(&lock);
                }
                return Err(error);
            }
            (Ok(ready), _) => Some(ready),
        }
    };
    report(&engine, &name, ready.as_ref(), taken, &steps, app).await?;
    unreported::clear(&lock);
    if args.connect {
        // It is made, and told of: the name is anybody's who works with it while the shell is open.
        drop(lock);
        let args = ConnectArgs {
            name: name.to_string(),
            rescue: false,
            root: false,
        };
        return super::connect::run(&args, app).await;
    }
    Ok(0)
}

/// Makes the sandbox and starts it; `--dry-run` shows the plan instead, and nothing is made.
async fn make(args: &CreateArgs, new: New, app: &App, steps: &mut Steps) -> Result<Option<Made>> {
    let New {
        engine,
        name,
        lock,
        source,
        settings,
        taken,
        asked,
        facts,
    } = new;
    let local = engine.is_local();
    let settle = |excluded: &BTreeSet<HostPort>| {
        let Settings {
            services,
            publish,
            port_host_ip,
            ..
        } = &settings;
        ports::settle(services, publish, *port_host_ip, excluded, local)
    };
    // No host port is asked for where none can be published.
    let bindings = match facts
        .network
        .publishes_ports()
        .then(|| settle(&BTreeSet::new()))
    {
        None => Vec::new(),
        Some(Ok(bindings)) => bindings,
        Some(Err(error)) => return Err(ports::refusal(&engine, &error).await),
    };
    tell_of_network(&name, &settings, &facts.network, app);
    let repository = source.as_ref().map(Source::label);
    let mut plan = create::plan(&name, &settings, &facts, repository.as_ref(), bindings);
    create::can_be_executed(&plan)?;
    let home = app.machine.home_dir();
    let credentials = create::find_credentials(&home, &settings.credentials, &settings.mounts);
    for warning in &facts.sources.warnings {
        app.out.warn(warning);
    }
    for note in &facts.sources.notes {
        app.out.note(note);
    }
    if let Some(taken) = create::read_credentials(&home, &credentials, &app.out) {
        if !args.dry_run {
            let renewing = &taken.renewing;
            crate::sign_ins::warn_of_other_copies(&engine, name.as_str(), renewing, &app.out)
                .await?;
            let agents: Vec<&str> = taken.agents.iter().map(|agent| agent.as_str()).collect();
            let agents = agents.join(", ");
            app.out.note(&format!("  sign-ins copied in: {agents}"));
        }
        plan.add_credentials(taken.upload, taken.agents);
    }
    if args.dry_run {
        let repository = source.as_ref().map(|source| {
            let copy = repository_copy(args);
            let facts = source.repository.facts();
            create::RepositoryView::of(facts, copy, args.new_branch.is_some())
        });
        let view = create::PlanView::of(&plan, repository, taken);
        app.out.result(&view, |out| {
            let mut lines = view.lines().into_iter();
            lines.try_for_each(|line| writeln!(out, "{line}"))
        })?;
        return Ok(None);
    }
    let snapshot = match &source {
        Some(source) => Some(source.repository.snapshot().await?),
        None => None,
    };
    if let Some(snapshot) = &snapshot {
        let json = serde_json::to_vec(snapshot).unwrap_or_default();
        plan.uploads.push(Upload::git_snapshot(json));
    }
    if args.replace {
        replace(&engine, &name, app).await?;
    }
    let token = engine.user_key()?.token(facts.id.as_str());
    let mark = Mark {
        asked: asked.fingerprint(&token, snapshot.as_ref()),
        id: facts.id.clone(),
    };
    mark.leave(&lock);
    let mut job = Job {
        engine: &engine,
        settings: &settings,
        repository: source.as_ref().map(|source| &source.repository),
        injection: facts.injection.as_ref(),
        plan,
        settle: &settle,
    };
    if let Err(error) = create::apply(&mut job, &app.out, steps, app.interrupt.cancel()).await {
        forget_unmade(&engine, &name, &lock).await;
        return Err(error);
    }
    let plan = Box::new(job.plan);
    let nested_engine = plan.container.nested_engine;
    Ok(Some(Made {
        engine,
        name,
        lock,
        taken,
        undo: Some(plan),
        nested_engine,
    }))
}

/// Takes the mark away of a sandbox that was unmade: its file would stay for ever.
async fn forget_unmade(engine: &Sandboxes, name: &SandboxName, lock: &FileLock) {
    let there = engine.inspect_container(name.as_str()).await;
    if there.is_err_and(|error| error.is_not_found()) {
        unreported::clear(lock);
    }
}

/// Says what does not go without saying of the network that it will be on.
fn tell_of_network(name: &SandboxName, settings: &Settings, network: &Choice, app: &App) {
    if settings.capabilities().can_speak_for_others()
        && let Some(warning) = network.shared_with_others()
    {
        app.out.warn(&warning);
    }
    if let Some(note) = network.without_ports(name.as_str()) {
        // What was asked for by name is missed.
        if settings.publish.is_empty() && settings.services.is_empty() {
            app.out.note(&note);
        } else {
            app.out.warn(&note);
        }
    }
}

/// What of a work tree the flags ask for.
fn repository_copy(args: &CreateArgs) -> git::Copy {
    if args.no_clean {
        git::Copy::Dirty {
            include_ignored: args.include_ignored,
        }
    } else {
        git::Copy::Clean
    }
}

/// The repository that the flags ask for, if any.
fn wanted_repository(args: &CreateArgs) -> Option<Wanted> {
    let spec = args.git.clone()?;
    Some(Wanted {
        git: git::Request {
            spec: Some(spec),
            branch: args.branch.clone(),
            new_branch: args.new_branch.clone(),
            copy: repository_copy(args),
        },
        no_setup: args.no_setup,
        has_script: args.setup_script.is_some(),
    })
}

/// Reads the flags and the files that they name. One of these may be a pipe (`--env-file <(…)`), whose
/// writer is waited for until the user has enough of it.
async fn read_request(args: &CreateArgs, app: &App) -> Result<Request> {
    let args = args.clone();
    let read = tokio::task::spawn_blocking(move || request::read(&args));
    tokio::select! {
        read = read => read.map_err(|stopped| {
            Error::new(Kind::Failure, "the flags cannot be read").caused_by(&stopped)
        })?,
        () = app.interrupt.requested() => Err(create::interrupted()),
    }
}

/// Refuses `--connect` while nothing is made yet: a shell needs a terminal, and what it prints would
/// follow the one document that `-o json` promises.
fn refuse_shell_without_terminal(app: &App) -> Result<()> {
    let why = if app.out.is_json() {
        "--connect opens a shell, which cannot be part of `-o json`"
    } else if !crate::terminal::is_terminal() {
        "--connect opens a shell, which needs a terminal, and standard input is none"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Invalid, why).hint("leave --connect away"))
}

/// What there is to do.
enum Prepared {
    /// A sandbox is to be made.
    New(Box<New>),
    /// A create that was killed has made it.
    Made(Box<Made>),
}

/// What is known before anything is made.
struct New {
    engine: Sandboxes,
    name: SandboxName,
    lock: FileLock,
    source: Option<Source>,
    settings: Settings,
    /// What of the repository's configuration holds.
    taken: Option<TakenView>,
    asked: Asked,
    facts: create::Facts,
}

/// A sandbox that was started, and that nobody was told of yet.
struct Made {
    engine: Sandboxes,
    name: SandboxName,
    lock: FileLock,
    /// What of the repository's configuration holds.
    taken: Option<TakenView>,
    /// How to unmake it on Ctrl-C; not where somebody may have found it and worked in it.
    undo: Option<Box<Plan>>,
    /// Whether it has an engine of its own.
    nested_engine: bool,
}

async fn prepare(
    args: &CreateArgs,
    request: &Request,
    app: &App,
    steps: &mut Steps,
) -> Result<Prepared> {
    let engine = crate::engine::connect(&app.user).await?;
    let (name, lock, unreported) = take_name(&engine, request, args).await?;
    create::refuse_remote_binds(&request.mounts, engine.is_local())?;
    create::refuse_conflicts(&request.mounts, None)?;
    create::refuse_missing_network(&engine, request.network.as_deref()).await?;
    let mut source = match wanted_repository(args) {
        Some(wanted) => {
            Some(create::open_repository(&wanted, &app.machine, &app.out, steps).await?)
        }
        None => None,
    };
    let clone = source.as_ref().map(Source::label);
    create::refuse_conflicts(
        &request.mounts,
        clone.as_ref().map(|clone| clone.name.as_str()),
    )?;
    let trust = match &mut source {
        Some(source) => Some(trust::settle(args, request, &app.machine, source, &app.out).await?),
        None => None,
    };
    let no_config = RepoConfig::default();
    let config = source.as_ref().map_or(&no_config, |source| &source.config);
    let script = source.as_ref().and_then(|source| source.script.clone());
    // Saved settings are a server's: for a command there are none.
    let mut settings = create::merge(request, Layer::silent(), config, script.clone())?;
    let taken = trust.map(|trust| TakenView {
        taken: Taken::beside(&settings, config, script.as_deref()),
        trust,
    });
    if let Some(taken) = &taken {
        say_what_is_taken(taken, &app.out);
        if !taken.trust.lets_sign_ins_in() {
            settings.credentials = Selection::none();
        }
    }
    if let Some(warning) = create::rights_by_configuration(&settings) {
        app.out.warn(&warning);
    }
    let asked = Asked::of(&settings, repository_copy(args));
    if let Some(unreported) = unreported {
        unreported
            .must_be(&engine, &name, &asked, source.as_ref())
            .await?;
        unreported.start_again(&engine).await?;
        app.out.note(&format!(
            "\"{name}\" was made by a create that was interrupted: going on where that one ended"
        ));
        return Ok(Prepared::Made(Box::new(Made {
            engine,
            name,
            lock,
            taken,
            undo: None,
            nested_engine: settings.has_nested_engine(),
        })));
    }
    if let (Some(source), Some(TakenView { trust, .. })) = (&mut source, &taken)
        // A dry run asks nothing, and so nothing is fetched that waits for the answer.
        && trust.decision != Decision::Ask
    {
        create::fetch_lfs(source, trust.lets_servers, &app.out, steps).await?;
    }
    let missing = if args.dry_run {
        MissingImage::Refuse
    } else {
        MissingImage::Get
    };
    let facts = create::gather(&engine, &settings, missing, steps).await?;
    for warning in settings.fit(facts.engine_size)? {
        app.out.warn(&warning);
    }
    Ok(Prepared::New(Box::new(New {
        engine,
        name,
        lock,
        source,
        settings,
        taken,
        asked,
        facts,
    })))
}

/// Says what holds of a repository's configuration: whoever cloned it may not know.
fn say_what_is_taken(taken: &TakenView, out: &Printer) {
    let lines = taken.taken.lines();
    if !lines.is_empty() {
        out.note(&format!("  from the repository's {}:", config::PATH));
    }
    for line in lines {
        out.note(&line);
    }
}

/// The name asked for, or a made-up one that is free, with its lock, and the sandbox of this name
/// that nobody was told of.
async fn take_name(
    engine: &Sandboxes,
    request: &Request,
    args: &CreateArgs,
) -> Result<(SandboxName, FileLock, Option<Unreported>)> {
    if let Some(name) = &request.name {
        let lock = engine.locks().take_name(name.as_str())?;
        // Refused before an image is built or a repository read. What `--replace` replaces goes
        // only once all else is known to be good.
        if args.replace || args.dry_run {
            return Ok((name.clone(), lock, None));
        }
        let unreported = match create::clear_name(engine, name.as_str()).await? {
            None => None,
            Some(container) => match Mark::read(&lock) {
                Some(mark) if mark.is_of(&container) => Some(Unreported { container, mark }),
                _ => return Err(create::name_taken(engine, name.as_str(), &container).await),
            },
        };
        return Ok((name.clone(), lock, unreported));
    }
    let mut attempt = 0;
    loop {
        let name = SandboxName::generate(attempt, |n| rand::random_range(0..n));
        attempt += 1;
        let free = match engine.inspect_container(name.as_str()).await {
            Err(error) if error.is_not_found() => engine.locks().take_name(name.as_str()),
            Ok(_) if attempt < NAME_TRIES => continue,
            Ok(_) => engine.locks().take_name(name.as_str()),
            Err(error) => return Err(error.into()),
        };
        match free {
            Err(error) if error.kind == Kind::Conflict && attempt < NAME_TRIES => {}
            other => return other.map(|lock| (name, lock, None)),
        }
    }
}

/// Deletes the sandbox of the same name, if there is one; its git volume stays.
async fn replace(engine: &Sandboxes, name: &SandboxName, app: &App) -> Result<()> {
    let old = match Sandbox::find_any(engine, name.as_str()).await {
        Ok(old) => old,
        Err(error) if error.kind == Kind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    crate::unsaved::refuse(engine, &old, false).await?;
    let is_unfinished = old.state_of_making() == Some(State::Interrupted);
    let removed =
        crate::delete::remove(engine, &old.container.id, &old.record, is_unfinished).await?;
    app.out
        .note(&format!("the old sandbox \"{name}\" is deleted"));
    for volume in removed.kept {
        app.out.note(&format!(
            "the old sandbox's git volume {volume} stays: `amika volume delete {}` removes it",
            shell_quote(&volume)
        ));
    }
    Ok(())
}

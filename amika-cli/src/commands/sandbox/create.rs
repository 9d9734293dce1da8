//! `amika sandbox create`: reads the flags, has the sandbox made, and tells of it.

mod ask;
mod report;
mod request;

use amika_core::credential::AgentNames;
use amika_core::settings::Layer;

pub(super) use report::CreatedView;
use report::report;

use crate::App;
use crate::args::sandbox::{ConnectArgs, CreateArgs};
use crate::create::{
    self, Allowed, CreateRequest, OwnWays, Request, Trusting, Wanted, WantedRepository,
    WantedVolume,
};
use crate::error::{Error, Kind, Result};
use crate::user_config;
use amika_git as git;

pub(super) async fn run(args: &CreateArgs, app: &App) -> Result<u8> {
    let mut sandbox = read_request(args, app).await?;
    if args.agent_config.is_none()
        && let Some(AgentNames(of)) = user_config::agent_config(&app.machine)?
    {
        sandbox.own_ways = OwnWays {
            of,
            is_asked: false,
        };
    }
    sandbox.dotfiles = create::wanted_dotfiles(args.dotfiles.as_ref(), &app.machine)?;
    crate::environment::warn_of_unset(&sandbox.unset_env, &app.out);
    if args.connect && !args.dry_run {
        refuse_shell_without_terminal(app)?;
    }
    let request = CreateRequest {
        sandbox,
        repository: wanted_repository(args),
        // Saved settings are a server's: for a command there are none.
        saved: Layer::silent(),
        trust: Trusting::User {
            setting: args.trust,
            ask: ask::at_terminal(&app.out),
        },
        sign_ins_named: args.credentials.is_some(),
        secrets: None,
        owner: String::new(),
        allowed: Allowed::ALL,
        replace: args.replace,
        wait: super::start::waited_for(args.no_wait, args.no_wait_services, args.timeout),
    };
    let engine = tokio::select! {
        engine = crate::engine::connect(&app.user) => engine?,
        () = app.interrupt.requested() => return Err(create::interrupted()),
    };
    let (progress, cancel) = (app.out.progress(), app.interrupt.cancel());
    if args.dry_run {
        let plan = engine.plan(request, progress, cancel).await?;
        app.out.result(&plan, |out| {
            let mut lines = plan.lines().into_iter();
            lines.try_for_each(|line| writeln!(out, "{line}"))
        })?;
        return Ok(0);
    }
    let created = engine.create(request, progress, cancel).await?;
    report(&engine, &created, app).await?;
    let name = created.view.name.clone();
    created.told();
    if args.connect {
        // It is made, and told of: the name is anybody's who works with it while the shell is open.
        let args = ConnectArgs {
            name,
            rescue: false,
            root: false,
            session: None,
        };
        return super::connect::run(&args, app).await;
    }
    Ok(0)
}

/// The repository that the flags ask for, if any.
fn wanted_repository(args: &CreateArgs) -> Option<WantedRepository> {
    if let Some(name) = args.from_volume.clone() {
        return Some(WantedRepository::Volume(WantedVolume {
            name,
            no_setup: args.no_setup,
        }));
    }
    let spec = args.git.clone()?;
    let copy = if args.no_clean {
        git::Copy::Dirty {
            include_ignored: args.include_ignored,
        }
    } else {
        git::Copy::Clean
    };
    Some(WantedRepository::Clone(Wanted {
        git: git::Request {
            spec: Some(spec),
            branch: args.branch.clone(),
            new_branch: args.new_branch.clone(),
            copy,
            cache: None,
        },
        no_setup: args.no_setup,
        has_script: args.setup_script.is_some(),
        of: None,
    }))
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
pub(in crate::commands) fn refuse_shell_without_terminal(app: &App) -> Result<()> {
    let why = if app.out.is_json() {
        "--connect opens a shell, which cannot be part of `-o json`"
    } else if !crate::terminal::is_terminal() {
        "--connect opens a shell, which needs a terminal, and standard input is none"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Invalid, why).hint("leave --connect away"))
}

//! `amika sandbox exec`: a program in a sandbox, with this process's streams, signals and exit code.

use amika_core::exec_limit;
use amika_core::wire::JobRequest;

use super::{jobs, out_of_memory};
use crate::App;
use crate::args::sandbox::ExecArgs;
use crate::commands::interruptible;
use crate::engine::looked_at_again;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::terminal::{self, Known, Remote, Signal, Signals, Streams, Unwatched};

pub(super) async fn run(args: &ExecArgs, app: &App) -> Result<u8> {
    own_failure(app, &args.name, attempt(args, app).await).await
}

async fn attempt(args: &ExecArgs, app: &App) -> Result<u8> {
    if args.tty && !terminal::is_terminal() {
        return Err(Error::new(
            Kind::Invalid,
            "`--tty` needs a terminal, and standard input is none",
        )
        .hint("leave `--tty` out: input and output are passed on as they are"));
    }
    let given = crate::environment::read(&args.env, &[])?;
    crate::environment::warn_of_unset(&given.unset, &app.out);
    let pairs = given.set.iter();
    let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
    exec_limit::check(&args.command, pairs)
        .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
    if args.detach {
        let job = JobRequest {
            cmd: Some(args.command.clone()),
            cwd: args.workdir.clone(),
            env: given.set.into_iter().collect(),
            user: args.user.clone(),
            ..JobRequest::default()
        };
        return interruptible(app, detached(&args.name, job, app)).await;
    }
    let mut signals = install_signals(app)?;
    let (engine, sandbox) = find_running(app, &args.name, &mut signals).await?;
    let container = &sandbox.container.id;
    let user = args.user.clone().or_else(|| sandbox.record.user.clone());
    let (streams, mut env) = if args.tty {
        let described = terminal::description(&engine, container, user.as_deref()).await;
        (Streams::Terminal, described)
    } else {
        (Streams::Separate, Vec::new())
    };
    env.extend(given.set);
    let remote = Remote {
        verb: "exec-as",
        user,
        workdir: args.workdir.clone(),
        env,
        command: args.command.clone(),
        streams,
    };
    let known = Known::new(&engine, &sandbox);
    let code = terminal::run_as(
        &engine,
        container,
        &known,
        &remote,
        None,
        &mut signals,
        &mut Unwatched,
    )
    .await?;
    out_of_memory::tell(&engine, &sandbox, &known.id, code, app).await;
    Ok(code)
}

/// Starts a job and prints its id.
async fn detached(name: &str, job: JobRequest, app: &App) -> Result<u8> {
    let engine = crate::engine::connect(&app.user).await?;
    let job = engine.start_job(name, job).await?;
    jobs::JobView::tell(name, job, app)?;
    Ok(0)
}

/// Finds a sandbox that runs, unless the user breaks off.
pub(super) async fn find_running(
    app: &App,
    name: &str,
    signals: &mut Signals,
) -> Result<(Sandboxes, Sandbox)> {
    let prepared = async {
        let engine = crate::engine::connect(&app.user).await?;
        let sandbox = Sandbox::find_whole(&engine, name).await?;
        sandbox.must_run()?;
        Ok((engine, sandbox))
    };
    tokio::select! {
        prepared = prepared => prepared,
        () = interrupted(signals) => Err(Error::new(Kind::Canceled, "interrupted")),
    }
}

/// Every failure of amika's own ends with 125, so that it is never taken for the program's; the
/// kind of it is still told in words. A user who broke off gets what he expects.
pub(super) async fn own_failure(app: &App, name: &str, result: Result<u8>) -> Result<u8> {
    match result {
        Err(error) if error.kind != Kind::Canceled => {
            let error = looked_at_again(&app.user, error, &[name]).await;
            Ok(fail_as_own(app, error))
        }
        other => other,
    }
}

/// Tells a failure of amika's own; the value is the exit code.
pub(in crate::commands) fn fail_as_own(app: &App, error: Error) -> u8 {
    let code = crate::output::exit_code(Kind::ExecFailed);
    app.out.error(&error.detail("exit_code", code));
    code
}

/// Takes over the signals that are meant for the remote program.
pub(in crate::commands) fn install_signals(app: &App) -> Result<Signals> {
    app.interrupt.hand_over();
    Signals::install()
        .map_err(|error| Error::new(Kind::Failure, "signals cannot be caught").caused_by(&error))
}

/// Returns once the user asked for the end.
pub(in crate::commands) async fn interrupted(signals: &mut Signals) {
    while signals.next().await == Signal::Resized {}
}

//! `amika sandbox connect`: a shell in a sandbox; with `--rescue` in one that does not come up.

pub(in crate::commands) mod session;

use std::time::Duration;

use amika_core::wire::NextBoot;

use super::exec::{install_signals, interrupted, own_failure};
use crate::App;
use crate::args::sandbox::ConnectArgs;
use crate::create::{self, Upload};
use crate::error::{Error, Kind, Result};
use crate::ready;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::terminal::{self, Remote, Signals, Streams};
use amika_engine::ContainerState;

/// Until amikad answers in a sandbox that runs neither setup nor CMD.
const RESCUE_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) async fn run(args: &ConnectArgs, app: &App) -> Result<u8> {
    own_failure(app, &args.name, attempt(args, app).await).await
}

async fn attempt(args: &ConnectArgs, app: &App) -> Result<u8> {
    let name = &args.name;
    if !terminal::is_terminal() {
        return Err(Error::new(
            Kind::Invalid,
            "a shell needs a terminal, and standard input is none",
        )
        .hint(format!(
            "`amika sandbox exec {name} -- PROGRAM` runs a program without one"
        )));
    }
    let mut signals = install_signals(app)?;
    let prepared = async {
        let engine = crate::engine::connect(&app.user).await?;
        let sandbox = Sandbox::find_made(&engine, name).await?;
        Ok::<_, Error>((engine, sandbox))
    };
    let (engine, sandbox) = tokio::select! {
        prepared = prepared => prepared?,
        () = interrupted(&mut signals) => {
            return Err(Error::new(Kind::Canceled, "interrupted"));
        }
    };
    if args.rescue && sandbox.container.state == ContainerState::Exited {
        return rescue(args, &engine, &sandbox, &mut signals, app).await;
    }
    sandbox.must_run()?;
    if let Some(session) = &args.session {
        return session::attend(session, &engine, &sandbox, &mut signals, app).await;
    }
    shell(args, &engine, &sandbox, &mut signals).await
}

async fn shell(
    args: &ConnectArgs,
    engine: &Sandboxes,
    sandbox: &Sandbox,
    signals: &mut Signals,
) -> Result<u8> {
    let user = if args.root {
        Some("0".to_owned())
    } else {
        sandbox.record.user.clone()
    };
    let env = terminal::description(engine, &sandbox.container.id, user.as_deref()).await;
    let remote = Remote {
        verb: "shell",
        user,
        workdir: None,
        env,
        command: Vec::new(),
        streams: Streams::Terminal,
    };
    terminal::run(engine, &sandbox.container.id, &remote, None, signals).await
}

/// Starts a stopped sandbox with nothing but amikad in it, opens a shell, and stops it again
/// however that ended.
async fn rescue(
    args: &ConnectArgs,
    engine: &Sandboxes,
    sandbox: &Sandbox,
    signals: &mut Signals,
    app: &App,
) -> Result<u8> {
    let name = &sandbox.name;
    let container = &sandbox.container.id;
    crate::networks::mend(engine, sandbox).await?;
    let bare = NextBoot {
        skip_setup: true,
        rescue: true,
    };
    create::put(engine, container, &Upload::next_boot(&bare)).await?;
    let requests = &sandbox.container.port_requests;
    if let Err(error) = crate::ports::start_again(engine, container, requests).await {
        // Whoever starts it next must not find himself in a rescue.
        let usual = Upload::next_boot(&NextBoot::default());
        create::put(engine, container, &usual).await?;
        return Err(error.into());
    }
    app.out.note(&format!(
        "sandbox \"{name}\" runs without its setup script and without CMD until this shell ends"
    ));
    let result = async {
        let mut steps = app.out.steps();
        let timeout = Some(RESCUE_TIMEOUT);
        ready::wait(
            engine,
            name,
            true,
            ready::Until {
                timeout,
                services: false,
            },
            &mut steps,
            app.interrupt.cancel(),
        )
        .await?;
        shell(args, engine, sandbox, signals).await
    }
    .await;
    match engine.stop_container(container, None).await {
        Ok(()) => app.out.note(&format!(
            "sandbox \"{name}\" is stopped again: `amika sandbox start {name}` starts it with its setup script"
        )),
        Err(error) if error.is_not_found() => {}
        Err(error) => {
            app.out.warn(&format!(
                "sandbox \"{name}\" still runs, in rescue: {error}; `amika sandbox stop {name}` stops it"
            ));
        }
    }
    result
}

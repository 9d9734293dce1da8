//! `amika sandbox open`: OpenCode in the browser, signed in.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use amika_core::contract::service;
use amika_core::wire::{Phase, ServiceState};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::agent::OpenArgs;
use crate::browser::{self, Page, Relay, Upstream};
use crate::daemon::Client;
use crate::error::{Error, Kind, Result};
use crate::forward::Way;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// OpenCode takes a few seconds to start.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a browser has to read its page and to use the address in it.
const PAGE_LIFE: Duration = Duration::from_secs(10);
const START_PAUSE: Duration = Duration::from_millis(100);

/// What `open -o json` prints, before it stays.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct OpenView {
    /// The sandbox.
    pub(in crate::commands) sandbox: String,
    /// Where a browser signs itself in; works once.
    pub(in crate::commands) url: String,
}

pub(super) async fn run(args: &OpenArgs, app: &App) -> Result<()> {
    let name = &args.name;
    let (engine, sandbox, relay) = tokio::select! {
        prepared = prepare(app, name) => prepared?,
        () = app.interrupt.requested() => {
            return Err(Error::new(Kind::Canceled, "interrupted"));
        }
    };
    let view = OpenView {
        sandbox: name.clone(),
        url: relay.url(),
    };
    app.out.result(&view, |out| writeln!(out, "{}", view.url))?;
    tokio::select! {
        never = relay.serve() => match never {},
        never = show_and_forget(args, &relay, app) => match never {},
        ended = engine.wait_container(&sandbox.container.id) => {
            ended?;
            app.out.note(&format!("sandbox \"{name}\" ended"));
            Ok(())
        }
        // The usual way to end it.
        () = app.interrupt.requested() => Ok(()),
    }
}

/// Starts the browser with a page that leads it to its address.
async fn show(relay: &Relay, app: &App) -> Option<Page> {
    let page = Page::write(&relay.handed_url(), &app.machine);
    // Beside the relay: it takes a while to know that no browser came up.
    let open = async |page: Page| {
        let url = page.url();
        let opened = tokio::task::spawn_blocking(move || browser::open(&url)).await;
        opened.map_err(std::io::Error::other)??;
        Ok(page)
    };
    let shown = match page {
        Ok(page) => open(page).await,
        Err(error) => Err(error),
    };
    match shown {
        Ok(page) => {
            app.out.note("opened in the browser; Ctrl-C ends it");
            Some(page)
        }
        Err(error) => {
            app.out.warn(&format!(
                "{error}: open the address yourself; Ctrl-C ends it"
            ));
            None
        }
    }
}

/// Shows the browser its address, unless the user only wants to read it.
pub(in crate::commands) async fn show_and_forget(
    args: &OpenArgs,
    relay: &Relay,
    app: &App,
) -> Infallible {
    let page = if args.print_url {
        None
    } else {
        show(relay, app).await
    };
    forget(page, relay).await
}

/// Removes the page and ends its address once a browser has signed in, or should have.
async fn forget(page: Option<Page>, relay: &Relay) -> Infallible {
    // With nothing there is nothing to wait for.
    if page.is_some() {
        let _ = tokio::time::timeout(PAGE_LIFE, relay.signed_in()).await;
    }
    relay.forget_handed();
    drop(page);
    std::future::pending().await
}

async fn prepare(app: &App, name: &str) -> Result<(Sandboxes, Sandbox, Relay)> {
    let engine = crate::engine::connect(&app.user).await?;
    let sandbox = Sandbox::find_whole(&engine, name).await?;
    sandbox.must_run()?;
    // Through amikad, as the relay goes too: neither a published port nor an engine of this machine is needed.
    let client = sandbox.client(&engine)?;
    wait_for_opencode(&client, name).await?;
    let access = client
        .opencode_access()
        .await
        .map_err(|error| no_opencode(name, &error))?;
    let way = Arc::new(Way::new(&engine, &sandbox)?);
    let upstream = Upstream::new(way, &access.username, &access.password);
    let relay = listen(upstream, name).await?;
    Ok((engine, sandbox, relay))
}

/// A relay to OpenCode of a sandbox, on a port of this machine.
///
/// # Errors
/// Where there is none.
pub(in crate::commands) async fn listen(upstream: Upstream, name: &str) -> Result<Relay> {
    Relay::listen(upstream, name).await.map_err(|error| {
        Error::new(Kind::Failure, "no port of this machine can be listened on").caused_by(&error)
    })
}

async fn wait_for_opencode(client: &Client, name: &str) -> Result<()> {
    let begun = tokio::time::Instant::now();
    loop {
        let status = client
            .status()
            .await
            .map_err(|error| no_opencode(name, &error))?;
        let opencode = status
            .services
            .get(service::OPENCODE)
            .cloned()
            .unwrap_or_default();
        let error = match opencode.state {
            // The first connection starts it.
            ServiceState::Ready | ServiceState::Listening => return Ok(()),
            ServiceState::Off if !opencode.enabled => Some("switched off"),
            // Its time comes once setup is done with.
            ServiceState::Off if status.phase <= Phase::Setup => {
                (begun.elapsed() > START_TIMEOUT).then_some("started once setup is done with")
            }
            ServiceState::Off if !opencode.installed && begun.elapsed() > START_PAUSE => {
                Some("not installed")
            }
            ServiceState::Failed => Some("failing"),
            ServiceState::Stopped => Some("stopped"),
            _ if begun.elapsed() > START_TIMEOUT => Some("not answering yet"),
            _ => None,
        };
        if let Some(word) = error {
            return Err(Error::new(
                Kind::Failure,
                format!("OpenCode in \"{name}\" is {word}"),
            )
            .hint(match opencode.state {
                ServiceState::Off if !opencode.enabled => {
                    "AMIKA_OPENCODE_WEB=0 switches it off for as long as the sandbox is there; one that is made without that value has it".to_owned()
                }
                ServiceState::Off if status.phase <= Phase::Setup => {
                    format!("`amika sandbox logs {name} --setup -f` shows setup as it runs")
                }
                ServiceState::Off => {
                    "the preset images have it; in another image a setup script may install it".to_owned()
                }
                _ => format!("`amika sandbox logs {name} --opencode` shows what it said"),
            }));
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

fn no_opencode(name: &str, error: &dyn std::error::Error) -> Error {
    Error::new(
        Kind::Failure,
        format!("OpenCode in \"{name}\" cannot be asked for"),
    )
    .caused_by(error)
    .hint(format!("`amika sandbox inspect {name}` shows its state"))
}

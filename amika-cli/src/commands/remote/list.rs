//! `amika sandbox list --remote`.

use std::time::Duration;

use amika_core::text::{human_age, human_memory, human_size};
use amika_remote::client::Call;
use amika_remote::sandbox::{Sandbox, Service};
use anstyle::{AnsiColor, Style};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::Server;
use super::failure::told;
use super::operation::read;
use crate::App;
use crate::args::filter::{Key, is_meant};
use crate::args::sandbox::ListArgs;
use crate::commands::sandbox::list::{
    COLUMNS, LONG, MAY_CUT, Shown, changes, idle_for, is_known, known, names,
};
use crate::commands::{follow, interruptible};
use crate::error::Result;
use crate::output::{Cell, Page, Table};

/// Before a stream of events that ended is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

/// What a sandbox of a server's may be.
const STATES: [&str; 6] = [
    "initializing",
    "started",
    "stopping",
    "stopped",
    "deleting",
    "failed",
];

pub(super) async fn run(args: &ListArgs, server: &Server, app: &App) -> Result<u8> {
    is_known(&args.filter, &STATES)?;
    if args.watch {
        return follow(app, watch(args, server, app)).await;
    }
    let once = interruptible(app, async {
        let list = meant(server.list_now(args, app).await?, args);
        app.out
            .result(&documents(&list), |out| write(&list, args, app, out))
    });
    once.await.map(|()| 0)
}

/// Shows them anew as the server tells that something happened to one.
async fn watch(args: &ListArgs, server: &Server, app: &App) -> Result<()> {
    let mut shown = Shown::default();
    loop {
        // Asked for before the list: what happens meanwhile is in it, or told afterwards.
        let events = server.client.events(Call::get(&["events"]), None);
        let mut events = std::pin::pin!(events.await.map_err(told)?);
        loop {
            let list = meant(server.list_now(args, app).await?, args);
            if !shown.show(&documents(&list), app, |out| write(&list, args, app, out))? {
                return Ok(());
            }
            let is_over = loop {
                match events.next().await {
                    Some(Ok(event)) if event.event.starts_with("sandbox") => break false,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break true,
                }
            };
            if is_over {
                break;
            }
        }
        // A stream ends with the server, and for who reads slowly.
        tokio::time::sleep(AGAIN).await;
    }
}

type Row = (Sandbox, Value);

fn documents(list: &[Row]) -> Vec<&Value> {
    list.iter().map(|(_, whole)| whole).collect()
}

fn meant(mut list: Vec<Row>, args: &ListArgs) -> Vec<Row> {
    list.retain(|(sandbox, _)| {
        is_meant(&args.filter, |key| match key {
            Key::Name => Some(&sandbox.name),
            Key::State => Some(&sandbox.state),
            Key::Repo => sandbox.repo_name.as_deref(),
            Key::Branch => sandbox.branch_now(),
        })
    });
    list
}

fn write(list: &[Row], args: &ListArgs, app: &App, out: &mut Page<'_>) -> std::io::Result<()> {
    if app.out.is_quiet() {
        return names(list.iter().map(|(sandbox, _)| sandbox.name.as_str()), out);
    }
    let mut header = COLUMNS.to_vec();
    if args.long {
        header.extend(LONG);
    }
    let mut table = Table::new(header).may_cut(&MAY_CUT);
    for (sandbox, _) in list {
        let mut row = cells(sandbox);
        if args.long {
            row.extend(further(sandbox));
        }
        table.cells(row);
    }
    table.write(out)
}

/// Green is well, yellow on its way, red wants somebody; what ended is dim.
fn colour(state: &str) -> Style {
    match state {
        "started" => AnsiColor::Green.on_default(),
        "stopped" => Style::new().dimmed(),
        "failed" => AnsiColor::Red.on_default(),
        _ => AnsiColor::Yellow.on_default(),
    }
}

fn cells(sandbox: &Sandbox) -> Vec<Cell> {
    let ports: Vec<String> = sandbox.services.iter().map(port).collect();
    let urls = sandbox.services.iter().map(|service| service.url.as_str());
    let urls: Vec<&str> = urls.filter(|url| !url.is_empty()).collect();
    let state = match (sandbox.state.as_str(), sandbox.setup_status.as_deref()) {
        ("failed", Some("setup-failed")) => "setup failed",
        (state, _) => state,
    };
    vec![
        Cell::new(&sandbox.name),
        Cell::new(state).styled(colour(&sandbox.state)),
        Cell::new(sandbox.repo_name.as_deref().unwrap_or_default()),
        Cell::new(sandbox.branch_now().unwrap_or_default()),
        Cell::new(&ports.join(",")),
        Cell::new(&urls.join(" ")),
        Cell::new(&age(&sandbox.created_at)),
    ]
}

/// What `--long` has besides.
fn further(sandbox: &Sandbox) -> [Cell; 6] {
    let is_up = sandbox.state == "started";
    let has_repository = is_up && sandbox.repo_name.is_some();
    let details = sandbox.details.clone().unwrap_or_default();
    let idle = details.idle_ms.zip(details.active_because.as_ref());
    let idle = idle.map(|(idle_ms, because)| (idle_ms, !because.is_empty()));
    let size = details.size_bytes.map(human_size).unwrap_or_default();
    [
        Cell::new(&changes(
            details.commits_ahead,
            details.changed,
            has_repository,
        )),
        Cell::new(&idle_for(idle, is_up)),
        Cell::new(&known(details.memory_bytes.map(human_memory), is_up)),
        Cell::new(&details.image),
        Cell::new(&size),
        Cell::new(&details.volumes.join(",")),
    ]
}

/// A port as `docker ps` shows it.
pub(super) fn port(service: &Service) -> String {
    match service.host_port {
        Some(host) if host != service.container_port => {
            format!("{host}->{}", service.container_port)
        }
        _ => service.container_port.to_string(),
    }
}

/// How long ago a moment was.
pub(in crate::commands) fn age(at: &str) -> String {
    let Ok(at) = at.parse::<jiff::Timestamp>() else {
        return String::new();
    };
    let now = amika_host::clock::now_millis();
    let at = u64::try_from(at.as_millisecond()).unwrap_or_default();
    human_age(Duration::from_millis(now.saturating_sub(at))) + " ago"
}

impl Server {
    /// The caller's sandboxes, each with all that is said of it.
    pub(super) async fn list(&self) -> Result<Vec<(Sandbox, Value)>> {
        self.listed(Call::get(&["sandboxes"])).await
    }

    /// The same, with what each has to be asked for: where its repository is, and what `--long` has.
    async fn list_now(&self, args: &ListArgs, app: &App) -> Result<Vec<(Sandbox, Value)>> {
        // Names alone tell nothing of where anything is, unless they are chosen by it.
        let by_branch = args.filter.iter().any(|filter| filter.key == Key::Branch);
        let call = Call::get(&["sandboxes"]);
        let call = match (args.long, by_branch || !app.out.is_quiet()) {
            (true, _) => call.with("details", &true),
            (false, true) => call.with("heads", &true),
            (false, false) => call,
        };
        self.listed(call).await
    }

    async fn listed(&self, call: Call<'_>) -> Result<Vec<(Sandbox, Value)>> {
        let all: Vec<Value> = self.client.ask(call).await.map_err(told)?;
        all.into_iter()
            .map(|whole| Ok((read(&whole)?, whole)))
            .collect()
    }
}

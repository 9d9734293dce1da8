//! `amika service … --remote`.

mod all;

use amika_core::untrusted::Untrusted;
use amika_engine::ExecOutput;
use amika_remote::client::Call;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::Value;

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::service::{ChangeArgs, Command, ListArgs, LogsArgs, Target};
use crate::commands::service::{change, logs};
use crate::error::{Error, Kind, Result};
use crate::logs::Pieces;
use crate::output::Table;
use crate::own_services::Asked;

/// A service of a sandbox of a server's.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub(super) name: String,
    ports: Vec<Binding>,
    state: Option<String>,
    pub(super) run: Option<Run>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Binding {
    port: u16,
    protocol: String,
    host_port: Option<u16>,
    url: Option<String>,
}

/// How Amika runs one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    pub(super) state: Option<String>,
    pub(super) last_exit: Option<String>,
    pub(super) start: String,
    pub(super) ready: Option<String>,
}

/// Runs a verb on a server.
pub(in crate::commands) async fn run(command: Command, server: &Server, app: &App) -> Result<u8> {
    let changed = match command {
        Command::List(args) => return list(&args, server, app).await.map(|()| 0),
        Command::Logs(args) => {
            return logs::run_with(&args, app, open(&args, server)).await;
        }
        Command::Start(args) => change(&args, Asked::Start, server).await?,
        Command::Stop(args) => change(&args, Asked::Stop, server).await?,
        Command::Restart(args) => change(&args, Asked::Restart, server).await?,
    };
    change::tell(&changed, app).map(|()| 0)
}

impl Server {
    /// The services of a sandbox as they stand, and all that is said of each.
    pub(super) async fn services(&self, sandbox: &str) -> Result<Vec<(Service, Value)>> {
        #[derive(Deserialize)]
        struct Answer {
            items: Vec<Value>,
        }
        let path = ["sandboxes", sandbox, "services"];
        let Answer { items } = self.client.ask(Call::get(&path)).await.map_err(told)?;
        let read = items.into_iter().map(|whole| {
            let service = Service::deserialize(&whole).unwrap_or_default();
            (service, whole)
        });
        Ok(read.collect())
    }

    /// Those of them that Amika runs: the one that is named, or all.
    async fn run_services(&self, target: &Target) -> Result<Vec<String>> {
        if let Some(service) = &target.service {
            return Ok(vec![service.clone()]);
        }
        let all = self.services(&target.sandbox).await?.into_iter();
        let run = all.filter(|(service, _)| service.run.is_some());
        let names: Vec<String> = run.map(|(service, _)| service.name).collect();
        if names.is_empty() {
            let message = format!("sandbox \"{}\" runs no services", target.sandbox);
            return Err(Error::new(Kind::NotFound, message).hint(format!(
                "`command = \"…\"` beneath `[services.NAME]` in {} lets it run one",
                amika_core::config::PATH
            )));
        }
        Ok(names)
    }

    /// What a service wrote, as it comes.
    pub(super) async fn service_log(
        &self,
        sandbox: &str,
        service: &str,
        follow: bool,
        tail: Option<usize>,
    ) -> Result<Pieces> {
        let path = ["sandboxes", sandbox, "logs"];
        let call = Call::get(&path)
            .with("source", &format!("service:{service}"))
            .with("follow", &follow)
            .with_some("tail", tail.as_ref());
        let pieces = self.client.stream(call).await.map_err(told)?;
        Ok(pieces.map_ok(ExecOutput::Stdout).map_err(told).boxed())
    }
}

async fn open(args: &LogsArgs, server: &Server) -> Result<Pieces> {
    let names = server.run_services(&args.target).await?;
    let [service] = names.as_slice() else {
        let sandbox = &args.target.sandbox;
        let message = format!(
            "sandbox \"{sandbox}\" runs several services: {}",
            names.join(", ")
        );
        let hint = format!("name one, as in `{sandbox}/{}`", names[0]);
        return Err(Error::new(Kind::Invalid, message).hint(hint));
    };
    let (follow, lines) = (args.show.follow, args.show.lines());
    server
        .service_log(&args.target.sandbox, service, follow, lines)
        .await
}

/// Asks something of services; which they were.
async fn change(
    args: &ChangeArgs,
    asked: Asked,
    server: &Server,
) -> Result<Vec<change::ChangedView>> {
    let mut changed = Vec::new();
    for target in &args.targets {
        for service in server.run_services(target).await? {
            let path = [
                "sandboxes",
                target.sandbox.as_str(),
                "services",
                service.as_str(),
                asked.word(),
            ];
            let _: Value = server.client.ask(Call::post(&path)).await.map_err(told)?;
            changed.push(change::ChangedView::of(&target.sandbox, service));
        }
    }
    Ok(changed)
}

async fn list(args: &ListArgs, server: &Server, app: &App) -> Result<()> {
    let sandboxes = if let Some(name) = &args.sandbox_name {
        vec![server.sandbox(name).await?.0]
    } else {
        let all = server.list().await?.into_iter();
        all.map(|(sandbox, _)| sandbox).collect()
    };
    if args.all {
        return all::list(args, &sandboxes, server, app).await;
    }
    let asked = sandboxes
        .iter()
        .map(async |sandbox| (sandbox.name.as_str(), server.services(&sandbox.id).await));
    let mut rows = Vec::new();
    for (sandbox, services) in crate::fan_out::in_order(asked).await {
        match services {
            Ok(services) => rows.extend(services.into_iter().map(|it| (sandbox, it))),
            // It was deleted since.
            Err(error) if error.kind == Kind::NotFound && args.sandbox_name.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    let documents: Vec<Value> = rows
        .iter()
        .map(|(sandbox, (_, whole))| {
            let mut whole = whole.clone();
            whole["sandbox"] = (*sandbox).into();
            whole
        })
        .collect();
    let has_states = rows.iter().any(|(_, (service, _))| service.run.is_some());
    app.out.result(&documents, |out| {
        let mut columns = vec!["SERVICE", "SANDBOX", "PORTS", "URL"];
        columns.extend(has_states.then_some("STATE"));
        let mut table = Table::new(columns);
        for (sandbox, (service, _)) in &rows {
            let ports: Vec<String> = service.ports.iter().map(shown).collect();
            let urls = service.ports.iter().filter_map(|port| port.url.as_deref());
            let urls: Vec<&str> = urls.collect();
            let mut row = vec![
                Untrusted::new(&service.name).to_string(),
                (*sandbox).to_owned(),
                ports.join(","),
                urls.join(" "),
            ];
            row.extend(has_states.then(|| service.state.clone().unwrap_or_default()));
            table.row(row);
        }
        table.write(out)
    })
}

fn shown(port: &Binding) -> String {
    let Binding {
        port,
        protocol,
        host_port,
        ..
    } = port;
    match host_port {
        Some(host) if host != port => format!("{host}->{port}/{protocol}"),
        _ => format!("{port}/{protocol}"),
    }
}

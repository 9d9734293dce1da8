//! `amika service … --remote`.

use amika_core::untrusted::Untrusted;
use amika_remote::client::Call;
use serde::Deserialize;
use serde_json::Value;

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::service::{Command, ListArgs};
use crate::error::Result;
use crate::output::Table;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Service {
    sandbox_id: String,
    name: String,
    port: u16,
    protocol: String,
    url: Option<String>,
}

/// Runs a verb on a server.
pub(in crate::commands) async fn run(command: Command, server: &Server, app: &App) -> Result<()> {
    match command {
        Command::List(args) => list(&args, server, app).await,
        Command::Logs(_) | Command::Start(_) | Command::Stop(_) | Command::Restart(_) => {
            Err(super::unsupported::command(
                "service logs, start, stop and restart",
                "`--local` looks after those of this machine's engine",
            ))
        }
    }
}

async fn list(args: &ListArgs, server: &Server, app: &App) -> Result<()> {
    if args.all {
        return Err(super::unsupported::option(
            "--all",
            "`amika forward --remote NAME --all` says what listens",
        ));
    }
    let call =
        Call::get(&["sandbox-services"]).with_some("sandbox_ref", args.sandbox_name.as_ref());
    let answer: Value = server.client.ask(call).await.map_err(told)?;
    let services: Vec<Service> =
        serde_json::from_value(answer["items"].clone()).unwrap_or_default();
    let names: std::collections::BTreeMap<String, String> = server
        .list()
        .await?
        .into_iter()
        .map(|(sandbox, _)| (sandbox.id, sandbox.name))
        .collect();
    app.out.result(&answer["items"], |out| {
        let mut table = Table::new(["SERVICE", "SANDBOX", "PORTS", "URL"]);
        for service in &services {
            let sandbox = names
                .get(&service.sandbox_id)
                .unwrap_or(&service.sandbox_id);
            table.row(vec![
                Untrusted::new(&service.name).to_string(),
                sandbox.clone(),
                format!("{}/{}", service.port, service.protocol),
                service.url.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        table.write(out)
    })
}

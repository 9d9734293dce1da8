//! `amika service list --all --remote`: who listens on each port, also on those that no service declares.

use std::collections::BTreeSet;

use amika_core::contract::RESERVED_PORTS;
use amika_core::port::Protocol;
use amika_core::untrusted::Untrusted;
use amika_core::wire::Listener;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Service, shown};
use crate::App;
use crate::args::service::ListArgs;
use crate::commands::remote::Server;
use crate::error::{Error, Kind, Result};
use crate::listening::ListeningView;
use crate::output::Table;
use amika_remote::sandbox::Sandbox;
use amika_sandbox::forward::wanted;

impl Server {
    /// Who listens in a sandbox; none of one that does not run.
    async fn heard(&self, sandbox: &str) -> Result<Option<Vec<Listener>>> {
        match self.listeners(sandbox).await {
            Err(error) if error.kind == Kind::Conflict => Ok(None),
            heard => heard.map(Some),
        }
    }
}

/// A line of the table.
struct Row {
    service: String,
    sandbox: String,
    port: String,
    listening: String,
    url: String,
}

pub(super) async fn list(
    args: &ListArgs,
    sandboxes: &[Sandbox],
    server: &Server,
    app: &App,
) -> Result<()> {
    let asked = sandboxes.iter().map(async |sandbox| {
        let services = server.services(&sandbox.id).await?;
        let heard = server.heard(&sandbox.id).await.unwrap_or_else(|error| {
            app.out.warn(&format!(
                "what listens in sandbox \"{}\" is not known: {}",
                Untrusted::new(&sandbox.name),
                Untrusted::new(&error.message)
            ));
            None
        });
        Ok::<_, Error>((services, heard))
    });
    let (mut rows, mut documents) = (Vec::new(), Vec::new());
    let answers = crate::fan_out::in_order(asked).await;
    for (sandbox, answer) in sandboxes.iter().zip(answers) {
        let (services, heard) = match answer {
            Ok(answer) => answer,
            // It was deleted since.
            Err(error) if error.kind == Kind::NotFound && args.sandbox_name.is_none() => continue,
            Err(error) => return Err(error),
        };
        let mut declared = BTreeSet::new();
        for (service, whole) in services {
            declared.extend(
                service
                    .ports
                    .iter()
                    .map(|it| (it.port, it.protocol.clone())),
            );
            documents.push(document(&sandbox.name, whole, heard.as_deref()));
            rows.extend(of_service(&sandbox.name, &service, heard.as_deref()));
        }
        let Some(heard) = heard else {
            continue;
        };
        for (port, protocol) in wanted(&heard).into_keys() {
            let (port, key) = (port.get(), (port.get(), protocol.to_string()));
            if RESERVED_PORTS.contains(&port) || declared.contains(&key) {
                continue;
            }
            let listening = ListeningView::of(&heard, port, protocol);
            let ports = [json!({ "port": port, "protocol": protocol, "listening": listening })];
            documents.push(json!({ "name": null, "sandbox": sandbox.name, "ports": ports }));
            rows.push(Row {
                service: String::new(),
                sandbox: sandbox.name.clone(),
                port: format!("{port}/{protocol}"),
                listening: listening.to_string(),
                url: String::new(),
            });
        }
    }
    app.out.result(&documents, |out| {
        let mut table = Table::new(["SERVICE", "SANDBOX", "PORT", "LISTENING", "URL"]);
        for row in &rows {
            let Row {
                service,
                sandbox,
                port,
                listening,
                url,
            } = row;
            let columns = [service, sandbox, port, listening, url];
            table.row(
                columns
                    .map(|text| Untrusted::new(text).to_string())
                    .to_vec(),
            );
        }
        table.write(out)
    })
}

/// What the server says of a service, with who listens on each port of it.
fn document(sandbox: &str, mut whole: Value, heard: Option<&[Listener]>) -> Value {
    whole["sandbox"] = sandbox.into();
    for port in whole["ports"].as_array_mut().into_iter().flatten() {
        let number = port["port"].as_u64().and_then(|it| u16::try_from(it).ok());
        let protocol = Protocol::deserialize(&port["protocol"]).ok();
        if let (Some(heard), Some(number), Some(protocol)) = (heard, number, protocol) {
            port["listening"] = json!(ListeningView::of(heard, number, protocol));
        }
    }
    whole
}

/// A line for each port of a service, or one for a service that has none.
fn of_service(sandbox: &str, service: &Service, heard: Option<&[Listener]>) -> Vec<Row> {
    let row = |port, listening, url| Row {
        service: service.name.clone(),
        sandbox: sandbox.to_owned(),
        port,
        listening,
        url,
    };
    if service.ports.is_empty() {
        return vec![row(String::new(), String::new(), String::new())];
    }
    let ports = service.ports.iter().map(|binding| {
        let protocol = binding.protocol.parse().ok();
        let listening = heard
            .zip(protocol)
            .map(|(heard, protocol)| ListeningView::of(heard, binding.port, protocol).to_string());
        let url = binding.url.clone().unwrap_or_default();
        row(shown(binding), listening.unwrap_or_default(), url)
    });
    ports.collect()
}

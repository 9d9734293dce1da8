//! `amika sandbox list --remote`.

use std::time::Duration;

use amika_core::text::human_age;
use amika_remote::client::Call;
use amika_remote::sandbox::{Sandbox, Service};
use serde_json::Value;

use super::Server;
use super::failure::told;
use super::operation::read;
use crate::App;
use crate::args::sandbox::ListArgs;
use crate::error::Result;
use crate::output::Table;

pub(super) async fn run(args: &ListArgs, server: &Server, app: &App) -> Result<()> {
    if args.long {
        let hint = "`amika -o json sandbox list --remote` has all that the server says";
        return Err(super::unsupported::option("--long", hint));
    }
    let list = server.list().await?;
    let whole: Vec<&Value> = list.iter().map(|(_, whole)| whole).collect();
    app.out.result(&whole, |out| {
        let mut table = Table::new(["NAME", "STATE", "REPO", "BRANCH", "PORTS", "URL", "CREATED"]);
        for (sandbox, _) in &list {
            table.row(cells(sandbox));
        }
        table.write(out)
    })
}

fn cells(sandbox: &Sandbox) -> Vec<String> {
    let ports: Vec<String> = sandbox.services.iter().map(port).collect();
    let urls = sandbox.services.iter().map(|service| service.url.as_str());
    let urls: Vec<&str> = urls.filter(|url| !url.is_empty()).collect();
    let state = match (sandbox.state.as_str(), sandbox.setup_status.as_deref()) {
        ("failed", Some("setup-failed")) => "setup failed",
        (state, _) => state,
    };
    vec![
        sandbox.name.clone(),
        state.to_owned(),
        sandbox.repo_name.clone().unwrap_or_default(),
        sandbox.branch.clone().unwrap_or_default(),
        ports.join(","),
        urls.join(" "),
        age(&sandbox.created_at),
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
        let all: Vec<Value> = self
            .client
            .ask(Call::get(&["sandboxes"]))
            .await
            .map_err(told)?;
        all.into_iter()
            .map(|whole| Ok((read(&whole)?, whole)))
            .collect()
    }
}

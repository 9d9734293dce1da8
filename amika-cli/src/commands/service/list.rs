//! `amika service list`: one question to the engine, whatever the number of sandboxes.

use amika_core::label::SandboxRecord;
use amika_core::untrusted::Untrusted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::service::ListArgs;
use crate::error::{CommandError, ExitCode, Result};
use crate::output::{Table, shell_quote};
use crate::sandbox;
use crate::view::{self, PortView};
use amika_engine::{ContainerState, ContainerSummary};

/// A service of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ServiceView {
    /// Its name.
    service: String,
    /// Name of the sandbox.
    sandbox: String,
    /// Whether it can be reached: the sandbox runs.
    state: ServiceState,
    /// Its ports, in the order of their declaration; none where it only has a name.
    ports: Vec<ServicePortView>,
}

/// Whether a service can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ServiceState {
    /// Its sandbox is being made.
    Creating,
    /// Its ports are published.
    Published,
    /// Its sandbox does not run.
    Stopped,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct ServicePortView {
    /// Port in the container.
    container_port: u16,
    /// `tcp` or `udp`.
    protocol: String,
    /// Address on the host; none while it is not published.
    host_ip: Option<String>,
    /// Port on the host; none while it is not published.
    host_port: Option<u16>,
    /// Where a browser finds it; none while it is not published.
    url: Option<String>,
    #[serde(skip)]
    shown: String,
}

pub(super) async fn run(args: &ListArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect().await?;
    let list = sandbox::list(&engine).await?;
    if let Some(name) = &args.sandbox_name
        && !list.iter().any(|(container, _)| container.name == *name)
    {
        let names = list.iter().map(|(container, _)| container.name.as_str());
        return Err(unknown(name, names));
    }
    let mut views = Vec::new();
    for (container, reading) in list {
        let wanted = args.sandbox_name.as_ref();
        if wanted.is_some_and(|name| *name != container.name) {
            continue;
        }
        crate::view::warn_of_labels(&container.name, &reading.problems, &app.out);
        views.extend(services(&container, &reading.record));
    }
    app.out.result(&views, |out| {
        let mut table = Table::new(["SERVICE", "SANDBOX", "PORTS", "URL"]);
        for view in &views {
            table.row(vec![
                view.service.clone(),
                view.sandbox.clone(),
                ports(view),
                urls(view),
            ]);
        }
        table.write(out)
    })
}

fn unknown<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> CommandError {
    let error = CommandError::new(
        ExitCode::NotFound,
        format!("there is no sandbox \"{}\"", Untrusted::new(name)),
    );
    match amika_core::nearest::nearest(name, names) {
        Some(near) => error.hint(format!("did you mean `{}`?", shell_quote(near))),
        None => error.hint("`amika sandbox list` shows the sandboxes"),
    }
}

/// The services that a sandbox declares, as the engine publishes them now.
fn services(container: &ContainerSummary, record: &SandboxRecord) -> Vec<ServiceView> {
    let state = match container.state {
        ContainerState::Created => ServiceState::Creating,
        ContainerState::Running | ContainerState::Paused | ContainerState::Restarting => {
            ServiceState::Published
        }
        ContainerState::Stopping
        | ContainerState::Removing
        | ContainerState::Exited
        | ContainerState::Dead
        | ContainerState::Unknown => ServiceState::Stopped,
    };
    let published = view::ports(&container.ports, record);
    let view = |service: &amika_core::service::Service| ServiceView {
        service: service.name.clone(),
        sandbox: container.name.clone(),
        state,
        ports: service
            .ports
            .iter()
            .flat_map(|declared| {
                let port = declared.container.port().get();
                let protocol = declared.container.protocol().as_str();
                let mut found: Vec<ServicePortView> = published
                    .iter()
                    .filter(|it| it.container_port == port && it.protocol == protocol)
                    .map(ServicePortView::published)
                    .collect();
                if found.is_empty() {
                    found.push(ServicePortView {
                        container_port: port,
                        protocol: protocol.to_owned(),
                        host_ip: None,
                        host_port: None,
                        url: None,
                        shown: declared.container.to_string(),
                    });
                }
                found
            })
            .collect(),
    };
    record.services.iter().map(view).collect()
}

impl ServicePortView {
    fn published(port: &PortView) -> Self {
        Self {
            container_port: port.container_port,
            protocol: port.protocol.clone(),
            host_ip: Some(port.host_ip.clone()),
            host_port: port.host_port,
            url: port.url.clone(),
            shown: port.arrow(),
        }
    }
}

/// `127.0.0.1:4838->4838/tcp`; what has no place on the host is told to be so.
fn ports(view: &ServiceView) -> String {
    if view.ports.is_empty() {
        return String::new();
    }
    let all: Vec<&str> = view.ports.iter().map(|port| port.shown.as_str()).collect();
    let state = match view.state {
        ServiceState::Published => "",
        ServiceState::Creating => " (creating)",
        ServiceState::Stopped => " (stopped)",
    };
    format!("{}{state}", all.join(","))
}

fn urls(view: &ServiceView) -> String {
    let urls = view.ports.iter().filter_map(|port| port.url.as_deref());
    urls.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use amika_core::label::SandboxId;
    use amika_core::port::Protocol;
    use amika_core::service::Service;

    use super::*;
    use amika_engine::PublishedPort;

    fn sandbox(state: ContainerState, ports: Vec<PublishedPort>) -> ContainerSummary {
        ContainerSummary {
            id: "1".into(),
            name: "teal-tokyo".into(),
            image: "debian".into(),
            state,
            created_at: None,
            status: String::new(),
            labels: BTreeMap::new(),
            ports,
            volumes: Vec::new(),
            networks: Vec::new(),
        }
    }

    fn published(host_port: u16, container_port: u16, protocol: Protocol) -> PublishedPort {
        PublishedPort {
            host_ip: "127.0.0.1".into(),
            host_port: Some(host_port),
            container_port,
            protocol,
        }
    }

    fn record() -> SandboxRecord {
        let json = r#"[
            {"name":"notes","ports":[]},
            {"name":"web","ports":[
                {"port":4211,"protocol":"tcp","url_scheme":"http"},
                {"port":9872,"protocol":"tcp","url_scheme":"https"},
                {"port":4982,"protocol":"udp","url_scheme":"http"}]}]"#;
        SandboxRecord {
            services: serde_json::from_str::<Vec<Service>>(json).unwrap(),
            ..SandboxRecord::new(SandboxId::from_random([1; 16]))
        }
    }

    fn rows(container: &ContainerSummary) -> Vec<(String, String)> {
        services(container, &record())
            .iter()
            .map(|view| (ports(view), urls(view)))
            .collect()
    }

    #[test]
    fn ports_are_joined_by_commas_and_urls_by_blanks() {
        let container = sandbox(
            ContainerState::Running,
            vec![
                published(4982, 4982, Protocol::Udp),
                published(40_000, 9872, Protocol::Tcp),
                published(4211, 4211, Protocol::Tcp),
                published(5432, 5432, Protocol::Tcp),
                published(40_001, 60_999, Protocol::Tcp),
            ],
        );
        assert_eq!(
            rows(&container),
            [
                (String::new(), String::new()),
                (
                    "127.0.0.1:4211->4211/tcp,127.0.0.1:40000->9872/tcp,127.0.0.1:4982->4982/udp"
                        .to_owned(),
                    "http://localhost:4211 https://localhost:40000".to_owned()
                )
            ]
        );
    }

    #[test]
    fn a_stopped_sandbox_has_no_live_url() {
        let container = sandbox(ContainerState::Exited, Vec::new());
        assert_eq!(
            rows(&container)[1],
            (
                "4211/tcp,9872/tcp,4982/udp (stopped)".to_owned(),
                String::new()
            )
        );
    }
}

//! A service and its ports, as `service list` tells of them: what a sandbox declares, what the engine publishes, and who
//! listens.

use std::collections::BTreeSet;

use amika_core::label::SandboxRecord;
use amika_core::port::Protocol;
use amika_core::wire::{self, Listener};
use amika_engine::{ContainerState, ContainerSummary};
use schemars::JsonSchema;
use serde::Serialize;

use crate::listening::ListeningView;
use crate::standing::{RunView, heard};
use crate::view::{self, PortView};

/// A service of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ServiceView {
    /// Its name; null for a port that no service declares, which is listed with `--all`.
    pub(super) service: Option<String>,
    /// Name of the sandbox.
    pub(super) sandbox: String,
    /// Whether it can be reached: the sandbox runs.
    pub(super) state: ServiceState,
    /// Its ports, in the order of their declaration; none where it only has a name.
    pub(super) ports: Vec<ServicePortView>,
    /// How it stands, where Amika runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunView>,
}

/// Whether a service can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ServiceState {
    /// Its sandbox is being made.
    Creating,
    /// Its ports are published.
    Published,
    /// Its sandbox does not run.
    Stopped,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ServicePortView {
    /// Port in the container.
    container_port: u16,
    /// `tcp` or `udp`.
    protocol: String,
    /// Address on the host; none while it is not published.
    host_ip: Option<String>,
    /// Port on the host; none while it is not published.
    host_port: Option<u16>,
    /// Where a browser finds it; none while it is not published.
    pub(super) url: Option<String>,
    /// Who listens there, with `--all`; null where the sandbox does not run, or cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listening: Option<ListeningView>,
    #[serde(skip)]
    pub(super) shown: String,
}

/// Adds how they stand, with who listens on the ports of those that run.
pub(super) fn stand(views: &mut [ServiceView], told: &wire::Services, list: &[Listener]) {
    for view in views {
        if view.run.is_none() {
            continue;
        }
        let told = view.service.as_ref().and_then(|name| told.get(name));
        view.run = Some(RunView::of(told));
        view.ports.iter_mut().for_each(|port| port.hear(list));
    }
}

impl ServiceView {
    /// How it stands, in a few words; nothing where Amika does not run it.
    pub(super) fn words(&self) -> String {
        let Some(run) = &self.run else {
            return String::new();
        };
        let listening = self.ports.iter().filter_map(|port| port.listening.as_ref());
        run.words(
            self.service.as_deref().unwrap_or_default(),
            heard(listening),
        )
    }
}

/// Adds to the services of a sandbox who listens, and the ports that are none of theirs.
pub(super) fn hear(
    services: &mut Vec<ServiceView>,
    container: &ContainerSummary,
    record: &SandboxRecord,
    list: &[Listener],
) {
    let mut declared = BTreeSet::new();
    for port in services.iter_mut().flat_map(|service| &mut service.ports) {
        declared.insert((port.container_port, port.protocol()));
        port.hear(list);
    }
    let published = view::ports(&container.ports, record);
    for (port, protocol) in crate::forward::wanted(list).into_keys() {
        let port = port.get();
        if declared.contains(&(port, protocol)) {
            continue;
        }
        let mut ports: Vec<ServicePortView> = published
            .iter()
            .filter(|it| it.container_port == port && it.protocol == protocol.as_str())
            .map(ServicePortView::published)
            .collect();
        if ports.is_empty() {
            ports.push(ServicePortView::unpublished(port, protocol));
        }
        for port in &mut *ports {
            port.hear(list);
        }
        services.push(ServiceView {
            service: None,
            sandbox: container.name.clone(),
            state: ServiceState::Published,
            ports,
            run: None,
        });
    }
}

/// The services that a sandbox declares, as the engine publishes them now.
pub(super) fn services(container: &ContainerSummary, record: &SandboxRecord) -> Vec<ServiceView> {
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
        service: Some(service.name.clone()),
        sandbox: container.name.clone(),
        state,
        run: service.is_run().then(|| RunView::of(None)),
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
                    let protocol = declared.container.protocol();
                    found.push(ServicePortView::unpublished(port, protocol));
                }
                found
            })
            .collect(),
    };
    record.services.iter().map(view).collect()
}

impl ServicePortView {
    fn protocol(&self) -> Protocol {
        match self.protocol.as_str() {
            "udp" => Protocol::Udp,
            _ => Protocol::Tcp,
        }
    }

    /// Takes over who listens there.
    fn hear(&mut self, list: &[Listener]) {
        let listening = ListeningView::of(list, self.container_port, self.protocol());
        self.listening = Some(listening);
    }

    fn published(port: &PortView) -> Self {
        Self {
            container_port: port.container_port,
            protocol: port.protocol.clone(),
            host_ip: Some(port.host_ip.clone()),
            host_port: port.host_port,
            url: port.url.clone(),
            listening: None,
            shown: port.arrow(),
        }
    }

    fn unpublished(port: u16, protocol: Protocol) -> Self {
        Self {
            container_port: port,
            protocol: protocol.as_str().to_owned(),
            host_ip: None,
            host_port: None,
            url: None,
            listening: None,
            shown: format!("{port}/{protocol}"),
        }
    }
}

/// `127.0.0.1:4838->4838/tcp`; what has no place on the host is told to be so.
pub(super) fn ports(view: &ServiceView) -> String {
    if view.ports.is_empty() {
        return String::new();
    }
    let all: Vec<&str> = view.ports.iter().map(|port| port.shown.as_str()).collect();
    format!("{}{}", all.join(","), remark(view.state))
}

/// Why a port cannot be reached now.
pub(super) fn remark(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Published => "",
        ServiceState::Creating => " (creating)",
        ServiceState::Stopped => " (stopped)",
    }
}

pub(super) fn urls(view: &ServiceView) -> String {
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
    fn who_listens_is_told_of_declared_ports_and_of_others() {
        let listener = |port, address: &str| Listener {
            port,
            protocol: Protocol::Tcp,
            address: address.into(),
            loopback_only: address == "127.0.0.1",
            ipv6_only: false,
            ephemeral: false,
            pid: Some(7),
            program: Some("node".into()),
            user: None,
            since: 0,
        };
        let list = [listener(4211, "127.0.0.1"), listener(5432, "0.0.0.0")];
        let container = sandbox(
            ContainerState::Running,
            vec![published(4211, 4211, Protocol::Tcp)],
        );
        let mut views = services(&container, &record());
        hear(&mut views, &container, &record(), &list);
        let told: Vec<(Option<&str>, &str, String)> = views
            .iter()
            .flat_map(|view| {
                let heard = |port: &ServicePortView| port.listening.as_ref().unwrap().to_string();
                view.ports
                    .iter()
                    .map(move |port| (view.service.as_deref(), port.shown.as_str(), heard(port)))
            })
            .collect();
        let nothing = || "nothing".to_owned();
        assert_eq!(
            told,
            [
                (
                    Some("web"),
                    "127.0.0.1:4211->4211/tcp",
                    "node (pid 7), loopback only".to_owned()
                ),
                (Some("web"), "9872/tcp", nothing()),
                (Some("web"), "4982/udp", nothing()),
                (None, "5432/tcp", "node (pid 7)".to_owned()),
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

//! A sandbox as commands show it: one type for create, list and inspect.

use amika_core::contract::service::OPENCODE;
use amika_core::contract::{AMIKAD_PORT, OPENCODE_PORT};
use amika_core::label::{LabelError, SandboxRecord};
use amika_core::port::HostIp;
use amika_core::settings::LimitOrigins;
use amika_core::wire::{Head, ServiceState, Status};
use schemars::JsonSchema;
use serde::Serialize;

use crate::progress::Progress;
use crate::sandbox::{Sandbox, State};
use amika_core::text::human_memory;
use amika_engine::{ContainerState, LimitFacts, PublishedPort};

/// A sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SandboxView {
    /// Its name.
    pub name: String,
    /// Its id; empty where its labels do not tell it.
    pub id: String,
    /// What it does.
    pub state: State,
    /// Exit code of its last run, once it ended.
    pub exit_code: Option<i64>,
    /// Image reference it was made from.
    pub image: String,
    /// Name of the preset, where the image is one.
    pub preset: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: Option<u64>,
    /// The repository in it.
    pub repository: Option<RepositoryView>,
    /// Published ports, but Amika's own.
    pub ports: Vec<PortView>,
    /// The OpenCode web server's address; none while it is known to be off or not installed.
    pub opencode_url: Option<String>,
}

/// A text that anybody may have written, escaped and cut.
pub fn foreign_text(text: &str) -> String {
    /// Characters that are shown of it.
    const SHOWN: usize = 200;
    let mut cut: String = text.chars().take(SHOWN + 1).collect();
    let is_cut = cut.chars().count() > SHOWN;
    if is_cut {
        cut.pop();
    }
    let rest = if is_cut { "…" } else { "" };
    format!("{}{rest}", cut.escape_debug())
}

/// Warns of labels of a sandbox that cannot be read.
pub fn warn_of_labels(name: &str, problems: &[LabelError], out: &dyn Progress) {
    if !problems.is_empty() {
        out.warn(&format!("sandbox \"{name}\": {}", unreadable(problems)));
    }
}

/// What to say of labels that cannot be read.
pub fn unreadable(problems: &[LabelError]) -> String {
    let reasons: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("labels cannot be read: {}", reasons.join("; "))
}

impl SandboxView {
    /// The view of a sandbox in a state.
    pub fn of(sandbox: &Sandbox, state: State) -> Self {
        let record = &sandbox.record;
        let container = &sandbox.container;
        // While it does not run, the engine tells only what was asked for, and nothing answers there.
        let ports = if container.ports.is_empty() {
            let asked = ports(&container.port_requests, record);
            asked.into_iter().map(PortView::without_url).collect()
        } else {
            ports(&container.ports, record)
        };
        Self {
            name: sandbox.name.clone(),
            id: if sandbox.is_identified() {
                record.id.to_string()
            } else {
                String::new()
            },
            state,
            exit_code: (container.state == ContainerState::Exited).then_some(container.exit_code),
            image: record
                .image
                .clone()
                .unwrap_or_else(|| container.image.clone()),
            preset: record.preset.clone(),
            created_at: record.created_at,
            repository: RepositoryView::of(record),
            ports,
            opencode_url: opencode_url(&container.ports),
        }
    }

    /// The view with what amikad says, if it could be asked: where a port is published and OpenCode is
    /// off, nothing answers; and where the repository is now.
    #[must_use]
    pub fn told_by(self, status: Option<&Status>) -> Self {
        let is_off = |status: &Status| status.services.state(OPENCODE) == ServiceState::Off;
        let opencode_url = self.opencode_url.filter(|_| !status.is_some_and(is_off));
        let head = status.and_then(|status| status.head.clone());
        let repository = self
            .repository
            .map(|repository| RepositoryView { head, ..repository });
        Self {
            repository,
            opencode_url,
            ..self
        }
    }

    /// The same with the branch alone that its repository began with.
    #[must_use]
    pub fn without_head(mut self) -> Self {
        if let Some(repository) = &mut self.repository {
            repository.head = None;
        }
        self
    }

    /// The view of a sandbox without a container: its volumes say little of it.
    pub fn of_lost(lost: &crate::lost::Lost) -> Self {
        Self {
            name: lost.name.clone(),
            id: lost.id.clone(),
            state: State::Lost,
            exit_code: None,
            image: String::new(),
            preset: None,
            created_at: lost.created_at,
            repository: lost.repository.clone().map(|name| RepositoryView {
                name,
                source: None,
                branch: None,
                head: None,
            }),
            ports: Vec::new(),
            opencode_url: None,
        }
    }
}

/// A sandbox's repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RepositoryView {
    /// Name of its directory.
    pub name: String,
    /// Where it came from.
    pub source: Option<String>,
    /// The branch that the sandbox began with.
    pub branch: Option<String>,
    /// Where it is now; null while that is not known, as of a sandbox that does not run.
    pub head: Option<Head>,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PortView {
    /// The service that declares it.
    pub service: Option<String>,
    /// Address on the host.
    pub host_ip: String,
    /// Port on the host; none while the engine has not chosen.
    pub host_port: Option<u16>,
    /// Port in the container.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Where a browser finds it.
    pub url: Option<String>,
}

impl PortView {
    fn without_url(self) -> Self {
        Self { url: None, ..self }
    }

    /// As short as it can be told beside its URL: `4838`, `49153->3000`, `0.0.0.0:53->53/udp`. This machine's own address
    /// goes without saying, and so does TCP; of a port with a URL the one inside is enough.
    pub fn short(&self) -> String {
        let inside = match self.protocol.as_str() {
            "tcp" => self.container_port.to_string(),
            protocol => format!("{}/{protocol}", self.container_port),
        };
        let is_here = ["127.0.0.1", "::1"].contains(&self.host_ip.as_str());
        match self.host_port {
            _ if !is_here => self.arrow(),
            _ if self.url.is_some() => inside,
            Some(port) if port == self.container_port => inside,
            Some(port) => format!("{port}->{inside}"),
            None => format!("->{inside}"),
        }
    }

    /// As docker shows a port: `127.0.0.1:4838->4838/tcp`.
    pub fn arrow(&self) -> String {
        let (address, inside) = (self.address(), self.container_port);
        format!("{address}->{inside}/{}", self.protocol)
    }

    /// Where it is on the host: `127.0.0.1:4838`, `[::1]:4838`.
    pub fn address(&self) -> String {
        let ip = if self.host_ip.contains(':') {
            format!("[{}]", self.host_ip)
        } else {
            self.host_ip.clone()
        };
        let port = self.host_port.map(|port| port.to_string());
        format!("{ip}:{}", port.unwrap_or_default())
    }
}

/// The ports of users and services, with URLs where a service asks for them.
pub fn ports(published: &[PublishedPort], record: &SandboxRecord) -> Vec<PortView> {
    let mut published: Vec<&PublishedPort> = published
        .iter()
        .filter(|port| port.container_port != AMIKAD_PORT && port.container_port != OPENCODE_PORT)
        .collect();
    // The engine lists them in another order each time.
    published.sort_by_key(|port| (port.container_port, port.protocol, &port.host_ip));
    published
        .into_iter()
        .map(|port| {
            let declared = record.services.iter().find_map(|service| {
                let declared = service.ports.iter().find(|declared| {
                    declared.container.port().get() == port.container_port
                        && declared.container.protocol() == port.protocol
                })?;
                Some((service.name.clone(), declared.url_scheme))
            });
            let (service, scheme) =
                declared.map_or((None, None), |(name, scheme)| (Some(name), scheme));
            let is_tcp = port.protocol == amika_core::port::Protocol::Tcp;
            PortView {
                service,
                host_ip: port.host_ip.clone(),
                host_port: port.host_port,
                container_port: port.container_port,
                protocol: port.protocol.as_str().to_owned(),
                url: scheme
                    .filter(|_| is_tcp)
                    .zip(port.host_port)
                    .map(|(scheme, host_port)| {
                        format!(
                            "{}://{}:{host_port}",
                            scheme.as_str(),
                            url_host(&port.host_ip)
                        )
                    }),
            }
        })
        .collect()
}

/// Where a browser finds the OpenCode web server.
pub fn opencode_url(published: &[PublishedPort]) -> Option<String> {
    let port = published
        .iter()
        .find(|port| port.container_port == OPENCODE_PORT)?;
    Some(format!(
        "http://{}:{}",
        url_host(&port.host_ip),
        port.host_port?
    ))
}

fn url_host(ip: &str) -> String {
    ip.parse::<HostIp>()
        .map_or_else(|_| "localhost".to_owned(), HostIp::url_host)
}

impl RepositoryView {
    /// The repository of a record.
    pub fn of(record: &SandboxRecord) -> Option<Self> {
        record.repository.as_ref().map(|repository| Self {
            name: repository.name.clone(),
            source: repository
                .source
                .as_ref()
                .map(|source| source.as_str().to_owned()),
            branch: repository.branch.clone(),
            head: None,
        })
    }

    /// The branch that it is at now, or the commit; the branch that it began with while that is not known.
    pub fn at(&self) -> Option<&str> {
        self.head
            .as_ref()
            .map(Head::short)
            .or(self.branch.as_deref())
    }
}

/// What a sandbox may use at most, in one line; with who decided each limit, where that is known.
pub fn limits(limits: &LimitFacts, origins: Option<LimitOrigins>) -> String {
    let parts = [
        (
            limits.cpus.map(|cpus| format!("{cpus} CPUs")),
            origins.map(|origins| origins.cpus),
        ),
        (
            limits
                .memory_bytes
                .map(|bytes| format!("{} memory", human_memory(bytes))),
            origins.map(|origins| origins.memory),
        ),
        (
            limits.pids.map(|pids| format!("{pids} processes")),
            origins.map(|origins| origins.pids),
        ),
    ];
    let parts = parts.into_iter().filter_map(|(part, origin)| {
        let origin = origin.map(|origin| format!(" ({origin})"));
        Some(part? + &origin.unwrap_or_default())
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return "none".to_owned();
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use amika_core::settings::Origin;

    use super::*;

    #[test]
    fn a_port_is_as_short_as_what_it_tells_allows() {
        let port = |ip: &str, host: Option<u16>, protocol: &str, url: bool| {
            let port = PortView {
                service: None,
                host_ip: ip.to_owned(),
                host_port: host,
                container_port: 3000,
                protocol: protocol.to_owned(),
                url: url.then(|| "http://localhost".to_owned()),
            };
            port.short()
        };
        assert_eq!(port("127.0.0.1", Some(3000), "tcp", false), "3000");
        assert_eq!(port("127.0.0.1", Some(49153), "tcp", false), "49153->3000");
        assert_eq!(port("127.0.0.1", Some(49153), "tcp", true), "3000");
        assert_eq!(port("::1", Some(53), "udp", false), "53->3000/udp");
        assert_eq!(port("127.0.0.1", None, "tcp", false), "->3000");
        // Whoever may reach it from elsewhere is told so, URL or not.
        let wide = port("0.0.0.0", Some(3000), "tcp", true);
        assert_eq!(wide, "0.0.0.0:3000->3000/tcp");
    }

    #[test]
    fn limits_are_told_where_there_are_some() {
        let all = LimitFacts {
            cpus: Some(1.5),
            memory_bytes: Some(2 << 30),
            pids: Some(300),
        };
        assert_eq!(limits(&all, None), "1.5 CPUs, 2 GiB memory, 300 processes");
        let origins = LimitOrigins {
            cpus: Origin::Request,
            memory: Origin::File,
            pids: Origin::Default,
        };
        assert_eq!(
            limits(&all, Some(origins)),
            "1.5 CPUs (requested), 2 GiB memory (.amika/config.toml), 300 processes (default)"
        );
        let one = LimitFacts {
            pids: Some(300),
            ..LimitFacts::default()
        };
        assert_eq!(limits(&one, None), "300 processes");
        assert_eq!(limits(&LimitFacts::default(), None), "none");
    }
}

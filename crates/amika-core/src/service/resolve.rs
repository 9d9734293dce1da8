//! Which host port each published port gets.
//!
//! A service's port takes the same number on the host if that is free, else one that the operating
//! system offers. A host port named by `--port` is never changed. Every number is settled before the
//! container is made: one that the engine chooses would change at each restart.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::{Scheme, Service, ServicePort};
use crate::port::{ContainerPort, HostIp, Port, Protocol, Publish};

/// How often a container is made again after the engine found a host port taken.
pub const MAX_ROUNDS: usize = 20;

/// How often the operating system is asked for a port that nothing else in the plan has.
const EPHEMERAL_TRIES: usize = 64;

/// What the host says about its ports.
pub trait PortProbe {
    /// Returns whether the port could be bound now.
    fn probe(&mut self, at: HostPort) -> Availability;

    /// Returns a port that is free now, or nothing when there is none.
    fn ephemeral(&mut self, host_ip: HostIp, protocol: Protocol) -> Option<Port>;
}

/// Answer of [`PortProbe::probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It could be bound.
    Free,
    /// Something else has it.
    Taken,
    /// This process may not bind it (below 1024 as a user), so it cannot tell; the engine may.
    NotPermitted,
}

/// The ports of a remote engine, which cannot be probed: all count as free, and what replaces one
/// that the engine refused is drawn from the range for private use (RFC 6335, section 6).
pub struct Unprobed<R>(
    /// Returns a random number below its argument.
    pub R,
);

impl<R: FnMut(usize) -> usize> PortProbe for Unprobed<R> {
    fn probe(&mut self, _: HostPort) -> Availability {
        Availability::Free
    }

    fn ephemeral(&mut self, _: HostIp, _: Protocol) -> Option<Port> {
        const FIRST: u16 = 49_152;
        let range = usize::from(u16::MAX - FIRST) + 1;
        let offset = u16::try_from((self.0)(range) % range).ok()?;
        Port::new(FIRST + offset)
    }
}

/// A port on an address of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostPort {
    /// The address.
    pub ip: HostIp,
    /// The number.
    pub port: Port,
    /// The protocol.
    pub protocol: Protocol,
}

impl HostPort {
    /// Whether two listeners, one on each, could not live side by side.
    pub fn collides(self, other: Self) -> bool {
        self.port == other.port && self.protocol == other.protocol && self.ip.overlaps(other.ip)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.ip, self.port, self.protocol)
    }
}

/// A container port with its place on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Binding {
    /// The service that declares the port; none for a `--port`.
    pub service: Option<String>,
    /// The address on the host.
    pub host_ip: HostIp,
    /// The port on the host.
    pub host_port: Port,
    /// The port in the container.
    pub container: ContainerPort,
    /// Where a browser finds it, for TCP ports with a `url_scheme`.
    pub url: Option<String>,
}

impl Binding {
    /// Returns the binding's side on the host.
    pub fn host(&self) -> HostPort {
        let protocol = self.container.protocol();
        HostPort {
            ip: self.host_ip,
            port: self.host_port,
            protocol,
        }
    }
}

/// Prints as `127.0.0.1:4838->4838/tcp`.
impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}->{}", self.host_ip, self.host_port, self.container)
    }
}

/// Returns a published port's URL: none without a scheme, and none for UDP.
pub fn url(
    scheme: Option<Scheme>,
    container: ContainerPort,
    host_ip: HostIp,
    host_port: Port,
) -> Option<String> {
    match container.protocol() {
        Protocol::Tcp => Some(format!("{}://{}:{host_port}", scheme?, host_ip.url_host())),
        Protocol::Udp => None,
    }
}

/// What asks for a port, as errors name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag(Publish),
    /// A service of the repository's configuration.
    Service {
        /// The service's name.
        name: String,
        /// Line of the declaration; 0 when it is not known.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--port {flag}"),
            Self::Service { name, line: 0 } => write!(f, "service \"{}\"", name.escape_debug()),
            Self::Service { name, line } => {
                let path = crate::contract::REPO_CONFIG;
                write!(f, "service \"{}\" ({path}:{line})", name.escape_debug())
            }
        }
    }
}

/// Why no plan of bindings can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A container port is both declared and published by a flag.
    #[error("container port {container} is published by {flag} and by {service}")]
    Conflict {
        /// The container port.
        container: ContainerPort,
        /// The flag.
        flag: Origin,
        /// The service.
        service: Origin,
    },
    /// Two flags ask for one host port, or for the same thing twice.
    #[error("{first} and {second} ask for the same port")]
    FlagTwice {
        /// The flag that came first.
        first: Origin,
        /// The other.
        second: Origin,
    },
    /// The host port of a flag is in use.
    #[error("host port {host} of {flag} is in use")]
    HostPortTaken {
        /// The host port.
        host: HostPort,
        /// The flag.
        flag: Origin,
    },
    /// The operating system has no port left to give.
    #[error("no free host port for {container} of {origin}")]
    NoFreePort {
        /// The container port.
        container: ContainerPort,
        /// What asks for it.
        origin: Origin,
    },
}

/// Settles the host port of every declared and every published port.
///
/// `host_ip` is the address for all that name none themselves. `excluded` holds host ports that the
/// engine refused in earlier rounds, whatever the probe says of them. The bindings come in the order
/// of the services, then of the flags; no two of them collide.
pub fn resolve(
    services: &[Service],
    flags: &[Publish],
    host_ip: HostIp,
    excluded: &BTreeSet<HostPort>,
    probe: &mut dyn PortProbe,
) -> Result<Vec<Binding>, ResolveError> {
    check_flags(flags, host_ip)?;
    check_merge(services, flags)?;
    let of_service = |service| Wanted::of_service(service, host_ip);
    let mut wanted: Vec<Wanted> = services.iter().flat_map(of_service).collect();
    wanted.extend(flags.iter().map(|flag| Wanted::of_flag(*flag, host_ip)));
    let mut plan = Plan {
        settled: Vec::new(),
        excluded,
        probe,
    };
    // Numbers that cannot give way come first, then those that rather would not, then the rest: a
    // port from the operating system never takes the number that a later one would mirror.
    for wanted in &mut wanted {
        plan.fix(wanted)?;
    }
    for wanted in &mut wanted {
        plan.mirror(wanted);
    }
    for wanted in &mut wanted {
        plan.fall_back(wanted)?;
    }
    Ok(wanted
        .into_iter()
        .filter_map(Wanted::into_binding)
        .collect())
}

/// Two flags may publish one container port twice, but not at the same place of the host.
fn check_flags(flags: &[Publish], host_ip: HostIp) -> Result<(), ResolveError> {
    for (index, second) in flags.iter().enumerate() {
        let ip = |flag: &Publish| flag.host_ip.unwrap_or(host_ip);
        let clash = |first: &&Publish| match (first.host_port, second.host_port) {
            (Some(a), Some(b)) => {
                let protocol = |flag: &Publish| flag.container.protocol();
                let a = HostPort {
                    ip: ip(first),
                    port: a,
                    protocol: protocol(first),
                };
                a.collides(HostPort {
                    ip: ip(second),
                    port: b,
                    protocol: protocol(second),
                })
            }
            (None, None) => first.container == second.container && ip(first) == ip(second),
            _ => false,
        };
        if let Some(first) = flags[..index].iter().find(clash) {
            let (first, second) = (Origin::Flag(*first), Origin::Flag(*second));
            return Err(ResolveError::FlagTwice { first, second });
        }
    }
    Ok(())
}

/// A container port is either a service's or a flag's: nothing is overridden in silence.
///
/// # Errors
/// [`ResolveError::Conflict`] for the first one that is both's.
pub fn check_merge(services: &[Service], flags: &[Publish]) -> Result<(), ResolveError> {
    for service in services {
        for port in &service.ports {
            if let Some(flag) = flags.iter().find(|flag| flag.container == port.container) {
                return Err(ResolveError::Conflict {
                    container: port.container,
                    flag: Origin::Flag(*flag),
                    service: Origin::Service {
                        name: service.name.clone(),
                        line: port.line,
                    },
                });
            }
        }
    }
    Ok(())
}

/// A container port on its way to a host port.
struct Wanted {
    origin: Origin,
    container: ContainerPort,
    scheme: Option<Scheme>,
    host_ip: HostIp,
    choice: Choice,
    settled: Option<HostPort>,
}

/// Which host ports will do.
#[derive(Clone, Copy)]
enum Choice {
    /// This one and no other.
    Fixed(Port),
    /// The container's number rather than any.
    Mirror,
    /// Any.
    Any,
}

impl Wanted {
    fn of_service(service: &Service, host_ip: HostIp) -> impl Iterator<Item = Self> + '_ {
        service.ports.iter().map(
            move |ServicePort {
                      container,
                      url_scheme,
                      line,
                  }| Self {
                origin: Origin::Service {
                    name: service.name.clone(),
                    line: *line,
                },
                container: *container,
                scheme: *url_scheme,
                host_ip,
                choice: Choice::Mirror,
                settled: None,
            },
        )
    }

    fn of_flag(flag: Publish, host_ip: HostIp) -> Self {
        Self {
            origin: Origin::Flag(flag),
            container: flag.container,
            scheme: None,
            host_ip: flag.host_ip.unwrap_or(host_ip),
            choice: flag.host_port.map_or(Choice::Any, Choice::Fixed),
            settled: None,
        }
    }

    fn at(&self, port: Port) -> HostPort {
        HostPort {
            ip: self.host_ip,
            port,
            protocol: self.container.protocol(),
        }
    }

    fn into_binding(self) -> Option<Binding> {
        let HostPort {
            ip: host_ip,
            port: host_port,
            ..
        } = self.settled?;
        let Self {
            origin,
            container,
            scheme,
            ..
        } = self;
        let service = match origin {
            Origin::Service { name, .. } => Some(name),
            Origin::Flag(_) => None,
        };
        let url = url(scheme, container, host_ip, host_port);
        Some(Binding {
            service,
            host_ip,
            host_port,
            container,
            url,
        })
    }
}

/// Host ports while they are settled.
struct Plan<'a> {
    settled: Vec<HostPort>,
    excluded: &'a BTreeSet<HostPort>,
    probe: &'a mut dyn PortProbe,
}

impl Plan<'_> {
    fn fix(&mut self, wanted: &mut Wanted) -> Result<(), ResolveError> {
        let Choice::Fixed(port) = wanted.choice else {
            return Ok(());
        };
        let host = wanted.at(port);
        // What this process may not bind is left to the engine to refuse.
        if self.is_spoken_for(host) || self.probe.probe(host) == Availability::Taken {
            return Err(ResolveError::HostPortTaken {
                host,
                flag: wanted.origin.clone(),
            });
        }
        self.settle(wanted, host);
        Ok(())
    }

    fn mirror(&mut self, wanted: &mut Wanted) {
        let Choice::Mirror = wanted.choice else {
            return;
        };
        let host = wanted.at(wanted.container.port());
        if !self.is_spoken_for(host) && self.probe.probe(host) == Availability::Free {
            self.settle(wanted, host);
        }
    }

    fn fall_back(&mut self, wanted: &mut Wanted) -> Result<(), ResolveError> {
        if wanted.settled.is_some() {
            return Ok(());
        }
        for _ in 0..EPHEMERAL_TRIES {
            let port = self
                .probe
                .ephemeral(wanted.host_ip, wanted.container.protocol());
            let Some(host) = port.map(|port| wanted.at(port)) else {
                break;
            };
            if !self.is_spoken_for(host) {
                self.settle(wanted, host);
                return Ok(());
            }
        }
        let origin = wanted.origin.clone();
        Err(ResolveError::NoFreePort {
            container: wanted.container,
            origin,
        })
    }

    /// Whether the plan has the port already, or an earlier round showed that it is taken.
    fn is_spoken_for(&self, host: HostPort) -> bool {
        self.settled
            .iter()
            .chain(self.excluded)
            .any(|other| other.collides(host))
    }

    fn settle(&mut self, wanted: &mut Wanted, host: HostPort) {
        self.settled.push(host);
        wanted.settled = Some(host);
    }
}

#[cfg(test)]
mod tests;

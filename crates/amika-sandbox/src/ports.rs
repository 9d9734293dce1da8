//! The host's ports: settling them, saying who holds one, and choosing others.

use std::collections::BTreeSet;

use amika_core::port::{HostIp, Port, Publish};
use amika_core::service::{
    Availability, Binding, HostPort, PortProbe, ResolveError, Service, Unprobed, resolve,
};

use crate::error::{Error, Kind};
use crate::sandboxes::Sandboxes;
use amika_engine::PublishedPort;

mod again;
mod holder;

pub use again::{choose, refuse_start, requested, start, start_again};
use amika_host::port_probe::Kernel;
pub use holder::Holder;

/// Settles the host port of every service and flag. A remote engine's ports cannot be probed.
///
/// # Errors
/// When flags contradict each other or the services, or a port is in the way.
pub fn settle(
    services: &[Service],
    flags: &[Publish],
    host_ip: HostIp,
    excluded: &BTreeSet<HostPort>,
    local: bool,
) -> Result<Vec<Binding>, ResolveError> {
    probing(local, |probe| {
        resolve(services, flags, host_ip, excluded, probe)
    })
}

/// What of a plan the engine refused, given the number in its answer.
///
/// Its words do not always tell address and protocol. A service's port gives way before a flag's,
/// which cannot: if it was the flag's after all, the engine says so again.
pub fn refused(bindings: &[Binding], port: u16) -> Vec<HostPort> {
    let of = |flag: bool| -> Vec<HostPort> {
        bindings
            .iter()
            .filter(|binding| binding.host_port.get() == port && binding.service.is_none() == flag)
            .map(Binding::host)
            .collect()
    };
    let services = of(false);
    if services.is_empty() {
        of(true)
    } else {
        services
    }
}

/// The error of ports that cannot be settled; it names who holds the one that is in the way.
pub async fn refusal(engine: &Sandboxes, error: &ResolveError) -> Error {
    let code = match error {
        ResolveError::FlagTwice { .. } => Kind::Invalid,
        _ => Kind::Conflict,
    };
    let command_error = Error::new(code, error.to_string());
    match error {
        ResolveError::Conflict { .. } => both(error),
        ResolveError::FlagTwice { .. } => command_error.hint("publish each port once"),
        ResolveError::HostPortTaken { host, .. } => {
            let holder = Holder::find(engine, *host).await;
            let mut command_error = in_use(*host, holder.as_ref())
                .hint("choose another host port, or leave it out and the system chooses one");
            let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
            command_error.message = format!("{error}{by}");
            command_error
        }
        ResolveError::NoFreePort { .. } => command_error.hint("end programs that hold ports"),
    }
}

/// The error of a port that is a service's and a flag's.
pub fn both(error: &ResolveError) -> Error {
    let told = Error::new(Kind::Conflict, error.to_string());
    let ResolveError::Conflict {
        container,
        flag,
        service,
    } = error
    else {
        return told;
    };
    told.hint(format!(
        "drop `{flag}`, or remove the port from the service"
    ))
    .detail("container_port", container.to_string())
    .detail("port", flag.to_string())
    .detail("service", service.to_string())
}

/// The error of a host port that something else has.
pub fn in_use(host: HostPort, holder: Option<&Holder>) -> Error {
    let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
    Error::new(Kind::Conflict, format!("host port {host} is in use{by}"))
        .detail("host_ip", host.ip.addr().to_string())
        .detail("host_port", host.port.get())
        .detail("protocol", host.protocol.as_str())
        .detail("holder", serde_json::to_value(holder).unwrap_or_default())
}

fn probing<T>(local: bool, ask: impl FnOnce(&mut dyn PortProbe) -> T) -> T {
    if local {
        ask(&mut Kernel)
    } else {
        ask(&mut Unprobed(|n| rand::random_range(0..n)))
    }
}

/// The place of a published port, where the engine's answer tells all of it.
pub fn place(published: &PublishedPort) -> Option<HostPort> {
    Some(HostPort {
        // An engine that was given no address publishes on all of them.
        ip: match published.host_ip.as_str() {
            "" => "0.0.0.0",
            ip => ip,
        }
        .parse()
        .ok()?,
        port: Port::new(published.host_port?)?,
        protocol: published.protocol,
    })
}

/// Whether a port can be published now, as far as this machine can tell.
fn is_taken(probe: &mut dyn PortProbe, host: HostPort) -> bool {
    // What this process may not bind is left to the engine to refuse.
    probe.probe(host) == Availability::Taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(service: Option<&str>, container: &str) -> Binding {
        Binding {
            service: service.map(str::to_owned),
            host_ip: HostIp::LOCALHOST,
            host_port: Port::new(3000).unwrap(),
            container: container.parse().unwrap(),
            url: None,
        }
    }

    #[test]
    fn a_service_gives_way_before_a_flag() {
        let flag = binding(None, "3000/udp");
        let service = binding(Some("web"), "3000/tcp");
        let plan = [flag.clone(), service.clone()];
        assert_eq!(refused(&plan, 3000), [service.host()]);
        assert_eq!(refused(&plan[..1], 3000), [flag.host()]);
        assert_eq!(refused(&plan, 3001), []);
    }
}

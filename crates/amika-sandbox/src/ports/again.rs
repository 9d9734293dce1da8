//! The ports of a sandbox that is started again: whether they are still to be had, and which others
//! will do.

use std::collections::BTreeSet;

use amika_core::label::SandboxRecord;
use amika_core::port::Port;
use amika_core::service::{HostPort, PortProbe};

use super::{Holder, in_use, is_taken, place, probing};
use crate::error::{Error, Kind};
use crate::sandboxes::Sandboxes;
use amika_engine::{EngineError, PublishedPort};

/// How often the operating system is asked for a port that nothing else here has.
const EPHEMERAL_TRIES: usize = 64;

/// Starts a container that publishes these ports.
///
/// Podman before 5 takes the way to a port of loopback from the container that has it when it refuses that port to another
/// one: so it is asked for none that is taken, and one start of this user's follows the other, since ports that are free
/// for both would be taken for the second.
///
/// # Errors
/// [`EngineError::PortTaken`], and the engine's others.
pub async fn start(
    engine: &Sandboxes,
    container: &str,
    places: impl Iterator<Item = HostPort>,
) -> Result<(), EngineError> {
    if !engine.is_local() || !engine.is_podman().await? {
        return engine.start_container(container).await;
    }
    // Without a place for locks it is tried all the same.
    let _turn = engine.locks().wait("start").await.ok();
    let mut places = places;
    match probing(true, |probe| places.find(|place| is_taken(probe, *place))) {
        Some(taken) => Err(EngineError::PortTaken {
            port: Some(taken.port.get()),
            message: format!("host port {taken} is in use"),
        }),
        None => engine.start_container(container).await,
    }
}

/// As [`start`], of a container that was made already.
///
/// # Errors
/// As [`start`].
pub async fn start_again(
    engine: &Sandboxes,
    container: &str,
    requests: &[PublishedPort],
) -> Result<(), EngineError> {
    start(engine, container, requests.iter().filter_map(place)).await
}

/// The first of a stopped sandbox's ports that something else has, given the number in the engine's
/// answer, or none when all of them are to be looked at.
pub fn requested(requests: &[PublishedPort], port: Option<u16>, local: bool) -> Option<HostPort> {
    let mut places = requests.iter().filter_map(place);
    match port {
        Some(port) => places.find(|place| place.port.get() == port),
        None if local => probing(true, |probe| places.find(|place| is_taken(probe, *place))),
        // Those of a remote engine cannot be probed.
        None => None,
    }
}

/// The error of a start that a taken port stands in the way of.
pub async fn refuse_start(
    engine: &Sandboxes,
    name: &str,
    record: &SandboxRecord,
    requests: &[PublishedPort],
    taken: HostPort,
) -> Error {
    let holder = Holder::find(engine, taken).await;
    let mut error = in_use(taken, holder.as_ref()).detail("sandbox", name);
    let service = requests
        .iter()
        .find(|request| place(request) == Some(taken))
        .and_then(|request| {
            let found = record.services.iter().find(|service| {
                service.ports.iter().any(|port| {
                    port.container.port().get() == request.container_port
                        && port.container.protocol() == request.protocol
                })
            });
            found.map(|service| service.name.clone())
        });
    let whose = service.as_ref().map_or_else(String::new, |service| {
        format!(" of service \"{}\"", service.escape_debug())
    });
    let by = holder.as_ref().map_or_else(
        || " by another program".to_owned(),
        |it| format!(" by {it}"),
    );
    error.message =
        format!("sandbox \"{name}\" was not started: host port {taken}{whose} is in use{by}");
    error.hint(format!(
        "`amika sandbox start --reassign-ports {name}` gives it another port, and keeps its files"
    ))
}

/// Chooses host ports anew: those that are free stay, for what others took the system chooses one.
/// `excluded` holds what the engine refused, whatever the probe says of it.
///
/// # Errors
/// [`Kind::Conflict`] when there is no port left.
pub fn choose(
    requests: &[PublishedPort],
    excluded: &BTreeSet<HostPort>,
    local: bool,
) -> Result<Vec<PublishedPort>, Error> {
    probing(local, |probe| {
        choose_with(requests, excluded, probe).ok_or_else(|| {
            Error::new(Kind::Conflict, "no host port is free").hint("end programs that hold ports")
        })
    })
}

fn choose_with(
    requests: &[PublishedPort],
    excluded: &BTreeSet<HostPort>,
    probe: &mut dyn PortProbe,
) -> Option<Vec<PublishedPort>> {
    let mut chosen = requests.to_vec();
    let mut settled: Vec<HostPort> = excluded.iter().copied().collect();
    let mut moved = Vec::new();
    // Those that stay first: a new number is never one of theirs.
    for (index, request) in requests.iter().enumerate() {
        let Some(at) = place(request) else {
            // The engine chooses, as it did before.
            continue;
        };
        if settled.iter().any(|other| other.collides(at)) || is_taken(probe, at) {
            moved.push((index, at));
        } else {
            settled.push(at);
        }
    }
    for (index, at) in moved {
        let free = (0..EPHEMERAL_TRIES).find_map(|_| {
            let port = probe.ephemeral(at.ip, at.protocol)?;
            let at = HostPort { port, ..at };
            (!settled.iter().any(|other| other.collides(at))).then_some(at)
        })?;
        settled.push(free);
        chosen[index].host_port = Some(Port::get(free.port));
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use amika_core::port::{HostIp, Protocol};
    use amika_core::service::Availability;

    use super::*;

    /// A host on which some ports are taken; the system offers the given ones in turn.
    struct Host {
        taken: Vec<u16>,
        offers: Vec<u16>,
    }

    impl PortProbe for Host {
        fn probe(&mut self, at: HostPort) -> Availability {
            if self.taken.contains(&at.port.get()) {
                Availability::Taken
            } else {
                Availability::Free
            }
        }

        fn ephemeral(&mut self, _: HostIp, _: Protocol) -> Option<Port> {
            self.offers.pop().and_then(Port::new)
        }
    }

    fn published(host_port: impl Into<Option<u16>>, container_port: u16) -> PublishedPort {
        PublishedPort {
            host_ip: "127.0.0.1".into(),
            host_port: host_port.into(),
            container_port,
            protocol: Protocol::Tcp,
        }
    }

    fn numbers(chosen: &[PublishedPort]) -> Vec<Option<u16>> {
        chosen.iter().map(|port| port.host_port).collect()
    }

    #[test]
    fn only_taken_ports_move_and_never_onto_one_that_stays() {
        let requests = [
            published(3000, 3000),
            published(3001, 3001),
            published(None, 60999),
        ];
        let mut host = Host {
            taken: vec![3000],
            offers: vec![40000, 3001],
        };
        let chosen = choose_with(&requests, &BTreeSet::new(), &mut host).unwrap();
        assert_eq!(numbers(&chosen), [Some(40000), Some(3001), None]);
    }

    #[test]
    fn what_the_engine_refused_moves_although_the_probe_calls_it_free() {
        let requests = [published(3000, 3000)];
        let excluded = BTreeSet::from([place(&requests[0]).unwrap()]);
        let mut host = Host {
            taken: Vec::new(),
            offers: vec![40000, 3000],
        };
        let chosen = choose_with(&requests, &excluded, &mut host).unwrap();
        assert_eq!(numbers(&chosen), [Some(40000)]);
    }

    #[test]
    fn a_host_without_a_free_port_is_told() {
        let requests = [published(3000, 3000)];
        let mut host = Host {
            taken: vec![3000],
            offers: Vec::new(),
        };
        assert_eq!(choose_with(&requests, &BTreeSet::new(), &mut host), None);
    }
}

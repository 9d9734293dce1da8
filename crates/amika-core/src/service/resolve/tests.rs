//! What the resolver promises, tried on a host made of sets.

use std::collections::BTreeSet;

use pretty_assertions::assert_eq;
use proptest::prelude::*;

use super::*;

/// A host on which some ports are taken and the low ones are not for us.
#[derive(Clone, Debug, Default)]
struct Host {
    taken: BTreeSet<(u16, Protocol)>,
    privileged: bool,
    /// Ports that the operating system offers, in turn.
    offers: Vec<u16>,
}

impl Host {
    fn taking(ports: &[&str]) -> Self {
        let read = |text: &&str| {
            let port: ContainerPort = text.parse().unwrap();
            (port.port().get(), port.protocol())
        };
        Self {
            taken: ports.iter().map(read).collect(),
            ..Self::default()
        }
    }

    fn offering(mut self, offers: &[u16]) -> Self {
        self.offers = offers.to_vec();
        self
    }
}

impl PortProbe for Host {
    fn probe(&mut self, at: HostPort) -> Availability {
        if at.port.get() < 1024 && !self.privileged {
            return Availability::NotPermitted;
        }
        if self.taken.contains(&(at.port.get(), at.protocol)) {
            return Availability::Taken;
        }
        Availability::Free
    }

    fn ephemeral(&mut self, _: HostIp, _: Protocol) -> Option<Port> {
        if self.offers.is_empty() {
            None
        } else {
            Port::new(self.offers.remove(0))
        }
    }
}

/// Makes services of `name port/protocol[ scheme]` lines.
fn services(lines: &[&str]) -> Vec<Service> {
    let read = |(index, line): (usize, &&str)| {
        let mut words = line.split(' ');
        let name = words.next().unwrap().to_owned();
        let container = words.next().unwrap().parse().unwrap();
        let url_scheme = words.next().map(|scheme| scheme.parse().unwrap());
        Service {
            name,
            ports: vec![ServicePort {
                container,
                url_scheme,
                line: 2 * index + 2,
            }],
            run: None,
            sidecar: None,
        }
    };
    lines.iter().enumerate().map(read).collect()
}

fn flags(texts: &[&str]) -> Vec<Publish> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn try_resolve(
    host: &mut Host,
    declared: &[&str],
    published: &[&str],
) -> Result<Vec<Binding>, ResolveError> {
    resolve(
        &services(declared),
        &flags(published),
        HostIp::LOCALHOST,
        &BTreeSet::new(),
        host,
    )
}

/// Bindings as `service list` prints them.
fn lines(bindings: &[Binding]) -> Vec<String> {
    bindings
        .iter()
        .map(|binding| {
            let service = binding.service.as_deref().unwrap_or("-");
            format!(
                "{service} {binding} {}",
                binding.url.as_deref().unwrap_or("-")
            )
        })
        .collect()
}

fn resolved(host: &mut Host, declared: &[&str], published: &[&str]) -> Vec<String> {
    lines(&try_resolve(host, declared, published).unwrap())
}

fn message(host: &mut Host, declared: &[&str], published: &[&str]) -> String {
    try_resolve(host, declared, published)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_free_port_is_mirrored() {
    assert_eq!(
        resolved(
            &mut Host::default(),
            &[
                "api 4838/tcp http",
                "metrics 9090/tcp",
                "web 3000/tcp https"
            ],
            &[]
        ),
        [
            "api 127.0.0.1:4838->4838/tcp http://localhost:4838",
            "metrics 127.0.0.1:9090->9090/tcp -",
            "web 127.0.0.1:3000->3000/tcp https://localhost:3000",
        ]
    );
}

#[test]
fn a_taken_port_falls_back_to_one_of_the_operating_system() {
    let mut host = Host::taking(&["4838/tcp"]).offering(&[40_000]);
    assert_eq!(
        resolved(&mut host, &["api 4838/tcp http", "dns 4838/udp"], &[]),
        [
            "api 127.0.0.1:40000->4838/tcp http://localhost:40000",
            "dns 127.0.0.1:4838->4838/udp -",
        ]
    );
}

#[test]
fn a_low_port_falls_back_for_a_user_and_not_for_root() {
    let mut user = Host::default().offering(&[40_000]);
    assert_eq!(
        resolved(&mut user, &["web 80/tcp"], &[]),
        ["web 127.0.0.1:40000->80/tcp -"]
    );
    let mut root = Host {
        privileged: true,
        ..Host::default()
    };
    assert_eq!(
        resolved(&mut root, &["web 80/tcp"], &[]),
        ["web 127.0.0.1:80->80/tcp -"]
    );
}

#[test]
fn udp_gets_no_url() {
    assert_eq!(
        resolved(&mut Host::default(), &["dns 5353/udp http"], &[]),
        ["dns 127.0.0.1:5353->5353/udp -"]
    );
}

#[test]
fn flags_are_combined_with_services_and_never_changed() {
    let mut host = Host::default().offering(&[40_000, 40_001, 40_002]);
    assert_eq!(
        resolved(
            &mut host,
            &["web 3000/tcp http"],
            &["3000:80", "5432:5432", "99", ":98/udp"]
        ),
        [
            "web 127.0.0.1:40000->3000/tcp http://localhost:40000",
            "- 127.0.0.1:3000->80/tcp -",
            "- 127.0.0.1:5432->5432/tcp -",
            "- 127.0.0.1:40001->99/tcp -",
            "- 127.0.0.1:40002->98/udp -",
        ]
    );
}

#[test]
fn a_taken_host_port_of_a_flag_is_an_error() {
    let mut host = Host::taking(&["5432/tcp"]);
    assert_eq!(
        message(&mut host, &[], &["5432:5432"]),
        "host port 127.0.0.1:5432/tcp of --port 5432:5432 is in use"
    );
}

#[test]
fn a_low_host_port_of_a_flag_is_left_to_the_engine() {
    assert_eq!(
        resolved(&mut Host::default(), &[], &["80:8080"]),
        ["- 127.0.0.1:80->8080/tcp -"]
    );
}

#[test]
fn a_port_in_both_is_an_error_that_names_both_places() {
    assert_eq!(
        message(
            &mut Host::default(),
            &["api 1/tcp", "db 5432/tcp"],
            &["15432:5432"]
        ),
        "container port 5432/tcp is published by --port 15432:5432 and by service \"db\" \
         (.amika/config.toml:4)"
    );
    assert_eq!(
        resolved(&mut Host::default(), &["db 5432/tcp"], &["5433:5432/udp"]).len(),
        2,
        "another protocol is another port"
    );
}

#[test]
fn flags_do_not_repeat_one_another() {
    for (published, clash) in [
        (["8080:80", "8080:80"], true),
        (["8080:80", "8080:81"], true),
        (["8080:80", "8080:80/udp"], false),
        (["8080:80", "8081:80"], false),
        (["80", "80"], true),
        (["80", "80/udp"], false),
        (["80", "8080:80"], false),
        (["0.0.0.0:8080:80", "8080:81"], true),
        (["[::]:8080:80", "8080:81"], true),
        (["127.0.0.2:8080:80", "8080:81"], false),
        (["[::1]:8080:80", "8080:80"], false),
    ] {
        let mut host = Host::default().offering(&[40_000, 40_001]);
        let result = try_resolve(&mut host, &[], &published);
        assert_eq!(result.is_err(), clash, "{published:?} {result:?}");
    }
    assert_eq!(
        message(
            &mut Host::default(),
            &[],
            &["8080:80", "0.0.0.0:8080:81/tcp"]
        ),
        "--port 8080:80 and --port 0.0.0.0:8080:81 ask for the same port"
    );
}

#[test]
fn an_offered_port_never_takes_the_number_of_a_later_mirror() {
    let mut host = Host::taking(&["1000/tcp"]).offering(&[2000, 2000, 40_000]);
    host.privileged = true;
    assert_eq!(
        resolved(&mut host, &["a 1000/tcp", "b 2000/tcp"], &[]),
        [
            "a 127.0.0.1:40000->1000/tcp -",
            "b 127.0.0.1:2000->2000/tcp -"
        ]
    );
}

#[test]
fn what_the_engine_refused_is_not_tried_again() {
    let excluded = BTreeSet::from([
        HostPort {
            ip: "0.0.0.0".parse().unwrap(),
            port: Port::new(3000).unwrap(),
            protocol: Protocol::Tcp,
        },
        HostPort {
            ip: HostIp::LOCALHOST,
            port: Port::new(40_000).unwrap(),
            protocol: Protocol::Tcp,
        },
    ]);
    let mut host = Host::default().offering(&[40_000, 40_001]);
    let bindings = resolve(
        &services(&["a 3000/tcp"]),
        &[],
        HostIp::LOCALHOST,
        &excluded,
        &mut host,
    )
    .unwrap();
    assert_eq!(lines(&bindings), ["a 127.0.0.1:40001->3000/tcp -"]);
    let error = resolve(
        &[],
        &flags(&["3000:80"]),
        HostIp::LOCALHOST,
        &excluded,
        &mut host,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "host port 127.0.0.1:3000/tcp of --port 3000:80 is in use"
    );
}

#[test]
fn a_host_without_ports_is_an_error_that_names_the_service() {
    let mut host = Host::taking(&["3000/tcp"]);
    assert_eq!(
        message(&mut host, &["web 3000/tcp"], &[]),
        "no free host port for 3000/tcp of service \"web\" (.amika/config.toml:2)"
    );
    let mut stuck = Host::taking(&["3000/tcp"]).offering(&[4000; 1000]);
    assert!(try_resolve(&mut stuck, &["b 4000/tcp", "web 3000/tcp"], &[]).is_err());
}

#[test]
fn the_host_address_applies_to_all_that_name_none() {
    let host_ip = "192.168.1.5".parse().unwrap();
    let bindings = resolve(
        &services(&["web 3000/tcp http"]),
        &flags(&["8080:80", "[::1]:8081:81"]),
        host_ip,
        &BTreeSet::new(),
        &mut Host::default(),
    )
    .unwrap();
    assert_eq!(
        lines(&bindings),
        [
            "web 192.168.1.5:3000->3000/tcp http://192.168.1.5:3000",
            "- 192.168.1.5:8080->80/tcp -",
            "- [::1]:8081->81/tcp -",
        ]
    );
}

#[test]
fn an_engine_elsewhere_is_not_probed() {
    let mut unprobed = Unprobed(|n| n - 1);
    let services = services(&["web 80/tcp http"]);
    let mirrored = resolve(
        &services,
        &[],
        HostIp::LOCALHOST,
        &BTreeSet::new(),
        &mut unprobed,
    )
    .unwrap();
    assert_eq!(
        lines(&mirrored),
        ["web 127.0.0.1:80->80/tcp http://localhost:80"]
    );
    let excluded = mirrored.iter().map(Binding::host).collect();
    let moved = resolve(&services, &[], HostIp::LOCALHOST, &excluded, &mut unprobed).unwrap();
    assert_eq!(
        lines(&moved),
        ["web 127.0.0.1:65535->80/tcp http://localhost:65535"]
    );
}

/// A host on which any port may be taken and any may be offered.
struct RandomHost {
    taken: BTreeSet<u16>,
    offers: Vec<u16>,
    next: usize,
}

impl PortProbe for RandomHost {
    fn probe(&mut self, at: HostPort) -> Availability {
        if self.taken.contains(&at.port.get()) {
            Availability::Taken
        } else {
            Availability::Free
        }
    }

    fn ephemeral(&mut self, _: HostIp, _: Protocol) -> Option<Port> {
        self.next += 1;
        Port::new(self.offers[self.next % self.offers.len()])
    }
}

prop_compose! {
    /// Ports from few numbers, so that they meet.
    fn a_port()(port in 3000u16..3012, udp: bool) -> ContainerPort {
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        ContainerPort::new(Port::new(port).unwrap(), protocol).unwrap()
    }
}

prop_compose! {
    fn a_flag()(
        ip in proptest::sample::select(vec!["", "127.0.0.1", "0.0.0.0", "::1", "::"]),
        host_port in proptest::option::of(3000u16..3012),
        container in a_port(),
    ) -> Publish {
        Publish { host_ip: ip.parse().ok(), host_port: host_port.and_then(Port::new), container }
    }
}

proptest! {
    #[test]
    fn no_two_bindings_collide_and_every_promise_is_kept(
        declared in proptest::collection::btree_set(a_port(), 0..8),
        flags in proptest::collection::vec(a_flag(), 0..4),
        taken in proptest::collection::btree_set(3000u16..3012, 0..6),
        offers in proptest::collection::vec(2990u16..3030, 1..40),
        excluded in proptest::collection::btree_set(3000u16..3012, 0..3),
        wildcard: bool,
    ) {
        let services: Vec<Service> = declared
            .iter()
            .map(|port| Service {
                name: port.to_string(),
                ports: vec![ServicePort { container: *port, url_scheme: Some(Scheme::Http), line: 1 }],
                run: None,
                sidecar: None,
            })
            .collect();
        let host_ip: HostIp = if wildcard { "0.0.0.0" } else { "127.0.0.1" }.parse().unwrap();
        let excluded: BTreeSet<HostPort> = excluded
            .into_iter()
            .map(|port| HostPort { ip: host_ip, port: Port::new(port).unwrap(), protocol: Protocol::Tcp })
            .collect();
        let mut host = RandomHost { taken: taken.clone(), offers, next: 0 };
        let Ok(bindings) = resolve(&services, &flags, host_ip, &excluded, &mut host) else {
            return Ok(());
        };
        prop_assert_eq!(bindings.len(), services.len() + flags.len());
        for (index, binding) in bindings.iter().enumerate() {
            for other in &bindings[..index] {
                prop_assert!(!binding.host().collides(other.host()), "{binding} {other}");
            }
            prop_assert!(!excluded.iter().any(|it| it.collides(binding.host())), "{binding}");
            let udp = binding.container.protocol() == Protocol::Udp;
            prop_assert_eq!(binding.url.is_some(), binding.service.is_some() && !udp);
        }
        for (flag, binding) in flags.iter().zip(&bindings[services.len()..]) {
            prop_assert_eq!(binding.container, flag.container);
            prop_assert_eq!(binding.host_ip, flag.host_ip.unwrap_or(host_ip));
            if let Some(port) = flag.host_port {
                prop_assert_eq!(binding.host_port, port);
                prop_assert!(!taken.contains(&port.get()));
            }
        }
    }
}

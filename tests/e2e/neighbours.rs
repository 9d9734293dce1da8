//! What one sandbox can do to another, and to the host's idea of where the other is.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::support::{DEBIAN, Output, Running, Sandbox, Stage, docker, eventually};

const ATTACK: &str = include_str!("neighbours/attack.pl");
const VICTIM: &str = include_str!("neighbours/victim.pl");

/// A sandbox that talks with the host.
struct Victim<'a> {
    sandbox: Sandbox<'a>,
    address: String,
    host: UdpSocket,
    peer: SocketAddr,
    listening: Running,
}

impl<'a> Victim<'a> {
    fn new(stage: &'a Stage) -> Self {
        let sandbox = stage.sandbox(DEBIAN, &[]);
        let on_network = |field: &str| {
            sandbox.engine_says(&format!(
                "{{{{(index .NetworkSettings.Networks \"amika\").{field}}}}}"
            ))
        };
        let address = on_network("IPAddress");
        let gateway: IpAddr = on_network("Gateway").parse().unwrap();
        let host = UdpSocket::bind((gateway, 0)).unwrap();
        host.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let port = host.local_addr().unwrap().port().to_string();
        let listening = sandbox
            .exec(&["perl", "-e", VICTIM, "4000", &gateway.to_string(), &port])
            .start();
        let (_, peer) = host.recv_from(&mut [0; 100]).unwrap();
        assert_eq!(peer.ip().to_string(), address);
        let victim = Self {
            sandbox,
            address,
            host,
            peer,
            listening,
        };
        victim.host.send_to(b"first", victim.peer).unwrap();
        victim.listening.says("got first");
        victim
    }

    /// Lets a sandbox try all that there is; each try with how it ended.
    fn attacked_by(&self, attacker: &Sandbox<'_>) -> Vec<(String, String)> {
        let own = self.host.local_addr().unwrap();
        let (host, port) = (own.ip().to_string(), own.port().to_string());
        let program = ["perl", "-e", ATTACK, &self.address, &host, "4000", &port];
        let attack: Output = attacker.exec_with(&["--user", "0"], &program).output();
        attack.ended(0, &[]);
        let text = attack.stdout_text();
        text.lines()
            .map(|line| {
                let (what, how) = line.split_once(": ").unwrap_or_else(|| panic!("{text}"));
                (what.to_owned(), how.to_owned())
            })
            .collect()
    }

    /// Where the host takes the victim to be: the hardware address in its table for the victim's bridge.
    /// The table has a part for each bridge, and the host's routes tell which one counts.
    fn hardware(&self) -> String {
        let network = docker(&["network", "inspect", "-f", "{{slice .Id 0 12}}", "amika"]);
        let bridge = format!("br-{}", network.stdout_text().trim());
        let table = std::fs::read_to_string("/proc/net/arp").unwrap();
        let lines = table.lines().map(|line| line.split_ascii_whitespace());
        let mut found: Vec<String> = lines
            .map(Iterator::collect::<Vec<_>>)
            .filter(|fields| fields[0] == self.address && fields[5] == bridge)
            .map(|fields| fields[3].to_owned())
            .collect();
        assert_eq!(found.len(), 1, "{table}");
        found.remove(0)
    }

    /// Asserts that nothing has come between the host and it.
    fn stays_itself(self) {
        let own = self
            .sandbox
            .engine_says("{{(index .NetworkSettings.Networks \"amika\").MacAddress}}");
        assert_eq!(self.hardware(), own);
        // By its published port, which leads to the same address.
        let inspected = self.sandbox.inspect();
        assert_eq!(inspected["status"]["phase"], "running", "{inspected}");
        self.host.send_to(b"last", self.peer).unwrap();
        self.listening.says("got last");
        self.host.send_to(b"end", self.peer).unwrap();
        let heard = self.listening.wait().stdout_text();
        assert_eq!(heard, "got first\ngot last\ngot end\n");
    }
}

#[test]
fn no_packet_of_a_sandbox_speaks_for_another() {
    let stage = Stage::new();
    let victim = Victim::new(&stage);
    let attacker = stage.sandbox(DEBIAN, &[]);
    let tries = victim.attacked_by(&attacker);
    let names: Vec<&str> = tries.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(
        names,
        [
            "packet raw",
            "packet datagram",
            "packet ipv6",
            "raw icmp",
            "raw udp",
            "raw tcp",
            "raw icmpv6",
            "raw any",
            "transparent",
            "sent from the victim's address",
            "own address",
            "own hardware address",
            "connection to the victim",
        ]
    );
    for (what, how) in &tries {
        let reason = match what.as_str() {
            "sent from the victim's address" => "",
            "connection to the victim" => "timed out",
            _ => "not permitted",
        };
        assert!(
            how.starts_with("refused") && how.contains(reason),
            "{what}: {how}"
        );
    }
    victim.stays_itself();
}

#[test]
fn a_sandbox_that_may_make_packets_is_on_a_network_of_its_own() {
    let stage = Stage::new();
    let victim = Victim::new(&stage);
    let attacker = stage.sandbox(DEBIAN, &["--cap-add", "NET_RAW"]);
    let tries = victim.attacked_by(&attacker);
    let how = |what: &str| {
        let found = tries.iter().find(|(name, _)| name == what);
        found.unwrap_or_else(|| panic!("{tries:?}")).1.as_str()
    };
    // It did send them: what keeps them from the victim is where it is.
    for what in ["arp raw", "arp datagram", "forged datagram", "raw icmp"] {
        assert_eq!(how(what), "done", "{tries:?}");
    }
    assert!(
        how("connection to the victim").starts_with("refused"),
        "{tries:?}"
    );
    victim.stays_itself();

    let network = attacker.inspect()["network"].as_str().unwrap().to_owned();
    assert_eq!(network, format!("amika-{}", attacker.name));
    attacker.verb("delete", &["--force"]).output().ended(0, &[]);
    eventually("its network is gone", || stage.networks().is_empty());
}

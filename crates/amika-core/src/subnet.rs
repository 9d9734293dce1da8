//! Choosing networks that nothing else on a host uses: a small one of IPv4, and one of IPv6.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Where networks of one sandbox are chosen from, in this order. Docker takes none of its own from either,
/// and two ranges that far apart are seldom both in use by a company or a VPN.
pub const POOLS: [Subnet; 2] = [
    Subnet::new(Ipv4Addr::new(172, 16, 192, 0), 18),
    Subnet::new(Ipv4Addr::new(10, 213, 192, 0), 18),
];

/// Length of such a network's prefix: eight addresses, of which the bridge, the sandbox and each service beside it need one.
const PREFIX: u8 = 29;
/// A route to more of the world than this is a default route, or a half of one, as VPNs set it.
const SHORTEST_ROUTE: u8 = 8;

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

impl Subnet {
    /// The network that has this address; `prefix` is at most 32.
    const fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let base = address.to_bits() & mask(prefix);
        Self { base, prefix }
    }

    /// Whether an address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        let wider = mask(self.prefix.min(other.prefix));
        self.base & wider == other.base & wider
    }
}

const fn mask(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        1..32 => u32::MAX << (32 - prefix),
        _ => u32::MAX,
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

/// A text that is no IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no IPv4 network, such as 10.0.0.0/8")]
pub struct InvalidSubnet;

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let (address, prefix) = text.split_once('/').ok_or(InvalidSubnet)?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32);
        let address = address.parse().map_err(|_| InvalidSubnet)?;
        Ok(Self::new(address, prefix.ok_or(InvalidSubnet)?))
    }
}

/// The networks that a host has routes to, but for default ones, from the text of `/proc/net/route`. Lines
/// that cannot be read are left out.
pub fn routes(text: &str) -> Vec<Subnet> {
    let lines = text.lines().skip(1);
    lines
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            // The kernel prints numbers that lie in network order as those of this processor.
            let read = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::from_be);
            let base = read(fields.next()?)?;
            let mask = read(fields.nth(5)?)?;
            let prefix = u8::try_from(mask.leading_ones()).ok()?;
            Some(Subnet::new(Ipv4Addr::from_bits(base), prefix))
        })
        .filter(|route| route.prefix >= SHORTEST_ROUTE)
        .collect()
}

/// Chooses a network of eight addresses that overlaps none of `taken`, or nothing where all are. `start` is
/// any number: who starts elsewhere is less likely to choose the same at the same time.
pub fn choose(taken: &[Subnet], start: u32) -> Option<Subnet> {
    POOLS.into_iter().find_map(|pool| {
        let count = 1 << (PREFIX - pool.prefix);
        let near: Vec<Subnet> = taken
            .iter()
            .copied()
            .filter(|taken| taken.overlaps(pool))
            .collect();
        (0..count)
            .map(|offset| {
                let place = (start % count + offset) % count;
                let base = pool.base + (place << (32 - PREFIX));
                Subnet {
                    base,
                    prefix: PREFIX,
                }
            })
            .find(|subnet| near.iter().all(|taken| !taken.overlaps(*subnet)))
    })
}

/// The IPv6 network of 64 bits for a bridge, of the addresses that everybody may use within his own site: RFC 4193.
/// `random` makes it one that nobody else has: its low 40 bits are the global id, the 16 above them the subnet's.
pub fn unique_local(random: u64) -> String {
    let [_, subnet @ .., g1, g2, g3, g4, g5] = random.to_be_bytes();
    let global = [0xfd, g1, g2, g3, g4, g5];
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&global);
    bytes[6..8].copy_from_slice(&subnet);
    format!("{}/64", Ipv6Addr::from(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use pretty_assertions::assert_eq;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn chosen(taken: &[&str], start: u32) -> Option<String> {
        let taken: Vec<Subnet> = taken.iter().map(|text| subnet(text)).collect();
        choose(&taken, start).map(|chosen| chosen.to_string())
    }

    #[test]
    fn networks_are_read_as_they_print_and_nothing_else_is() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "172.16.192.8/29", "1.2.3.4/32"] {
            assert_eq!(subnet(text).to_string(), text);
        }
        assert_eq!(subnet("10.1.2.3/8").to_string(), "10.0.0.0/8");
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/8",
            "10.0.0.0/-1",
        ] {
            assert_eq!(text.parse::<Subnet>(), Err(InvalidSubnet), "{text}");
        }
    }

    #[test]
    fn networks_overlap_where_one_is_in_the_other() {
        for (one, other, overlap) in [
            ("10.0.0.0/8", "10.213.192.0/29", true),
            ("10.213.192.0/29", "10.213.192.8/29", false),
            ("10.213.192.0/28", "10.213.192.8/29", true),
            ("10.213.192.9/32", "10.213.192.8/29", true),
            ("172.16.0.0/12", "172.31.255.0/24", true),
            ("172.16.0.0/12", "172.32.0.0/24", false),
            ("0.0.0.0/0", "1.2.3.4/32", true),
        ] {
            assert_eq!(
                subnet(one).overlaps(subnet(other)),
                overlap,
                "{one} {other}"
            );
            assert_eq!(
                subnet(other).overlaps(subnet(one)),
                overlap,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn routes_of_the_host_are_read_but_for_those_to_everywhere() {
        // What the kernel prints on a processor whose lowest byte comes first.
        let lines = [
            ("00000000", "00000000", None),
            ("00000000", "00000080", None),
            ("000011AC", "0000FFFF", Some("172.17.0.0/16")),
            ("0000000A", "000000FF", Some("10.0.0.0/8")),
            ("08C010AC", "F8FFFFFF", Some("172.16.192.8/29")),
            ("0102A8C0", "FFFFFFFF", Some("192.168.2.1/32")),
        ];
        let own = |text: &str| {
            let number = u32::from_str_radix(text, 16).unwrap();
            format!("{:08X}", u32::from_le(number))
        };
        let mut text =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n".to_owned();
        for (destination, mask, _) in lines {
            let (destination, mask) = (own(destination), own(mask));
            let line = format!("eth0\t{destination}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0");
            writeln!(text, "{line}").unwrap();
        }
        text += "eth0\nlo\tnonsense\t0\t0\t0\t0\t0\t0\n";
        let found: Vec<String> = routes(&text).iter().map(Subnet::to_string).collect();
        let expected: Vec<&str> = lines.iter().filter_map(|(_, _, route)| *route).collect();
        assert_eq!(found, expected);
        assert_eq!(routes(""), []);
    }

    #[test]
    fn the_chosen_network_is_one_that_nothing_overlaps() {
        for (taken, start, expected) in [
            (&[][..], 0, Some("172.16.192.0/29")),
            (&[], 1, Some("172.16.192.8/29")),
            (&[], 2047, Some("172.16.255.248/29")),
            (&[], 2048, Some("172.16.192.0/29")),
            (&[], u32::MAX, Some("172.16.255.248/29")),
            (
                &["172.17.0.0/16", "192.168.0.0/16"],
                0,
                Some("172.16.192.0/29"),
            ),
            (&["172.16.192.0/29"], 0, Some("172.16.192.8/29")),
            (&["172.16.192.12/32"], 1, Some("172.16.192.16/29")),
            (&["172.16.192.0/24"], 3, Some("172.16.193.0/29")),
            // From the end it goes on at the beginning.
            (&["172.16.255.248/29"], 2047, Some("172.16.192.0/29")),
            // A VPN has the whole of the first pool, or of the second.
            (&["172.16.0.0/12"], 0, Some("10.213.192.0/29")),
            (&["172.16.0.0/12"], 5, Some("10.213.192.40/29")),
            (&["10.0.0.0/8"], 0, Some("172.16.192.0/29")),
            (&["172.16.0.0/12", "10.0.0.0/8"], 0, None),
            (&["172.16.128.0/17", "10.213.0.0/16"], 9, None),
        ] {
            assert_eq!(
                chosen(taken, start).as_deref(),
                expected,
                "{taken:?} {start}"
            );
        }
    }

    #[test]
    fn each_network_of_both_pools_is_chosen_for_one_start_alone() {
        for (taken, pool) in [(&[][..], POOLS[0]), (&[POOLS[0]], POOLS[1])] {
            let chosen: BTreeSet<Subnet> = (0..2048)
                .filter_map(|start| choose(taken, start))
                .inspect(|chosen| assert!(pool.overlaps(*chosen), "{chosen}"))
                .collect();
            assert_eq!(chosen.len(), 2048);
        }
    }

    #[test]
    fn an_ipv6_network_is_a_local_one_of_its_own() {
        for (random, network) in [
            (0, "fd00::/64"),
            (0xff_ffff_ffff, "fdff:ffff:ffff::/64"),
            // The highest byte is of no use.
            (0xee12_3401_0203_0405, "fd01:203:405:1234::/64"),
        ] {
            assert_eq!(unique_local(random), network, "{random:x}");
        }
    }
}

//! What the engine does, or does not do, to keep sandboxes from the host and from neighbours.

use super::Outcome;
use super::version::Version;
use crate::error::Result;
use crate::networks;
use crate::sandboxes::Sandboxes;
use amika_engine::SystemFacts;

/// Whether bridged packets pass iptables, without which containers of one bridge reach each other.
const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/// The same of IPv6.
const BRIDGE_FILTER_IPV6: &str = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
/// The first engine that keeps IPv6 packets out as those of IPv4, unless it is told not to.
const FILTERS_IPV6: u32 = 27;
/// The first engine that lets nobody but this host to a port published on 127.0.0.1.
const GUARDED: u32 = 28;

/// A known way out of containers.
struct Escape {
    /// What it is called.
    names: &'static str,
    /// The releases of runc that mend it, one for each line, in rising order.
    mended: &'static [&'static str],
    /// A distribution's builds that mend it: the release with what stands before the number of an update,
    /// and the first of these that does.
    builds: &'static [(&'static str, &'static str, u32)],
}

const ESCAPES: [Escape; 2] = [
    Escape {
        names: "CVE-2024-21626",
        mended: &["1.1.12"],
        builds: &[
            ("1.1.5", "+ds1-1+deb12u", 1),
            ("1.0.0~rc93", "~rc93+ds1-5+deb11u", 3),
        ],
    },
    Escape {
        names: "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        mended: &["1.2.8", "1.3.3", "1.4.0-rc.3"],
        builds: &[],
    },
];

/// Who root in a container is outside of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Root {
    /// Root as well.
    #[default]
    Same,
    /// A user without rights: the engine maps users.
    Mapped,
    /// The user that the engine runs as.
    EnginesUser,
    /// Root of a virtual machine that the engine has to itself, such as Docker Desktop's.
    OfMachine,
}

impl Root {
    fn of(system: &SystemFacts) -> Self {
        if system.rootless {
            Self::EnginesUser
        } else if system.user_namespaces {
            Self::Mapped
        } else if system.operating_system.contains("Docker Desktop") {
            Self::OfMachine
        } else {
            Self::Same
        }
    }

    /// Whether containers are on networks of the engine's machine, among its other interfaces.
    fn shares_networks(self) -> bool {
        matches!(self, Self::Same | Self::Mapped)
    }
}

/// What there is to know of an engine.
#[derive(Clone, Debug, Default)]
struct Facts {
    version: String,
    is_podman: bool,
    root: Root,
    runc: Option<String>,
    /// Whether bridged packets pass iptables; none where that is not known.
    filters_bridges: Option<bool>,
    /// Whether sandboxes have addresses of IPv6.
    has_ipv6: bool,
    /// Whether bridged packets of IPv6 pass ip6tables; none where that is not known.
    filters_ipv6_bridges: Option<bool>,
    /// The interface by which this host is reached.
    interface: Option<String>,
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) result: Outcome,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Looks at the engine, and says what was found.
///
/// # Errors
/// Those of the engine.
pub(super) async fn look(engine: &Sandboxes, system: &SystemFacts) -> Result<Vec<Finding>> {
    let is_told = |version: &String| Version::parse(version).is_some();
    let runc = match Some(system.runc.clone()).filter(is_told) {
        Some(version) => Some(version),
        None => engine.component("runc").await?,
    };
    let root = Root::of(system);
    let filters_bridges = if engine.is_local() && root.shares_networks() {
        match std::fs::read_to_string(BRIDGE_FILTER) {
            Ok(text) => Some(text.trim() != "0"),
            // The engine loads the module when it makes such a network.
            Err(_) => engine
                .inspect_network(networks::DEFAULT)
                .await?
                .map(|_| false),
        }
    } else {
        None
    };
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let ours = engine.inspect_network(networks::DEFAULT).await?;
    let filters_ipv6_bridges = std::fs::read_to_string(BRIDGE_FILTER_IPV6)
        .ok()
        .filter(|_| engine.is_local() && root.shares_networks())
        .map(|text| text.trim() != "0");
    let facts = Facts {
        has_ipv6: ours.is_some_and(|network| network.link.has_ipv6),
        filters_ipv6_bridges,
        version: system.version.clone(),
        is_podman: engine.is_podman().await?,
        root,
        runc,
        filters_bridges,
        interface: default_interface(&routes).filter(|_| engine.is_local()),
    };
    let rules = [neighbours, runc_escapes, bridge_filter, ipv6_filter];
    let findings = rules.into_iter().filter_map(|rule| rule(&facts));
    Ok(findings.chain([users(&facts)]).collect())
}

/// Whether others on this host's network reach what is published on 127.0.0.1.
fn neighbours(facts: &Facts) -> Option<Finding> {
    if facts.is_podman || !facts.root.shares_networks() {
        return None;
    }
    let version = Version::parse(&facts.version)?;
    if version.major() >= GUARDED {
        return Some(Finding {
            name: "neighbours",
            result: Outcome::Ok,
            message: "only this host reaches ports published on 127.0.0.1".into(),
            hint: None,
        });
    }
    let interface = facts.interface.as_deref().unwrap_or("eth0");
    Some(Finding {
        name: "neighbours",
        result: Outcome::Warning,
        message: format!(
            "engine {} is older than {GUARDED}: whoever is on this host's network and sends packets for \
             sandboxes by way of it reaches their ports, those published on 127.0.0.1 too",
            facts.version
        ),
        hint: Some(format!(
            "update the engine to {GUARDED} or later, or keep such packets out, after each start of the engine \
             ({interface} is where they come in):\n\
             `sudo iptables -I DOCKER-USER -i {interface} -m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT -j DROP`\n\
             `sudo iptables -I DOCKER-USER -i {interface} -m conntrack --ctorigdst 127.0.0.0/8 -j DROP`"
        )),
    })
}

/// Whether the program that starts containers has known ways out of them.
fn runc_escapes(facts: &Facts) -> Option<Finding> {
    let text = facts.runc.as_deref()?;
    let version = Version::parse(text)?;
    let finding = |result, message: String, hint: Option<&str>| {
        Some(Finding {
            name: "runc",
            result,
            message,
            hint: hint.map(str::to_owned),
        })
    };
    let (mut open, mut mended) = (Vec::new(), Vec::new());
    for escape in &ESCAPES {
        let releases: Vec<Version> = escape
            .mended
            .iter()
            .filter_map(|it| Version::parse(it))
            .collect();
        if version.has_mend_of(&releases) {
            continue;
        }
        let is_mended_build = escape.builds.iter().any(|(release, words, first)| {
            text.starts_with(release)
                && version
                    .update_behind(words)
                    .is_some_and(|update| update >= *first)
        });
        if is_mended_build {
            mended.push(escape.names);
        } else {
            open.push(escape.names);
        }
    }
    let mended = match mended.as_slice() {
        [] => String::new(),
        names => format!("; {} is mended in this build", names.join(", ")),
    };
    if open.is_empty() {
        let message = format!("{text}: none of the known ways out of a container{mended}");
        return finding(Outcome::Ok, message, None);
    }
    let open = open.join(", ");
    if version.is_of_a_distribution() {
        return finding(
            Outcome::Warning,
            format!(
                "{text} is older than the releases that mend ways out of a container: {open}{mended}"
            ),
            Some(
                "distributions mend such faults under the old number: `apt changelog runc` says which; \
                 `sudo apt-get install --only-upgrade runc` updates it",
            ),
        );
    }
    finding(
        Outcome::Warning,
        format!("{text} has known ways out of a container: {open}"),
        Some(
            "update runc to 1.2.8, 1.3.3 or later; with docker's own packages: \
             `sudo apt-get install --only-upgrade containerd.io`",
        ),
    )
}

/// Whether the engine can keep sandboxes of one bridge apart.
fn bridge_filter(facts: &Facts) -> Option<Finding> {
    if facts.filters_bridges? {
        return None;
    }
    Some(Finding {
        name: "bridges",
        result: Outcome::Warning,
        message: "bridged packets do not pass iptables, so sandboxes reach each other's ports"
            .into(),
        hint: Some(
            "`sudo modprobe br_netfilter && sudo sysctl -w net.bridge.bridge-nf-call-iptables=1` \
             (a file in /etc/sysctl.d keeps it)"
                .into(),
        ),
    })
}

/// Whether the engine keeps sandboxes apart by IPv6 too, where they have it.
fn ipv6_filter(facts: &Facts) -> Option<Finding> {
    if !facts.has_ipv6 || facts.is_podman {
        return None;
    }
    let is_old = Version::parse(&facts.version)?.major() < FILTERS_IPV6;
    if !is_old && facts.filters_ipv6_bridges != Some(false) {
        return None;
    }
    let hint = if is_old {
        "update the engine to 27 or later, or set `\"experimental\": true, \"ip6tables\": true` in \
         /etc/docker/daemon.json and start it anew; or close them yourself with ip6tables"
    } else {
        "`sudo modprobe br_netfilter && sudo sysctl -w net.bridge.bridge-nf-call-ip6tables=1` \
         (a file in /etc/sysctl.d keeps it)"
    };
    Some(Finding {
        name: "ipv6",
        result: Outcome::Warning,
        message: "sandboxes have IPv6, as the engine's own network has, and by it they reach each other's ports \
                  unless the engine was told to filter it"
            .into(),
        hint: Some(hint.into()),
    })
}

/// Who root in a sandbox is outside of it.
fn users(facts: &Facts) -> Finding {
    let harmless = match facts.root {
        Root::EnginesUser => "root in a sandbox has no more rights outside than the engine's user",
        Root::Mapped => "root in a sandbox is a user without rights outside",
        Root::OfMachine => {
            "root in a sandbox is root of the engine's virtual machine, not of this one"
        }
        Root::Same => {
            return Finding {
                name: "users",
                result: Outcome::Warning,
                message: "root in a sandbox is root on the engine's machine: the kernel, capabilities and mounts \
                          alone keep it in"
                    .into(),
                hint: Some(
                    "a rootless engine, or `userns-remap` in /etc/docker/daemon.json, makes it a user without \
                     rights; in mounts with `rw` new files then belong to others (docs/mounts.md)"
                        .into(),
                ),
            };
        }
    };
    Finding {
        name: "users",
        result: Outcome::Ok,
        message: harmless.into(),
        hint: None,
    }
}

/// The interface of the first default route of `/proc/net/route`.
fn default_interface(routes: &str) -> Option<String> {
    routes.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        is_default.then(|| fields.first().map(|name| (*name).to_owned()))?
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

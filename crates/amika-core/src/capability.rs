//! Which of root's rights a sandbox has: Linux capabilities.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The capabilities of Linux, without their prefix, in the kernel's order: a name's place is its number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What an engine gives a container by itself, as Docker has it.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
];

/// A capability, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(&'static str);

impl Capability {
    /// All that there are.
    pub const ALL: Self = Self("ALL");
    /// Frames and packets of any content, and any source address.
    pub const NET_RAW: Self = Self("NET_RAW");
    /// Addresses, routes and filters.
    pub const NET_ADMIN: Self = Self("NET_ADMIN");
    /// Device files.
    pub const MKNOD: Self = Self("MKNOD");
    /// Capabilities of files.
    pub const SETFCAP: Self = Self("SETFCAP");
    /// Set-group-id bits for groups that one is not in; such bits outlast a write.
    pub const FSETID: Self = Self("FSETID");
    /// Mounts, namespaces, and much else.
    pub const SYS_ADMIN: Self = Self("SYS_ADMIN");
    /// Limits beyond their limits; not every host has it to give.
    pub const SYS_RESOURCE: Self = Self("SYS_RESOURCE");

    /// The names of all, without `CAP_`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().chain([Self::ALL.0])
    }

    /// Its name, without `CAP_`.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Those whose bits are set in a mask, as the kernel numbers them. Bits without a name are left out.
    pub fn of_mask(mask: u64) -> Vec<Self> {
        let names = NAMES.iter().enumerate();
        names
            .filter(|(bit, _)| mask & (1 << bit) != 0)
            .map(|(_, name)| Self(name))
            .collect()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// A name that no capability has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no capability \"{}\"", .text.escape_debug())]
pub struct UnknownCapability {
    /// What was given.
    pub text: String,
}

/// Upper and lower case are the same, and the prefix `CAP_` may be left out, as docker has it.
impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(text: &str) -> Result<Self, UnknownCapability> {
        let upper = text.to_ascii_uppercase();
        // `CAP_ALL` is none to docker either.
        if upper == Self::ALL.0 {
            return Ok(Self::ALL);
        }
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match NAMES.iter().find(|name| **name == bare) {
            Some(name) => Ok(Self(name)),
            None => Err(UnknownCapability {
                text: text.to_owned(),
            }),
        }
    }
}

/// What a sandbox is for, as far as its rights depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An agent at work.
    Agent,
    /// An agent with a container engine of its own: that mounts and makes networks, and what it starts gets what
    /// an engine gives by itself, which it can only give if it has it.
    NestedEngine,
}

/// How a sandbox's capabilities differ from what the engine gives by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Given beyond that.
    pub added: BTreeSet<Capability>,
    /// Taken away.
    pub dropped: BTreeSet<Capability>,
}

impl Capabilities {
    /// Those of a sandbox. `asked` are the user's; `writes_host_files` tells of an `rw` mount of a host path.
    ///
    /// `NET_RAW` makes one sandbox answer for another on their network, `MKNOD` makes device files.
    /// `SETFCAP` and `FSETID` put rights on files that count on the host as well, where its files can be
    /// written. All go, unless they are asked for, or an engine inside has to give them to its containers.
    pub fn of(purpose: Purpose, asked: &BTreeSet<Capability>, writes_host_files: bool) -> Self {
        let mut added = asked.clone();
        if purpose == Purpose::NestedEngine {
            added.extend([Capability::SYS_ADMIN, Capability::NET_ADMIN]);
        }
        let dropped: &[Capability] = if added.contains(&Capability::ALL) {
            &[Capability::SYS_RESOURCE]
        } else if purpose == Purpose::NestedEngine {
            &[]
        } else if writes_host_files {
            &[
                Capability::NET_RAW,
                Capability::MKNOD,
                Capability::SETFCAP,
                Capability::FSETID,
            ]
        } else {
            &[Capability::NET_RAW, Capability::MKNOD]
        };
        let dropped = dropped.iter().copied();
        Self {
            dropped: dropped.filter(|it| !asked.contains(it)).collect(),
            added,
        }
    }

    /// Those of a privileged container: all, whatever else is asked for.
    pub fn privileged() -> Self {
        Self {
            added: BTreeSet::from([Capability::ALL]),
            dropped: BTreeSet::new(),
        }
    }

    /// Those of them that whoever has only `bound` cannot give.
    pub fn missing_from(&self, bound: &[Capability]) -> Vec<Capability> {
        let all = self.added.contains(&Capability::ALL);
        let default = |name: &&str| all || DEFAULT.contains(name);
        NAMES
            .into_iter()
            .filter(|name| default(name) || self.added.contains(&Capability(name)))
            .map(Capability)
            .filter(|one| !self.dropped.contains(one) && !bound.contains(one))
            .collect()
    }

    /// Whether root in the sandbox may mount and unmount: `SYS_ADMIN`, by its own name or as one of all.
    pub fn can_mount(&self) -> bool {
        let has = |wanted: &str| self.added.iter().any(|one| one.as_str() == wanted);
        has("ALL") || has("SYS_ADMIN")
    }

    /// Whether programs can send frames of any content, or give themselves addresses: on a network that
    /// they share, they could speak for others.
    pub fn can_speak_for_others(&self) -> bool {
        [Capability::ALL, Capability::NET_RAW, Capability::NET_ADMIN]
            .iter()
            .any(|it| self.added.contains(it))
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<Capability> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn names_are_read_as_docker_reads_them() {
        for text in [
            "NET_RAW",
            "net_raw",
            "CAP_NET_RAW",
            "cap_net_raw",
            "Cap_Net_Raw",
        ] {
            assert_eq!(text.parse(), Ok(Capability::NET_RAW), "{text}");
        }
        for text in ["ALL", "all"] {
            assert_eq!(text.parse(), Ok(Capability::ALL), "{text}");
        }
        for name in NAMES {
            assert_eq!(name.parse::<Capability>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn names_that_no_capability_has_are_refused() {
        for text in [
            "NET_RAWW",
            "",
            "CAP_",
            "CAP_ALL",
            "CAP_CAP_NET_RAW",
            " NET_RAW",
            "NET_RAW,MKNOD",
        ] {
            let error = text.parse::<Capability>().unwrap_err();
            assert_eq!(error.text, text);
        }
        let error = "a\n".parse::<Capability>().unwrap_err();
        assert_eq!(error.to_string(), "there is no capability \"a\\n\"");
    }

    #[test]
    fn what_is_dropped_and_added_follows_from_what_a_sandbox_is_for() {
        use Purpose::{Agent, NestedEngine};
        for (purpose, asked, writes_host_files, added, dropped) in [
            (Agent, &[][..], false, &[][..], &["MKNOD", "NET_RAW"][..]),
            (
                Agent,
                &[],
                true,
                &[],
                &["FSETID", "MKNOD", "NET_RAW", "SETFCAP"],
            ),
            (Agent, &["NET_RAW"], false, &["NET_RAW"], &["MKNOD"]),
            (Agent, &["MKNOD"], false, &["MKNOD"], &["NET_RAW"]),
            (
                Agent,
                &["SETFCAP"],
                true,
                &["SETFCAP"],
                &["FSETID", "MKNOD", "NET_RAW"],
            ),
            (
                Agent,
                &["NET_ADMIN", "SYS_PTRACE"],
                false,
                &["NET_ADMIN", "SYS_PTRACE"],
                &["MKNOD", "NET_RAW"],
            ),
            (Agent, &["ALL"], false, &["ALL"], &["SYS_RESOURCE"]),
            (Agent, &["ALL"], true, &["ALL"], &["SYS_RESOURCE"]),
            (
                Agent,
                &["ALL", "SYS_RESOURCE"],
                false,
                &["ALL", "SYS_RESOURCE"],
                &[],
            ),
            (NestedEngine, &[], false, &["NET_ADMIN", "SYS_ADMIN"], &[]),
            (NestedEngine, &[], true, &["NET_ADMIN", "SYS_ADMIN"], &[]),
            (
                NestedEngine,
                &["SYS_RESOURCE"],
                false,
                &["NET_ADMIN", "SYS_ADMIN", "SYS_RESOURCE"],
                &[],
            ),
            (
                NestedEngine,
                &["ALL"],
                false,
                &["ALL", "NET_ADMIN", "SYS_ADMIN"],
                &["SYS_RESOURCE"],
            ),
        ] {
            let expected = Capabilities {
                added: set(added),
                dropped: set(dropped),
            };
            let found = Capabilities::of(purpose, &set(asked), writes_host_files);
            assert_eq!(found, expected, "{purpose:?} {asked:?} {writes_host_files}");
        }
    }

    #[test]
    fn what_somebody_cannot_give_is_told() {
        let all = Capability::of_mask(u64::MAX);
        let without = |names: &[&str]| -> Vec<Capability> {
            let kept = all.iter().filter(|one| !names.contains(&one.as_str()));
            kept.copied().collect()
        };
        let of = |purpose, asked: &[&str], bound: &[&str]| {
            let missing =
                Capabilities::of(purpose, &set(asked), false).missing_from(&without(bound));
            let names = missing.into_iter().map(Capability::as_str);
            names.collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        let engine = Purpose::NestedEngine;
        assert_eq!(of(engine, &[], &[]), none);
        assert_eq!(of(engine, &[], &["SYS_RESOURCE", "SYS_TIME"]), none);
        assert_eq!(of(engine, &[], &["SYS_ADMIN", "SYS_TIME"]), ["SYS_ADMIN"]);
        assert_eq!(of(engine, &[], &["MKNOD"]), ["MKNOD"]);
        let resource = ["SYS_RESOURCE"];
        assert_eq!(of(engine, &resource, &resource), resource);
        assert_eq!(of(Purpose::Agent, &["ALL"], &["SYS_TIME"]), ["SYS_TIME"]);
        assert_eq!(of(Purpose::Agent, &["ALL"], &resource), none);
        assert_eq!(of(Purpose::Agent, &[], &["MKNOD", "SYS_ADMIN"]), none);
    }

    #[test]
    fn who_can_make_packets_or_addresses_can_speak_for_others() {
        let can = |purpose, asked: &[&str]| {
            Capabilities::of(purpose, &set(asked), false).can_speak_for_others()
        };
        for asked in [
            &["NET_RAW"][..],
            &["NET_ADMIN"],
            &["ALL"],
            &["KILL", "NET_RAW"],
        ] {
            assert!(can(Purpose::Agent, asked), "{asked:?}");
        }
        for asked in [&[][..], &["MKNOD"], &["NET_BIND_SERVICE"], &["SYS_PTRACE"]] {
            assert!(!can(Purpose::Agent, asked), "{asked:?}");
        }
        assert!(can(Purpose::NestedEngine, &[]));
    }

    #[test]
    fn bits_of_a_mask_are_told_by_their_names() {
        assert_eq!(Capability::of_mask(1 << 13), [Capability::NET_RAW]);
        let names: Vec<&str> = Capability::of_mask(1 << 12 | 1 << 40 | 1 << 63)
            .into_iter()
            .map(Capability::as_str)
            .collect();
        assert_eq!(names, ["NET_ADMIN", "CHECKPOINT_RESTORE"]);
        assert_eq!(Capability::of_mask(0), []);
    }
}

//! Which of the rights that an engine needs this container has.

use amika_core::capability::Capability;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::sys;

/// Without these it does not start: it mounts layers, and makes bridges and addresses.
const NEEDED: [&str; 2] = ["SYS_ADMIN", "NET_ADMIN"];
/// One of the settings that it makes for its networks.
const SETTING: &str = "/proc/sys/net/ipv4/ip_forward";

/// What a container has.
#[derive(Clone, Copy, Debug)]
struct Rights<'a> {
    is_root: bool,
    /// Text of `/proc/self/status`.
    status: &'a str,
    /// Its containers cannot be started: each gets a keyring.
    keyrings_are_filtered: bool,
    /// Its containers cannot be on a network.
    settings_are_read_only: bool,
}

/// Refuses where a right is missing without which the engine, or what is run in it, does not start.
pub(super) fn check() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rights = Rights {
        is_root: nix::unistd::geteuid().is_root(),
        status: &status,
        keyrings_are_filtered: sys::keyrings_are_filtered(),
        settings_are_read_only: access(SETTING, AccessFlags::W_OK) == Err(Errno::EROFS),
    };
    rights.check()
}

impl Rights<'_> {
    fn check(self) -> Result<(), String> {
        if !self.is_root {
            return Err("amikad is not root here".to_owned());
        }
        let mask = self.status.lines().find_map(|line| {
            let mask = line.strip_prefix("CapEff:")?;
            u64::from_str_radix(mask.trim(), 16).ok()
        });
        // What cannot be read is left for the engine to find out.
        let held = Capability::of_mask(mask.unwrap_or(u64::MAX));
        let is_held = |needed: &&str| held.iter().any(|one| one.as_str() == *needed);
        let mut missing: Vec<&str> = NEEDED.into_iter().filter(|it| !is_held(it)).collect();
        if self.keyrings_are_filtered {
            missing.push("seccomp=unconfined");
        }
        if self.settings_are_read_only {
            missing.push("systempaths=unconfined");
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "this container has no right to it: {} missing; it needs `--cap-add SYS_ADMIN --cap-add NET_ADMIN \
             --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt \
             systempaths=unconfined --cgroupns private`",
            missing.join(" and "),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Rights<'static> {
        Rights {
            is_root: true,
            status: "Name:\tx\nCapEff:\t000001ffffffffff\n",
            keyrings_are_filtered: false,
            settings_are_read_only: false,
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |rights: Rights<'_>| rights.check().unwrap_err();
        assert_eq!(all().check(), Ok(()));
        let (admin, net) = (1_u64 << 21, 1_u64 << 12);
        let status = |mask: u64| format!("CapEff:\t{mask:016x}\n");
        for (mask, words) in [
            (net, ": SYS_ADMIN missing;"),
            (admin, ": NET_ADMIN missing;"),
            (0, ": SYS_ADMIN and NET_ADMIN missing;"),
        ] {
            let status = status(mask);
            let rights = Rights {
                status: &status,
                ..all()
            };
            assert!(said(rights).contains(words), "{words}");
        }
        let status = status(admin | net);
        let least = Rights {
            status: &status,
            ..all()
        };
        assert_eq!(least.check(), Ok(()));
        let filtered = Rights {
            keyrings_are_filtered: true,
            ..least
        };
        assert!(said(filtered).contains(": seccomp=unconfined missing;"));
        let read_only = Rights {
            settings_are_read_only: true,
            ..least
        };
        assert!(said(read_only).contains(": systempaths=unconfined missing;"));
    }

    #[test]
    fn who_is_not_root_cannot_have_one() {
        let rights = Rights {
            is_root: false,
            ..all()
        };
        assert!(rights.check().unwrap_err().contains("not root"));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_engine() {
        for status in ["", "CapEff:\n", "CapEff:\tzz\n"] {
            assert_eq!(Rights { status, ..all() }.check(), Ok(()), "{status:?}");
        }
    }
}

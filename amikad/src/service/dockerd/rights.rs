//! Which of the rights that an engine needs this container has.

use amika_core::capability::Capability;

/// Without these it does not start: it mounts layers, and makes bridges and addresses.
const NEEDED: [&str; 2] = ["SYS_ADMIN", "NET_ADMIN"];

/// Refuses where a right is missing without which the engine does not start; warns of those without which it
/// starts and its containers do not.
pub(super) fn check() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    check_status(&status, nix::unistd::geteuid().is_root())
}

/// [`check`] of the text of `/proc/self/status`.
fn check_status(status: &str, is_root: bool) -> Result<(), String> {
    if !is_root {
        return Err("amikad is not root here".to_owned());
    }
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.map(str::trim)
    };
    // What cannot be read is left for the engine to find out.
    let Some(mask) = field("CapEff:").and_then(|mask| u64::from_str_radix(mask, 16).ok()) else {
        return Ok(());
    };
    let held = Capability::of_mask(mask);
    let missing: Vec<&str> = NEEDED
        .into_iter()
        .filter(|needed| !held.iter().any(|one| one.as_str() == *needed))
        .collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let (admin, net) = (1_u64 << 21, 1_u64 << 12);
        let of = |mask: u64| check_status(&format!("Name:\tx\nCapEff:\t{mask:016x}\n"), true);
        assert_eq!(of(admin | net), Ok(()));
        assert_eq!(of(u64::MAX >> 23), Ok(()));
        let said = of(net).unwrap_err();
        assert!(said.contains(": SYS_ADMIN missing;"), "{said}");
        let said = of(admin).unwrap_err();
        assert!(said.contains(": NET_ADMIN missing;"), "{said}");
        let said = of(0).unwrap_err();
        assert!(said.contains("SYS_ADMIN and NET_ADMIN missing"), "{said}");
    }

    #[test]
    fn who_is_not_root_cannot_have_one() {
        let all = format!("CapEff:\t{:016x}\n", u64::MAX >> 23);
        assert!(check_status(&all, false).unwrap_err().contains("not root"));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_engine() {
        for status in ["", "CapEff:\n", "CapEff:\tzz\n"] {
            assert_eq!(check_status(status, true), Ok(()), "{status:?}");
        }
    }
}

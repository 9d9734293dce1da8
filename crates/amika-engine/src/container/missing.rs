//! Capabilities that a machine has not, and an engine therefore does not let be taken away.

use std::collections::BTreeSet;

use amika_core::capability::Capability;

/// The one of these that the engine will not drop since nothing of it is there. The container then lacks it without that.
///
/// Docker from 23.0 on: `invalid CapDrop: capability not supported by your kernel or not available in the
/// current environment: "CAP_SYS_RESOURCE"`. Earlier ones and Podman take it.
pub(super) fn capability(refusal: &str, dropped: &BTreeSet<Capability>) -> Option<Capability> {
    let (_, told) = refusal.split_once("invalid CapDrop: capability not supported")?;
    let named = told.split('"').nth(1)?.parse().ok()?;
    dropped.contains(&named).then_some(named)
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn it_is_told_by_the_engines_words() {
        let told = |name: &str, option: &str| {
            format!(
                "invalid {option}: capability not supported by your kernel or not available in the current environment: \"CAP_{name}\""
            )
        };
        let dropped = BTreeSet::from([Capability::SYS_RESOURCE, Capability::MKNOD]);
        for (refusal, expected) in [
            (
                told("SYS_RESOURCE", "CapDrop"),
                Some(Capability::SYS_RESOURCE),
            ),
            (told("MKNOD", "CapDrop"), Some(Capability::MKNOD)),
            // Not one that was dropped, not one that there is, and what is wanted is not left out.
            (told("NET_RAW", "CapDrop"), None),
            (told("NONSENSE", "CapDrop"), None),
            (told("SYS_RESOURCE", "CapAdd"), None),
            (
                "invalid CapDrop: unknown capability: \"CAP_X\"".into(),
                None,
            ),
            ("invalid CapDrop: capability not supported".into(), None),
        ] {
            assert_eq!(capability(&refusal, &dropped), expected, "{refusal}");
        }
    }
}

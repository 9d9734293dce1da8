//! Whether set-user-id programs and devices can be kept off the host, and how.

use crate::seccomp;
use amika_engine::SystemFacts;

/// What `create` says where they are.
pub(super) const FILTERED: &str = "set-user-id programs and devices cannot be made in this sandbox: installing or upgrading sudo, \
     passwd and the like fails; `--allow-setid` lifts it";

/// What keeps them off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Nothing: root in the sandbox is somebody else on the host.
    NotNeeded,
    /// This seccomp profile.
    Profile(String),
    /// Nothing can, and why.
    Impossible(String),
}

/// Chooses the filter of a sandbox that has a writable mount of the host. `is_nested` says whether an engine
/// runs in it.
pub fn filter(system: &SystemFacts, is_podman: bool, is_nested: bool) -> Filter {
    if !system.root_is_root() {
        return Filter::NotNeeded;
    }
    if is_nested {
        return Filter::Impossible("an engine in a sandbox needs all system calls".into());
    }
    if is_podman {
        return Filter::Impossible(
            "Podman takes a seccomp profile only as a file of its own machine".into(),
        );
    }
    match system.seccomp.as_deref() {
        // An administrator's own profile may be stricter than ours.
        Some("default" | "builtin") => Filter::Profile(seccomp::profile(&system.version)),
        Some(other) => Filter::Impossible(format!(
            "the engine has a seccomp profile of its own, {other}"
        )),
        None => Filter::Impossible("the engine has no seccomp".into()),
    }
}

/// The warning where there is none.
pub(super) fn unfiltered(why: &str) -> String {
    format!(
        "root in this sandbox is root in its rw mounts, and may make set-user-id programs and devices there, which \
         make root of any user of this machine: {why}; `:rwcopy` gives the sandbox a copy"
    )
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn the_filter_is_for_engines_whose_root_is_root_and_whose_default_is_known() {
        let rootful = SystemFacts {
            version: "20.10.24".into(),
            seccomp: Some("default".into()),
            ..SystemFacts::default()
        };
        let profile = Filter::Profile(seccomp::profile("20.10.24"));
        assert_eq!(filter(&rootful, false, false), profile);
        let builtin = SystemFacts {
            seccomp: Some("builtin".into()),
            ..rootful.clone()
        };
        assert_eq!(filter(&builtin, false, false), profile);
        for seccomp in [None, Some("unconfined"), Some("/etc/docker/mine.json")] {
            let system = SystemFacts {
                seccomp: seccomp.map(str::to_owned),
                ..rootful.clone()
            };
            let Filter::Impossible(why) = filter(&system, false, false) else {
                panic!("{seccomp:?}");
            };
            assert!(why.contains(seccomp.unwrap_or("no seccomp")), "{why}");
        }
        assert!(matches!(
            filter(&rootful, true, false),
            Filter::Impossible(_)
        ));
        assert!(matches!(
            filter(&rootful, false, true),
            Filter::Impossible(_)
        ));
        let rootless = SystemFacts {
            rootless: true,
            ..rootful.clone()
        };
        let remapped = SystemFacts {
            user_namespaces: true,
            ..rootful.clone()
        };
        let desktop = SystemFacts {
            operating_system: "Docker Desktop".into(),
            ..rootful
        };
        for system in [rootless, remapped, desktop] {
            assert_eq!(filter(&system, false, true), Filter::NotNeeded);
        }
    }
}

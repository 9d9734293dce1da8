//! Which network a sandbox, or the build of its image, is on.

use amika_core::label::key;

use super::own::{self, Wish};
use super::shared::{self, DEFAULT, INTERNAL};
use crate::error::{self, Error, Result};
use crate::sandboxes::Sandboxes;

/// What `--network` has for [`INTERNAL`].
const INTERNAL_WORD: &str = "internal";
/// What `--network` has for no network at all.
const NONE: &str = "none";
/// No name server: the engine's own asks on behalf of the sandbox, engines before 26 also from a network
/// that nothing else leaves, and a name can carry anything out.
const NO_SERVER: &str = "127.0.0.1";

/// The network of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The bridge that sandboxes share without reaching each other.
    Shared,
    /// The same without a way out.
    Internal,
    /// A bridge for this sandbox alone: its programs could speak for others on a shared one, or it has services beside it.
    Own {
        /// Whether it has no way out.
        internal: bool,
    },
    /// None but its own loopback.
    None,
    /// One that the user named.
    Given {
        /// Its name.
        name: String,
        /// Whether it has no way out.
        internal: bool,
    },
}

/// Name servers, in place of the host's, on a network that is without a way out or not.
pub(crate) fn dns_where(internal: bool) -> Vec<String> {
    if internal {
        vec![NO_SERVER.to_owned()]
    } else {
        Vec::new()
    }
}

/// Whether a name is that of a network which Amika makes when it is wanted.
pub fn is_made_here(network: &str) -> bool {
    [DEFAULT, INTERNAL, INTERNAL_WORD].contains(&network)
}

/// The network that the RUN lines of a build are on, for a sandbox that is to be on this one; none for the engine's own
/// bridge. Not on a bridge of sandboxes: there what can make packets, as builds can, could speak for them.
///
/// # Errors
/// As of [`choose`].
pub(crate) async fn of_builds(engine: &Sandboxes, given: Option<&str>) -> Result<Option<String>> {
    Ok(match choose(engine, given, false).await? {
        Choice::Shared | Choice::Own { internal: false } => None,
        Choice::Internal | Choice::Own { internal: true } | Choice::None => Some(NONE.to_owned()),
        Choice::Given { name, .. } => Some(name),
    })
}

/// The network that settings mean.
///
/// # Errors
/// [`error::Kind::Invalid`] for another sandbox's own; those of the engine.
pub async fn choose(engine: &Sandboxes, given: Option<&str>, apart: bool) -> Result<Choice> {
    let Some(name) = given.filter(|name| !is_made_here(name) && *name != NONE) else {
        return Ok(Choice::of(given, apart, false));
    };
    let Some(facts) = engine.inspect_network(name).await? else {
        return Ok(Choice::of(given, apart, false));
    };
    if !facts.labels.contains_key(key::KIND) {
        return Ok(Choice::of(given, apart, facts.internal));
    }
    // One of Amika's by its id, or the beginning of it, is the same network as by its name.
    if facts.labels.contains_key(key::ID) {
        return Err(Error::new(
            error::Kind::Invalid,
            format!("network {name} is a sandbox's own, and no other comes on it"),
        )
        .hint("`docker network create NAME` makes one for several"));
    }
    let word = if facts.internal { INTERNAL } else { DEFAULT };
    Ok(Choice::of(Some(word), apart, facts.internal))
}

impl Choice {
    /// What is meant by `--network`. `apart` tells that the sandbox's programs could speak for others, or that it has services beside it,
    /// `internal` that there is no way out of the network that is given.
    fn of(given: Option<&str>, apart: bool, internal: bool) -> Self {
        match given {
            None | Some(DEFAULT) if apart => Self::Own { internal: false },
            Some(INTERNAL_WORD | INTERNAL) if apart => Self::Own { internal: true },
            None | Some(DEFAULT) => Self::Shared,
            Some(INTERNAL_WORD | INTERNAL) => Self::Internal,
            Some(NONE) => Self::None,
            Some(name) => Self::Given {
                name: name.to_owned(),
                internal,
            },
        }
    }

    /// Its name, as far as it is known before it is made.
    pub fn name(&self, sandbox: &str) -> String {
        match self {
            Self::Shared => DEFAULT.to_owned(),
            Self::Internal => INTERNAL.to_owned(),
            Self::Own { internal } => own::name(sandbox, *internal),
            Self::None => NONE.to_owned(),
            Self::Given { name, .. } => name.clone(),
        }
    }

    /// Whether a port of the sandbox can be published on the host.
    pub fn publishes_ports(&self) -> bool {
        !self.is_internal() && *self != Self::None
    }

    /// Name servers in place of the host's.
    pub fn dns(&self) -> Vec<String> {
        dns_where(self.is_internal())
    }

    fn is_internal(&self) -> bool {
        match self {
            Self::Internal => true,
            Self::Own { internal } | Self::Given { internal, .. } => *internal,
            Self::Shared | Self::None => false,
        }
    }

    /// What to say of a network on which ports are not published.
    pub fn without_ports(&self, sandbox: &str) -> Option<String> {
        let network = match self {
            Self::None => "without a network",
            _ if self.is_internal() => "on a network without a way out",
            _ => return None,
        };
        Some(format!(
            "{network} no port is published: services are reached from inside, as by `amika sandbox exec {sandbox}`, and by `amika forward {sandbox} PORT`"
        ))
    }

    /// What to warn of where a sandbox whose programs can speak for others is on a network of others.
    pub fn shared_with_others(&self) -> Option<String> {
        let Self::Given { name, .. } = self else {
            return None;
        };
        Some(format!(
            "with these capabilities its programs can answer for every other container on network \"{name}\"; \
             without --network it has one of its own"
        ))
    }

    /// Makes it if it is Amika's and not there; returns its name.
    ///
    /// # Errors
    /// [`error::Kind::Conflict`] when a stranger's has the name, or no addresses are free; those of the engine.
    pub async fn ensure(&self, engine: &Sandboxes, name: &str, wish: &Wish) -> Result<String> {
        match self {
            Self::Shared => shared::ensure(engine, DEFAULT).await?,
            Self::Internal => shared::ensure(engine, INTERNAL).await?,
            Self::Own { internal } => return own::ensure(engine, *internal, wish).await,
            Self::None | Self::Given { .. } => {}
        }
        Ok(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn the_network_follows_from_the_flag_and_the_rights() {
        let given = |name: &str, internal| Choice::Given {
            name: name.to_owned(),
            internal,
        };
        for (flag, apart, internal, choice, name, publishes) in [
            (None, false, false, Choice::Shared, "amika", true),
            (
                None,
                true,
                false,
                Choice::Own { internal: false },
                "amika-x",
                true,
            ),
            (
                Some("internal"),
                false,
                false,
                Choice::Internal,
                "amika-internal",
                false,
            ),
            (
                Some("internal"),
                true,
                false,
                Choice::Own { internal: true },
                "amika-x.internal",
                false,
            ),
            (Some("none"), false, false, Choice::None, "none", false),
            (Some("none"), true, false, Choice::None, "none", false),
            (Some("amika"), false, false, Choice::Shared, "amika", true),
            (
                Some("amika"),
                true,
                false,
                Choice::Own { internal: false },
                "amika-x",
                true,
            ),
            (
                Some("amika-internal"),
                true,
                false,
                Choice::Own { internal: true },
                "amika-x.internal",
                false,
            ),
            (Some("web"), false, false, given("web", false), "web", true),
            (Some("web"), true, false, given("web", false), "web", true),
            (Some("web"), false, true, given("web", true), "web", false),
        ] {
            let found = Choice::of(flag, apart, internal);
            assert_eq!(found, choice, "{flag:?} {apart}");
            assert_eq!(found.name("x"), name);
            assert_eq!(found.publishes_ports(), publishes, "{flag:?}");
            assert_eq!(found.without_ports("x").is_none(), publishes, "{flag:?}");
            // Nobody is asked for names where nothing else gets out.
            assert_eq!(found.dns().is_empty(), publishes || flag == Some("none"));
        }
    }
}

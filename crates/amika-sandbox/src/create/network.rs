//! Whether the network that `--network` names can be joined, before anything is made.

use crate::error::{Error, Kind, Result};
use crate::networks;
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;

/// What docker calls its usual network, which is not listed by this name.
const DEFAULT: &str = "default";
/// Ways to a network, not networks, that Podman has; an argument may follow a colon. Docker lists the last as a network.
const PODMANS: [&str; 4] = ["slirp4netns", "pasta", "private", "none"];
/// The network of the engine's machine itself, and that of any process there.
const MACHINES: [&str; 2] = ["host", "ns"];
/// How many networks an error names.
const SHOWN: usize = 8;

/// Makes sure that a network is there, and none of another container or of the machine; of Podman's further ways it is left
/// to Podman to judge.
///
/// # Errors
/// [`Kind::Invalid`] when it is not; those of the engine.
pub(super) async fn refuse_missing(engine: &Sandboxes, network: Option<&str>) -> Result<()> {
    let network = network.filter(|network| !networks::is_made_here(network));
    let Some(network) = network.filter(|network| *network != DEFAULT) else {
        return Ok(());
    };
    if network.starts_with("container:") {
        return Err(Error::new(
            Kind::Invalid,
            format!("--network {network}: a sandbox publishes ports, which another container's network does not allow"),
        )
        .hint("name a network that both are on"));
    }
    let way = network.split_once(':').map_or(network, |(way, _)| way);
    if MACHINES.contains(&way) {
        return Err(Error::new(
            Kind::Invalid,
            format!("no sandbox is on the network of another: {network}"),
        )
        .hint("`docker network create NAME` makes one; `amika forward` reaches ports of a sandbox from here"));
    }
    // The engine also knows one by its id.
    if engine.inspect_network(network).await?.is_some() {
        return Ok(());
    }
    let names = engine.network_names().await?;
    if names.iter().any(|name| name == network) {
        return Ok(());
    }
    if PODMANS.contains(&way) && engine.is_podman().await? {
        return Ok(());
    }
    Err(missing(network, &names))
}

/// The error for a network that is not there; `names` are those that are.
fn missing(network: &str, names: &[String]) -> Error {
    let error = Error::new(
        Kind::Invalid,
        format!(
            "--network: there is no network \"{}\"",
            network.escape_debug()
        ),
    );
    let known = names.iter().map(String::as_str);
    if let Some(near) = amika_core::nearest::nearest(network, known) {
        return error.hint(format!("did you mean `--network {}`?", shell_quote(near)));
    }
    let error = match names {
        [] => error,
        _ if names.len() > SHOWN => error.hint(format!(
            "there are {}, and {} more (`docker network ls`)",
            names[..SHOWN].join(", "),
            names.len() - SHOWN
        )),
        _ => error.hint(format!("there are {}", names.join(", "))),
    };
    error.hint("without --network a sandbox is on a bridge of Amika's own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_are_there_are_named() {
        let hints = |network: &str, names: &[String]| missing(network, names).hints;
        let names = ["amika", "bridge", "host", "web"].map(str::to_owned);
        assert_eq!(
            hints("brigde", &names),
            ["did you mean `--network bridge`?"]
        );
        assert_eq!(
            hints("nonet", &names)[0],
            "there are amika, bridge, host, web"
        );
        let many: Vec<String> = (10..30).map(|number| format!("net{number}")).collect();
        assert_eq!(
            hints("else", &many)[0],
            "there are net10, net11, net12, net13, net14, net15, net16, net17, and 12 more \
             (`docker network ls`)"
        );
        assert_eq!(hints("else", &[]).len(), 1);
        assert_eq!(
            missing("a\nb", &[]).message,
            "--network: there is no network \"a\\nb\""
        );
    }
}

//! Which volumes of a sandbox hold work, for whoever deletes it and leaves them.

use std::collections::BTreeMap;
use std::path::Path;

use amika_core::contract::path;
use amika_core::label::Kind;
use amika_core::untrusted::Untrusted;

use super::found::found_in;
use super::left::left;
use super::look::{NAMED, Seen};
use super::reading::LONGEST;
use crate::error::Result;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerState, MountFacts, VolumeFacts};

/// Names of volumes, each with why it may not be lost. Of the clone's own volume nothing is said.
pub(crate) type Held = BTreeMap<String, String>;

/// Those of a sandbox that hold work, or of which that cannot be told.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn held(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    going: &[(Kind, VolumeFacts)],
) -> Result<Held> {
    match sandbox.container.state {
        // Nothing was ever written in it.
        ContainerState::Created => return Ok(Held::new()),
        // The engine shows no file of it.
        ContainerState::Dead => {
            return held_left(engine, &sandbox.name, sandbox.record.id.as_str(), going).await;
        }
        _ => {}
    }
    let found = found_in(engine, sandbox, going).await?;
    let mounts = &sandbox.container.mounts;
    let held = found.iter().filter_map(|(place, seen)| {
        let holder = holder(mounts, place)?;
        Some((holder.source.clone(), why(place, seen)?))
    });
    Ok(held.collect())
}

/// The same of volumes whose container is gone.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn held_left(
    engine: &Sandboxes,
    name: &str,
    id: &str,
    volumes: &[(Kind, VolumeFacts)],
) -> Result<Held> {
    let (found, _) = left(engine, name, id, volumes, false).await?;
    let mut held = Held::new();
    for (place, seen) in &found {
        let Some(why) = why(place, seen) else {
            continue;
        };
        let is_it = |kind: Kind, volume: &VolumeFacts| {
            Path::new(&volume.name) == place
                || kind == Kind::Home && place.starts_with(path::HOME)
                || kind == Kind::State && place.starts_with(path::STATE_DIR)
        };
        for (kind, volume) in volumes {
            if is_it(*kind, volume) {
                held.insert(volume.name.clone(), why.clone());
            }
        }
    }
    Ok(held)
}

/// What is mounted where a place is.
fn holder<'m>(mounts: &'m [MountFacts], place: &Path) -> Option<&'m MountFacts> {
    mounts
        .iter()
        .filter(|mount| mount.kind == "volume" && place.starts_with(&mount.target))
        .max_by_key(|mount| mount.target.len())
}

/// Why what is at a place may not be lost.
fn why(place: &Path, seen: &Seen) -> Option<String> {
    let shown = place.display();
    if let Some(what) = &seen.itself {
        return Some(format!("{shown} is {what}"));
    }
    if seen.is_work() {
        // The sandbox chose them.
        let names = seen.names.iter().take(NAMED);
        let mut names: Vec<String> = names.map(|name| Untrusted::new(name).to_string()).collect();
        if seen.names.len() > NAMED {
            names.push("…".to_owned());
        }
        return Some(format!("it holds work in {shown}: {}", names.join(", ")));
    }
    (!seen.is_whole).then(|| {
        let seconds = LONGEST.as_secs();
        format!("{shown} could not be looked through in {seconds} s")
    })
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn a_place_is_held_by_the_innermost_volume_and_why_is_told_with_names_that_steer_nothing() {
        let mount = |kind: &str, source: &str, target: &str| MountFacts {
            kind: kind.into(),
            source: source.into(),
            target: target.into(),
            writable: true,
        };
        let mounts = [
            mount("volume", "home", "/home/amika"),
            mount("volume", "data", "/home/amika/data"),
            mount("bind", "/srv", "/home/amika/srv/deep"),
        ];
        let of = |place: &str| holder(&mounts, Path::new(place)).map(|it| it.source.as_str());
        assert_eq!(of("/home/amika"), Some("home"));
        assert_eq!(of("/home/amika/data/x"), Some("data"));
        assert_eq!(of("/home/amika/srv/deep/x"), Some("home"));
        assert_eq!(of("/opt"), None);

        let place = Path::new("/home/amika");
        let mut seen = Seen {
            is_whole: true,
            ..Seen::default()
        };
        assert_eq!(why(place, &seen), None);
        seen.names.insert("a\u{1b}[2J".to_owned());
        let told = why(place, &seen).unwrap();
        assert!(told.starts_with("it holds work in /home/amika: a") && !told.contains('\u{1b}'));
        let cut = Seen::default();
        assert!(
            why(place, &cut)
                .unwrap()
                .contains("could not be looked through")
        );
    }
}

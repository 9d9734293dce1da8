//! What of the engine's belongs to one sandbox.

use amika_core::label::{Kind, SandboxRecord, key};

use crate::error::Result;
use crate::passing::passing;
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerState, ContainerSummary, VolumeFacts};

/// The volumes of a sandbox, with what each is: those whose own labels say so. `container` is the
/// engine's id of its container.
///
/// # Errors
/// Those of the engine.
pub async fn volumes(
    engine: &Sandboxes,
    container: &str,
    record: &SandboxRecord,
) -> Result<Vec<(Kind, VolumeFacts)>> {
    Ok(belongings(engine, container, record).await?.volumes)
}

/// What of the engine's belongs to one sandbox.
pub(crate) struct Belongings {
    /// Its volumes, with what each is.
    pub(crate) volumes: Vec<(Kind, VolumeFacts)>,
    /// Whether no other container says that it is this sandbox. A label can be copied: where two bear
    /// the same id, each has the volumes that it alone mounts, and nothing by its id.
    pub(crate) is_alone: bool,
}

pub(crate) async fn belongings(
    engine: &Sandboxes,
    container: &str,
    record: &SandboxRecord,
) -> Result<Belongings> {
    let label = format!("{}={}", key::ID, record.id);
    let (volumes, bearers) =
        tokio::try_join!(engine.list_volumes(&label), engine.list_containers(&label))?;
    let mut volumes: Vec<(Kind, VolumeFacts)> = volumes
        .into_iter()
        .filter_map(|volume| Some((volume.labels.get(key::KIND)?.parse().ok()?, volume)))
        .collect();
    let is_alone = keep_own(&mut volumes, container, &bearers);
    volumes.extend(given(engine, container, record).await?);
    Ok(Belongings { volumes, is_alone })
}

/// The git volume that it was given in place of a clone, which bears another's id; not where any other sandbox mounts it
/// too.
async fn given(
    engine: &Sandboxes,
    container: &str,
    record: &SandboxRecord,
) -> Result<Option<(Kind, VolumeFacts)>> {
    let Some(name) = &record.from_volume else {
        return Ok(None);
    };
    let Some(volume) = engine.inspect_volume(name).await? else {
        return Ok(None);
    };
    let label = format!("{}={}", key::KIND, Kind::Sandbox);
    let sandboxes = engine.list_containers(&label).await?;
    let mut users = sandboxes
        .iter()
        .filter(|it| it.volumes.iter().any(|(mounted, _)| mounted == name));
    let is_shared = users.any(|user| user.id != container && passing(&user.name).is_none());
    Ok((!is_shared).then_some((Kind::Git, volume)))
}

/// Leaves the volumes that are a container's own among those of its sandbox's id, which `bearers` bear:
/// those that it mounts, and no other sandbox of that id. Returns whether there is no other.
fn keep_own(
    volumes: &mut Vec<(Kind, VolumeFacts)>,
    container: &str,
    bearers: &[ContainerSummary],
) -> bool {
    let sandboxes = bearers.iter().filter(|bearer| {
        bearer.labels.get(key::KIND).map(String::as_str) == Some(Kind::Sandbox.as_str())
    });
    let (own, others): (Vec<_>, Vec<_>) = sandboxes.partition(|bearer| bearer.id == container);
    let mounts = |bearers: &[&ContainerSummary], volume: &str| {
        let mut mounted = bearers.iter().flat_map(|bearer| &bearer.volumes);
        mounted.any(|(name, _)| name == volume)
    };
    // One that takes its place is the same sandbox, with the same volumes.
    let is_same = |bearer: &ContainerSummary| {
        passing(&bearer.name).is_some()
            && (own.is_empty() || bearer.volumes.iter().any(|(name, _)| mounts(&own, name)))
    };
    let others: Vec<&ContainerSummary> = others
        .into_iter()
        .filter(|bearer| !is_same(bearer))
        .collect();
    // Of one that the engine removed half-way nothing is told, nor of one that is gone.
    let is_whole = own
        .iter()
        .any(|own| !matches!(own.state, ContainerState::Dead | ContainerState::Removing));
    if is_whole || !others.is_empty() {
        volumes.retain(|(_, volume)| mounts(&own, &volume.name) && !mounts(&others, &volume.name));
    }
    others.is_empty()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn bearer(id: &str, name: &str, kind: Kind, volumes: &[&str]) -> ContainerSummary {
        ContainerSummary {
            id: id.to_owned(),
            name: name.to_owned(),
            image: String::new(),
            state: ContainerState::Exited,
            created_at: None,
            status: String::new(),
            labels: [(key::KIND.to_owned(), kind.to_string())].into(),
            ports: Vec::new(),
            volumes: volumes
                .iter()
                .map(|volume| ((*volume).to_owned(), "/x".to_owned()))
                .collect(),
            networks: Vec::new(),
        }
    }

    #[test]
    fn a_copied_id_claims_no_volume() {
        let sandbox = bearer("1", "a", Kind::Sandbox, &["home", "shared"]);
        let mut dead = bearer("1", "a", Kind::Sandbox, &[]);
        dead.state = ContainerState::Dead;
        let next = bearer("2", "a.reassign", Kind::Sandbox, &["home", "shared"]);
        let filler = bearer("3", "home-fill-1", Kind::Amikad, &["home"]);
        let copy = bearer("4", "b", Kind::Sandbox, &["shared"]);
        let bare = bearer("5", "c", Kind::Sandbox, &[]);
        let all = ["home", "shared", "other"];
        for (container, bearers, own, is_alone) in [
            ("1", vec![sandbox.clone()], &all[..2], true),
            // The engine tells nothing of it, or it is gone already.
            ("1", vec![dead.clone()], &all, true),
            ("1", vec![], &all, true),
            ("1", vec![next.clone()], &all, true),
            (
                "1",
                vec![sandbox.clone(), next.clone(), filler],
                &all[..2],
                true,
            ),
            ("1", vec![sandbox.clone(), copy.clone()], &["home"], false),
            ("1", vec![sandbox.clone(), bare.clone()], &all[..2], false),
            ("1", vec![dead, bare.clone()], &[], false),
            ("4", vec![sandbox, copy.clone()], &[], false),
            ("1", vec![copy], &[], false),
            // All that is left of that sandbox are its volumes, or what was to take its place.
            ("5", vec![bare.clone()], &[], true),
            ("5", vec![bare, next], &[], false),
        ] {
            let volume = |name: &&str| {
                let facts = VolumeFacts {
                    name: (*name).to_owned(),
                    labels: std::collections::BTreeMap::new(),
                    driver: "local".to_owned(),
                    mountpoint: String::new(),
                };
                (Kind::Home, facts)
            };
            let mut volumes: Vec<(Kind, VolumeFacts)> = all.iter().map(volume).collect();
            assert_eq!(keep_own(&mut volumes, container, &bearers), is_alone);
            let names: Vec<&str> = volumes.iter().map(|(_, it)| it.name.as_str()).collect();
            assert_eq!(names, own);
        }
    }
}

//! Removing a sandbox's container and the volumes that go with it.

use amika_core::label::{Kind, SandboxRecord, key};

use crate::engine::{ContainerFacts, Engine, EngineError, VolumeFacts};
use crate::error::Result;

/// The volumes of a sandbox, with what each is.
///
/// # Errors
/// Those of the engine.
pub async fn volumes(engine: &Engine, record: &SandboxRecord) -> Result<Vec<(Kind, VolumeFacts)>> {
    let list = engine
        .list_volumes(&format!("{}={}", key::ID, record.id))
        .await?;
    Ok(list
        .into_iter()
        .filter_map(|volume| Some((volume.labels.get(key::KIND)?.parse().ok()?, volume)))
        .collect())
}

/// What a removal left and took.
#[derive(Debug, Default)]
pub struct Removed {
    /// Volumes that went.
    pub removed: Vec<String>,
    /// Git volumes that stay.
    pub kept: Vec<String>,
}

/// Removes a container, running or not, and the volumes that go with the sandbox; git volumes only
/// when asked to. A container that is gone already is no error: what is left of it goes.
///
/// # Errors
/// Those of the engine.
pub async fn remove(
    engine: &Engine,
    container: &str,
    record: &SandboxRecord,
    git_too: bool,
) -> Result<Removed> {
    let volumes = volumes(engine, record).await?;
    match engine.remove_container(container).await {
        Ok(()) | Err(EngineError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    // A create that is under way, or was killed, may have one at a volume.
    remove_fillers(engine, record.id.as_str()).await?;
    crate::reassign::remove_containers(engine, &record.id).await?;
    crate::reassign::drop_unused_images(engine, &record.id).await;
    crate::networks::remove_own(engine, record.id.as_str()).await?;
    let mut result = Removed::default();
    for (kind, volume) in volumes {
        if kind.goes_with_sandbox() || (git_too && kind == Kind::Git) {
            engine.remove_freed_volume(&volume.name).await?;
            result.removed.push(volume.name);
        } else if kind == Kind::Git {
            result.kept.push(volume.name);
        }
    }
    Ok(result)
}

/// Removes the containers through which volumes of a sandbox are filled.
///
/// # Errors
/// Those of the engine.
pub async fn remove_fillers(engine: &Engine, id: &str) -> Result<()> {
    let filler = Kind::Amikad.as_str();
    let ours = engine.list_containers(&format!("{}={id}", key::ID)).await?;
    for container in ours {
        if container.labels.get(key::KIND).map(String::as_str) == Some(filler) {
            match engine.remove_container(&container.id).await {
                Ok(()) | Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Removes what an interrupted create left: the container was never started, so no work is in it,
/// and its clone is of this create's making too.
///
/// # Errors
/// Those of the engine.
pub async fn remove_unfinished(
    engine: &Engine,
    container: &ContainerFacts,
    record: &SandboxRecord,
) -> Result<()> {
    remove(engine, &container.id, record, true).await.map(drop)
}

//! The containers of a sandbox beside its own.

use amika_core::label::{Kind, key};
use amika_engine::EngineError;

use crate::error::Result;
use crate::sandboxes::Sandboxes;

/// Removes the other containers of a sandbox: its services', and those through which its volumes are filled.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn remove(engine: &Sandboxes, id: &str) -> Result<()> {
    let others = [Kind::Amikad, Kind::Service].map(Kind::as_str);
    let ours = engine.list_containers(&format!("{}={id}", key::ID)).await?;
    for container in ours {
        let kind = container.labels.get(key::KIND);
        if kind.is_some_and(|kind| others.contains(&kind.as_str())) {
            match engine.remove_container(&container.id).await {
                Ok(()) | Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

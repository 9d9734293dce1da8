//! Deleting a sandbox, and what stays of it.

use std::sync::Arc;

use amika_sandbox::cancel::Cancel;
use amika_sandbox::delete::{DeleteRequest, Removed};
use amika_sandbox::error::{Error, Kind as Why};
use amika_sandbox::progress::Progress;
use amika_sandbox::sandbox::Sandbox;
use amika_sandbox::sandboxes::Sandboxes;

/// How much goes with a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// What holds work stays, the git volume always.
    KeepWork,
    /// Nothing, where there is work.
    IfClean,
    /// All.
    Everything,
}

impl Deletion {
    /// The word for it, as it is kept.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::KeepWork => "keep_work",
            Self::IfClean => "if_clean",
            Self::Everything => "everything",
        }
    }

    /// What a word means; the careful one where there is none.
    pub(super) fn of(word: Option<&str>) -> Self {
        match word {
            Some("everything") => Self::Everything,
            Some("if_clean") => Self::IfClean,
            _ => Self::KeepWork,
        }
    }
}

/// A volume that stays, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct KeptVolume {
    /// Its name on the engine.
    pub name: String,
    /// Why it stays.
    pub reason: String,
}

/// Deletes one.
///
/// # Errors
/// Those of the engine; 409's where there is work and nothing was to be lost.
pub(super) async fn delete(
    engine: &Sandboxes,
    name: &str,
    deletion: Deletion,
    sink: Arc<dyn Progress>,
    cancel: &Cancel,
) -> Result<Vec<KeptVolume>, Error> {
    let all = deletion == Deletion::Everything;
    let request = DeleteRequest {
        force: all,
        volumes: all,
    };
    match engine.delete(name, request, sink, cancel).await {
        Ok(Removed { kept, .. }) => Ok(kept_for(kept, "it is the clone's")),
        // There never was one, or it is gone already.
        Err(error) if error.kind == Why::NotFound => Ok(Vec::new()),
        Err(error) if error.kind == Why::Conflict && deletion == Deletion::KeepWork => {
            keep_volumes(engine, name, &error.message).await
        }
        Err(error) => Err(error),
    }
}

fn kept_for(names: Vec<String>, reason: &str) -> Vec<KeptVolume> {
    let kept = names.into_iter().map(|name| KeptVolume {
        name,
        reason: reason.to_owned(),
    });
    kept.collect()
}

/// Removes the container alone: there is work, and which volume has it the state volume tells.
async fn keep_volumes(engine: &Sandboxes, name: &str, why: &str) -> Result<Vec<KeptVolume>, Error> {
    let sandbox = Sandbox::find_any(engine, name).await?;
    let volumes =
        amika_sandbox::belongings::volumes(engine, &sandbox.container.id, &sandbox.record).await?;
    engine.remove_container(&sandbox.container.id).await?;
    let names = volumes.into_iter().map(|(_, volume)| volume.name);
    Ok(kept_for(names.collect(), why))
}

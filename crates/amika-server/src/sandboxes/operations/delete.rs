//! Deleting a sandbox, and what stays of it.

use std::sync::Arc;

use amika_sandbox::cancel::Cancel;
use amika_sandbox::delete::DeleteRequest;
use amika_sandbox::error::{Error, Kind as Why};
use amika_sandbox::keep::Kept;
use amika_sandbox::progress::Progress;
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

impl From<Kept> for KeptVolume {
    fn from(kept: Kept) -> Self {
        Self {
            name: kept.name,
            reason: kept.reason,
        }
    }
}

/// Deletes one. One that never was, or is gone already, is deleted.
///
/// # Errors
/// Those of the engine; a conflict where there is work and nothing was to be lost.
pub(super) async fn delete(
    engine: &Sandboxes,
    name: &str,
    deletion: Deletion,
    sink: Arc<dyn Progress>,
    cancel: &Cancel,
) -> Result<Vec<KeptVolume>, Error> {
    let all = deletion == Deletion::Everything;
    let deleted = match deletion {
        Deletion::KeepWork => engine.delete_but_work(name, sink, cancel).await,
        Deletion::IfClean | Deletion::Everything => {
            let request = DeleteRequest {
                force: all,
                volumes: all,
            };
            let removed = engine.delete(name, request, sink, cancel).await;
            removed.map(|removed| {
                let repository = removed.kept.into_iter().map(|name| Kept {
                    name,
                    reason: "it has the repository: what is in it may be nowhere else".to_owned(),
                });
                let data = removed.kept_data.into_iter().map(Kept::of_service);
                repository.chain(data).collect()
            })
        }
    };
    match deleted {
        Ok(kept) => Ok(kept.into_iter().map(KeptVolume::from).collect()),
        Err(error) if error.kind == Why::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

//! The name of a sandbox to be, held from the first moment on.

use amika_core::name::SandboxName;

use super::apply::{clear_name, name_taken};
use super::resume::Unreported;
use crate::error::{Kind, Result};
use crate::lock::FileLock;
use crate::sandboxes::Sandboxes;
use crate::unreported::Mark;

/// How often a made-up name may turn out to be taken.
const TRIES: u32 = 20;

/// A name that is held.
pub(super) struct Taken {
    pub(super) name: SandboxName,
    pub(super) lock: FileLock,
    /// The sandbox of this name that nobody was told of.
    pub(super) unreported: Option<Unreported>,
}

/// The name asked for, or a made-up one that is free, with its lock. Where `keeps_old`, a sandbox may have the
/// name asked for.
///
/// # Errors
/// [`Kind::Conflict`] where it is taken, or held; those of the engine.
pub(super) async fn take(
    engine: &Sandboxes,
    asked: Option<&SandboxName>,
    keeps_old: bool,
) -> Result<Taken> {
    if let Some(name) = asked {
        let lock = engine.locks().take_name(name.as_str())?;
        // Refused before an image is built or a repository read. What is replaced goes only once all else is known
        // to be good.
        let unreported = if keeps_old {
            None
        } else {
            match clear_name(engine, name.as_str()).await? {
                None => None,
                Some(container) => match Mark::read(&lock) {
                    Some(mark) if mark.is_of(&container) => Some(Unreported { container, mark }),
                    _ => return Err(name_taken(engine, name.as_str(), &container).await),
                },
            }
        };
        return Ok(Taken {
            name: name.clone(),
            lock,
            unreported,
        });
    }
    let mut attempt = 0;
    loop {
        let name = SandboxName::generate(attempt, |n| rand::random_range(0..n));
        attempt += 1;
        let free = match engine.inspect_container(name.as_str()).await {
            Err(error) if error.is_not_found() => engine.locks().take_name(name.as_str()),
            Ok(_) if attempt < TRIES => continue,
            Ok(_) => engine.locks().take_name(name.as_str()),
            Err(error) => return Err(error.into()),
        };
        match free {
            Err(error) if error.kind == Kind::Conflict && attempt < TRIES => {}
            other => {
                return other.map(|lock| Taken {
                    name,
                    lock,
                    unreported: None,
                });
            }
        }
    }
}

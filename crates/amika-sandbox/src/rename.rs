//! Giving a sandbox another name.

use amika_core::label::SandboxId;
use amika_core::name::SandboxName;

use crate::broken_off::interruptible;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::{Sandboxes, to_its_end};
use amika_engine::EngineError;

/// What became of a name.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// The sandbox's name before; the one now where it had that one already.
    pub old_name: String,
    /// Its id, which stays.
    pub id: SandboxId,
    /// Its host name inside, which stays, where the engine tells it.
    pub hostname: Option<String>,
}

impl Sandboxes {
    /// Gives a sandbox another name; volumes and host name keep theirs. Both names are locked meanwhile.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Conflict`] where the name is taken, or one of the two is being worked on,
    /// [`Kind::Canceled`] (then nothing was done), and those of the engine.
    pub async fn rename(&self, name: &str, new: &SandboxName, cancel: &Cancel) -> Result<Renamed> {
        let (engine, new, cancel) = (self.clone(), new.clone(), cancel.clone());
        let name = name.to_owned();
        to_its_end(async move {
            let found = Sandbox::find_made(&engine, &name);
            let sandbox = interruptible(&cancel, found).await?;
            if new.as_str() != sandbox.name {
                crate::create::refuse_name(&new, &sandbox.record.services)?;
                // Whoever makes or mends a sandbox of either name must not have it change in his hands.
                let old = engine.locks().take_name(&sandbox.name)?;
                let locks = engine.locks();
                let _new = locks.take_name(new.as_str())?;
                // Of two that hold both names of each other neither would end: the one that sorts first goes first.
                let mut names = [sandbox.name.as_str(), new.as_str()];
                names.sort_unstable();
                let free =
                    async { Ok((locks.change(names[0]).await, locks.change(names[1]).await)) };
                let _changes = interruptible(&cancel, free).await?;
                crate::unreported::clear(&old);
                engine
                    .rename_container(&sandbox.container.id, new.as_str())
                    .await
                    .map_err(|error| match error {
                        EngineError::Conflict(message) => {
                            Error::new(Kind::Conflict, format!("the name \"{new}\" is taken"))
                                .cause(message)
                                .hint("choose another; `amika sandbox list` shows the sandboxes")
                        }
                        error => error.into(),
                    })?;
            }
            Ok(Renamed {
                old_name: sandbox.name,
                id: sandbox.record.id,
                hostname: sandbox.container.hostname,
            })
        })
        .await
    }
}

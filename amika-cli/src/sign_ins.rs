//! Two copies of a sign-in, one on the host and one in a sandbox: reading both and telling which works.

use std::path::Path;

use amika_core::contract::path;
use amika_core::credential::{Agent, Copy, CredentialFile, FILES, MAX_BYTES, Newer, newer};

use crate::create::HostFile;
use crate::engine::{ArchivedFile, ContainerState, Engine, EngineError};
use crate::error::Result;
use crate::output::Printer;
use crate::sandbox::{self, Sandbox};

/// What stands at one of two places.
pub enum Side<T> {
    /// Nothing.
    Missing,
    /// A file.
    File(T),
    /// Something from which nothing can be taken, with the reason.
    Unusable(String),
}

impl<T> Side<T> {
    /// The file, if there is one.
    pub fn file(&self) -> Option<&T> {
        match self {
            Self::File(file) => Some(file),
            Self::Missing | Self::Unusable(_) => None,
        }
    }
}

/// A file on both sides.
pub struct Pair {
    /// Which file.
    pub file: CredentialFile,
    /// The host's.
    pub host: Side<HostFile>,
    /// The sandbox's.
    pub sandbox: Side<ArchivedFile>,
    /// Whether a mount decides what stands at its place in the sandbox.
    pub mounted: bool,
}

impl Pair {
    /// Which one is newer, when both can be read.
    pub fn newer(&self) -> Option<Newer> {
        let (host, sandbox) = (self.host.file()?, self.sandbox.file()?);
        let host = Copy {
            content: &host.content,
            modified: host.modified,
        };
        let sandbox = Copy {
            content: &sandbox.content,
            modified: sandbox.modified,
        };
        Some(newer(host, sandbox))
    }
}

/// Reads all files on both sides; the sandbox may be stopped.
///
/// # Errors
/// Those of the engine.
pub async fn read_both(engine: &Engine, sandbox: &Sandbox, home: &Path) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for file in FILES {
        let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
        let theirs = engine
            .read_regular_file(&sandbox.container.id, &file.target(), limit)
            .await;
        pairs.push(Pair {
            file,
            host: on_host(&home.join(file.path)),
            sandbox: match theirs {
                Ok(Some(file)) => Side::File(file),
                Ok(None) => Side::Missing,
                Err(EngineError::Broken(why)) => Side::Unusable(why),
                Err(error) => return Err(error.into()),
            },
            mounted: is_mounted(sandbox, &file.target()),
        });
    }
    Ok(pairs)
}

fn on_host(path: &Path) -> Side<HostFile> {
    match crate::create::read_credential_file(path) {
        Ok(file) => Side::File(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Side::Missing,
        Err(error) => Side::Unusable(error.to_string()),
    }
}

/// Whether something is mounted at a path in the home, or above it and beneath the home.
fn is_mounted(sandbox: &Sandbox, target: &str) -> bool {
    sandbox.container.mounts.iter().any(|mount| {
        let point = Path::new(&mount.target);
        point.starts_with(path::HOME)
            && mount.target != path::HOME
            && Path::new(target).starts_with(point)
    })
}

/// Warns when another running sandbox already holds a copy of a sign-in that renews itself.
///
/// # Errors
/// Those of the engine.
pub async fn warn_of_other_copies(
    engine: &Engine,
    name: &str,
    renewing: &[Agent],
    out: &Printer,
) -> Result<()> {
    if renewing.is_empty() {
        return Ok(());
    }
    let others = sandbox::list(engine).await?;
    for agent in renewing {
        let holders: Vec<&str> = others
            .iter()
            .filter(|(container, record)| {
                container.name != name
                    && container.state == ContainerState::Running
                    && record
                        .as_ref()
                        .is_ok_and(|record| record.credentials.contains(agent))
            })
            .map(|(container, _)| container.name.as_str())
            .collect();
        if !holders.is_empty() {
            out.warn(&format!(
                "{} already {} a copy of your sign-in to {agent}: its refresh token serves once, so the first \
                 to renew it signs the others out (`amika credentials status` tells who has the newer one)",
                holders.join(", "),
                if holders.len() == 1 { "holds" } else { "hold" }
            ));
        }
    }
    Ok(())
}

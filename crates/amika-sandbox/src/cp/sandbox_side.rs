//! The side of a copy that is in a sandbox.

use super::landing::{Found, Landing, Source};
use super::{place, unseen};
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::{EngineError, PathKind};

/// What is copied from a sandbox.
pub(super) struct SandboxSource {
    /// The container.
    pub container: String,
    /// The path that the engine is asked for.
    pub path: String,
    /// As [`Self::path`], so that a directory's archive begins with its name.
    pub named_path: String,
    /// What it is.
    pub kind: Source,
    /// Its own name; none for the root of the file system.
    pub name: Option<String>,
}

/// Looks at what is to be copied; a link is followed, within the sandbox.
///
/// # Errors
/// [`Kind::NotFound`] when nothing is there.
pub(super) async fn source(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    typed: &str,
) -> Result<SandboxSource> {
    let container = sandbox.container.id.clone();
    let absolute = place::absolute(typed, agent_cwd(sandbox));
    let mut path = absolute.clone();
    let visible = |path: &str| unseen::refuse(sandbox, path, &shown(sandbox, typed));
    visible(&path)?;
    let mut kind = stat(engine, sandbox, &path).await?;
    if let Some(PathKind::Symlink(target)) = kind {
        visible(&target)?;
        kind = stat(engine, sandbox, &target).await?;
        path = target;
    }
    let contents = absolute.ends_with("/.");
    let named_path = path.clone();
    let kind = match kind {
        Some(PathKind::Directory) => {
            path = of_directory(&path, engine.is_podman().await?);
            if contents {
                Source::Contents
            } else {
                Source::Directory
            }
        }
        Some(PathKind::File) => Source::File,
        Some(PathKind::Special | PathKind::Symlink(_)) => {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "{} is neither a file nor a directory",
                    shown(sandbox, &absolute)
                ),
            ));
        }
        None => return Err(nothing(sandbox, &absolute)),
    };
    Ok(SandboxSource {
        container,
        path,
        named_path,
        kind,
        name: place::split(&absolute).1,
    })
}

/// How a directory is asked for, so that its archive begins with an entry for it.
///
/// Docker's then begins with `./`, and not with a name of the engine's choice. Podman's has no such entry, but one of the
/// directory's name where it is asked for by that.
fn of_directory(path: &str, is_podman: bool) -> String {
    let bare = path.trim_end_matches("/.").trim_end_matches('/');
    if is_podman && !bare.is_empty() {
        bare.to_owned()
    } else {
        format!("{bare}/.")
    }
}

/// Where a copy into a sandbox may go.
pub(super) struct SandboxTarget {
    /// The container.
    pub container: String,
    /// The path that is meant, a link at its end followed.
    path: String,
    /// What is there.
    pub found: Found,
    /// Whether it was named with a slash behind it.
    pub slash: bool,
}

/// Looks at where a copy is to go.
///
/// # Errors
/// Those of the engine; [`Kind::Invalid`] when a device, pipe or socket stands there.
pub(super) async fn target(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    typed: &str,
) -> Result<SandboxTarget> {
    let absolute = place::absolute(typed, agent_cwd(sandbox));
    let slash = absolute.ends_with('/');
    let (directory, name) = place::split(&absolute);
    let bare = match &name {
        Some(name) => format!("{}/{name}", directory.trim_end_matches('/')),
        None => "/".to_owned(),
    };
    // `a/..` is where the engine's links lead, not where the text does.
    let mut path = if absolute.split('/').any(|part| part == "..") {
        absolute.clone()
    } else {
        bare
    };
    let visible = |path: &str| unseen::refuse(sandbox, path, &shown(sandbox, typed));
    visible(&path)?;
    let mut kind = stat(engine, sandbox, &path).await?;
    if let Some(PathKind::Symlink(target)) = kind {
        visible(&target)?;
        kind = stat(engine, sandbox, &target).await?;
        path = target;
    }
    let found = match kind {
        Some(PathKind::Directory) => Found::Directory,
        Some(PathKind::File | PathKind::Symlink(_)) => Found::File,
        Some(PathKind::Special) => {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "{} is neither a file nor a directory",
                    shown(sandbox, &absolute)
                ),
            ));
        }
        None => {
            let (parent, _) = place::split(&path);
            if let Some(PathKind::Symlink(target)) = stat(engine, sandbox, &parent).await? {
                visible(&target)?;
            }
            match stat(engine, sandbox, &format!("{parent}/")).await? {
                Some(PathKind::Directory) => Found::Nothing,
                _ => Found::NoParent,
            }
        }
    };
    Ok(SandboxTarget {
        container: sandbox.container.id.clone(),
        path,
        found,
        slash,
    })
}

impl SandboxTarget {
    /// The directory that the copy is unpacked in, and the copy's name in there; `own` is the
    /// source's own name.
    pub(super) fn place(&self, landing: Landing, own: Option<String>) -> (String, Option<String>) {
        match landing {
            Landing::Into => (self.path.clone(), own),
            Landing::Spread => (self.path.clone(), None),
            Landing::As => place::split(&self.path),
        }
    }
}

/// A path in a sandbox, as it is typed.
pub(super) fn shown(sandbox: &Sandbox, path: &str) -> String {
    format!("{}:{}", sandbox.name, path.escape_debug())
}

fn agent_cwd(sandbox: &Sandbox) -> &str {
    sandbox.record.agent_cwd.as_deref().unwrap_or("/")
}

async fn stat(engine: &Sandboxes, sandbox: &Sandbox, path: &str) -> Result<Option<PathKind>> {
    match engine.stat_path(&sandbox.container.id, path).await {
        Ok(kind) => Ok(kind),
        // Something on the way is no directory: the engine's word for it is no 404.
        Err(EngineError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn nothing(sandbox: &Sandbox, path: &str) -> Error {
    let name = &sandbox.name;
    Error::new(
        Kind::NotFound,
        format!("there is no {}", shown(sandbox, path)),
    )
    .hint(format!(
        "`amika sandbox exec {name} -- ls -la` shows the agent's directory; a tmpfs is not seen from outside"
    ))
}

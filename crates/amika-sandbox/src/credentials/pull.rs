//! Newer sign-ins of a sandbox, merged into this machine's files.
//!
//! What comes out of a sandbox is hostile: only regular files of a bounded size are read, only renewed tokens
//! of the account that is there are taken, and this machine's file is replaced as a whole or not at all. Where
//! nothing tells whose they are, the user is asked, or says so before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amika_core::credential::{Newer, Selection, Taken, Taking, Untaken};
use amika_host::private_file;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::sandboxes::{Sandboxes, to_its_end};
use crate::sign_ins::{self, Pair, Side};
/// Who can be asked whether sign-ins are taken whose account nothing tells.
pub trait Vouch: Send + Sync {
    /// Says which these are, and asks. Whoever cannot be reached says no.
    fn vouches<'a>(&'a self, unknown: &'a BTreeSet<String>) -> BoxFuture<'a, bool>;
}

/// Which sign-ins are taken.
#[derive(Clone)]
pub struct PullRequest {
    /// Those of these agents.
    pub selection: Selection,
    /// Whether those of another account are taken, too, and those whose account nothing tells.
    pub force: bool,
    /// Who is asked about the latter; none where nobody can be.
    pub vouch: Option<Arc<dyn Vouch>>,
}

/// What `pull` did.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Pulled {
    /// Files of this machine that were renewed, relative to the home directory.
    pub taken: Vec<&'static str>,
    /// The others that the sandbox has, with the reason.
    pub left: Vec<Left>,
    /// Sign-ins that were left, since nothing tells whose they are and nobody vouched for them.
    #[serde(skip)]
    pub unknown: BTreeSet<String>,
}

/// A file from which nothing was taken.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Left {
    /// Relative to the home directory.
    pub path: &'static str,
    /// Why.
    pub reason: String,
}

impl Sandboxes {
    /// Takes newer sign-ins of a sandbox into this machine's files.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Conflict`] where the sandbox is not made, [`Kind::Failure`] where a file cannot be
    /// replaced, and those of the engine.
    pub async fn pull_credentials(
        &self,
        name: &str,
        request: PullRequest,
        progress: Arc<dyn Progress>,
    ) -> Result<Pulled> {
        let (engine, name) = (self.clone(), name.to_owned());
        to_its_end(async move { pull(&engine, &name, &request, &*progress).await }).await
    }
}

async fn pull(
    engine: &Sandboxes,
    name: &str,
    request: &PullRequest,
    out: &dyn Progress,
) -> Result<Pulled> {
    let sandbox = Sandbox::find_made(engine, name).await?;
    let home = engine.machine().home_dir();
    let pairs = sign_ins::read_both(engine, &sandbox, &home).await?;
    let mut taking = sign_ins::taking(&pairs, request.force);
    let chosen: Vec<&Pair> = pairs
        .iter()
        .filter(|pair| pair.file.is_sign_in() && request.selection.contains(pair.file.agent))
        .collect();
    let unknown = unknown(&chosen, &taking);
    let mut done = Pulled::default();
    if !unknown.is_empty() && !request.force {
        taking.unknown = match &request.vouch {
            Some(vouch) => vouch.vouches(&unknown).await,
            None => false,
        };
        if !taking.unknown {
            done.unknown = unknown;
        }
    }
    for pair in chosen {
        let path = pair.file.path;
        match decide(pair, &taking) {
            Decision::Nothing => {}
            Decision::Leave(reason) => done.left.push(Left { path, reason }),
            Decision::Take(content, taken) => {
                for other in &taken.accounts {
                    out.warn(&format!(
                        "~/{path}: the sign-in to {} of another account is taken, {}, and this machine's was {}",
                        other.of, other.theirs, other.ours
                    ));
                }
                if !taken.unknown.is_empty() && request.force {
                    out.warn(&format!(
                        "~/{path}: whose account the sign-in to {} is cannot be seen in its tokens, and they are taken",
                        taken.unknown.join(", ")
                    ));
                }
                for left in &taken.left {
                    let reason = format!("{}: {}", left.of, left.why);
                    done.left.push(Left { path, reason });
                }
                replace(&home.join(path), pair, &content).map_err(|error| {
                    Error::new(Kind::Failure, format!("~/{path} cannot be replaced"))
                        .caused_by(&error)
                })?;
                done.taken.push(path);
            }
        }
    }
    Ok(done)
}

/// The sign-ins that would be taken, though nothing tells whose they are.
fn unknown(chosen: &[&Pair], taking: &Taking<'_>) -> BTreeSet<String> {
    let decided = chosen.iter().map(|pair| decide(pair, taking));
    let taken = decided.filter_map(|decision| match decision {
        Decision::Take(_, taken) => Some(taken.unknown),
        Decision::Leave(_) | Decision::Nothing => None,
    });
    taken.flatten().collect()
}

enum Decision {
    Take(Vec<u8>, Taken),
    Leave(String),
    Nothing,
}

fn decide(pair: &Pair, taking: &Taking<'_>) -> Decision {
    match &pair.sandbox {
        Side::Missing => return Decision::Nothing,
        Side::Unusable(why) => {
            return Decision::Leave(format!("the sandbox's cannot be used: {why}"));
        }
        Side::File(_) => {}
    }
    if let Side::Unusable(why) = &pair.host {
        return Decision::Leave(format!("it cannot be read: {why}"));
    }
    match pair.newer() {
        Some(Newer::Same) => return Decision::Leave(Untaken::Same.to_string()),
        Some(Newer::Host) => return Decision::Leave("it is newer than the sandbox's".to_owned()),
        Some(Newer::Sandbox) | None => {}
    }
    match pair.taken(taking) {
        None => Decision::Nothing,
        Some(Ok(Taken {
            content: None,
            left,
            ..
        })) => {
            let reasons = left.iter().map(|left| format!("{}: {}", left.of, left.why));
            Decision::Leave(reasons.collect::<Vec<_>>().join("; "))
        }
        Some(Ok(mut taken)) => Decision::Take(taken.content.take().unwrap_or_default(), taken),
        Some(Err(Untaken::Same)) => Decision::Leave(Untaken::Same.to_string()),
        Some(Err(why)) => Decision::Leave(format!("the sandbox's is not taken: {why}")),
    }
}

/// Replaces a file by rename, with mode 0600; a link stays one, and what it leads to is replaced.
fn replace(path: &Path, pair: &Pair, content: &[u8]) -> std::io::Result<()> {
    let target = resolve(path)?;
    let file = private_file::staged(&target, content)?;
    // An agent of this machine may have renewed its sign-in meanwhile: that one must not be lost.
    let now = crate::host_file::read_file(&target);
    let unchanged = match (&now, pair.host.file()) {
        (Ok(now), Some(before)) => now.content == before.content,
        (Err(error), None) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    };
    if !unchanged {
        return Err(std::io::Error::other("it changed meanwhile; try again"));
    }
    file.persist(&target)?;
    Ok(())
}

/// Where the last link of a chain leads; the file there need not exist.
fn resolve(path: &Path) -> std::io::Result<PathBuf> {
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::InvalidInput | std::io::ErrorKind::NotFound
                ) =>
            {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::other("too many links"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use amika_core::credential::FILES;

    use super::*;
    use crate::host_file::HostFile;

    fn pair(host: Option<&str>) -> Pair {
        Pair {
            file: FILES[2],
            host: host.map_or(Side::Missing, |content| {
                Side::File(HostFile {
                    content: content.as_bytes().to_vec(),
                    modified: 1,
                })
            }),
            sandbox: Side::Missing,
            mounted: false,
        }
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let (link, real) = (dir.path().join("link"), dir.path().join("dotfiles/real"));
        std::fs::create_dir(dir.path().join("dotfiles")).expect("mkdir");
        std::fs::write(&real, "old").expect("write");
        std::os::unix::fs::symlink("dotfiles/real", &link).expect("link");
        replace(&link, &pair(Some("old")), b"new").expect("replaced");
        assert!(link.symlink_metadata().expect("link").is_symlink());
        assert_eq!(std::fs::read_to_string(&real).expect("read"), "new");
        assert_eq!(
            real.metadata().expect("meta").permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::read_dir(dir.path().join("dotfiles"))
                .expect("list")
                .count(),
            1
        );
    }

    #[test]
    fn what_changed_meanwhile_is_not_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        std::fs::write(&file, "renewed").expect("write");
        assert!(replace(&file, &pair(Some("old")), b"new").is_err());
        assert!(replace(&file, &pair(None), b"new").is_err());
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "renewed");
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn missing_directories_are_made_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join(".claude/.credentials.json");
        replace(&file, &pair(None), b"new").expect("made");
        let mode = |path: &Path| path.metadata().expect("meta").permissions().mode() & 0o777;
        assert_eq!(
            (mode(&file), mode(&dir.path().join(".claude"))),
            (0o600, 0o700)
        );
    }
}

//! What `[sandbox] mounts` of a repository's file means here: volumes of that repository's own, and copies of what is in it.
//!
//! Nothing of the host is reached. A path is looked up in what the sandbox will have of the repository, as its Dockerfile is,
//! and copied from there: never mounted from the host, where what is ignored or uncommitted, or a link that was
//! swapped in meanwhile, would come along.

use amika_core::config::{self, ConfiguredMount, Located, RepoConfig};
use amika_core::diagnostic::{Diagnostic, Severity};
use amika_core::hex::hex;
use amika_core::label::{Kind as Label, key};
use amika_core::mount::{FileMount, FileSource, Found, Mount, RepositoryMount};
use amika_core::settings::Origin;
use amika_core::volume;
use amika_engine::VolumeFacts;
use amika_git::{self as git, GitError};
use sha2::{Digest as _, Sha256};

use super::settings::Settings;
use super::source::{Contents, Source};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::sandboxes::Sandboxes;

/// Characters of a digest in a volume's name: no other repository is found that has the same.
const DIGEST: usize = 20;

/// What this user's key is derived for: volumes are kept for whose it is.
const PURPOSE: &str = "volumes of repositories";

/// Adds the mounts of the repository's file to what holds, but for those at whose targets somebody asked for another.
/// `owner` is the user of a server for whom its volumes are kept; empty for none.
///
/// # Errors
/// [`Kind::Invalid`], with the place in the file, for a path that is not the repository's or not there.
pub(super) async fn add(
    engine: &Sandboxes,
    settings: &mut Settings,
    config: &RepoConfig,
    source: Option<&Source>,
    owner: &str,
    out: &dyn Progress,
) -> Result<()> {
    let asked: Vec<String> = settings
        .mounts
        .iter()
        .map(|mount| mount.target().to_string())
        .collect();
    for target in &asked {
        let origins = &mut settings.origins.mounts;
        origins.insert(target.clone(), Origin::Request);
    }
    let Some(source) = source.filter(|_| !config.sandbox.mounts.is_empty()) else {
        return Ok(());
    };
    for configured in &config.sandbox.mounts {
        let located = match configured {
            ConfiguredMount::Refused(problem) => return Err(refused(source, problem)),
            ConfiguredMount::Mount(located) => located,
        };
        let target = located.value.target.to_string();
        if asked.contains(&target) {
            continue;
        }
        let Some(found) = found(engine, source, located, owner).await? else {
            out.warn(&format!(
                "mounts \"{}\" is left out: nothing is copied of what lies in a volume, since an agent may have written it",
                located.value
            ));
            continue;
        };
        settings.mounts.push(Mount::Repository(RepositoryMount {
            asked: located.value.clone(),
            found,
        }));
        settings.origins.mounts.insert(target, Origin::File);
    }
    Ok(())
}

/// What an entry means; nothing for a path of a repository that lies in a volume already.
async fn found(
    engine: &Sandboxes,
    source: &Source,
    located: &Located<FileMount>,
    owner: &str,
) -> Result<Option<Found>> {
    let path = match &located.value.source {
        FileSource::Volume(name) => {
            let repository = source.label().name;
            let whose = match &source.of {
                None => {
                    let key = hex(&engine.user_key()?.derive(PURPOSE));
                    digest(&[&key, owner, &source.origin.canonical(), name])
                }
                // What a copy that was sent says of where it comes from is its own word: no other sandbox shares its volume.
                Some(_) => digest(&[&hex(&rand::random::<[u8; 16]>())]),
            };
            let volume = volume::named(&repository, name, &whose);
            return Ok(Some(Found::Volume(volume)));
        }
        FileSource::Path(path) => path,
    };
    let Contents::Copied(repository) = &source.contents else {
        return Ok(None);
    };
    if path.split('/').all(|part| part.is_empty() || part == ".") {
        return Ok(Some(Found::Directory(String::new())));
    }
    let unusable = |why: &'static str| {
        let message = format!("mounts \"{}\": the source {why}", located.value);
        let text = String::from_utf8_lossy(source.bytes.as_deref().unwrap_or_default());
        let problem = Diagnostic::new(Severity::Error, message, &text, located.span.clone());
        refused(source, &problem.with_label(why))
    };
    match repository.entry(path).await {
        Ok(Some(git::Entry { path, kind })) => Ok(Some(match kind {
            git::Kind::Directory => Found::Directory(path),
            git::Kind::File { executable } => Found::File { path, executable },
        })),
        Ok(None) => Err(unusable(
            "does not exist on the branch that the sandbox starts on",
        )),
        Err(GitError::Outside { .. }) => Err(unusable(super::SCRIPT_OUTSIDE)),
        Err(error) => Err(error.into()),
    }
}

/// The error of an entry that cannot be used.
fn refused(source: &Source, problem: &Diagnostic) -> Error {
    let text = String::from_utf8_lossy(source.bytes.as_deref().unwrap_or_default());
    crate::finding::refusal(config::PATH, &text, std::slice::from_ref(problem)).hint(
        "mend it in the repository and commit it, or pass `--no-setup`, which leaves all of `mounts` out",
    )
}

/// A digest in which nothing of one part can stand for something of the other.
fn digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        crate::digest::add(&mut digest, part.as_bytes());
    }
    let mut text = hex(&digest.finalize());
    text.truncate(DIGEST);
    text
}

/// Refuses a volume of that name which is none of the repository's.
///
/// # Errors
/// [`Kind::Conflict`].
pub(super) fn refuse_others(
    mount: &Mount,
    volume: &VolumeFacts,
    settings: &Settings,
) -> Result<()> {
    let label = |key: &str| volume.labels.get(key).map(String::as_str);
    let is_named = label(key::KIND) == Some(Label::Named.as_str());
    let server = settings.stamp.get(key::SERVER).map(String::as_str);
    if is_named && label(key::SERVER).filter(|it| !it.is_empty()) == server {
        return Ok(());
    }
    let message = format!(
        "{mount}: there is a volume {}, which was not made for this repository",
        volume.name
    );
    Err(Error::new(Kind::Conflict, message).hint("`docker volume inspect` shows whose it is"))
}

/// A path of a repository, as it is told apart from one of the host.
pub(super) fn told(path: &str) -> String {
    match path {
        "" => ".".to_owned(),
        path => format!("./{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_each_part_from_the_next() {
        let all = [
            digest(&["", "host/r", "cache"]),
            digest(&["u", "host/r", "cache"]),
            digest(&["uhost", "/r", "cache"]),
            digest(&["", "host/r2", "cache"]),
            digest(&["", "host/r", "cach"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(one.len(), DIGEST);
            assert!(!all[..at].contains(one));
        }
    }

    #[test]
    fn a_path_of_the_repository_is_never_absolute() {
        assert_eq!(told(""), ".");
        assert_eq!(told("a/b"), "./a/b");
    }
}

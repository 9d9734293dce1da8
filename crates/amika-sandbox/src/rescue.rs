//! Storing all work of a sandbox on this machine before it goes: commits, stashes and what is not committed as refs below
//! `refs/amika/` of a repository, where nothing is ever overwritten, and files elsewhere as a tar archive beside those.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use amika_core::contract::path::WORKSPACE;
use amika_core::label::{Kind as VolumeKind, key};
use amika_core::untrusted::Untrusted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::commits::{self, Bounds, BranchName, Host, Inside, Keep, Kept, Left, Oid, Request, Wip};
use crate::error::{Error, Kind, Result};
use crate::git_helper::GitPlace;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::unsaved::{Saved, save_files, save_left};
use amika_engine::{ContainerState, VolumeFacts};

/// Bytes of a repository that are stored, at most.
const MAX_SIZE: u64 = 64 << 30;
/// Directories in a repository of which a tool makes all anew.
const MADE_ANEW: &[&str] = &[
    "node_modules",
    "target",
    "__pycache__",
    ".venv",
    "venv",
    ".cache",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".gradle",
    ".terraform",
    ".next",
    ".turbo",
];
/// Where archives are put in a git directory.
const ARCHIVES: &str = "amika";

/// How work is to be stored.
#[derive(Clone, Debug, Default)]
pub struct Rescue {
    /// The repository of this machine that is named for it.
    pub into: Option<PathBuf>,
}

/// What was stored.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Rescued {
    /// The repository.
    pub repository: Option<PathBuf>,
    /// The refs there.
    pub refs: Vec<String>,
    /// The archive of files that are in no repository.
    pub archive: Option<PathBuf>,
    /// How many files are in it.
    pub files: u64,
}

/// Stores all work of a sandbox: what this machine has of it already is left out.
///
/// # Errors
/// [`Kind::Conflict`] or [`Kind::Repository`] where not all of it can be stored; those of the engine.
pub(crate) async fn of_sandbox(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    going: &[(VolumeKind, VolumeFacts)],
    rescue: &Rescue,
) -> Result<Rescued> {
    if sandbox.container.state == ContainerState::Created {
        // Nothing was ever written in it.
        return Ok(Rescued::default());
    }
    let (name, record) = (sandbox.name.as_str(), &sandbox.record);
    let directory = commits::directory_of(name, record.id.as_str());
    let host = match &record.repository {
        Some(repository) => {
            let believed = sandbox.trust(engine)?.follows_host_paths();
            let into = rescue.into.as_deref();
            Some(Host::of(engine.machine(), into, name, repository, believed).map_err(unstored)?)
        }
        None => rescue
            .into
            .as_deref()
            .map(|into| Host::find(engine.machine(), into))
            .transpose()?,
    };
    let mut rescued = Rescued {
        repository: host.as_ref().map(|host| host.top.clone()),
        ..Rescued::default()
    };
    if let (Some(repository), Some(host)) = (&record.repository, &host) {
        let at = format!("{WORKSPACE}/{}", repository.name);
        let place = GitPlace::of(engine, sandbox, &at).await?;
        let stored = repository_of(host, &place.inside, name, &directory).await;
        place.end().await;
        let stored = stored.map_err(unstored)?;
        rescued.refs = stored
            .iter()
            .map(|kept| commits::shown(&kept.name))
            .collect();
    }
    let archive = Archive::begin(engine, host.as_ref(), &directory)?;
    rescued.files = save_files(engine, sandbox, going, archive.saved.clone())
        .await
        .map_err(unstored)?;
    rescued.archive = archive.end(rescued.files)?;
    Ok(rescued)
}

/// As [`of_sandbox`], of a sandbox of which only these volumes are left.
///
/// # Errors
/// As [`of_sandbox`].
pub(crate) async fn of_left(
    engine: &Sandboxes,
    name: &str,
    id: &str,
    volumes: &[(VolumeKind, VolumeFacts)],
    rescue: &Rescue,
) -> Result<Rescued> {
    let into = match rescue.into.as_deref() {
        Some(into) => into,
        None => engine.machine().directory().unwrap_or(Path::new(".")),
    };
    let host = Host::find(engine.machine(), into).map_err(unstored)?;
    let directory = commits::directory_of(name, id);
    let mut rescued = Rescued {
        repository: Some(host.top.clone()),
        ..Rescued::default()
    };
    for (_, volume) in volumes.iter().filter(|(kind, _)| *kind == VolumeKind::Git) {
        let repository = volume.labels.get(key::REPO_NAME).map(String::as_str);
        let is_plain = |name: &&str| !name.is_empty() && !name.contains('/') && *name != "..";
        let repository = repository.filter(is_plain).unwrap_or("repository");
        let place = GitPlace::of_volume(engine, volume, repository).await?;
        let stored = repository_of(&host, &place.inside, name, &directory).await;
        place.end().await;
        let stored = stored.map_err(unstored)?;
        rescued
            .refs
            .extend(stored.iter().map(|kept| commits::shown(&kept.name)));
    }
    let archive = Archive::begin(engine, Some(&host), &directory)?;
    let saved = save_left(engine, name, id, volumes, archive.saved.clone()).await;
    rescued.files = saved.map_err(unstored)?;
    rescued.archive = archive.end(rescued.files)?;
    Ok(rescued)
}

impl Sandboxes {
    /// Stores all work that is in a volume which no sandbox uses.
    ///
    /// # Errors
    /// As [`Sandboxes::delete_rescued`]; [`Kind::NotFound`] where there is no such volume.
    pub async fn rescue_volume(&self, name: &str, rescue: &Rescue) -> Result<Rescued> {
        let view = self.volume(name).await?;
        crate::volumes::refuse_used(&view)?;
        let Some(volume) = self.inspect_volume(name).await? else {
            return Ok(Rescued::default());
        };
        let id = volume.labels.get(key::ID).cloned().unwrap_or_default();
        let of = view.made_for.unwrap_or_else(|| "volume".to_owned());
        of_left(self, &of, &id, &[(view.kind, volume)], rescue).await
    }
}

/// Stores what a repository has and this machine has not: branches, tags, what is checked out, stashes, and what is not
/// committed, with ignored files.
pub(crate) async fn repository_of(
    host: &Host,
    inside: &Inside,
    name: &str,
    directory: &str,
) -> Result<Vec<Kept>> {
    let is_wanted = |path: &[u8]| {
        let path = String::from_utf8_lossy(path);
        !path.split('/').any(|part| MADE_ANEW.contains(&part))
    };
    let wip = Wip::of(inside, name, Left::Where(&is_wanted)).await?;
    let stored = async {
        let mut refs: Vec<(BranchName, Oid)> = commits::all_tips(host, &wip.inside).await?;
        refs.extend(
            wip.commit
                .clone()
                .map(|commit| (commits::wip_name(), commit)),
        );
        if refs.is_empty() {
            return Ok(Vec::new());
        }
        let keep = Keep {
            directory: directory.to_owned(),
            refs,
            is_whole: true,
        };
        let request = Request {
            sandbox: name,
            branches: None,
            local: None,
            keep: Some(&keep),
            apply: None,
            bounds: Bounds::of(MAX_SIZE),
        };
        let taken = commits::pull(host, &wip.inside, request).await?;
        Ok(taken.kept)
    };
    let stored: Result<Vec<Kept>> = stored.await;
    wip.end().await;
    stored
}

/// Where files are put; a name that is taken gets a number.
struct Archive {
    path: PathBuf,
    saved: Saved,
}

impl Archive {
    fn begin(engine: &Sandboxes, host: Option<&Host>, directory: &str) -> Result<Self> {
        let unwritten = |path: &Path, error: &std::io::Error| {
            Error::new(
                Kind::Failure,
                format!("{} cannot be written; nothing was deleted", path.display()),
            )
            .caused_by(error)
        };
        let at = if let Some(host) = host {
            let at = host.archives().join(ARCHIVES);
            let made = DirBuilder::new().mode(0o700).recursive(true).create(&at);
            made.map_err(|error| unwritten(&at, &error))?;
            at
        } else {
            let here = engine.machine().directory();
            here.map_err(|error| unwritten(Path::new("."), &error))?
                .to_owned()
        };
        for number in 1.. {
            let name = match number {
                1 => format!("{directory}.tar"),
                number => format!("{directory}-{number}.tar"),
            };
            let path = at.join(name);
            // Whatever else is in it, keys of the sandbox's may be.
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match file {
                Ok(file) => return Ok(Self::of(path, file)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritten(&path, &error)),
            }
        }
        Err(Error::new(Kind::Failure, "no name is left for an archive"))
    }

    fn of(path: PathBuf, file: File) -> Self {
        Self {
            path,
            saved: Saved::into(file),
        }
    }

    /// Ends it; one without a file goes.
    fn end(self, files: u64) -> Result<Option<PathBuf>> {
        let ended = self.saved.end();
        let removed = if files == 0 {
            std::fs::remove_file(&self.path)
        } else {
            Ok(())
        };
        ended.and(removed).map_err(|error| {
            Error::new(
                Kind::Failure,
                format!(
                    "{} cannot be written; nothing was deleted",
                    self.path.display()
                ),
            )
            .caused_by(&error)
        })?;
        Ok((files > 0).then_some(self.path))
    }
}

/// That nothing is lost, where something could not be stored.
fn unstored(mut error: Error) -> Error {
    for hint in &mut error.hints {
        *hint = hint.replace("nothing was taken", "nothing was deleted");
    }
    error
        .hint("nothing was deleted: `amika sandbox cp` copies files out, and `--force` in place of `--rescue` deletes all the same")
}

/// The words for what was stored.
impl Rescued {
    /// Whether there was nothing to store.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty() && self.archive.is_none()
    }

    /// Adds what was stored of another.
    pub(crate) fn add(&mut self, other: Self) {
        self.repository = other.repository.or(self.repository.take());
        self.refs.extend(other.refs);
        self.archive = other.archive.or(self.archive.take());
        self.files += other.files;
    }

    /// What is where, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(repository), Some(first)) = (&self.repository, self.refs.first()) {
            let more = match self.refs.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let repository = repository.display().to_string();
            lines.push(format!(
                "stored in {}: {}{more}; `git for-each-ref refs/amika` there lists them",
                Untrusted::new(&repository),
                Untrusted::new(first)
            ));
        }
        if let Some(archive) = &self.archive {
            let files = match self.files {
                1 => "1 file".to_owned(),
                files => format!("{files} files"),
            };
            lines.push(format!("stored {files} in {}", archive.display()));
        }
        lines
    }
}

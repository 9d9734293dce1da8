//! How a repository gets into a sandbox: as one tar archive of a finished working copy, made while it is
//! sent.
//!
//! ```text
//! Request ─▶ source (path or URL) ─▶ refs (which branch) ─▶ plan ─▶ emit ─▶ tar archive
//! ```
//!
//! The host's repository is only read, by us: each of its files once, beneath a descriptor and through no
//! link. `git` is asked as well, but runs on a directory that is generated of what was read (`generated`),
//! in an environment that `command` empties. Nothing needs git or a shell in the image, and no path of the repository reaches the
//! engine, so that a remote one does as well.

mod attributes;
mod blobs;
mod cache;
mod changes;
mod children;
mod clone;
mod command;
mod config;
mod content;
mod context;
mod dir;
mod discover;
mod drivers;
mod emit;
mod environment;
mod error;
mod extra;
mod fetch;
mod generated;
mod index;
mod lfs;
mod local_url;
mod loose;
mod objects;
mod pending;
mod plan;
mod prepared;
mod processes;
mod programs;
mod receiver;
mod refs;
mod remote;
mod rewrite;
mod secret_url;
mod selection;
mod settings;
mod size;
mod snapshot;
mod source;
mod submodule;
mod supervisor;
mod table;
mod tree;
mod url;
mod users;
mod waits;
mod workshop;
mod worktree;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use cache::tidy as tidy_cache;
pub use clone::{Listener, Said};
pub use command::NO_BARE;
pub use content::{Entry, Kind, LeftOut};
pub use environment::absolute_variable;
pub use error::GitError;
pub use receiver::{Objects, Receiver};
pub use remote::{Branches, branches};
pub use size::Size;
pub use snapshot::Snapshot;
pub use supervisor::{Rule, SILENT, Supervised, end_all};
pub use workshop::scratch;
pub use writer::Owner;

use lfs::Lfs;
use pending::Pending;
use plan::{Place, Plan, Planner};
use prepared::Prepared;
use refs::Refs;
use settings::Settings;
use source::{Location, Source};
use workshop::Workshop;
use writer::TarWriter;

use amika_core::untrusted::Untrusted;
use amika_host::archive::Report;
use amika_host::machine::Machine;
use amika_host::scratch::Scratch;

/// What the flags ask for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The value of `--git`: a path or a URL; `None` means the directory of the call.
    pub spec: Option<String>,
    /// `--branch`: a branch, a tag, or a commit.
    pub branch: Option<String>,
    /// `--new-branch`.
    pub new_branch: Option<String>,
    /// What of the work tree comes along.
    pub copy: Copy,
    /// A directory of this one repository and of whoever may read it, in which what a URL leads to is kept for the next
    /// time. Two may use it at once.
    pub cache: Option<PathBuf>,
}

/// What of a repository is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Copy {
    /// Committed state only.
    #[default]
    Clean,
    /// Also what is staged, changed, untracked and deleted (`--no-clean`).
    Dirty {
        /// Also what is ignored (`--include-ignored`).
        include_ignored: bool,
    },
}

/// What is known of the copy before it is made.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The repository's name, which its directory in the sandbox has.
    pub name: String,
    /// Its place on the host; `None` for a URL.
    pub root: Option<PathBuf>,
    /// The URL without secrets, or the place on the host.
    pub source: String,
    /// The branch that the sandbox starts on; `None` when on a commit by itself.
    pub branch: Option<String>,
    /// The commit that it starts on; `None` when the branch has none yet.
    pub commit: Option<String>,
    /// Remotes and their URLs, without secrets.
    pub remotes: BTreeMap<String, String>,
    /// The host's work tree differs from its HEAD.
    pub is_dirty: bool,
    /// What a person should know about the copy.
    pub warnings: Vec<String>,
}

/// A repository that is ready to be copied.
#[derive(Clone)]
pub struct Repository(Arc<Inner>);

struct Inner {
    machine: Machine,
    facts: Facts,
    plan: Plan,
    /// `.amika/config.toml`, once it was read.
    config_toml: OnceLock<Option<Vec<u8>>>,
    /// LFS content that is yet to be fetched.
    pending: Option<Pending>,
    /// Generated directories, temporary indexes, and the copy of a URL's repository.
    scratch: Arc<Scratch>,
}

/// The repository's own configuration for Amika.
const CONFIG_TOML: &str = ".amika/config.toml";
/// Nobody writes more than this by hand.
const CONFIG_LIMIT: u64 = 1024 * 1024;

/// The URL, without secrets, that a value of `--git` means in a directory; `None` where it is a path.
///
/// # Errors
/// [`GitError`] for a path that cannot be looked at.
pub fn url_of(spec: &str, cwd: &Path) -> Result<Option<String>, GitError> {
    Ok(match Source::read(Some(spec), cwd)? {
        Source::Url(url) => Some(url::without_secrets(&url)),
        Source::Directory(_) => None,
    })
}

/// Finds the repository, decides what its copy holds, and checks all that can be checked by then.
///
/// A URL is cloned into a temporary directory first, which goes with the returned value, or when the
/// future is dropped; one that leads to this machine is read as a path is. Its LFS content is fetched by
/// [`Repository::with_lfs`]. Nothing is written into a repository of the host.
///
/// # Errors
/// [`GitError`].
pub async fn open(
    machine: &Machine,
    request: Request,
    cwd: &Path,
    listener: Listener<'_>,
) -> Result<Repository, GitError> {
    let opened = open_untold(machine, request, cwd, listener).await;
    opened.map_err(|error| error.told(machine.temporary()))
}

async fn open_untold(
    machine: &Machine,
    request: Request,
    cwd: &Path,
    listener: Listener<'_>,
) -> Result<Repository, GitError> {
    let source = Source::read(request.spec.as_deref(), cwd)?;
    let scratch = workshop::scratch(machine)?;
    let address = match source {
        Source::Directory(directory) => {
            let machine = machine.clone();
            return blocking(move || local(&machine, &request, &directory, scratch)).await;
        }
        Source::Url(address) => address,
    };
    if request.copy != Copy::Clean {
        return Err(GitError::NoWorkTree { what: "a URL" });
    }
    let (prepared, workshop) = {
        let (request, address, cwd) = (request.clone(), address.clone(), cwd.to_owned());
        let (machine, place) = (machine.clone(), scratch.path().to_owned());
        blocking(move || {
            let workshop = Workshop::new(&machine, &place)?;
            let users = Settings::new(workshop.users(), &[]);
            let prepared = match local_url::path(&rewrite::fetched(&users, &address)) {
                Some(path) => {
                    let location = Location::served(&cwd.join(path), &address, &workshop)?;
                    Some(Prepared::of_url(&request, location, &address)?)
                }
                None => None,
            };
            Ok((prepared, workshop))
        })
        .await?
    };
    let cache = request.cache.clone();
    let (prepared, workshop, git_dir) = if let Some(prepared) = prepared {
        (prepared, workshop, None)
    } else {
        let place = scratch.path();
        let git_dir = match &request.cache {
            Some(cache) => cache::bare(machine, &address, place, cache, listener).await?,
            None => clone::bare(machine, &address, place, listener).await?,
        };
        let (place, url) = (git_dir.clone(), address.clone());
        let (prepared, workshop) = blocking(move || {
            let location = Location::of_clone(&place, &workshop)?;
            let prepared = Prepared::of_url(&request, location, &url)?;
            Ok((prepared, workshop))
        })
        .await?;
        (prepared, workshop, Some(git_dir))
    };
    blocking(move || {
        let facts = Facts {
            name: url::repository_name(&address),
            root: None,
            source: url::without_secrets(&address),
            ..prepared.facts()
        };
        let waits = git_dir.filter(|_| prepared.lfs_servers.is_some());
        let Some(git_dir) = waits else {
            let made = finish(
                &prepared,
                facts,
                None,
                Lfs::OfUrl,
                scratch.into(),
                &workshop,
            )?;
            return Ok(Repository(Arc::new(made)));
        };
        let first = facts.clone();
        let mut made = finish(
            &prepared,
            facts,
            None,
            Lfs::Waits,
            scratch.into(),
            &workshop,
        )?;
        made.pending = Some(Pending {
            prepared,
            workshop,
            address,
            git_dir,
            cache,
            facts: first,
        });
        Ok(Repository(Arc::new(made)))
    })
    .await
}

/// What a path, relative to a repository's root on this machine, leads to; `None` when to nothing.
///
/// # Errors
/// [`GitError::Outside`] when it leads out of the repository, as [`Repository::entry`] would have it.
pub fn entry_beneath(root: &Path, path: &str) -> Result<Option<Entry>, GitError> {
    content::beneath(root, path)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => Err(GitError::NoGit(io::Error::other(stopped))),
    }
}

fn local(
    machine: &Machine,
    request: &Request,
    directory: &Path,
    scratch: Scratch,
) -> Result<Repository, GitError> {
    let workshop = Workshop::new(machine, scratch.path())?;
    let location = Location::of(directory, &workshop)?;
    let git = location.git();
    let dirty = match request.copy {
        Copy::Clean => None,
        Copy::Dirty { .. } if location.work_tree.is_none() => {
            return Err(GitError::NoWorkTree {
                what: "a bare repository",
            });
        }
        Copy::Dirty { include_ignored } => Some(include_ignored),
    };
    let settings = location.settings().clone();
    let refs = Refs::read(&git, dirty.is_some())?;
    if dirty.is_some()
        && let Some(branch) = &request.branch
        && refs.head.branch() != Some(branch)
    {
        return Err(GitError::NotCheckedOut {
            branch: branch.clone(),
            head: refs.head.describe(),
        });
    }
    let mut warnings = Vec::new();
    let changed = changes::any(&location, &workshop);
    let is_dirty = match changed.map_err(|error| error.told(machine.temporary())) {
        // A clean copy needs no index, nor a work tree.
        Err(error @ (GitError::Failed { .. } | GitError::NotUnderstood { .. }))
            if dirty.is_none() =>
        {
            warnings.push(format!(
                "whether anything is uncommitted is not known: {error}"
            ));
            false
        }
        other => other?,
    };
    let prepared = Prepared::select(request, location, settings, refs)?;
    let mut facts = prepared.facts();
    facts.is_dirty = is_dirty;
    facts.warnings.append(&mut warnings);
    if is_dirty && dirty.is_none() {
        facts
            .warnings
            .push("uncommitted changes stay behind (--no-clean takes them along)".into());
    }
    let lfs = Lfs::OfThisMachine;
    let made = finish(&prepared, facts, dirty, lfs, scratch.into(), &workshop)?;
    Ok(Repository(Arc::new(made)))
}

/// Plans the copy.
fn finish(
    prepared: &Prepared,
    mut facts: Facts,
    dirty: Option<bool>,
    lfs: Lfs,
    scratch: Arc<Scratch>,
    workshop: &Workshop,
) -> Result<Inner, GitError> {
    for variable in ["user.name", "user.email"] {
        if prepared.settings.bytes(variable).is_none() {
            facts.warnings.push(format!(
                "git on this machine has no {variable}: `git commit` in the sandbox may be refused without it"
            ));
        }
    }
    let mut planner = Planner::new(workshop, dirty, lfs);
    let root = Place {
        tree: Vec::new(),
        git_dir: b".git".to_vec(),
    };
    let plan = planner.plan(
        prepared.location.clone(),
        &prepared.settings,
        &prepared.refs,
        &prepared.selection,
        root,
        0,
    )?;
    facts.warnings.append(&mut planner.warnings);
    let machine = workshop.machine();
    if let Some(why) = machine.unusable_temporary() {
        facts.warnings.push(format!(
            "TMPDIR cannot be used ({}): temporary files are in {}",
            Untrusted::new(why),
            Untrusted::new(&machine.temporary().join("").to_string_lossy()),
        ));
    }
    Ok(Inner {
        machine: workshop.machine().clone(),
        facts,
        plan,
        config_toml: OnceLock::new(),
        pending: None,
        scratch,
    })
}

impl Repository {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let this = self.clone();
        let done = blocking(move || work(&this.0)).await;
        done.map_err(|error| error.told(self.0.machine.temporary()))
    }

    /// An error of writing the archive, which may be one of ours.
    fn told(&self, error: io::Error) -> io::Error {
        match error.downcast::<GitError>() {
            Ok(ours) => ours.told(self.0.machine.temporary()).into(),
            Err(error) => error,
        }
    }

    /// What is known of the copy.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The text of the repository's `.amika/config.toml` as the sandbox will have it.
    ///
    /// # Errors
    /// When it leads out of the repository, or is larger than 1 MiB.
    pub async fn config_toml(&self) -> Result<Option<Vec<u8>>, GitError> {
        if let Some(read) = self.0.config_toml.get() {
            return Ok(read.clone());
        }
        let read = self
            .blocking(|inner| content::read(&inner.plan, CONFIG_TOML, CONFIG_LIMIT))
            .await?;
        Ok(self.0.config_toml.get_or_init(|| read).clone())
    }

    /// The content of a regular file of the copy; `None` when the path leads to none.
    ///
    /// # Errors
    /// [`GitError::Outside`] when it leads out of the repository, [`GitError::TooLarge`] when it has
    /// more than `limit` bytes.
    pub async fn file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, GitError> {
        let path = path.to_owned();
        self.blocking(move |inner| content::read(&inner.plan, &path, limit))
            .await
    }

    /// What a path, relative to the repository's root, leads to; `None` when to nothing.
    ///
    /// # Errors
    /// [`GitError::Outside`] when it leads out of the repository.
    pub async fn entry(&self, path: &str) -> Result<Option<Entry>, GitError> {
        let path = path.to_owned();
        self.blocking(move |inner| content::entry(&inner.plan, &path))
            .await
    }

    /// Why a path, relative to the repository's root, leads to nothing in the copy of a work tree that has
    /// something there.
    ///
    /// # Errors
    /// [`GitError::Outside`] when it leads out of the repository.
    pub async fn left_out(&self, path: &str) -> Result<Option<LeftOut>, GitError> {
        let path = path.to_owned();
        self.blocking(move |inner| content::left_out(&inner.plan, &path))
            .await
    }

    /// The state to record in the sandbox.
    ///
    /// # Errors
    /// When git fails.
    pub async fn snapshot(&self) -> Result<Snapshot, GitError> {
        self.blocking(|inner| {
            let Facts { name, source, .. } = &inner.facts;
            snapshot::take(&inner.plan, name, source, inner.scratch.path())
        })
        .await
    }

    /// Writes the finished working copy as a tar archive, to be unpacked so that the (empty) directory
    /// `prefix` is it, or where it is put without one; returns how many files its work trees have, and what
    /// of them changed meanwhile.
    ///
    /// # Errors
    /// With an archive that has no end, so that it never looks whole.
    pub fn write_tar(
        &self,
        owner: Owner,
        prefix: &str,
        to: &mut dyn io::Write,
    ) -> io::Result<Report> {
        let mut tar = TarWriter::new(owner, prefix, to);
        let report = emit::archive(&self.0.plan, &mut tar).map_err(|error| self.told(error))?;
        tar.finish()?;
        Ok(report)
    }

    /// The files of one directory of the copy as a tar archive, named from there: as the sandbox has them, but for what
    /// is git's own, and without times and owners. `keep` says which, by their paths from that directory; what may be
    /// below a path that it does not keep is asked for too.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] when the archive would have more than `limit` bytes; when git fails.
    pub async fn directory_tar(
        &self,
        directory: &str,
        keep: impl Fn(&[u8]) -> bool + Send + 'static,
        limit: u64,
    ) -> Result<Vec<u8>, GitError> {
        let directory = directory.to_owned();
        self.blocking(move |inner| context::archive(&inner.plan, &directory, &keep, limit))
            .await
    }

    /// How much there is to write, as far as that can be told without reading it.
    pub fn size(&self) -> Size {
        size::of(&self.0.plan)
    }
}

//! Copies of files, put into a sandbox before it starts: one tar stream each, never in memory.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::apply::put;
use super::fill::{Expected, Filled, fill, untimely as words_of_untimely};
use super::plan::Plan;
use super::repository_copy;
use super::upload::Upload;
use crate::cp::times;
use crate::deliver::{self, Fault};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::sandboxes::Sandboxes;
use crate::unsaved::Manifest;
use amika_engine::{Existing, MountSpec};
use amika_git as git;
use amika_host::archive::{self, Modes, OddTimes, Report, TarOut, Top};

/// How many of the files that were left out are named.
const NAMED: usize = 5;

/// Something to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The flag that asks for it, or the entry of the repository's file.
    pub flag: String,
    /// What is copied.
    pub what: What,
    /// Its place in the container.
    pub target: String,
}

/// What is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory of the host, into the volume at the target.
    Directory(PathBuf),
    /// A file of the host, put at the target.
    File(PathBuf),
    /// A directory of the repository, likewise; empty for its root.
    RepositoryDirectory(String),
    /// A file of the repository, likewise.
    RepositoryFile {
        /// Its path.
        path: String,
        /// Whether it may be executed.
        executable: bool,
    },
    /// Nothing but the owner of a volume that was made now: without it, it would be root's.
    EmptyVolume,
}

/// Files of a copy that did not get their times from the engine.
pub(super) struct Untimely {
    /// The flag that asks for the copy.
    flag: String,
    /// Where the names begin in the sandbox; none where nobody is to give them theirs.
    at: Option<String>,
    odd: OddTimes,
}

/// Gives the files of copies the times that the engine did not: amikad does, once it runs. It is said of those that did
/// not get theirs.
pub(super) async fn give_times(
    engine: &Sandboxes,
    container: &str,
    untimely: BTreeMap<usize, Untimely>,
    out: &dyn Progress,
) {
    for Untimely { flag, at, odd } in untimely.into_values() {
        let missing = match at {
            Some(at) => times::give_in(engine, container, &at, &odd).await,
            None => Ok(odd.count),
        };
        match missing {
            Ok(0) => {}
            missing => {
                // It ended meanwhile, or the engine did: whoever waits for the sandbox tells of that.
                let words = words_of_untimely(missing.unwrap_or(odd.count));
                out.warn(&format!("{flag}: {words}"));
            }
        }
    }
}

/// Where copies go.
#[derive(Clone, Copy)]
pub(super) struct Into<'a> {
    /// The engine.
    pub engine: &'a Sandboxes,
    /// What is carried out.
    pub plan: &'a Plan,
    /// The repository that some are of.
    pub repository: Option<&'a git::Repository>,
    /// The container.
    pub container: &'a str,
    /// User and group of the agent.
    pub agent: (u32, u32),
}

/// Makes all copies. `again` is for a container that was made anew: its volumes are filled already. What did not get its
/// time is put into `untimely`, by the number of its copy.
///
/// # Errors
/// [`Kind::Invalid`] when a file of the host cannot be read; those of the engine, and of reading the repository.
pub(super) async fn copy_all(
    into: Into<'_>,
    again: bool,
    untimely: &mut BTreeMap<usize, Untimely>,
    out: &dyn Progress,
) -> Result<()> {
    let Into {
        engine,
        plan,
        repository,
        container,
        agent,
    } = into;
    for (number, copy) in plan.copies.iter().enumerate() {
        let (source, sent) = match &copy.what {
            What::Directory(source) if !again => {
                let sent = fill(
                    engine,
                    plan,
                    container,
                    &copy.target,
                    Expected::of_directory(source),
                    {
                        let source = source.clone();
                        move |prefix: &str, to: &mut dyn Write| pack(&source, prefix, agent, to)
                    },
                )
                .await;
                (source.clone(), sent)
            }
            What::File(source) => {
                let from = source.clone();
                let sent = put_file(engine, plan, container, &copy.target, {
                    move |name: &str, to: &mut dyn Write| pack(&from, name, agent, to)
                });
                (source.clone(), sent.await)
            }
            What::RepositoryDirectory(path) if !again => {
                let Some(repository) = repository else {
                    continue;
                };
                let content = repository_copy::directory(repository, path, &copy.flag).await?;
                let (target, expected) = (&copy.target, content.expected());
                let pack = move |prefix: &str, to: &mut dyn Write| content.pack(prefix, agent, to);
                let sent = fill(engine, plan, container, target, expected, pack).await;
                (PathBuf::from(path), sent)
            }
            What::RepositoryFile { path, executable } => {
                let Some(repository) = repository else {
                    continue;
                };
                let flag = &copy.flag;
                let content = repository_copy::file(repository, path, *executable, flag).await?;
                let sent = put_file(engine, plan, container, &copy.target, {
                    move |name: &str, to: &mut dyn Write| content.pack(name, agent, to)
                });
                (PathBuf::from(path), sent.await)
            }
            What::EmptyVolume if !again => {
                give_empty_volume(engine, container, &copy.target, agent).await?;
                continue;
            }
            What::Directory(_) | What::RepositoryDirectory(_) | What::EmptyVolume => continue,
        };
        let (manifest, late) = tell(copy, &source, sent, out)?;
        untimely.extend(late.map(|late| (number, late)));
        let noted = Upload::copied(number, manifest.into_file(&copy.target));
        put(engine, container, &noted).await?;
    }
    Ok(())
}

/// Puts a file at its target: outside of volumes nothing but the engine unpacks.
async fn put_file<T: Send + 'static>(
    engine: &Sandboxes,
    plan: &Plan,
    container: &str,
    target: &str,
    write: impl FnOnce(&str, &mut dyn Write) -> io::Result<T> + Send + 'static,
) -> Result<Filled<T>, Fault> {
    let (at, name) = place(&plan.container.mounts, target);
    let name = name.to_owned();
    let write = move |to: &mut dyn Write| write(&name, to);
    let sent = deliver::put(engine, container, at, Existing::KeptInKind, write).await;
    sent.map(|value| Filled {
        value,
        keeps_odd_times: false,
        at: Some(at.to_owned()),
    })
}

/// The mount that a file goes into, and its name there: an archive put at `/` does not reach into
/// volumes on every engine.
fn place<'m>(mounts: &'m [MountSpec], target: &'m str) -> (&'m str, &'m str) {
    let at = mounts
        .iter()
        .map(MountSpec::target)
        .filter(|at| Path::new(target).starts_with(at))
        .max_by_key(|at| at.len())
        .unwrap_or("/");
    let name = target.strip_prefix(at).unwrap_or(target);
    (at, name.trim_start_matches('/'))
}

/// Packs a file or directory, to be unpacked as `name`; without one, as the place where it is put.
fn pack(
    source: &Path,
    name: &str,
    agent: (u32, u32),
    to: &mut dyn Write,
) -> io::Result<(Report, Manifest)> {
    let top = match name {
        "" => Top::Root,
        name => Top::Named(Path::new(name)),
    };
    let mut manifest = Manifest::begin(amika_host::clock::now_millis() / 1000);
    let tar = TarOut::new(to, agent, Modes::Kept, "");
    let report = archive::pack_noting(source, top, tar, &mut manifest)?;
    Ok((report, manifest))
}

/// Says how a copy went, and returns what it was made of, and what of it did not get its time.
fn tell(
    copy: &Copy,
    source: &Path,
    sent: Result<Filled<(Report, Manifest)>, Fault>,
    out: &dyn Progress,
) -> Result<(Manifest, Option<Untimely>)> {
    let Filled {
        value: (report, manifest),
        keeps_odd_times,
        at,
    } = match sent {
        Ok(made) => made,
        Err(Fault::Volume(error)) => return Err(error.into()),
        Err(Fault::Source(error)) => {
            return Err(Error::new(
                Kind::Invalid,
                format!("{}: the copy of {} failed", copy.flag, source.display()),
            )
            .caused_by(&error)
            .hint("make it readable, or mount less"));
        }
    };
    if report.skipped_count > 0 {
        let names = report.skipped.iter().take(NAMED);
        let names: Vec<&str> = names.map(|skipped| skipped.path.as_str()).collect();
        let more = if report.skipped.len() > NAMED {
            " …"
        } else {
            ""
        };
        out.warn(&format!(
            "{}: {} sockets, pipes or devices are not copied: {}{more}",
            copy.flag,
            report.skipped_count,
            names.join(", ")
        ));
    }
    if let Some(changes) = report.told_changes() {
        out.warn(&format!("{}: {changes}", copy.flag));
    }
    let is_late = report.odd_times.count > 0 && !keeps_odd_times;
    let late = is_late.then(|| Untimely {
        flag: copy.flag.clone(),
        at,
        odd: report.odd_times,
    });
    Ok((manifest, late))
}

/// Gives a new volume's root to the agent, unless the image's files are in it.
async fn give_empty_volume(
    engine: &Sandboxes,
    container: &str,
    target: &str,
    agent: (u32, u32),
) -> Result<()> {
    // A block for the directory, then either the next entry or the end of the archive.
    const ENOUGH: usize = 1024;
    let head = engine
        .archive_head(container, target, ENOUGH)
        .await?
        .unwrap_or_default();
    let is_empty = head
        .get(512..)
        .is_none_or(|rest| rest.iter().all(|byte| *byte == 0));
    if !is_empty {
        return Ok(());
    }
    let is_roots = match first_owner(&head) {
        Some(0) => true,
        None => false,
        // An engine that maps users tells root's number of its own side.
        owner => {
            let root = engine.archive_head(container, "/", ENOUGH).await?;
            owner == root.as_deref().and_then(first_owner)
        }
    };
    if !is_roots {
        return Ok(());
    }
    let archive = empty_root(agent).map_err(|error| {
        Error::new(Kind::Failure, "a directory cannot be packed").caused_by(&error)
    })?;
    Ok(engine.put_archive(container, target, archive).await?)
}

/// Whose the first entry of an archive is.
fn first_owner(head: &[u8]) -> Option<u64> {
    let mut archive = tar::Archive::new(head);
    archive.entries().ok()?.next()?.ok()?.header().uid().ok()
}

/// An archive of an empty root directory that belongs to the agent.
fn empty_root(agent: (u32, u32)) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    let mut tar = TarOut::new(&mut archive, agent, Modes::Kept, "");
    tar.root(0o755, 0)?;
    tar.finish()?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn bind(target: &str) -> MountSpec {
        MountSpec::Bind {
            source: "/s".into(),
            target: target.into(),
            read_only: false,
        }
    }

    #[test]
    fn a_file_goes_into_the_nearest_mount() {
        let mounts = [bind("/home/amika"), bind("/home/amika/workspace/app")];
        for (target, expected) in [
            ("/etc/tool.conf", ("/", "etc/tool.conf")),
            ("/home/amika/.npmrc", ("/home/amika", ".npmrc")),
            (
                "/home/amika/workspace/app/.env",
                ("/home/amika/workspace/app", ".env"),
            ),
            ("/home/amikax", ("/", "home/amikax")),
        ] {
            assert_eq!(place(&mounts, target), expected);
        }
    }
}

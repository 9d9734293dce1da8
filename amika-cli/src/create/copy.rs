//! Copies of host files, put into a sandbox before it starts: one tar stream each, never in memory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use amika_core::contract::path;
use amika_core::label::{Kind, ResourceRecord};
use futures_util::StreamExt as _;

use super::plan::Plan;
use crate::engine::{ContainerSpec, Engine, MountSpec};
use crate::error::{CommandError, ExitCode, Result};
use crate::output::Printer;

mod pack;

use pack::Findings;

/// How many of the files that were left out are named.
const NAMED: usize = 5;

/// Something to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The flag that asks for it.
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
    /// Nothing but the owner of a volume that was made now: without it, it would be root's.
    EmptyVolume,
}

/// Makes all copies. `again` is for a container that was made anew: its volumes are filled already.
///
/// # Errors
/// [`ExitCode::Usage`] when a file of the host cannot be read; those of the engine.
pub async fn copy_all(
    engine: &Engine,
    plan: &Plan,
    container: &str,
    agent: (u32, u32),
    again: bool,
    out: &Printer,
) -> Result<()> {
    for copy in &plan.copies {
        match &copy.what {
            What::Directory(source) if !again => {
                fill(engine, plan, container, &copy.target, async |through| {
                    send(engine, copy, source, "", &copy.target, through, agent, out).await
                })
                .await?;
            }
            What::File(source) => {
                let (at, name) = place(&plan.container.mounts, &copy.target);
                send(engine, copy, source, name, at, container, agent, out).await?;
            }
            What::EmptyVolume if !again => {
                give_empty_volume(engine, container, &copy.target, agent).await?;
            }
            What::Directory(_) | What::EmptyVolume => {}
        }
    }
    Ok(())
}

/// Fills the volume at `target` by `work`, which is told the container to go through: the sandbox's
/// own, or, where something else is mounted beneath the target, one that has this volume and nothing
/// else. Otherwise what belongs beneath would be written through those mounts, into the host's files.
///
/// # Errors
/// Those of the work and the engine.
pub async fn fill<T>(
    engine: &Engine,
    plan: &Plan,
    container: &str,
    target: &str,
    work: impl AsyncFnOnce(&str) -> Result<T>,
) -> Result<T> {
    let Some(alone) = alone(&plan.container.mounts, target) else {
        return work(container).await;
    };
    let labels = ResourceRecord {
        id: Some(plan.record.id.clone()),
        test: plan.record.test.clone(),
        ..ResourceRecord::new(Kind::Amikad)
    };
    let filler = ContainerSpec {
        // Named after the lock that this process holds, so that `doctor` knows when it is left over.
        name: format!("sandbox-{}-fill-{:08x}", plan.name, rand::random::<u32>()),
        image: plan.container.image.clone(),
        entrypoint: Some(vec![path::AMIKAD.into()]),
        cmd: Some(vec!["--version".into()]),
        labels: labels.to_labels(),
        network: "none".into(),
        mounts: vec![alone.clone()],
        ..ContainerSpec::default()
    };
    let id = engine.create_container(&filler).await?;
    let done = work(&id).await;
    engine.remove_container(&id).await?;
    done
}

/// The volume at `target`, if something else is mounted beneath it.
fn alone<'m>(mounts: &'m [MountSpec], target: &str) -> Option<&'m MountSpec> {
    let beneath = |mount: &&MountSpec| {
        Path::new(mount.target()).starts_with(target) && mount.target() != target
    };
    mounts.iter().find(beneath)?;
    mounts.iter().find(|mount| mount.target() == target)
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

#[expect(clippy::too_many_arguments, reason = "one call, all of it different")]
async fn send(
    engine: &Engine,
    copy: &Copy,
    source: &Path,
    name: &str,
    at: &str,
    through: &str,
    agent: (u32, u32),
    out: &Printer,
) -> Result<()> {
    let findings = Arc::new(Mutex::new(Findings::default()));
    let stream = pack::stream(
        source.to_owned(),
        name.as_bytes().to_vec(),
        agent,
        Arc::clone(&findings),
    );
    let sent = engine.put_archive_stream(through, at, stream).await;
    let findings = std::mem::take(&mut *findings.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(failure) = findings.failure {
        return Err(CommandError::new(
            ExitCode::Usage,
            format!("{}: the copy of {} failed", copy.flag, source.display()),
        )
        .cause(failure)
        .hint("make it readable, or mount less"));
    }
    sent?;
    if findings.skipped_count > 0 {
        let names: Vec<String> = findings
            .skipped
            .iter()
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect();
        let more = if findings.skipped_count > names.len() {
            " …"
        } else {
            ""
        };
        out.warn(&format!(
            "{}: {} sockets, pipes or devices are not copied: {}{more}",
            copy.flag,
            findings.skipped_count,
            names.join(", ")
        ));
    }
    Ok(())
}

/// Gives a new volume's root to the agent, unless the image's files are in it.
async fn give_empty_volume(
    engine: &Engine,
    container: &str,
    target: &str,
    agent: (u32, u32),
) -> Result<()> {
    // A block for the directory, then either the next entry or the end of the archive.
    const ENOUGH: usize = 1024;
    let mut head = Vec::new();
    {
        let mut chunks = std::pin::pin!(engine.get_archive(container, target));
        while let Some(chunk) = chunks.next().await {
            head.extend_from_slice(&chunk?);
            if head.len() >= ENOUGH {
                break;
            }
        }
    }
    let is_empty = head
        .get(512..)
        .is_none_or(|rest| rest.iter().all(|byte| *byte == 0));
    let is_roots = tar::Archive::new(head.as_slice())
        .entries()
        .ok()
        .and_then(|mut entries| entries.next()?.ok()?.header().uid().ok())
        == Some(0);
    if !is_empty || !is_roots {
        return Ok(());
    }
    let archive = pack::empty_root(agent).map_err(|error| {
        CommandError::new(ExitCode::Failure, "a directory cannot be packed").caused_by(&error)
    })?;
    Ok(engine.put_archive(container, target, archive).await?)
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
    fn a_volume_with_something_beneath_is_filled_alone() {
        let mounts = [bind("/x"), bind("/x/y"), bind("/xy"), bind("/z")];
        assert_eq!(alone(&mounts, "/x"), Some(&bind("/x")));
        assert_eq!(alone(&mounts, "/z"), None);
        assert_eq!(alone(&mounts, "/xy"), None);
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

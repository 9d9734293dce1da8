//! Work in a sandbox that would be lost with it, and refusing to lose it.
//!
//! One rule: whatever is in a volume that goes is work, less what was copied in, less what the image and setup put
//! there, and less caches ([`amika_core::work`]). It holds for the volumes of a sandbox whose container is gone, too.
//! Of a clone it is told in git's words.

mod look;


use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amika_core::contract::path;
use amika_core::label::{Kind, ResourceRecord, key};

pub use look::Hashing;
use look::{Look, NAMED, Rule, Seen};
pub use amika_core::manifest::Manifest;

use crate::bridge;
use crate::engine::{ContainerSpec, ContainerState, Engine, EngineError, MountFacts, MountSpec, VolumeFacts};
use crate::error::{CommandError, ExitCode, Result};
use crate::output::shell_quote;
use crate::sandbox::Sandbox;

/// How long a look at one place may take: an engine reads some gigabytes in that time.
const LONGEST: Duration = Duration::from_secs(10);
/// Bytes of manifests that are read: those of sixteen million files.
const MANIFESTS: usize = 256 << 20;

/// Refuses to go on when work would be lost, or when that cannot be told.
///
/// # Errors
/// [`ExitCode::Conflict`], naming what is there; those of the engine.
pub async fn refuse(engine: &Engine, sandbox: &Sandbox) -> Result<()> {
    // Nothing was written in the one, and the other is removed half-way: the engine shows no file of it.
    if matches!(
        sandbox.container.state,
        ContainerState::Created | ContainerState::Dead
    ) {
        return Ok(());
    }
    let mut found = Vec::new();
    let (container, record) = (&sandbox.container, &sandbox.record);
    let going = crate::delete::volumes(engine, &container.id, record).await?;
    for (look, holder) in places(engine, &container.id, &container.mounts, &going).await? {
        let place = look.place.clone();
        let seen = seen(engine, sandbox, look, holder).await?;
        if seen.is_work() || !seen.is_whole {
            found.push((place, seen));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let has_commits = sandbox.record.repository.is_some();
    Err(refusal(&sandbox.name, &found, has_commits))
}

/// The error; `has_commits` tells whether there is a repository to pull from.
fn refusal(name: &str, found: &[(PathBuf, Seen)], has_commits: bool) -> CommandError {
    let is_known = found.iter().any(|(_, seen)| seen.is_work());
    let mut error = CommandError::new(
        ExitCode::Conflict,
        if is_known {
            format!("sandbox \"{name}\" holds work that would be lost with it")
        } else {
            format!("sandbox \"{name}\" may hold work that would be lost with it")
        },
    );
    let mut all = Vec::new();
    let mut from = None;
    for (place, seen) in found {
        let shown = place.display();
        if let Some(what) = &seen.itself {
            error = error.cause(format!("{shown} is {what}"));
            all.push(shown.to_string());
            // A link alone is not what it leads to.
            from = from.or_else(|| place.parent());
        } else if seen.is_work() {
            let mut names: Vec<&str> = seen.names.iter().take(NAMED).map(String::as_str).collect();
            if seen.names.len() > NAMED {
                names.push("…");
            }
            error = error.cause(format!("in {shown}: {}", names.join(", ")));
            let names = seen.names.iter();
            all.extend(names.map(|name| place.join(name).display().to_string()));
            from = from.or(Some(place));
        } else {
            error = error.cause(format!(
                "{shown} could not be looked through in {} s",
                LONGEST.as_secs()
            ));
        }
    }
    if let Some(from) = from.or_else(|| found.first().map(|(place, _)| place.as_path())) {
        error = error.hint(format!(
            "`amika sandbox cp {} .` copies it out",
            shell_quote(&format!("{name}:{}", from.display()))
        ));
    }
    if has_commits {
        error = error.hint(format!(
            "`amika sandbox pull {name}` brings its commits into the repository that it was made from"
        ));
    }
    error
        .hint(format!(
            "`amika sandbox delete --force {name}` deletes it all the same"
        ))
        .detail("work", all)
}

/// What to look at: places in what goes with the sandbox, each with the mount that holds it, if any.
async fn places<'s>(
    engine: &Engine,
    container: &str,
    mounts: &'s [MountFacts],
    going: &[(Kind, VolumeFacts)],
) -> Result<Vec<(Look, Option<&'s MountFacts>)>> {
    let manifests = manifests(engine, container).await?;
    Ok(choose(mounts, going, manifests))
}

/// [`places`], from what the engine and the sandbox's state tell.
fn choose<'s>(
    mounts: &'s [MountFacts],
    going: &[(Kind, VolumeFacts)],
    manifests: Vec<(String, Manifest)>,
) -> Vec<(Look, Option<&'s MountFacts>)> {
    let kind = |mount: &MountFacts| {
        let volume = going.iter().find(|(_, volume)| volume.name == mount.source);
        volume.map(|(kind, _)| *kind)
    };
    // As the volume's own labels tell it: a container's could tell a day to come, and hide all work.
    let made = |mount: Option<&MountFacts>| {
        let is_it = |name: &str| mount.is_some_and(|mount| mount.source == name);
        let volume = going.iter().find(|(_, volume)| is_it(&volume.name));
        let made = volume.and_then(|(_, volume)| volume.labels.get(key::CREATED_AT)?.parse().ok());
        made.unwrap_or(0_u64) / 1000
    };
    let (workspace, home) = (PathBuf::from(path::WORKSPACE), PathBuf::from(path::HOME));
    let (beginnings, copies): (Vec<_>, Vec<_>) = manifests
        .into_iter()
        .partition(|(target, _)| target == path::HOME);
    let mut rules: Vec<(PathBuf, Rule, bool)> = Vec::new();
    match beginnings.into_iter().next() {
        Some((_, manifest)) => {
            let manifest = Arc::new(manifest);
            let inner = workspace.strip_prefix(&home).unwrap_or(&workspace);
            let rule = Rule::NotBegun(manifest.clone(), inner.to_owned());
            rules.push((workspace, rule, false));
            rules.push((home, Rule::NotBegun(manifest, PathBuf::new()), false));
        }
        // An amikad that kept no list of it: what setup made is then work, too.
        None => {
            let holder = mounts.iter().find(|mount| mount.target == path::HOME);
            rules.push((workspace, Rule::Everything, false));
            rules.push((home, Rule::WrittenSince(made(holder)), false));
        }
    }
    for copy in mounts
        .iter()
        .filter(|mount| kind(mount) == Some(Kind::RwCopy))
    {
        if copies.iter().all(|(target, _)| *target != copy.target) {
            let rule = Rule::WrittenSince(made(Some(copy)));
            rules.push((PathBuf::from(&copy.target), rule, true));
        }
    }
    for (target, manifest) in copies {
        rules.push((PathBuf::from(target), Rule::NotCopied(manifest), true));
    }
    let all: Vec<PathBuf> = rules.iter().map(|(place, ..)| place.clone()).collect();
    let mut places = Vec::new();
    for (place, rule, is_copy) in rules {
        let holder = mounts
            .iter()
            .filter(|mount| place.starts_with(&mount.target))
            .max_by_key(|mount| mount.target.len());
        if holder.is_some_and(|mount| !kind(mount).is_some_and(Kind::goes_with_sandbox)) {
            continue;
        }
        let mounted = mounts.iter().map(|mount| PathBuf::from(&mount.target));
        let beneath = mounted
            .chain(all.iter().cloned())
            .filter(|other| *other != place && other.starts_with(&place))
            .collect();
        let look = Look {
            place,
            beneath,
            rule,
            is_copy,
        };
        places.push((look, holder));
    }
    places
}

/// The manifests of the copies, by their place; none of a sandbox that was made before there were any.
async fn manifests(engine: &Engine, container: &str) -> Result<Vec<(String, Manifest)>> {
    use std::io::Read as _;
    let archive = engine
        .archive_head(container, path::COPIES, MANIFESTS)
        .await?
        .unwrap_or_default();
    let mut manifests = Vec::new();
    let mut archive = tar::Archive::new(archive.as_slice());
    // What was not read to its end is none: then the old rule holds for that copy.
    for mut entry in archive.entries().into_iter().flatten().flatten() {
        let mut file = Vec::new();
        if entry.header().entry_type().is_file() && entry.read_to_end(&mut file).is_ok() {
            manifests.extend(Manifest::from_file(&file));
        }
    }
    Ok(manifests)
}

/// Looks at a place. Where something is mounted beneath it, which may be as large as a host's disk, that
/// is done in a container that has nothing but the volume.
async fn seen(
    engine: &Engine,
    sandbox: &Sandbox,
    look: Look,
    holder: Option<&MountFacts>,
) -> Result<Seen> {
    let container = &sandbox.container.id;
    let Some(holder) = holder.filter(|_| !look.beneath.is_empty()) else {
        return seen_in(engine, container, look).await;
    };
    match engine.create_container(&alone(sandbox, holder)).await {
        Ok(helper) => {
            let seen = seen_in(engine, &helper, look).await;
            match engine.remove_container(&helper).await {
                Err(error) if !error.is_not_found() => Err(error.into()),
                _ => seen,
            }
        }
        // Its image may be gone while it lives on.
        Err(EngineError::NotFound(_)) => seen_in(engine, container, look).await,
        Err(error) => Err(error.into()),
    }
}

/// A container that is never started, with one volume of the sandbox. What a killed `amika` leaves of it
/// is found as that which fills a volume is.
fn alone(sandbox: &Sandbox, holder: &MountFacts) -> ContainerSpec {
    let labels = ResourceRecord {
        id: Some(sandbox.record.id.clone()),
        test: sandbox.record.test.clone(),
        ..ResourceRecord::new(Kind::Amikad)
    };
    ContainerSpec {
        name: format!(
            "sandbox-{}-fill-{:08x}",
            sandbox.name,
            rand::random::<u32>()
        ),
        image: sandbox.container.image.clone(),
        entrypoint: Some(vec![path::AMIKAD.into()]),
        cmd: Some(vec!["--version".into()]),
        labels: labels.to_labels(),
        network: "none".into(),
        mounts: vec![MountSpec::Volume {
            name: holder.source.clone(),
            target: holder.target.clone(),
            read_only: true,
            labels: std::collections::BTreeMap::new(),
            no_copy: true,
        }],
        ..ContainerSpec::default()
    }
}

async fn seen_in(engine: &Engine, container: &str, look: Look) -> Result<Seen> {
    let place = look.place.to_string_lossy().into_owned();
    let (reader, pump) = bridge::consume(engine.get_archive(container, &place));
    let thread = tokio::task::spawn_blocking(move || look.through(reader));
    // Where the time is over, the reader finds the archive broken off.
    let pumped = tokio::time::timeout(LONGEST, pump).await;
    let seen = thread.await.unwrap_or_default();
    match pumped {
        Ok(Err(error)) if error.is_not_found() => Ok(Seen {
            is_whole: true,
            ..Seen::default()
        }),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) | Err(_) => Ok(seen),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;
    use std::time::SystemTime;

    use pretty_assertions::assert_eq;

    use super::*;
    use crate::archive::{Modes, TarOut, Top, pack_noting};

    /// Packs what is at a path as the copy of this name.
    fn packed(source: &Path, name: &str) -> (Vec<u8>, Manifest) {
        let (mut archive, mut manifest) = (Vec::new(), Manifest::begin(crate::host::now_millis() / 1000));
        let tar = TarOut::new(&mut archive, (7, 8), Modes::Kept, "");
        let top = Top::Named(Path::new(name));
        pack_noting(source, top, tar, &mut manifest).expect("an archive");
        let file = manifest.into_file("/x");
        let (_, manifest) = Manifest::from_file(&file).expect("a manifest");
        (archive, manifest)
    }

    #[test]
    fn in_what_was_packed_there_is_no_work_and_in_what_changed_there_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        fs::create_dir_all(data.join("deep")).expect("made");
        for (name, age) in [("deep/old", 5000), ("young", 0), ("mine", 5000)] {
            fs::write(data.join(name), name).expect("written");
            let file = fs::File::options().write(true).open(data.join(name));
            let file = file.expect("opened");
            file.set_modified(SystemTime::now() - Duration::from_secs(age))
                .expect("aged");
        }
        std::os::unix::fs::symlink("nowhere", data.join("link")).expect("linked");
        let (archive, manifest) = packed(&data, "data");
        let look = Look {
            place: "/data".into(),
            beneath: Vec::new(),
            rule: Rule::NotCopied(manifest),
            is_copy: true,
        };
        let untouched = look.through(archive.as_slice());
        assert!(untouched.is_whole && !untouched.is_work(), "{untouched:?}");

        // In the very second, and as large as it was.
        let at = data.join("young").metadata().and_then(|it| it.modified());
        fs::write(data.join("young"), "YOUNG").expect("written");
        let file = fs::File::options().write(true).open(data.join("young"));
        let modified = at.expect("a time");
        file.and_then(|file| file.set_modified(modified))
            .expect("set");
        fs::rename(data.join("deep/old"), data.join("old")).expect("moved");
        fs::remove_file(data.join("link")).expect("removed");
        let (archive, _) = packed(&data, "data");
        let changed = look.through(archive.as_slice());
        let names = ["old", "young"].map(str::to_owned);
        assert_eq!(changed.names, BTreeSet::from(names));
    }

    #[test]
    fn a_single_file_is_known_by_its_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("notes");
        fs::write(&file, "x").expect("written");
        let (_, manifest) = packed(&file, "etc/notes.txt");
        let look = Look {
            place: "/etc/notes.txt".into(),
            beneath: Vec::new(),
            rule: Rule::NotCopied(manifest),
            is_copy: true,
        };
        let (archive, _) = packed(&file, "notes.txt");
        assert!(!look.through(archive.as_slice()).is_work());
        fs::write(&file, "y").expect("written");
        let (archive, _) = packed(&file, "notes.txt");
        assert!(look.through(archive.as_slice()).itself.is_some());
    }

    #[test]
    fn a_refusal_names_what_is_known_and_says_what_is_not() {
        let seen = |names: &[&str], itself: Option<&str>, is_whole| Seen {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            itself: itself.map(str::to_owned),
            is_whole,
        };
        let long = seen(&["a", "b", "c", "d", "e", "f"], None, true);
        let link = seen(&[], Some("a link to w2"), true);
        let unknown = seen(&[], None, false);
        let error = refusal(
            "x",
            &[
                ("/l".into(), unknown),
                ("/d".into(), long),
                ("/h/w".into(), link),
            ],
            true,
        );
        let text = error.to_json().to_string();
        for part in [
            "holds work that would be lost with it",
            "/l could not be looked through in 10 s",
            "in /d: a, b, c, d, e, …",
            "/h/w is a link to w2",
            "`amika sandbox cp x:/d .`",
            "`amika sandbox pull x`",
            "`amika sandbox delete --force x`",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let error = refusal("x", &[("/l".into(), seen(&[], None, false))], false);
        assert!(error.message.contains("may hold work"), "{}", error.message);
        assert!(!error.to_json().to_string().contains("sandbox pull"));
    }
}

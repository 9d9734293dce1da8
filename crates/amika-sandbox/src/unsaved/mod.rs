//! Work in a sandbox that would be lost with it, and refusing to lose it.
//!
//! One rule: whatever is in a volume that goes is work, less what was copied in, less what the image and setup put
//! there, and less caches ([`amika_core::work`]). It holds for the volumes of a sandbox whose container is gone, too.
//! Of a clone it is told in git's words.

mod git;
mod held;
mod look;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amika_core::contract::path;
use amika_core::label::{Kind, ResourceRecord, key};
use amika_core::untrusted::Untrusted;

pub use amika_core::manifest::Manifest;
pub(crate) use held::{held, held_left};
use look::{Look, NAMED, Rule, Seen, Times};

use crate::bridge;
use crate::error::{self, Error, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;
use amika_engine::{
    ContainerFacts, ContainerSpec, ContainerState, EngineError, MountFacts, MountSpec, VolumeFacts,
};

/// How long a look at one place may take: an engine reads some gigabytes in that time.
const LONGEST: Duration = Duration::from_secs(10);
/// Where volumes of copies are put to look at them, each by its number.
const COPY: &str = "/amika-copy-";
/// What containers are made to run in which nothing runs.
const NO_PROGRAM: &str = "/amika-runs-nothing";
/// Bytes of manifests that are read: those of sixteen million files.
const MANIFESTS: usize = 256 << 20;

/// Refuses to go on when work would be lost, or when that cannot be told. With `git_too` the clone goes as well.
///
/// # Errors
/// [`error::Kind::Conflict`], naming what is there; those of the engine.
pub async fn refuse(engine: &Sandboxes, sandbox: &Sandbox, git_too: bool) -> Result<()> {
    let (container, record) = (&sandbox.container, &sandbox.record);
    match container.state {
        // Nothing was ever written in it.
        ContainerState::Created => return Ok(()),
        // Removed half-way: the engine shows no file of it, and its volumes are all that is left.
        ContainerState::Dead => {
            let going = crate::belongings::volumes(engine, &container.id, record).await?;
            return refuse_left(engine, &sandbox.name, record.id.as_str(), &going, git_too).await;
        }
        _ => {}
    }
    let going = crate::belongings::volumes(engine, &container.id, record).await?;
    let found = found_in(engine, sandbox, &going).await?;
    let clones = if git_too {
        git::of_sandbox(engine, sandbox, &going).await?
    } else {
        Vec::new()
    };
    let has_commits = record.repository.is_some();
    told(&sandbox.name, found, clones, has_commits, git_too)
}

/// What the places of a sandbox hold that go with it, its clone aside.
async fn found_in(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    going: &[(Kind, VolumeFacts)],
) -> Result<Vec<(PathBuf, Seen)>> {
    let (container, record) = (&sandbox.container, &sandbox.record);
    let mut helpers = Helpers::new(engine, sandbox.name.clone(), record.id.as_str());
    let looked = async {
        let mut found: Vec<(PathBuf, Seen)> = Vec::new();
        let mut of_image = Vec::new();
        for (place, rule) in image_volumes(engine, container, going, &mut helpers).await? {
            match rule {
                Some(rule) => of_image.push((place, rule)),
                None => found.push((place, Seen::default())),
            }
        }
        let manifests = manifests(engine, &container.id).await?;
        for (look, holder) in choose(&container.mounts, going, of_image, manifests) {
            let at = match holder {
                Some(holder) => helpers.alone(&container.image, holder).await?,
                None => None,
            };
            let seen =
                seen_in(engine, at.as_deref().unwrap_or(&container.id), look.clone()).await?;
            found.push((look.place, seen));
        }
        Ok(found)
    };
    let looked: Result<_> = looked.await;
    helpers.remove().await?;
    looked
}

/// As [`refuse`], of a sandbox of which only these volumes are left.
///
/// # Errors
/// As [`refuse`].
pub async fn refuse_left(
    engine: &Sandboxes,
    name: &str,
    id: &str,
    volumes: &[(Kind, VolumeFacts)],
    git_too: bool,
) -> Result<()> {
    let (found, clones) = left(engine, name, id, volumes, git_too).await?;
    told(name, found, clones, false, git_too).map_err(|mut error| {
        // There is no container to copy it out of.
        error.hints.retain(|hint| !hint.contains("sandbox cp"));
        // One that stays can be looked into at any time.
        let goes = |kind: Kind| kind.goes_with_sandbox() || (git_too && kind == Kind::Git);
        let volumes = volumes.iter().filter(|(kind, _)| goes(*kind));
        let volumes: Vec<&str> = volumes.map(|(_, volume)| volume.name.as_str()).collect();
        error.hint(format!(
            "its container is gone; `docker run --rm -it -v VOLUME:/mnt IMAGE` shows what is in a volume of {}",
            volumes.join(", ")
        ))
    })
}

/// What volumes without a container hold.
async fn left(
    engine: &Sandboxes,
    name: &str,
    id: &str,
    volumes: &[(Kind, VolumeFacts)],
    git_too: bool,
) -> Result<(Vec<(PathBuf, Seen)>, Vec<git::Clone>)> {
    let mut found = Vec::new();
    // What an engine inside keeps is made by commands, as a cache is: nobody is asked about it.
    let going =
        |(kind, _): &&(Kind, VolumeFacts)| kind.goes_with_sandbox() && *kind != Kind::Docker;
    if volumes.iter().any(|it| going(&it)) {
        // Each at a place of its own, so that none hides another; the home and the state where they were.
        let mounts = volumes.iter().filter(going).enumerate();
        let mounts: Vec<MountFacts> = mounts
            .map(|(number, (kind, volume))| MountFacts {
                kind: "volume".into(),
                source: volume.name.clone(),
                target: match kind {
                    Kind::Home => path::HOME.into(),
                    Kind::State => path::STATE_DIR.into(),
                    _ => format!("{COPY}{number}"),
                },
                writable: false,
            })
            .collect();
        let mut helpers = Helpers::new(engine, name.to_owned(), id);
        let looked = async {
            let Some(helper) = helpers.of_any_image(&mounts).await? else {
                let unknown = Seen::default();
                return Ok(vec![(PathBuf::from(path::HOME), unknown)]);
            };
            looked_left(engine, &helper, &mounts, volumes).await
        };
        let looked: Result<_> = looked.await;
        helpers.remove().await?;
        found = looked?;
    }
    let git = volumes
        .iter()
        .filter(|(kind, _)| git_too && *kind == Kind::Git);
    let git =
        git.map(|(_, volume)| git::unknown(&volume.name, "the sandbox that it belongs to is gone"));
    Ok((found, git.collect()))
}

/// Looks at volumes in a container that has nothing else.
async fn looked_left(
    engine: &Sandboxes,
    helper: &str,
    mounts: &[MountFacts],
    volumes: &[(Kind, VolumeFacts)],
) -> Result<Vec<(PathBuf, Seen)>> {
    let manifests = manifests(engine, helper).await?;
    let (in_home, elsewhere): (Vec<_>, Vec<_>) = manifests
        .into_iter()
        .partition(|(target, _)| Path::new(target).starts_with(path::HOME));
    // Where a copy was, its volume does not tell: one that a list has all of is that list's.
    let (copies, others): (Vec<_>, Vec<_>) = mounts
        .iter()
        .cloned()
        .partition(|mount| mount.target.starts_with(COPY));
    let all: Vec<Manifest> = in_home
        .iter()
        .chain(&elsewhere)
        .filter(|(target, _)| target != path::HOME)
        .map(|(_, manifest)| manifest.clone())
        .collect();
    let mut found = Vec::new();
    // Without its volume there would be that of some image at its place.
    let has_home = others.iter().any(|mount| mount.target == path::HOME);
    let places = if has_home {
        choose(&others, volumes, Vec::new(), in_home)
    } else {
        Vec::new()
    };
    for (look, _) in places {
        // What was mounted in the home is not there now, and its place is empty.
        found.push((look.place.clone(), seen_in(engine, helper, look).await?));
    }
    for copy in copies {
        let mut seen = None;
        for manifest in &all {
            let look = Look {
                place: PathBuf::from(&copy.target),
                beneath: Vec::new(),
                rule: Rule::NotCopied(manifest.clone()),
                is_copy: true,
            };
            let now = seen_in(engine, helper, look).await?;
            let is_clean = now.is_whole && !now.is_work();
            if seen.is_none() || is_clean {
                seen = Some(now);
            }
            if is_clean {
                break;
            }
        }
        let source = volumes
            .iter()
            .find(|(_, volume)| volume.name == copy.source);
        let made = source.and_then(|(_, volume)| volume.labels.get(key::CREATED_AT)?.parse().ok());
        let seen = if let Some(seen) = seen {
            seen
        } else {
            let look = Look {
                place: PathBuf::from(&copy.target),
                beneath: Vec::new(),
                rule: Rule::WrittenSince(made.unwrap_or(0_u64) / 1000),
                is_copy: true,
            };
            seen_in(engine, helper, look).await?
        };
        // The volume's name says more than a place that was made up.
        found.push((PathBuf::from(copy.source), seen));
    }
    Ok(found)
}

/// Refuses where something was found, or could not be looked through.
fn told(
    name: &str,
    mut found: Vec<(PathBuf, Seen)>,
    mut clones: Vec<git::Clone>,
    has_commits: bool,
    git_too: bool,
) -> Result<()> {
    found.retain(|(_, seen)| seen.is_work() || !seen.is_whole);
    clones.retain(git::Clone::is_in_the_way);
    if found.is_empty() && clones.is_empty() {
        return Ok(());
    }
    Err(refusal(name, &found, &clones, has_commits, git_too))
}

/// The error; `has_commits` tells whether there is a repository to pull from, and `git_too` whether the clone was to go.
fn refusal(
    name: &str,
    found: &[(PathBuf, Seen)],
    clones: &[git::Clone],
    has_commits: bool,
    git_too: bool,
) -> Error {
    let is_known =
        found.iter().any(|(_, seen)| seen.is_work()) || clones.iter().any(git::Clone::is_known);
    let mut error = Error::new(
        error::Kind::Conflict,
        if is_known {
            format!("sandbox \"{name}\" holds work that would be lost with it")
        } else {
            format!("sandbox \"{name}\" may hold work that would be lost with it")
        },
    );
    let mut all = Vec::new();
    let mut from: Vec<&Path> = Vec::new();
    for (place, seen) in found {
        let shown = place.display();
        if let Some(what) = &seen.itself {
            error = error.cause(format!("{shown} is {what}"));
            all.push(shown.to_string());
            // A link alone is not what it leads to.
            from.extend(place.parent());
        } else if seen.is_work() {
            // The sandbox chose them.
            let mut names: Vec<String> = (seen.names.iter().take(NAMED))
                .map(|name| Untrusted::new(name).to_string())
                .collect();
            if seen.names.len() > NAMED {
                names.push("…".to_owned());
            }
            error = error.cause(format!("in {shown}: {}", names.join(", ")));
            let names = seen.names.iter();
            all.extend(names.map(|name| place.join(name).display().to_string()));
            from.push(place);
        } else {
            from.push(place);
            error = error.cause(format!(
                "{shown} could not be looked through in {} s",
                LONGEST.as_secs()
            ));
        }
    }
    for clone in clones {
        error = error.cause(clone.to_string());
        all.push(clone.place.clone());
        let place = Path::new(&clone.place);
        // One that is mounted nowhere is called by its volume.
        from.extend((clone.has_files() && place.is_absolute()).then_some(place));
    }
    from.dedup();
    if let Some(hint) = copy_out(name, &from) {
        error = error.hint(hint);
    }
    // Without a container the name is a volume's label, which anybody may have written.
    let quoted = shell_quote(name);
    if has_commits && clones.iter().any(git::Clone::has_commits) {
        error = error.hint(format!(
            "`amika sandbox pull {quoted}` brings its commits into the repository that it was made from"
        ));
    }
    let volumes = if git_too { " --volumes" } else { "" };
    error
        .hint(format!(
            "`amika sandbox delete --force{volumes} {quoted}` deletes it all the same"
        ))
        .detail("work", all)
}

/// How what is in these places is copied out.
fn copy_out(name: &str, places: &[&Path]) -> Option<String> {
    let commands = places.iter().take(NAMED).map(|place| {
        let from = shell_quote(&format!("{name}:{}", place.display()));
        format!("`amika sandbox cp {from} .`")
    });
    let mut commands: Vec<String> = commands.collect();
    if places.len() > NAMED {
        commands.push("and so on".to_owned());
    }
    match commands.as_slice() {
        [] => None,
        [one] => Some(format!("{one} copies it out")),
        many => Some(format!("{} copy it out", many.join(", "))),
    }
}

/// When the sandbox was made, in seconds since the Unix epoch, as its volumes tell; 0 where none does.
fn made(going: &[(Kind, VolumeFacts)]) -> u64 {
    let created = going
        .iter()
        .filter_map(|(_, volume)| volume.labels.get(key::CREATED_AT)?.parse::<u64>().ok());
    created.min().unwrap_or(0) / 1000
}

/// The volumes that nobody asked for but the image, which go with the container: where each is, and what in it is work,
/// which is what the image does not have there. None where that cannot be told.
async fn image_volumes(
    engine: &Sandboxes,
    container: &ContainerFacts,
    going: &[(Kind, VolumeFacts)],
    helpers: &mut Helpers<'_>,
) -> Result<Vec<(PathBuf, Option<Rule>)>> {
    let anonymous = &container.anonymous_volumes;
    let mounts = container.mounts.iter();
    let mounts = mounts.filter(|mount| mount.writable && anonymous.contains(&mount.source));
    let places: Vec<&str> = mounts.map(|mount| mount.target.as_str()).collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let since = made(going);
    // The engine fills one of a new container as it filled the sandbox's.
    let like_new = match helpers.with(&container.image_id, &[]).await {
        Ok(helper) => Some(helper),
        Err(EngineError::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(helper) = &like_new
        && engine.is_podman().await?
    {
        // Podman does so when it is started, before it finds that there is no such program.
        let refused = engine.start_container(helper).await;
        tracing::debug!(?refused, "a container that runs nothing");
    }
    let mut rules = Vec::new();
    for place in places {
        let rule = match &like_new {
            None => Some(Rule::WrittenSince(since)),
            Some(helper) => list_of(engine, helper, place, since)
                .await?
                .map(|list| Rule::NotBegun(Arc::new(list), PathBuf::new())),
        };
        rules.push((PathBuf::from(place), rule));
    }
    Ok(rules)
}

/// The list of a place in a container; none where it could not be read in time.
async fn list_of(
    engine: &Sandboxes,
    container: &str,
    place: &str,
    since: u64,
) -> Result<Option<Manifest>> {
    let (reader, pump) = bridge::consume(engine.get_archive(container, place));
    let thread = tokio::task::spawn_blocking(move || look::list(reader, since));
    let pumped = tokio::time::timeout(LONGEST, pump).await;
    let listed = bridge::joined(thread.await);
    match pumped {
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) | Err(_) => Ok(listed.ok()),
    }
}

/// What to look at: places in what goes with the sandbox, each with the mount that holds it where something else is
/// mounted beneath. `of_image` are the volumes that the image asked for.
fn choose<'s>(
    mounts: &'s [MountFacts],
    going: &[(Kind, VolumeFacts)],
    of_image: Vec<(PathBuf, Rule)>,
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
    if let Some((_, manifest)) = beginnings.into_iter().next() {
        let manifest = Arc::new(manifest);
        let inner = workspace.strip_prefix(&home).unwrap_or(&workspace);
        let rule = Rule::NotBegun(manifest.clone(), inner.to_owned());
        rules.push((workspace, rule, false));
        rules.push((home, Rule::NotBegun(manifest, PathBuf::new()), false));
    } else {
        // An amikad that kept no list of it: what setup made is then work, too.
        let holder = mounts.iter().find(|mount| mount.target == path::HOME);
        rules.push((workspace, Rule::Everything, false));
        rules.push((home, Rule::WrittenSince(made(holder)), false));
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
    let images: Vec<PathBuf> = of_image.iter().map(|(place, _)| place.clone()).collect();
    let is_images = |mount: &MountFacts| images.iter().any(|it| *it == Path::new(&mount.target));
    let of_image = of_image.into_iter();
    rules.extend(of_image.map(|(place, rule)| (place, rule, false)));
    let all: Vec<PathBuf> = rules.iter().map(|(place, ..)| place.clone()).collect();
    let mut places = Vec::new();
    for (place, rule, is_copy) in rules {
        let holder = mounts
            .iter()
            .filter(|mount| place.starts_with(&mount.target))
            .max_by_key(|mount| mount.target.len());
        let goes = |mount: &MountFacts| {
            is_images(mount) || kind(mount).is_some_and(Kind::goes_with_sandbox)
        };
        if holder.is_some_and(|mount| !goes(mount)) {
            continue;
        }
        let mounted = mounts.iter().map(|mount| PathBuf::from(&mount.target));
        let beneath = mounted
            .chain(all.iter().cloned())
            .filter(|other| *other != place && other.starts_with(&place))
            .collect();
        let has_mount = mounts.iter().any(|mount| {
            Path::new(&mount.target) != place && Path::new(&mount.target).starts_with(&place)
        });
        let look = Look {
            place,
            beneath,
            rule,
            is_copy,
        };
        places.push((look, holder.filter(|_| has_mount)));
    }
    places
}

/// The manifests of the copies, by their place; none of a sandbox that was made before there were any.
async fn manifests(engine: &Sandboxes, container: &str) -> Result<Vec<(String, Manifest)>> {
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

/// Containers in which nothing ever runs, to look at volumes in: where something is mounted beneath a place, which may be
/// as large as a host's disk, the place is looked at where that is not. What a killed `amika` leaves of them is found
/// as that which fills a volume is.
struct Helpers<'a> {
    engine: &'a Sandboxes,
    sandbox: String,
    id: String,
    made: Vec<(String, String)>,
}

impl<'a> Helpers<'a> {
    fn new(engine: &'a Sandboxes, sandbox: String, id: &str) -> Self {
        Self {
            engine,
            sandbox,
            id: id.to_owned(),
            made: Vec::new(),
        }
    }

    /// One with this volume alone; none where its image is gone, while the sandbox lives on.
    async fn alone(&mut self, image: &str, holder: &MountFacts) -> Result<Option<String>> {
        let mut made = self.made.iter();
        if let Some((_, helper)) = made.find(|(volume, _)| *volume == holder.source) {
            return Ok(Some(helper.clone()));
        }
        match self.with(image, std::slice::from_ref(holder)).await {
            Ok(helper) => Ok(Some(helper)),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// One with these volumes, of whichever image there is that puts none of its own among them; none without any.
    async fn of_any_image(&mut self, mounts: &[MountFacts]) -> Result<Option<String>> {
        let mut refused = None;
        for image in self.engine.all_images().await? {
            let facts = self.engine.inspect_image(&image).await?;
            if facts.is_none_or(|facts| meet(&facts.volumes, mounts)) {
                continue;
            }
            match self.with(&image, mounts).await {
                Ok(helper) => return Ok(Some(helper)),
                // Somebody removed it since, or it is being removed, or made.
                Err(EngineError::NotFound(_)) => {}
                Err(error @ (EngineError::Refused { .. } | EngineError::Conflict(_))) => {
                    refused = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        refused.map_or(Ok(None), |error| Err(error.into()))
    }

    /// One with these volumes.
    async fn with(&mut self, image: &str, mounts: &[MountFacts]) -> Result<String, EngineError> {
        let labels = ResourceRecord {
            id: self.id.parse().ok(),
            creator: Some(crate::creator::this_process()),
            test: self.engine.test_run(),
            ..ResourceRecord::new(Kind::Amikad)
        };
        let volume = |mount: &MountFacts| MountSpec::Volume {
            name: mount.source.clone(),
            target: mount.target.clone(),
            read_only: true,
            labels: std::collections::BTreeMap::new(),
            no_copy: true,
        };
        let spec = ContainerSpec {
            name: format!(
                "sandbox-{}-fill-{:08x}",
                self.sandbox,
                rand::random::<u32>()
            ),
            image: image.to_owned(),
            entrypoint: Some(vec![NO_PROGRAM.into()]),
            cmd: Some(Vec::new()),
            labels: labels.to_labels(),
            network: "none".into(),
            mounts: mounts.iter().map(volume).collect(),
            ..ContainerSpec::default()
        };
        let helper = self.engine.create_container(&spec).await?;
        let volume = mounts.first().map(|mount| mount.source.clone());
        self.made.push((volume.unwrap_or_default(), helper.clone()));
        Ok(helper)
    }

    async fn remove(self) -> Result<()> {
        for (_, helper) in self.made {
            match self.engine.remove_container(&helper).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a volume of an image's own lies in one of these, or hides one: an engine makes its place in what is mounted
/// read-only, and fails.
fn meet(own: &[String], mounts: &[MountFacts]) -> bool {
    own.iter().any(|own| {
        let own = Path::new(own);
        let places = mounts.iter().map(|mount| Path::new(&mount.target));
        places
            .into_iter()
            .any(|at| own.starts_with(at) || at.starts_with(own))
    })
}

async fn seen_in(engine: &Sandboxes, container: &str, look: Look) -> Result<Seen> {
    let place = look.place.to_string_lossy().into_owned();
    let times = if engine.is_podman().await? {
        Times::Rounded
    } else {
        Times::Kept
    };
    let (reader, pump) = bridge::consume(engine.get_archive(container, &place));
    let thread = tokio::task::spawn_blocking(move || look.through(reader, times));
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
    use amika_host::archive::{Modes, TarOut, Top, pack_noting};

    #[test]
    fn a_volume_of_an_image_may_lie_beside_what_is_looked_at_only() {
        let mount = |target: &str| MountFacts {
            kind: "volume".into(),
            source: "home".into(),
            target: target.into(),
            writable: false,
        };
        let mounts = [mount(path::HOME), mount("/data/1")];
        for (own, expected) in [
            ("/home/amika/.cache", true),
            ("/home/amika", true),
            ("/home", true),
            ("/data/1/x", true),
            ("/data/10", false),
            ("/home/amikad", false),
            ("/var/lib/postgresql", false),
        ] {
            assert_eq!(meet(&[own.to_owned()], &mounts), expected, "{own}");
        }
        assert!(!meet(&[], &mounts));
    }

    /// Packs what is at a path as the copy of this name.
    fn packed(source: &Path, name: &str) -> (Vec<u8>, Manifest) {
        let (mut archive, mut manifest) = (
            Vec::new(),
            Manifest::begin(amika_host::clock::now_millis() / 1000),
        );
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
        let untouched = look.through(archive.as_slice(), Times::Kept);
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
        let changed = look.through(archive.as_slice(), Times::Kept);
        let names = ["old", "young"].map(str::to_owned);
        assert_eq!(changed.names, BTreeSet::from(names));
    }

    #[test]
    fn each_place_that_goes_is_looked_at_once_and_nothing_of_the_hosts() {
        let mount = |kind: &str, source: &str, target: &str| MountFacts {
            kind: kind.to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            writable: true,
        };
        let volume = |kind: Kind, name: &str| {
            let record = amika_core::label::ResourceRecord {
                created_at: Some(5_000),
                ..amika_core::label::ResourceRecord::new(kind)
            };
            let facts = VolumeFacts {
                name: name.to_owned(),
                labels: record.to_labels(),
                driver: "local".to_owned(),
                mountpoint: String::new(),
            };
            (kind, facts)
        };
        let home = || mount("volume", "home", path::HOME);
        let clone = || mount("volume", "git", "/home/amika/workspace/app");
        let copy = || mount("volume", "copy", "/data");
        let bind = |target| mount("bind", "/host", target);
        let manifest = |place: &str| (place.to_owned(), Manifest::begin(0));
        let going = [
            volume(Kind::Home, "home"),
            volume(Kind::State, "state"),
            volume(Kind::RwCopy, "copy"),
        ];
        let workspace = path::WORKSPACE;
        let (begun, copied) = ("not begun", "not copied");
        // Which place by which rule, whether a helper is needed to look beneath a mount, and what is left out.
        for (mounts, manifests, expected) in [
            (
                vec![home()],
                vec![manifest(path::HOME)],
                vec![(workspace, begun, false, 0), (path::HOME, begun, false, 1)],
            ),
            // Of an amikad that kept no list.
            (
                vec![home()],
                vec![],
                vec![
                    (workspace, "everything", false, 0),
                    (path::HOME, "since 5", false, 1),
                ],
            ),
            (
                vec![home(), clone(), bind("/home/amika/.cache")],
                vec![manifest(path::HOME)],
                vec![(workspace, begun, true, 1), (path::HOME, begun, true, 3)],
            ),
            (
                vec![home(), copy(), bind("/data/in")],
                vec![manifest(path::HOME), manifest("/data")],
                vec![
                    (workspace, begun, false, 0),
                    (path::HOME, begun, false, 1),
                    ("/data", copied, true, 1),
                ],
            ),
            // A copy whose list is gone is told by its times.
            (
                vec![home(), copy()],
                vec![manifest(path::HOME)],
                vec![
                    (workspace, begun, false, 0),
                    (path::HOME, begun, false, 1),
                    ("/data", "since 5", false, 0),
                ],
            ),
            // Where the host's own is mounted there is nothing that goes.
            (
                vec![home(), bind(workspace)],
                vec![manifest(path::HOME)],
                vec![(path::HOME, begun, true, 2)],
            ),
            (vec![bind(path::HOME)], vec![manifest(path::HOME)], vec![]),
            // What the image asked for goes as well, and a file that was copied into it.
            (
                vec![
                    home(),
                    mount("volume", "images", "/image"),
                    mount("volume", "mine", "/mine"),
                    mount("volume", "images", "/home/amika/workspace/image"),
                ],
                vec![
                    manifest(path::HOME),
                    manifest("/image/x"),
                    manifest("/mine/x"),
                ],
                vec![
                    (workspace, begun, true, 2),
                    (path::HOME, begun, true, 3),
                    ("/image/x", copied, false, 0),
                    ("/image", "since 7", false, 1),
                    ("/home/amika/workspace/image", "since 7", false, 0),
                ],
            ),
        ] {
            let of_image = mounts.iter().filter(|mount| mount.source == "images");
            let of_image =
                of_image.map(|mount| (PathBuf::from(&mount.target), Rule::WrittenSince(7)));
            let found = choose(&mounts, &going, of_image.collect(), manifests);
            let found: Vec<(&str, String, bool, usize)> = found
                .iter()
                .map(|(look, helper)| {
                    let rule = match &look.rule {
                        Rule::Everything => "everything".to_owned(),
                        Rule::NotCopied(_) => copied.to_owned(),
                        Rule::NotBegun(..) => begun.to_owned(),
                        Rule::WrittenSince(second) => format!("since {second}"),
                    };
                    let place = look.place.to_str().expect("text");
                    (place, rule, helper.is_some(), look.beneath.len())
                })
                .collect();
            let expected: Vec<(&str, String, bool, usize)> = expected
                .into_iter()
                .map(|(place, rule, helper, count)| (place, rule.to_owned(), helper, count))
                .collect();
            assert_eq!(found, expected, "{mounts:?}");
        }
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
        assert!(!look.through(archive.as_slice(), Times::Kept).is_work());
        fs::write(&file, "y").expect("written");
        let (archive, _) = packed(&file, "notes.txt");
        assert!(
            look.through(archive.as_slice(), Times::Kept)
                .itself
                .is_some()
        );
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
            &[],
            true,
            false,
        );
        let of_label = refusal(
            "a b;$(id)",
            &[("/d".into(), seen(&["f"], None, true))],
            &[],
            true,
            false,
        );
        assert_eq!(
            of_label.hints,
            [
                "`amika sandbox cp 'a b;$(id):/d' .` copies it out",
                "`amika sandbox delete --force 'a b;$(id)'` deletes it all the same"
            ]
        );
        let text = format!("{error:?}");
        for part in [
            "holds work that would be lost with it",
            "/l could not be looked through in 10 s",
            "in /d: a, b, c, d, e, …",
            "/h/w is a link to w2",
            "`amika sandbox cp x:/l .`, `amika sandbox cp x:/d .`, `amika sandbox cp x:/h .` copy it out",
            "`amika sandbox delete --force x`",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("sandbox pull"), "it brings no files: {text}");

        // What `pull` brings, and what it does not.
        let hints = |clone: git::Clone| refusal("x", &[], &[clone], true, true).hints.join("; ");
        let commits = hints(git::counted("/w/app", 2, 0));
        assert!(commits.contains("`amika sandbox pull x`"), "{commits}");
        assert!(!commits.contains("sandbox cp"), "{commits}");
        let files = hints(git::counted("/w/app", 0, 1));
        assert!(!files.contains("sandbox pull"), "{files}");
        assert!(files.contains("`amika sandbox cp x:/w/app .`"), "{files}");
        let untold = hints(git::unknown("/w/app", "there is no git in the sandbox"));
        assert!(!untold.contains("sandbox pull"), "{untold}");
        assert!(untold.contains("`amika sandbox cp x:/w/app .`"), "{untold}");
        let unmounted = hints(git::unknown("amika-git-x", "it is mounted nowhere"));
        assert!(!unmounted.contains("sandbox cp"), "{unmounted}");

        let unknown = [("/l".into(), seen(&[], None, false))];
        let error = refusal("x", &unknown, &[], false, true);
        let text = format!("{error:?}");
        assert!(
            text.contains("`amika sandbox delete --force --volumes x`"),
            "{text}"
        );
        assert!(error.message.contains("may hold work"), "{}", error.message);
        assert!(!format!("{error:?}").contains("sandbox pull"));
    }
}

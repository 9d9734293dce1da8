//! A service that is a container of its own: the keys of `[services.NAME]` beside `image`.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::{Section, quoted};
use super::run;
use crate::budget;
use crate::image::check_reference;
use crate::mount::{FileMount, FileSource};
use crate::service::{
    MAX_SIDECARS, READY_TIMEOUT_S, Ready, Service, Sidecar, SidecarVolume, sidecars,
};

/// The keys that are read here alone.
pub(super) const KEYS: [&str; 2] = ["image", "volumes"];

/// Those that mean nothing of a container of its own: nobody but the sandbox reaches it, and the engine runs it.
const OTHERS: [&str; 8] = [
    "port",
    "ports",
    "url_scheme",
    "cwd",
    "restart",
    "start",
    "wake",
    "depends_on",
];

/// A name that each container has for itself.
const LOCALHOST: &str = "localhost";

type Value<'i> = Spanned<DeValue<'i>>;

/// Reads the container that the service `name` is, if it is one. `place` is where its name stands.
pub(super) fn read(
    section: &mut Section<'_>,
    (name, place): (&str, Range<usize>),
    table: &DeTable<'_>,
) -> Option<Sidecar> {
    let Some(value) = table.get("image") else {
        if let Some((key, _)) = table.get_key_value("volumes") {
            let message = format!("volumes needs an image: service {} has none", quoted(name));
            section.problem(key.span(), message);
        }
        return None;
    };
    for key in OTHERS {
        if let Some((key, _)) = table.get_key_value(key) {
            let message = format!(
                "service {} has an image, and {} is for one of the sandbox's own programs",
                quoted(name),
                key.get_ref()
            );
            section.problem(key.span(), message);
        }
    }
    if name.eq_ignore_ascii_case(LOCALHOST) {
        let message =
            "no service with an image is called localhost: each container has that name for itself";
        section.problem(place, message);
    } else {
        run::check_service_name(section, "an image", name, place);
    }
    let image = section.string(value, "image")?;
    if let Err(error) = check_reference(image) {
        let message = format!("{} names no image: {error}", quoted(image));
        section.problem(value.span(), message);
        return None;
    }
    Some(Sidecar {
        image: image.to_owned(),
        command: table
            .get("command")
            .and_then(|value| run::command(section, value))
            .unwrap_or_default(),
        env: table
            .get("env")
            .map(|value| run::variables(section, value))
            .unwrap_or_default(),
        volumes: table
            .get("volumes")
            .map(|value| volumes(section, value))
            .unwrap_or_default(),
        ready: table.get("ready").and_then(|value| ready(section, value)),
        ready_timeout_s: table
            .get("ready_timeout")
            .and_then(|value| run::ready_timeout(section, value))
            .unwrap_or(READY_TIMEOUT_S),
    })
}

/// Checks that a file asks for no more of them than a sandbox has, each with a name that no other answers to.
pub(super) fn check(section: &mut Section<'_>, services: &[Service], place: Option<Range<usize>>) {
    let mut names = BTreeSet::new();
    for (name, _) in sidecars(services) {
        if let (false, Some(place)) = (names.insert(name.to_ascii_lowercase()), &place) {
            let message = format!(
                "two services with an image are called {}: no case tells names of a network apart",
                quoted(name)
            );
            section.problem(place.clone(), message);
        }
    }
    let count = services.iter().filter(|it| it.sidecar.is_some()).count();
    if let (true, Some(place)) = (count > MAX_SIDECARS, place) {
        let message =
            format!("{count} services have an image: a sandbox has at most {MAX_SIDECARS} of them");
        section.problem(place, message);
    }
}

/// What is looked at from the sandbox: the engine's log is not.
fn ready(section: &mut Section<'_>, value: &Value<'_>) -> Option<Ready> {
    match run::ready(section, value, None)? {
        Ready::Log { .. } => {
            let message = "ready of a service with an image is \"tcp:PORT\" or \"http:PORT/path\": the sandbox does not see its log";
            section.problem(value.span(), message);
            None
        }
        ready => Some(ready),
    }
}

/// Volumes, each as `NAME:/path`.
fn volumes(section: &mut Section<'_>, value: &Value<'_>) -> Vec<SidecarVolume> {
    let Some(entries) = value.get_ref().as_array() else {
        section.wrong_type(value, "volumes", "a list of strings");
        return Vec::new();
    };
    if let Some(first) = entries.get(budget::FILE_MOUNTS) {
        let (found, most) = (entries.len(), budget::FILE_MOUNTS);
        let message = format!("volumes: {found} are too many, at most {most} are allowed");
        section.problem(first.span(), message);
        return Vec::new();
    }
    let (mut names, mut targets) = (BTreeSet::new(), BTreeSet::new());
    let mut volumes = Vec::new();
    for entry in entries {
        let Some(text) = section.string(entry, "an entry of volumes") else {
            continue;
        };
        let read = match text.parse::<FileMount>() {
            Err(error) => Err(error.problem.to_string()),
            Ok(mount) => match mount.source {
                FileSource::Path(_) => {
                    Err("no path is mounted into a service with an image: name a volume".to_owned())
                }
                FileSource::Volume(_) if mount.read_only => {
                    Err("nobody else writes to it: leave \":ro\" out".to_owned())
                }
                FileSource::Volume(name) => Ok(SidecarVolume {
                    name,
                    target: mount.target.as_str().to_owned(),
                }),
            },
        };
        let read = read.and_then(|volume| {
            if !names.insert(volume.name.clone()) {
                return Err("its volume is used before".to_owned());
            }
            if !targets.insert(volume.target.clone()) {
                return Err("its target is used before".to_owned());
            }
            Ok(volume)
        });
        match read {
            Ok(volume) => volumes.push(volume),
            Err(why) => {
                section.problem(entry.span(), format!("volumes {}: {why}", quoted(text)));
            }
        }
    }
    volumes
}

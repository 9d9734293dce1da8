//! `sandbox.mounts`: volumes of the repository's own, and copies of what is in it.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeValue;

use super::read::{Section, quoted};
use super::{ConfiguredMount, place};
use crate::budget;
use crate::mount::{FileMount, FileSource};

/// What the names of Amika's own volumes begin with.
const OWN: &str = "amika-";

pub(super) fn read(
    section: &mut Section<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Vec<ConfiguredMount> {
    let Some(entries) = value.get_ref().as_array() else {
        section.wrong_type(value, "mounts", "a list of strings");
        return Vec::new();
    };
    if let Some(first) = entries.get(budget::FILE_MOUNTS) {
        let (found, most) = (entries.len(), budget::FILE_MOUNTS);
        let message = format!("mounts: {found} are too many, at most {most} are allowed");
        section.problem(first.span(), message);
        return Vec::new();
    }
    let mut targets = BTreeSet::new();
    let mut mounts = Vec::new();
    for entry in entries {
        let Some(text) = section.string(entry, "an entry of mounts") else {
            continue;
        };
        let mount = match text.parse::<FileMount>() {
            Ok(mount) => mount,
            Err(error) => {
                let message = format!("mounts {}: {}", quoted(text), error.problem);
                section.problem(entry.span(), message);
                continue;
            }
        };
        if !targets.insert(mount.target.clone()) {
            let message = format!("mounts {}: its target is used before", quoted(text));
            section.problem(entry.span(), message);
            continue;
        }
        mounts.push(match why_refused(&mount.source) {
            Some((reason, help)) => {
                let message = format!("mounts {}: the source {reason}", quoted(text));
                let found = section.error(entry.span(), message);
                ConfiguredMount::Refused(found.with_label(reason).with_help(help))
            }
            None => ConfiguredMount::Mount(section.locate(entry.span(), mount)),
        });
    }
    mounts
}

/// Why a source is not the repository's, and what to write.
fn why_refused(source: &FileSource) -> Option<(&'static str, &'static str)> {
    match source {
        FileSource::Path(path) => {
            let is_home = path.starts_with('~');
            let reason = is_home.then_some("names a home: it must stand in the repository");
            let help = "name a path of the repository, relative to its root, such as ./config";
            Some((reason.or_else(|| place::why_outside(path))?, help))
        }
        FileSource::Volume(name) => name.starts_with(OWN).then_some((
            "begins with \"amika-\", as volumes do that are Amika's own",
            "give the volume a name of the repository's",
        )),
    }
}

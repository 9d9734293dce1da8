//! `sandbox.mounts`: volumes of the repository's own, and copies of what is in it.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeValue;

use super::read::{Section, quoted};
use super::{ConfiguredMount, place};
use crate::budget;
use crate::contract::path::HOME;
use crate::mount::{FileMount, FileSource, Target};

/// What the names of Amika's own volumes begin with.
const OWN: &str = "amika-";

/// Where agents, git and ssh keep sign-ins and settings, beneath the agent's home. A repository's mount there would keep
/// the user's out, or keep what is signed in to in a volume that others of its branches read.
const USERS: [&str; 19] = [
    ".claude",
    ".claude.json",
    ".claude.json.api",
    ".claude-oauth-credentials.json",
    ".codex",
    ".config/opencode",
    ".local/share/opencode",
    ".local/state/opencode",
    ".config/gh",
    ".config/git",
    ".gitconfig",
    ".git-credentials",
    ".netrc",
    ".ssh",
    ".gnupg",
    ".docker",
    ".aws",
    ".kube",
    ".npmrc",
];

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
        let of_source = why_refused(&mount.source).map(|why| ("source", why));
        let of_target = why_no_place(&mount.target).map(|why| ("target", why));
        mounts.push(match of_source.or(of_target) {
            Some((which, (reason, help))) => {
                let message = format!("mounts {}: the {which} {reason}", quoted(text));
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

/// Why a target is not for a repository's file, and what to write.
fn why_no_place(target: &Target) -> Option<(&'static str, &'static str)> {
    let target = target.as_str();
    let within = |path: &str, above: &str| {
        path.strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_users = USERS.iter().any(|name| {
        let users = format!("{HOME}/{name}");
        within(target, &users) || within(&users, target)
    });
    is_users.then_some((
        "is where your sign-ins or settings are, or above it",
        "name another place; `--mount` and `--volume` may use this one",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_is_where_sign_ins_and_settings_are() {
        let why = |text: &str| why_no_place(&text.parse().expect("a target"));
        for target in [
            "/home/amika/.claude",
            "/home/amika/.claude/.credentials.json",
            "/home/amika/.claude.json",
            "/home/amika/.ssh/config",
            "/home/amika/.config",
            "/home/amika/.local/share",
        ] {
            assert!(why(target).is_some(), "{target}");
        }
        for target in [
            "/home/amika/.cache/pip",
            "/home/amika/.claudex",
            "/home/amika/.config/app",
            "/home/amikas",
            "/cache",
        ] {
            assert_eq!(why(target), None, "{target}");
        }
    }

    #[test]
    fn every_file_of_an_agents_sign_in_is_one_of_them() {
        for file in crate::credential::FILES {
            assert!(why_no_place(&file.target().parse().expect("a target")).is_some());
        }
    }
}

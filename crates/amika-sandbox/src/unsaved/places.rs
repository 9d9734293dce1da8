//! Which places are looked at, and what is work in each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use amika_core::contract::path;
use amika_core::label::{Kind, key};
use amika_core::manifest::Manifest;
use amika_engine::{MountFacts, VolumeFacts};

use super::look::{Look, Rule};

/// What to look at: places in what goes with the sandbox, each with the mount that holds it where something else is
/// mounted beneath. `of_image` are the volumes that the image asked for.
pub(super) fn choose<'s>(
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

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

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
}

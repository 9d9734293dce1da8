//! Places in a sandbox that the engine neither shows nor changes: what the kernel mounts there at each
//! start. A copy there would be told as done, and be nowhere.

use crate::error::{Error, Kind};
use crate::sandbox::Sandbox;
use amika_engine::MountFacts;

/// What is mounted in every container.
const ALWAYS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Refuses a path beneath such a place; `shown` is how it was typed.
///
/// # Errors
/// [`Kind::Invalid`].
pub(super) fn refuse(sandbox: &Sandbox, path: &str, shown: &str) -> Result<(), Error> {
    let Some(mount) = mount_over(path, &sandbox.container.mounts) else {
        return Ok(());
    };
    let name = &sandbox.name;
    Err(Error::new(
        Kind::Invalid,
        format!("{shown} cannot be copied from or to: {mount} is there while the sandbox runs alone, and the engine does not see it"),
    )
    .hint(format!(
        "copy through a program: `amika sandbox exec {name} -- cat FILE`, or `tar -c FILES | amika sandbox exec {name} -- tar -x -C DIRECTORY`"
    )))
}

/// The mount that hides a path from the engine, if the nearest one above it does so.
fn mount_over<'a>(path: &str, mounts: &'a [MountFacts]) -> Option<&'a str> {
    let always = ALWAYS.into_iter().map(|target| (target, true));
    let own = mounts
        .iter()
        .map(|mount| (mount.target.as_str(), mount.kind == "tmpfs"));
    let path = std::path::Path::new(path);
    let (target, is_unseen) = always
        .chain(own)
        .filter(|(target, _)| path.starts_with(target))
        .max_by_key(|(target, _)| target.trim_end_matches('/').len())?;
    is_unseen.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_decides() {
        let mount = |kind: &str, target: &str| MountFacts {
            kind: kind.to_owned(),
            source: String::new(),
            target: target.to_owned(),
            writable: true,
        };
        let mounts = [
            mount("volume", "/home/amika"),
            mount("tmpfs", "/home/amika/fast"),
            mount("bind", "/dev/shared"),
        ];
        for (path, expected) in [
            ("/dev", Some("/dev")),
            ("/dev/shm/x", Some("/dev")),
            ("/device", None),
            ("/proc/self/status", Some("/proc")),
            ("/sys/", Some("/sys")),
            ("/dev/shared/x", None),
            ("/home/amika/x", None),
            ("/home/amika/fast/x", Some("/home/amika/fast")),
            ("/home/amika/faster", None),
            ("/", None),
        ] {
            assert_eq!(mount_over(path, &mounts), expected, "{path}");
        }
    }
}

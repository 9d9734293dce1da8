//! Control groups in which an engine inside may make its own: an outer engine mounts them read-only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use crate::mounts::Mounts;

/// Where they are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// The group of what is not in a container of the engine inside.
const INIT: &str = "init";
/// How often processes are moved anew that came while others were.
const ROUNDS: u32 = 10;

/// Mounts the container's control groups writable and, in version 2, hands their controllers down.
pub(super) fn make_writable(mounts: &Mounts) -> io::Result<()> {
    let root = Path::new(ROOT);
    let mut failed = None;
    for point in mounts.at_or_below(root) {
        // A bind mount's own read-only flag is what is in the way, hence BIND.
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
        let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        if let Err(error) = mount(None::<&str>, &point, None::<&str>, flags, None::<&str>) {
            failed = Some(error.into());
        }
    }
    hand_down(root)?;
    failed.map_or(Ok(()), Err)
}

/// Version 2: a group whose controllers its children have may have no processes itself, so these go into a child.
/// Nothing is to be done in version 1, nor a second time.
fn hand_down(root: &Path) -> io::Result<()> {
    let controllers = match fs::read_to_string(root.join("cgroup.controllers")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let control = root.join("cgroup.subtree_control");
    let handed = fs::read_to_string(&control)?;
    let missing: Vec<&str> = controllers
        .split_ascii_whitespace()
        .filter(|controller| {
            !handed
                .split_ascii_whitespace()
                .any(|one| one == *controller)
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (from, to) = (root.join("cgroup.procs"), move_to(root)?);
    for _ in 0..ROUNDS {
        let processes = fs::read_to_string(&from)?;
        if processes.trim().is_empty() {
            break;
        }
        for process in processes.lines() {
            // One that ended meanwhile, or one of the kernel's, which stays.
            let _ = fs::write(&to, process);
        }
    }
    let mut failed = None;
    for controller in missing {
        // One by one: a kernel may refuse one, and the others are of use.
        if let Err(error) = fs::write(&control, format!("+{controller}")) {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

fn move_to(root: &Path) -> io::Result<PathBuf> {
    let group = root.join(INIT);
    match fs::create_dir(&group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    Ok(group.join("cgroup.procs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files where the kernel has them; each holds what was last written.
    fn version_2(controllers: &str, handed: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        put("cgroup.controllers", controllers);
        put("cgroup.subtree_control", handed);
        put("cgroup.procs", "1\n27\n");
        root
    }

    #[test]
    fn processes_go_into_a_group_of_their_own_before_controllers_are_handed_down() {
        let root = version_2("cpu memory\n", "cpu\n");
        hand_down(root.path()).unwrap();
        let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
        assert_eq!(read("init/cgroup.procs"), "27");
        assert_eq!(read("cgroup.subtree_control"), "+memory");
    }

    #[test]
    fn what_was_handed_down_is_left_alone() {
        let root = version_2("cpu memory\n", "memory cpu\n");
        hand_down(root.path()).unwrap();
        assert!(!root.path().join(INIT).exists());
    }

    #[test]
    fn version_1_needs_none_of_it() {
        let root = tempfile::tempdir().unwrap();
        hand_down(root.path()).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}

//! Whether somebody typed: what was read from the terminals of programs that were started from outside, or by
//! OpenCode's page.
//!
//! The kernel stamps a terminal when something is read from it, as w(1) tells idle users by. A new size of it is no
//! read, and neither is a program that only writes, so a `top` left open does nothing here. Pipes have such a stamp up
//! to Linux 6.14 only: who writes to one tells (`Meter::typed`).

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::processes::{Key, Process, Table};
use crate::ordered;

/// When the terminal of each program that has one was last read from, in seconds and nanoseconds.
pub(super) type Stamps = BTreeMap<Key, (i64, i64)>;

/// The stamps of the programs at which a person can sit. Blocks for as long as the kernel takes; changes the calling
/// thread's file system user meanwhile.
pub(super) fn read(table: &Table, can_sit: impl Fn(&Key, &Process) -> bool) -> Stamps {
    let places = table.iter().filter(|(key, process)| can_sit(key, process));
    ordered::map(places.filter_map(|(key, process)| Some((*key, stamp(key.0, process.owner)?))))
}

/// Whether something was read from a terminal that was there before.
pub(super) fn was_read(old: &Stamps, new: &Stamps) -> bool {
    new.iter()
        .any(|(key, stamp)| old.get(key).is_some_and(|before| before != stamp))
}

/// When a process's standard input was last read from, where it is a terminal.
fn stamp(pid: i32, owner: (u32, u32)) -> Option<(i64, i64)> {
    // Root without CAP_SYS_PTRACE may not look at another user's descriptors; that user may.
    let before = (
        setfsgid(Gid::from_raw(owner.1)),
        setfsuid(Uid::from_raw(owner.0)),
    );
    let data = std::fs::metadata(format!("/proc/{pid}/fd/0"));
    setfsuid(before.1);
    setfsgid(before.0);
    let data = data.ok()?;
    let is_terminal = data.file_type().is_char_device() && is_terminal(data.rdev());
    is_terminal.then(|| (data.atime(), data.atime_nsec()))
}

/// Whether a device number is a terminal's: `pts` has the major numbers 136 to 143.
fn is_terminal(device: u64) -> bool {
    (136..=143).contains(&nix::sys::stat::major(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_input_that_was_there_before_can_be_seen_to_be_read() {
        let stamps = |pairs: &[(i32, i64)]| -> Stamps {
            pairs.iter().map(|&(pid, at)| ((pid, 1), (at, 0))).collect()
        };
        let old = stamps(&[(20, 5), (30, 7)]);
        for (new, read) in [
            (stamps(&[(20, 5), (30, 7)]), false),
            (stamps(&[(20, 6), (30, 7)]), true),
            (stamps(&[(20, 5)]), false),
            (stamps(&[(20, 5), (30, 7), (40, 9)]), false),
        ] {
            assert_eq!(was_read(&old, &new), read, "{new:?}");
        }
    }

    #[test]
    fn terminals_are_told_from_other_devices() {
        assert!(is_terminal(nix::sys::stat::makedev(136, 0)));
        assert!(!is_terminal(nix::sys::stat::makedev(1, 3)), "/dev/null");
    }
}

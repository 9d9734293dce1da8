//! Whose a socket is: the process that has a descriptor of it.
//!
//! In a default container root may not look at the descriptors of others (no `SYS_PTRACE`), but each user may at those of
//! their own: so the thread that looks takes on the process's user for files, for as long as it looks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// So many descriptors are looked at in one look: a program may have a million.
const DESCRIPTORS: usize = 100_000;
/// A program's name is cut there; the kernel's own has 15 bytes.
const NAME: usize = 64;

/// A process that has a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The process.
    pub(super) pid: i32,
    /// Its descriptor of the socket.
    fd: u32,
    /// Who it runs as.
    pub(super) uid: u32,
    /// Its name.
    pub(super) program: String,
    /// Its start, in milliseconds since the Unix epoch.
    pub(super) started: Option<u64>,
}

/// A user whose files this thread may see, until it is dropped.
struct Guise(Option<(u32, u32)>);

impl Guise {
    /// Takes on the user of a process.
    fn of(pid: i32) -> Option<(Self, u32)> {
        let process = fs::metadata(format!("/proc/{pid}")).ok()?;
        let (uid, gid) = (process.uid(), process.gid());
        let own = (
            nix::unistd::geteuid().as_raw(),
            nix::unistd::getegid().as_raw(),
        );
        if own == (uid, gid) {
            return Some((Self(None), uid));
        }
        // Of this thread alone. The group first: afterwards there is no right to. Where neither is
        // allowed nothing changes, and nothing is seen.
        setfsgid(Gid::from_raw(gid));
        setfsuid(Uid::from_raw(uid));
        Some((Self(Some(own)), uid))
    }
}

impl Drop for Guise {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.0 {
            setfsuid(Uid::from_raw(uid));
            setfsgid(Gid::from_raw(gid));
        }
    }
}

impl Owner {
    /// Whether it has the socket still.
    pub(super) fn has(&self, inode: u64) -> bool {
        let Some((_guise, _)) = Guise::of(self.pid) else {
            return false;
        };
        let descriptor = format!("/proc/{}/fd/{}", self.pid, self.fd);
        fs::read_link(descriptor)
            .ok()
            .and_then(|link| inode_of(&link))
            == Some(inode)
    }
}

/// Finds who has these sockets, as far as that can be seen.
pub(super) fn find(mut wanted: BTreeSet<u64>) -> BTreeMap<u64, Owner> {
    let mut owners = BTreeMap::new();
    let mut left = DESCRIPTORS;
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // Of several that share a socket, the one that most likely made it.
    pids.sort_unstable();
    for pid in pids {
        if wanted.is_empty() || left == 0 {
            break;
        }
        let Some((_guise, uid)) = Guise::of(pid) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            left = left.saturating_sub(1);
            if wanted.is_empty() || left == 0 {
                break;
            }
            let inode = fs::read_link(descriptor.path())
                .ok()
                .and_then(|link| inode_of(&link));
            let fd = || descriptor.file_name().to_str()?.parse().ok();
            let (Some(inode), Some(fd)) = (inode, fd()) else {
                continue;
            };
            if wanted.remove(&inode) {
                let owner = Owner {
                    pid,
                    fd,
                    uid,
                    program: program(pid),
                    started: started(pid),
                };
                owners.insert(inode, owner);
            }
        }
    }
    owners
}

/// Whether a process has one of these sockets; none where it cannot be looked at.
pub(super) fn has_any(pid: i32, inodes: &BTreeSet<u64>) -> Option<bool> {
    let (_guise, _) = Guise::of(pid)?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let mut sockets = descriptors
        .flatten()
        .take(DESCRIPTORS)
        .filter_map(|descriptor| inode_of(&fs::read_link(descriptor.path()).ok()?));
    Some(sockets.any(|inode| inodes.contains(&inode)))
}

/// The socket that a descriptor is, by its link `socket:[INODE]`.
fn inode_of(link: &Path) -> Option<u64> {
    let text = link.to_str()?.strip_prefix("socket:[")?;
    text.strip_suffix(']')?.parse().ok()
}

/// A process's name, as `ps` shows it. Its arguments are left alone: to read them is to read its memory, which may
/// take for ever where that is a file of a file system that does not answer.
fn program(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name);
    let name = name.trim_end_matches('\n');
    // Node calls its first thread so; the file says more.
    let exe = name.ends_with("MainThread").then(|| {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        Some(exe.file_name()?.to_string_lossy().into_owned())
    });
    let name = exe.flatten().unwrap_or_else(|| name.to_owned());
    name.chars().take(NAME).collect()
}

/// When a process was started.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    let age = uptime - ticks(&stat)? / TICKS;
    let started = now.saturating_sub(std::time::Duration::try_from_secs_f64(age.max(0.0)).ok()?);
    u64::try_from(started.as_millis()).ok()
}

/// The clock of `/proc/PID/stat`, by the second; the same on every architecture that Linux has a user for.
const TICKS: f64 = 100.0;

/// The 22nd field, in ticks since the machine's start. The name in parentheses may hold anything, parentheses too.
fn ticks(stat: &str) -> Option<f64> {
    let rest = stat.get(stat.rfind(')')? + 1..)?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn the_process_of_a_socket_is_found_and_known_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = inode_of(&link).unwrap();
        let owners = find(BTreeSet::from([inode]));
        let owner = &owners[&inode];
        assert_eq!(owner.pid, std::process::id().cast_signed());
        assert!(owner.started.is_some());
        assert!(owner.has(inode));
        drop(listener);
        assert!(!owner.has(inode));
    }

    #[test]
    fn a_name_with_parentheses_hides_no_field() {
        let fields: Vec<String> = (3..30).map(|number| number.to_string()).collect();
        let stat = format!("7 (a) b) c) {}", fields.join(" "));
        assert_eq!(ticks(&stat), Some(22.0));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn only_sockets_have_an_inode_of_one() {
        assert_eq!(inode_of("socket:[42]".as_ref()), Some(42));
        for other in ["pipe:[42]", "socket:[x]", "/dev/null", "socket:[42", ""] {
            assert_eq!(inode_of(other.as_ref()), None);
        }
    }
}

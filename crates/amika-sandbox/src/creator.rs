//! The process that makes a sandbox: who it is, and whether it still lives.

use amika_core::label::Creator;
use sha2::{Digest as _, Sha256};

/// What can be told of a creator's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is seen at work.
    Alive,
    /// It ended: it was a process of this machine, of this user, and of this count of processes, and is no more.
    Dead,
    /// It cannot be seen from here, and may be at work: another user's, another machine's, or in a container.
    Unseen,
}

/// This process.
pub fn this_process() -> Creator {
    let pid = std::process::id();
    Creator {
        host: host_name(),
        boot_id: boot_id(),
        pid,
        started: start_time(pid).unwrap_or(0),
        uid: Some(rustix::process::getuid().as_raw()),
        pid_namespace: pid_namespace(),
        machine: machine(),
    }
}

/// Whether a creator still lives, as far as this process can tell.
pub fn life(creator: &Creator) -> Life {
    let is_there = start_time(creator.pid) == Some(creator.started);
    tell(creator, &this_process(), is_there)
}

/// Whether a creator is not known to be dead.
pub fn may_live(creator: &Creator) -> bool {
    life(creator) != Life::Dead
}

/// Whether a creator may be at work on a sandbox that never started. A process may live on after a create of its
/// failed and could not be unmade, as a server does: it has let go of the name, which a create holds to its end.
pub fn may_be_making(creator: &Creator) -> bool {
    match life(creator) {
        Life::Dead => false,
        Life::Unseen => true,
        // Of which sandbox the name is does not matter here: others may have renamed the container meanwhile.
        Life::Alive => crate::lock::holds_a_name(creator.pid).unwrap_or(true),
    }
}

/// [`life`], as seen from a process; `is_there` tells whether that sees one of the creator's id and start.
fn tell(creator: &Creator, from: &Creator, is_there: bool) -> Life {
    let differs = |one: &Option<String>, other: &Option<String>| one.is_some() && one != other;
    if creator.host != from.host || differs(&creator.machine, &from.machine) {
        return Life::Unseen;
    }
    if creator.boot_id == from.boot_id {
        if differs(&creator.pid_namespace, &from.pid_namespace) {
            return Life::Unseen;
        }
        if is_there {
            return Life::Alive;
        }
    } else if creator.pid_namespace.is_some() && creator.machine.is_none() {
        // A container with the name of this machine, or of another container, on any machine.
        return Life::Unseen;
    }
    // Another user's processes may be hidden.
    if creator.uid.is_some() && creator.uid != from.uid {
        return Life::Unseen;
    }
    Life::Dead
}

/// A digest of this machine's id, which is not to be told itself: machine-id(5).
fn machine() -> Option<String> {
    let id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| {
        let digest = Sha256::digest(format!("amika machine {id}"));
        amika_core::hex::hex(&digest[..8])
    })
}

fn pid_namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// When a process that lives was started.
fn start_time(pid: u32) -> Option<u64> {
    started(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// A process's start time in clock ticks since boot: field 22 of `/proc/PID/stat`, proc(5). `None` for
/// one that ended and is there only until its parent asks how.
fn started(stat: &str) -> Option<u64> {
    // The command's name stands in parentheses and may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    match fields.next()? {
        "Z" | "X" | "x" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_successor_is_not() {
        let creator = this_process();
        assert_eq!(life(&creator), Life::Alive);
        let later = Creator {
            started: creator.started + 1,
            ..creator
        };
        assert_eq!(life(&later), Life::Dead);
    }

    #[test]
    fn whoever_cannot_be_seen_is_never_taken_for_dead() {
        let here = Creator {
            host: "box".into(),
            boot_id: "b".into(),
            pid: 7,
            started: 9,
            uid: Some(1000),
            pid_namespace: Some("pid:[1]".into()),
            machine: Some("m".into()),
        };
        let with = |change: fn(&mut Creator)| {
            let mut creator = here.clone();
            change(&mut creator);
            creator
        };
        for (what, creator, there, gone) in [
            ("the same", with(|_| {}), Life::Alive, Life::Dead),
            (
                "another host",
                with(|it| it.host = "x".into()),
                Life::Unseen,
                Life::Unseen,
            ),
            (
                "another machine of this name",
                with(|it| {
                    it.machine = Some("x".into());
                    it.boot_id = "x".into();
                }),
                Life::Unseen,
                Life::Unseen,
            ),
            (
                "a container of this machine",
                with(|it| it.pid_namespace = Some("pid:[2]".into())),
                Life::Unseen,
                Life::Unseen,
            ),
            (
                "another user",
                with(|it| it.uid = Some(0)),
                Life::Alive,
                Life::Unseen,
            ),
            (
                "another user before the machine was started anew",
                with(|it| {
                    it.uid = Some(0);
                    it.boot_id = "x".into();
                }),
                Life::Unseen,
                Life::Unseen,
            ),
            (
                "an earlier boot",
                with(|it| it.boot_id = "x".into()),
                Life::Dead,
                Life::Dead,
            ),
            (
                "an earlier boot of who knows what",
                with(|it| {
                    it.boot_id = "x".into();
                    it.machine = None;
                }),
                Life::Unseen,
                Life::Unseen,
            ),
            (
                "one of an earlier version",
                with(|it| {
                    it.uid = None;
                    it.pid_namespace = None;
                    it.machine = None;
                }),
                Life::Alive,
                Life::Dead,
            ),
        ] {
            assert_eq!(tell(&creator, &here, true), there, "{what}");
            assert_eq!(tell(&creator, &here, false), gone, "{what}");
        }
    }

    #[test]
    fn one_that_ended_and_was_not_asked_after_does_not_live() {
        let stat = |state: &str| format!("7 (a) b) {state} 1{} 4711 9 9", " 0".repeat(17));
        assert_eq!(started(&stat("S")), Some(4711));
        assert_eq!(started(&stat("R")), Some(4711));
        for state in ["Z", "X", "x"] {
            assert_eq!(started(&stat(state)), None, "{state}");
        }
    }
}

//! The process that makes a sandbox: who it is, and whether it still lives.

use amika_core::label::Creator;

/// This process.
pub fn this_process() -> Creator {
    let pid = std::process::id();
    Creator {
        host: host_name(),
        boot_id: boot_id(),
        pid,
        started: start_time(pid).unwrap_or(0),
    }
}

/// Whether a creator still lives, as far as this machine can tell; one on another machine counts
/// as alive, since nothing here can prove otherwise.
pub fn is_alive(creator: &Creator) -> bool {
    if creator.host != host_name() {
        return true;
    }
    creator.boot_id == boot_id() && start_time(creator.pid) == Some(creator.started)
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
        assert!(is_alive(&creator));
        let later = Creator {
            started: creator.started + 1,
            ..creator.clone()
        };
        assert!(!is_alive(&later));
        let other_boot = Creator {
            boot_id: "x".into(),
            ..creator
        };
        assert!(!is_alive(&other_boot));
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

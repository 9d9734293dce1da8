//! Which processes belong together, read from `/proc`.
//!
//! Only from files of which the kernel makes the text by itself: those that look into a process's memory may wait for
//! it, and whoever asks here waits for nobody.

use std::fs;

/// Processes that belong to `leader`: its session, its group, its descendants, and all that have its mark.
pub(crate) fn of_leader(leader: i32, mark: Option<u64>) -> Vec<i32> {
    let processes = processes();
    let mut tree = vec![leader];
    for process in &processes {
        let marked = mark.is_some_and(|mark| marked_with(process.pid) == Some(mark));
        let belongs = marked || process.session == leader || process.group == leader;
        if belongs && !tree.contains(&process.pid) {
            tree.push(process.pid);
        }
    }
    add_descendants(&processes, &mut tree);
    tree
}

/// Processes that have this mark, wherever they hang by now.
pub(crate) fn of_mark(mark: u64) -> Vec<i32> {
    let pids = processes().into_iter().map(|process| process.pid);
    pids.filter(|pid| marked_with(*pid) == Some(mark)).collect()
}

/// Processes below `ancestor`.
pub(crate) fn descendants(ancestor: i32) -> Vec<i32> {
    let mut found = vec![ancestor];
    add_descendants(&processes(), &mut found);
    found.remove(0);
    found
}

fn add_descendants(processes: &[Process], found: &mut Vec<i32>) {
    // A child may have a lower number than its parent; go round until nothing is new.
    loop {
        let before = found.len();
        for process in processes {
            if found.contains(&process.parent) && !found.contains(&process.pid) {
                found.push(process.pid);
            }
        }
        if found.len() == before {
            return;
        }
    }
}

/// One process.
pub(crate) struct Process {
    pid: i32,
    /// Its parent's id.
    pub(crate) parent: i32,
    /// Its process group.
    pub(crate) group: i32,
    /// Its session.
    pub(crate) session: i32,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// What `/proc/PID/stat` says of a process that lives.
pub(crate) fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    // The name in parentheses may hold anything, parentheses too.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    let mut number = || fields.next()?.parse().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    (state != "Z" && state != "X").then_some(Process {
        pid,
        parent,
        group,
        session,
    })
}

/// The mark of a process: its limit of file locks, which no kernel since 2.4.25 heeds, everybody may read, and children
/// inherit through fork, exec, `setsid` and sudo. A process can lower it, and by that be missed here.
fn marked_with(pid: i32) -> Option<u64> {
    parse_limits(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
}

/// The hard limit of file locks in the text of `/proc/PID/limits`.
pub(crate) fn parse_limits(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max file locks"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_is_the_mark() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max pending signals       7782                 7782                 signals   \n\
                    Max file locks            12                   77                   locks     \n";
        assert_eq!(parse_limits(text), Some(77));
        let unlimited =
            "Max file locks            unlimited            unlimited            locks     \n";
        assert_eq!(parse_limits(unlimited), None);
        for broken in [
            "",
            "Max file locks",
            "Max file locks 1",
            "Max file locks a b",
        ] {
            assert_eq!(parse_limits(broken), None);
        }
    }

    #[test]
    fn a_name_that_looks_like_more_is_a_name() {
        let process = parse_stat(7, "7 (a) R 1 1) 1) S 3 4 5 0 -1").unwrap();
        assert_eq!((process.parent, process.group, process.session), (3, 4, 5));
        assert!(parse_stat(7, "7 (a) Z 3 4 5").is_none());
        for broken in ["", "7 (a", "7 a)", "7 (a) S 1", "7 (a) S x y z"] {
            assert!(parse_stat(7, broken).is_none(), "{broken}");
        }
    }
}

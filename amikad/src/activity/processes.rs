//! The processes of the sandbox, and the processor time that they used between two looks.
//!
//! By process and not by control group: what the host starts in a sandbox to look at it ends without a parent
//! inside, so that its time is in no table any more, while a group keeps it. A build's short-lived compilers are in
//! the time of their parents.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::ordered;

/// Number and start of a process, which together never come again.
pub(super) type Key = (i32, u64);
/// The processes of one moment.
pub(super) type Table = BTreeMap<Key, Process>;

/// One process; times are in ticks of the clock (`sysconf(_SC_CLK_TCK)`, 100 a second).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// Its parent; 0 for one that was started from outside.
    pub(super) parent: i32,
    /// The name of its program, at most 15 bytes.
    pub(super) name: String,
    /// Time of its own threads.
    pub(super) own: u64,
    /// Time of its children that ended and were waited for.
    pub(super) children: u64,
    /// User and group that it runs as.
    pub(super) owner: (u32, u32),
}

/// How long a tick is, in milliseconds: Linux has shown 100 a second on every architecture for good.
const TICK: u64 = 10;

/// Reads all processes.
pub(super) fn read() -> Table {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    ordered::map(entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let data = entry.metadata().ok()?;
        let line = fs::read(entry.path().join("stat")).ok()?;
        let (start, mut process) = parse(&String::from_utf8_lossy(&line))?;
        process.owner = (data.uid(), data.gid());
        Some(((pid, start), process))
    }))
}

/// The same without those of which this holds, and all that they started.
pub(super) fn without(mut table: Table, is_root: impl Fn(&Key, &Process) -> bool) -> Table {
    let mut gone = Vec::new();
    table.retain(|key, process| {
        let is_root = is_root(key, process);
        if is_root {
            gone.push(key.0);
        }
        !is_root
    });
    while !gone.is_empty() {
        let mut below = Vec::new();
        table.retain(|key, process| {
            let is_below = gone.contains(&process.parent);
            if is_below {
                below.push(key.0);
            }
            !is_below
        });
        gone = below;
    }
    table
}

/// Start and rest of a line of `/proc/PID/stat` (proc(5)).
fn parse(stat: &str) -> Option<(u64, Process)> {
    // The name may hold anything, parentheses too.
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(begin + 1..end)?.to_owned();
    let fields: Vec<&str> = stat.get(end + 1..)?.split_ascii_whitespace().collect();
    // Counted from the state, which is field 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let process = Process {
        parent: fields.get(1)?.parse().ok()?,
        name,
        own: number(14)?.saturating_add(number(15)?),
        children: number(16)?.saturating_add(number(17)?),
        owner: (0, 0),
    };
    Some((number(22)?, process))
}

/// Processor time between two moments in milliseconds, without that of the processes themselves that are `exempt`;
/// their children's counts.
pub(super) fn time_between(
    old: &Table,
    new: &Table,
    exempt: impl Fn(&Key, &Process) -> bool,
) -> u64 {
    let counted = |key: &Key, process: &Process| {
        let own = if exempt(key, process) { 0 } else { process.own };
        i128::from(own) + i128::from(process.children)
    };
    let sum = |table: &Table| -> i128 {
        let each = table.iter().map(|(key, process)| counted(key, process));
        each.sum()
    };
    let mut ticks = sum(new) - sum(old);
    for (key, gone) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        if gone.parent == 0 {
            // Waited for outside: its time is nobody's now, and what was counted must not be taken off.
            ticks += counted(key, gone);
        } else if exempt(key, gone) {
            // Its time has become its parent's time of children.
            ticks -= i128::from(gone.own);
        }
    }
    u64::try_from(ticks.max(0))
        .unwrap_or(u64::MAX)
        .saturating_mul(TICK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn process(parent: i32, own: u64, children: u64) -> Process {
        Process {
            parent,
            name: "x".to_owned(),
            own,
            children,
            owner: (0, 0),
        }
    }

    fn table(processes: &[(i32, Process)]) -> Table {
        let keyed = processes.iter();
        keyed
            .map(|(pid, process)| ((*pid, 1), process.clone()))
            .collect()
    }

    /// 1 and 9 are exempt.
    fn between(old: &[(i32, Process)], new: &[(i32, Process)]) -> u64 {
        time_between(&table(old), &table(new), |(pid, _), _| [1, 9].contains(pid))
    }

    #[test]
    fn a_line_of_stat_is_read_whatever_the_name() {
        let line = "122 (a) S (x) 1) S 1 122 122 0 -1 4194560 194020 0 1 0 417 71 5 6 20 0 13 0 1488024 1 2 3";
        let (start, process) = parse(line).unwrap();
        assert_eq!(start, 1_488_024);
        assert_eq!(process.name, "a) S (x) 1");
        assert_eq!(
            (process.parent, process.own, process.children),
            (1, 488, 11)
        );
        for broken in ["", "1", "1 (x", "1 (x) S 1 2", "1 )x( S"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn what_runs_counts_and_what_is_exempt_does_not() {
        let old = [
            (1, process(0, 5, 0)),
            (9, process(1, 100, 0)),
            (20, process(1, 50, 0)),
        ];
        let new = [
            (1, process(0, 9, 0)),
            (9, process(1, 170, 3)),
            (20, process(1, 57, 0)),
        ];
        // Seven of its own, and three of OpenCode's children.
        assert_eq!(between(&old, &new), 100);
    }

    #[test]
    fn who_looks_is_not_there_with_all_that_it_started() {
        let all = [
            (1, process(0, 5, 0)),
            (20, process(0, 50, 0)),
            (21, process(20, 60, 0)),
            (22, process(21, 70, 0)),
            (30, process(1, 9, 0)),
        ];
        let left = [all[0].clone(), all[4].clone()];
        assert_eq!(without(table(&all), |key, _| key.0 == 20), table(&left));
        assert_eq!(without(table(&all), |_, _| false), table(&all));
        // What leads back to itself ends all the same.
        let turn = [(20, process(21, 1, 0)), (21, process(20, 1, 0))];
        let none = without(table(&turn), |key, _| key.0 == 20);
        assert_eq!(none, table(&[]));
    }

    #[test]
    fn a_compiler_that_came_and_went_is_in_its_parent_s_time() {
        let old = [(20, process(1, 5, 0))];
        let new = [(20, process(1, 5, 60))];
        assert_eq!(between(&old, &new), 600);
    }

    #[test]
    fn a_child_that_ends_is_not_counted_twice() {
        let old = [(1, process(0, 0, 0)), (20, process(1, 9_000, 100))];
        let new = [(1, process(0, 0, 9_101))];
        assert_eq!(between(&old, &new), 10, "but for what it used since");
    }

    #[test]
    fn opencode_s_own_time_does_not_come_back_when_it_ends() {
        let old = [(1, process(0, 0, 0)), (9, process(1, 9_000, 0))];
        let new = [(1, process(0, 0, 9_001))];
        assert_eq!(between(&old, &new), 10);
    }

    #[test]
    fn what_was_started_from_outside_takes_nothing_off_when_it_ends() {
        let old = [(20, process(1, 5, 0)), (30, process(0, 700, 700))];
        let new = [(20, process(1, 65, 0))];
        assert_eq!(between(&old, &new), 600);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "\\PC{0,200}|[0-9() a-z]{0,200}") {
            let _ = parse(&line);
        }

        #[test]
        fn no_tables_make_it_panic(
            old in proptest::collection::vec((0..20, 0..3, any::<u64>(), any::<u64>()), 0..20),
            new in proptest::collection::vec((0..20, 0..3, any::<u64>(), any::<u64>()), 0..20),
        ) {
            let made = |rows: &[(i32, i32, u64, u64)]| -> Vec<(i32, Process)> {
                rows.iter().map(|&(pid, parent, own, children)| (pid, process(parent, own, children))).collect()
            };
            let _ = between(&made(&old), &made(&new));
        }
    }
}

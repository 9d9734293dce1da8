//! Which processes belong together, read from `/proc`.

use std::fs;

/// Processes that belong to `leader`: its session, its group, and its descendants.
pub(crate) fn of_leader(leader: i32) -> Vec<i32> {
    let processes = processes();
    let mut tree = vec![leader];
    // A child may have a lower number than its parent; go round until nothing is new.
    loop {
        let before = tree.len();
        for process in &processes {
            let belongs = process.session == leader
                || process.group == leader
                || tree.contains(&process.parent);
            if belongs && !tree.contains(&process.pid) {
                tree.push(process.pid);
            }
        }
        if tree.len() == before {
            return tree;
        }
    }
}

/// Processes below `ancestor`.
pub(crate) fn descendants(ancestor: i32) -> Vec<i32> {
    let processes = processes();
    let mut found = vec![ancestor];
    loop {
        let before = found.len();
        for process in &processes {
            if found.contains(&process.parent) && !found.contains(&process.pid) {
                found.push(process.pid);
            }
        }
        if found.len() == before {
            found.remove(0);
            return found;
        }
    }
}

struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
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

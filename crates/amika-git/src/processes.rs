//! What the kernel tells of processes: who belongs together, and whether they do anything. Where it does not tell,
//! there are none.

use std::collections::BTreeMap;
use std::time::Duration;

/// What the kernel says of a process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// `R`, `S`, `D`, `Z`, …
    state: u8,
    group: i32,
    session: i32,
    /// Hundredths of a second of processor time.
    ticks: u64,
}

impl Process {
    fn read(pid: &str) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, and ends with the last parenthesis.
        let after = stat.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(stat.get(after + 2..)?).ok()?;
        // State, parent, group, session, …; user and system time are the 14th and 15th of all.
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let id = |at: usize| i32::try_from(number(at)?).ok();
        Some(Self {
            pid: std::str::from_utf8(stat.split(|&byte| byte == b' ').next()?)
                .ok()?
                .parse()
                .ok()?,
            state: *fields.first()?.as_bytes().first()?,
            group: id(2)?,
            session: id(3)?,
            ticks: number(11)? + number(12)?,
        })
    }

    /// Whether it is more than what is left until it was waited for.
    pub(super) fn lives(&self) -> bool {
        self.state != b'Z'
    }
}

/// All processes.
fn all() -> impl Iterator<Item = String> {
    let listed = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = listed.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Those of a process group.
pub(super) fn of_group(group: i32) -> Vec<Process> {
    let all = all().filter_map(|pid| Process::read(&pid));
    all.filter(|one| one.group == group).collect()
}

/// Those of this program's session that have `NAME=value` in their environment.
pub(super) fn marked(mark: &str) -> Vec<Process> {
    let Some(session) = Process::read("self").map(|own| own.session) else {
        return Vec::new();
    };
    let all = all().filter(|pid| {
        // Others' cannot be read. One that is only to be waited for has none.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environment.split(|&byte| byte == 0);
        variables.any(|one| one == mark.as_bytes())
    });
    let all = all.filter_map(|pid| Process::read(&pid));
    all.filter(|one| one.session == session).collect()
}

/// Whether a process waits for somebody to open the other end of a FIFO.
pub(super) fn opens_a_fifo(pid: i32) -> bool {
    let at = std::fs::read(format!("/proc/{pid}/wchan")).unwrap_or_default();
    at == b"wait_for_partner" || at == b"fifo_open"
}

/// What some processes did so far.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// The bytes that each read and wrote, as the kernel has it.
    passed: BTreeMap<i32, Vec<u8>>,
    ticks: u64,
    /// One of them runs, or waits for a disk.
    is_busy: bool,
}

impl Work {
    pub(super) fn of(processes: &[Process]) -> Self {
        let passed = |one: &Process| {
            let passed = std::fs::read(format!("/proc/{}/io", one.pid));
            (one.pid, passed.unwrap_or_default())
        };
        Self {
            passed: processes.iter().map(passed).collect(),
            ticks: processes.iter().map(|one| one.ticks).sum(),
            is_busy: processes.iter().any(|one| matches!(one.state, b'D' | b'R')),
        }
    }

    /// Whether something was done since then. Who waits looks up from time to time, which takes far less than a
    /// hundredth of a processor. Where the system does not tell, something was.
    pub(super) fn is_more_than(&self, before: &Self, within: Duration) -> bool {
        let ticks = self.ticks.saturating_sub(before.ticks);
        let is_unknown = self.passed.is_empty();
        is_unknown || self.is_busy || self.passed != before.passed || ticks > within.as_secs() + 1
    }
}

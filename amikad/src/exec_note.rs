//! What is noted of each program that `exec-as --id` became: how it is found again, and what it is.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use amika_core::contract::{env, path};
use amika_core::wire::Exec;

use crate::cgroup::Cgroup;

/// So many notes of programs that ended are kept, for whoever asks how.
const GONE_KEPT: usize = 64;
/// How long a look may take of which that is not said.
const LONGEST_LOOK: Duration = Duration::from_hours(1);
/// Size of a note.
const NOTE_LIMIT: u64 = 256;

/// A note: `PID START KILLS KIND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pid: i32,
    /// When the process started, in ticks since the machine's boot: with the number it never comes again.
    start: u64,
    /// What the kernel had ended for want of memory by then.
    kills: u64,
    kind: Kind,
}

/// What a program is to the rule of activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Any other.
    Program,
    /// An agent's turn.
    Turn,
    /// The host looking: nobody is at work.
    Look,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Program, Self::Turn, Self::Look];

    fn word(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Turn => "turn",
            Self::Look => "look",
        }
    }

    /// As whoever starts this process says.
    fn told() -> Self {
        let is = |name| std::env::var_os(name).is_some_and(|value| value == "1");
        if is(env::EXEC_TURN) {
            Self::Turn
        } else if is(env::EXEC_LOOK) {
            Self::Look
        } else {
            Self::Program
        }
    }
}

impl Note {
    /// Reads a note; none that is not whole.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        Some(Self {
            pid: words.next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
            kills: words.next()?.parse().ok()?,
            kind: words
                .next()
                .and_then(|word| Kind::ALL.into_iter().find(|kind| kind.word() == word))?,
        })
    }

    fn text(self) -> String {
        let kind = self.kind.word();
        format!("{} {} {} {kind}\n", self.pid, self.start, self.kills)
    }

    /// Whether the host looks by it.
    pub(crate) fn is_look(self) -> bool {
        self.kind == Kind::Look
    }

    /// The process's number, if it still lives.
    pub(crate) fn living(self) -> Option<i32> {
        (start_time(self.pid)? == self.start).then_some(self.pid)
    }
}

/// Notes this process under `id`.
pub(crate) fn write(id: &str) -> io::Result<()> {
    forget_the_gone();
    let pid = nix::unistd::getpid().as_raw();
    let note = Note {
        pid,
        start: start_time(pid).ok_or(io::ErrorKind::NotFound)?,
        kills: Cgroup::own().out_of_memory_kills().unwrap_or(0),
        kind: Kind::told(),
    };
    let file = Path::new(path::EXEC_DIR).join(id);
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    // Written aside, so that nobody finds a note that says nothing yet. A link takes no place that is taken.
    let aside = file.with_extension(pid.to_string());
    let _ = fs::remove_file(&aside);
    let linked = options
        .open(&aside)
        .and_then(|mut written| written.write_all(note.text().as_bytes()))
        .and_then(|()| fs::hard_link(&aside, &file));
    // Gone with the next boot where it cannot go now.
    let _ = fs::remove_file(&aside);
    linked
}

/// Whether an agent's turn runs among them.
pub(crate) fn any_turn() -> bool {
    let mut notes = all().filter_map(|(_, note)| note);
    notes.any(|note| note.kind == Kind::Turn && note.living().is_some())
}

/// How long this process may take where it is to become one by which the host looks.
pub(crate) fn told_to_look() -> Option<Duration> {
    let seconds = || {
        let text = std::env::var(env::EXEC_LOOK_SECONDS).ok()?;
        text.parse().ok().map(Duration::from_secs)
    };
    (Kind::told() == Kind::Look).then(|| seconds().unwrap_or(LONGEST_LOOK))
}

/// What is known of the one with this id.
pub(crate) fn find(id: &str) -> Option<Exec> {
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let file = is_id.then(|| Path::new(path::EXEC_DIR).join(id))?;
    let note = Note::read(&text(&file)?)?;
    let kills = Cgroup::own().out_of_memory_kills().unwrap_or(0);
    Some(Exec {
        running: note.living().is_some(),
        out_of_memory_kills: kills.saturating_sub(note.kills),
    })
}

fn all() -> impl Iterator<Item = (PathBuf, Option<Note>)> {
    let entries = fs::read_dir(path::EXEC_DIR).into_iter().flatten().flatten();
    entries.map(|entry| {
        let file = entry.path();
        let note = text(&file).and_then(|text| Note::read(&text));
        (file, note)
    })
}

fn text(file: &Path) -> Option<String> {
    String::from_utf8(crate::files::read_small(file, NOTE_LIMIT).ok()?).ok()
}

/// Removes the oldest notes of programs that ended. One that is not whole is about to be written.
fn forget_the_gone() {
    let gone = all().filter(|(_, note)| note.is_some_and(|note| note.living().is_none()));
    let mut gone: Vec<(SystemTime, PathBuf)> = gone
        .filter_map(|(file, _)| Some((file.metadata().ok()?.modified().ok()?, file)))
        .collect();
    gone.sort_unstable();
    let surplus = gone.len().saturating_sub(GONE_KEPT);
    for (_, file) in gone.into_iter().take(surplus) {
        // Somebody else may have been quicker.
        let _ = fs::remove_file(file);
    }
}

/// When a process started, in ticks since the machine's boot; none if it ended.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.get(stat.rfind(')')? + 1..)?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    // Field 22 of proc(5), counted from the state, which is field 3.
    let ticks = fields.nth(18)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_it_is_written() {
        for kind in Kind::ALL {
            let note = Note {
                pid: 42,
                start: 1_488_024,
                kills: 3,
                kind,
            };
            assert_eq!(Note::read(&note.text()), Some(note));
        }
        for broken in [
            "",
            "42",
            "42 7 0 turn",
            "42 7\n",
            "x 7 0 turn\n",
            "42 7 0 x\n",
        ] {
            assert_eq!(Note::read(broken), None, "{broken}");
        }
    }

    #[test]
    fn no_id_leads_out_of_the_directory() {
        for id in ["", "..", "../amikad.sock", "a/b", "."] {
            assert_eq!(find(id), None, "{id}");
        }
    }
}

//! All git programs that run for this one, with what they start: none runs for ever, none does nothing for ever,
//! none is left behind.
//!
//! A repository can make git wait: a FIFO in the place of a `.gitignore` is enough; a server can hold a connection. All
//! the numbers of how long git may take are here. One thread looks after all of them; whoever lets go of one waits for
//! nothing.

use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::fetch::Guard;
use super::processes::{self, Process, Work};

/// How long a git that answers a question may take in all, whatever it does.
const QUESTION: Duration = Duration::from_mins(10);
/// How long such a git may do nothing before it answers; and how long one that is read from may say nothing.
const IDLE: Duration = Duration::from_mins(1);
/// How long all that fetch may neither read nor write anything. Whoever answers a question is faster, and so is a
/// server that only says that it is still there.
pub const SILENT: Duration = Duration::from_mins(15);
/// How long a program of the user's may be stuck in opening a FIFO that nobody writes to. Git itself opens none
/// but by mistake, and is ended when it is seen at that twice.
const HELD: Duration = Duration::from_secs(3);
/// Between two looks at whether git opens a FIFO.
const GLANCE: Duration = Duration::from_millis(50);
/// Between two looks at all that a group does, at least.
const LOOK: Duration = Duration::from_millis(500);
/// The same of those that are known by their environment, which takes a look at every process.
const FAR_LOOK: Duration = Duration::from_secs(5);
/// How long a group has from TERM to KILL.
const GRACE: Duration = Duration::from_millis(500);
/// The same of those that fetch: git removes what it began, its transport signs off.
const FAR_GRACE: Duration = Duration::from_secs(2);
/// Where the machine does not say how much memory it has.
const MEMORY: u64 = 8 << 30;

/// Those that run, and those that were told to end.
static RUNNING: Mutex<Vec<Arc<Entry>>> = Mutex::new(Vec::new());
/// Those that were made to end, and are yet to be waited for.
static ENDED: Mutex<Vec<Child>> = Mutex::new(Vec::new());
static WATCHER: Once = Once::new();
/// This program is about to end: none is started any more.
static ENDING: AtomicBool = AtomicBool::new(false);

/// How long one may take.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// In all; `None` for as long as it does something.
    pub total: Option<Duration>,
    /// How long it may do nothing; `None` where it may have to wait for this program.
    pub idle: Option<Duration>,
}

impl Rule {
    /// Of one that answers a question.
    pub const QUESTION: Self = Self {
        total: Some(QUESTION),
        idle: Some(IDLE),
    };
    /// Of one that fetches.
    pub const FETCH: Self = Self {
        total: None,
        idle: Some(SILENT),
    };

    /// Of one that may take so long, whatever it does.
    pub const fn within(total: Duration) -> Self {
        Self {
            total: Some(total),
            idle: None,
        }
    }
}

/// Which processes belong to one.
#[derive(Debug)]
enum Who {
    /// A process group, by its head.
    Group(i32),
    /// Those with this in their environment, in this program's session: they may ask on the terminal, as a group of
    /// its own cannot. One that left the session means to stay (an agent that keeps passwords, a connection that
    /// others share).
    Marked(String),
}

impl Who {
    fn members(&self) -> Vec<Process> {
        match self {
            Self::Group(group) => processes::of_group(*group),
            Self::Marked(mark) => processes::marked(mark),
        }
    }

    fn lives(&self) -> bool {
        self.members().iter().any(Process::lives)
    }

    fn signal(&self, signal: Signal) {
        // What is gone by then needs none.
        match self {
            Self::Group(group) => {
                if let Some(group) = Pid::from_raw(*group) {
                    let _ = rustix::process::kill_process_group(group, signal);
                }
            }
            Self::Marked(_) => {
                for one in self.members() {
                    if let Some(pid) = Pid::from_raw(one.pid) {
                        let _ = rustix::process::kill_process(pid, signal);
                    }
                }
            }
        }
    }

    fn grace(&self) -> Duration {
        match self {
            Self::Group(_) => GRACE,
            Self::Marked(_) => FAR_GRACE,
        }
    }
}

#[derive(Debug)]
struct Entry {
    who: Who,
    rule: Rule,
    begun: Instant,
    /// It was ended for taking too long, after so many seconds.
    ended_after: AtomicU64,
    /// What it writes is read as it comes.
    streams: AtomicBool,
    /// Milliseconds after its beginning since which its output is waited for; zero for not.
    waited_for: AtomicU64,
    /// When it was told to end.
    told: Mutex<Option<Instant>>,
    /// What ends it when this program is killed, for as long as that may be needed.
    guard: Mutex<Option<Guard>>,
}

impl Entry {
    /// It is gone.
    fn leave(&self) {
        running(|all| all.retain(|one| !std::ptr::eq(&raw const **one, self)));
        drop(
            self.guard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    fn told(&self) -> Option<Instant> {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it to end, once.
    fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none() {
            *told = Some(Instant::now());
            self.who.signal(Signal::TERM);
        }
    }

    /// Tells it to end for taking too long.
    fn end(&self) {
        let run = self.begun.elapsed().as_secs().max(1);
        self.ended_after.store(run, Ordering::Relaxed);
        self.tell();
    }

    /// Whether one that was told to end is gone; it is made to end when it takes too long for that.
    fn is_gone(&self, told: Instant) -> bool {
        if !self.who.lives() {
            return true;
        }
        if told.elapsed() >= self.who.grace() {
            self.who.signal(Signal::KILL);
        }
        // The system has them wait for something, and ends them then.
        told.elapsed() >= 2 * self.who.grace()
    }
}

/// A git that runs, and is looked after; all that belongs to it is ended when this is dropped before its end, which
/// nobody waits for.
#[derive(Debug)]
pub struct Supervised {
    entry: Arc<Entry>,
    is_over: bool,
}

impl Supervised {
    /// Looks after the process group that a child is the head of, and bounds its memory.
    pub fn group(child: u32, rule: Rule) -> Self {
        bound_memory(child);
        // A process has such an id.
        Self::begin(
            Who::Group(i32::try_from(child).unwrap_or(i32::MAX)),
            None,
            rule,
        )
    }

    /// Looks after all that have `NAME=value` in their environment.
    pub(super) fn marked(mark: String, guard: Option<Guard>, rule: Rule) -> Self {
        Self::begin(Who::Marked(mark), guard, rule)
    }

    fn begin(who: Who, guard: Option<Guard>, rule: Rule) -> Self {
        let entry = Arc::new(Entry {
            who,
            rule,
            begun: Instant::now(),
            ended_after: AtomicU64::new(0),
            streams: AtomicBool::new(false),
            waited_for: AtomicU64::new(0),
            told: Mutex::new(None),
            guard: Mutex::new(guard),
        });
        running(|all| all.push(Arc::clone(&entry)));
        WATCHER.call_once(|| {
            // Without a watcher a git could be waited for until the user ends it.
            let _ = std::thread::Builder::new()
                .name("git watcher".into())
                .spawn(watch);
        });
        Self {
            entry,
            is_over: false,
        }
    }

    /// What it writes is read as it comes, or not any more.
    pub(super) fn streams(&self, is_read: bool) {
        self.entry.streams.store(is_read, Ordering::Relaxed);
    }

    /// Reads of its output, for which it is waited.
    pub(super) fn waiting<T>(&self, read: impl FnOnce() -> T) -> T {
        let since = self.entry.begun.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX).max(1);
        self.entry.waited_for.store(since, Ordering::Relaxed);
        let read = read();
        self.entry.waited_for.store(0, Ordering::Relaxed);
        read
    }

    /// The same one, for whoever reads from it.
    pub(super) fn reader(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            is_over: true,
        }
    }

    /// After how many seconds it was ended for taking too long; `None` when it was not.
    pub fn ended_after(&self) -> Option<u64> {
        let seconds = self.entry.ended_after.load(Ordering::Relaxed);
        Some(seconds).filter(|seconds| *seconds > 0)
    }

    /// It ended, and was waited for.
    pub fn is_over(&mut self) {
        self.is_over = true;
        // Of one that was told to end, others may not have heard.
        if self.entry.told().is_none() {
            self.entry.leave();
        }
    }
}

impl Supervised {
    /// Ends it, and waits for nothing. Not once its head was waited for: its number may be another's then.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        match self.entry.who {
            // It has nothing to clean up but in the temporary directory.
            Who::Group(_) => {
                self.entry.who.signal(Signal::KILL);
                self.entry.leave();
            }
            // The watcher sees to the rest, or the end of this program.
            Who::Marked(_) => self.entry.tell(),
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.end();
    }
}

/// Leaves it to others to wait for one that ends, or has ended.
pub(super) fn wait_for(mut child: Child) {
    if matches!(child.try_wait(), Ok(None)) {
        let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push(child);
    }
}

/// Whether one may be started: this program is not about to end.
pub(super) fn may_start() -> std::io::Result<()> {
    if ENDING.load(Ordering::SeqCst) {
        return Err(std::io::ErrorKind::Interrupted.into());
    }
    Ok(())
}

fn running<T>(act: impl FnOnce(&mut Vec<Arc<Entry>>) -> T) -> T {
    act(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Ends all that run, with what they started, and waits until they are gone: this program is about to end.
pub fn end_all() {
    ENDING.store(true, Ordering::SeqCst);
    let mut left = running(std::mem::take);
    for one in &left {
        one.tell();
    }
    loop {
        left.retain(|one| {
            let is_gone = one.is_gone(one.told().unwrap_or(one.begun));
            if is_gone {
                one.leave();
            }
            !is_gone
        });
        if left.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What was seen of one.
struct Seen {
    entry: Arc<Entry>,
    looked: Instant,
    work: Work,
    /// When it was last seen to do something.
    changed: Instant,
    /// Since when one of it opens a FIFO.
    held: Option<Instant>,
    /// Its head was at that at the last glance.
    is_stuck: bool,
}

/// Looks after those that run, for as long as this program lives.
fn watch() {
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        std::thread::sleep(GLANCE);
        ENDED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let all = running(|all| all.clone());
        seen.retain(|one| all.iter().any(|entry| Arc::ptr_eq(entry, &one.entry)));
        for entry in all {
            if let Some(told) = entry.told() {
                if entry.is_gone(told) {
                    entry.leave();
                }
                continue;
            }
            let at = seen.iter().position(|one| Arc::ptr_eq(&one.entry, &entry));
            let at = at.unwrap_or_else(|| {
                seen.push(Seen::new(entry));
                seen.len() - 1
            });
            seen[at].look();
        }
    }
}

impl Seen {
    fn new(entry: Arc<Entry>) -> Self {
        let now = Instant::now();
        Self {
            looked: now,
            work: Work::default(),
            changed: now,
            held: None,
            is_stuck: false,
            entry,
        }
    }

    /// Looks at it, and tells it to end when it takes too long.
    fn look(&mut self) {
        let (rule, run) = (self.entry.rule, self.entry.begun.elapsed());
        let mut look = FAR_LOOK;
        if let Who::Group(head) = self.entry.who {
            look = LOOK;
            let is_stuck = processes::opens_a_fifo(head);
            if is_stuck && std::mem::replace(&mut self.is_stuck, is_stuck) {
                return self.entry.end();
            }
            self.is_stuck = is_stuck;
        }
        // Most have ended by themselves before.
        if self.looked.elapsed() < look.min(rule.idle.unwrap_or(look) / 4)
            || run < HELD / 2 && look == LOOK
        {
            return;
        }
        self.looked = Instant::now();
        let members = self.entry.who.members();
        let work = Work::of(&members);
        if work.is_more_than(&self.work, self.changed.elapsed()) {
            self.work = work;
            self.changed = self.looked;
        }
        let opens = |one: &Process| processes::opens_a_fifo(one.pid);
        if look == LOOK && members.iter().any(opens) {
            self.held.get_or_insert(self.looked);
        } else {
            self.held = None;
        }
        let is_held = self.held.is_some_and(|since| since.elapsed() >= HELD);
        let is_idle = rule.idle.is_some_and(|idle| self.changed.elapsed() >= idle);
        let too_long = if self.entry.streams.load(Ordering::Relaxed) {
            // One that nobody reads from has to wait.
            let since = self.entry.waited_for.load(Ordering::Relaxed);
            let silent = run.saturating_sub(Duration::from_millis(since));
            is_idle && since > 0 && rule.idle.is_some_and(|idle| silent >= idle)
        } else {
            is_idle || rule.total.is_some_and(|total| run >= total)
        };
        if is_held || too_long {
            self.entry.end();
        }
    }
}

/// Lets a git have half of the machine's memory for itself. Files that it maps, as it does packs, do not
/// count. Where the system refuses, there is no bound.
pub(super) fn bound_memory(pid: u32) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit};
        static HALF: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
        let half = *HALF.get_or_init(|| {
            let info = rustix::system::sysinfo();
            let all = info.totalram.saturating_mul(u64::from(info.mem_unit));
            if all == 0 { MEMORY } else { all / 2 }
        });
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let _ = rustix::process::prlimit(
            pid,
            Resource::Data,
            Rlimit {
                current: Some(half),
                maximum: Some(half),
            },
        );
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (pid, MEMORY);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

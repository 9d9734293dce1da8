//! amikad's own words: `tracing` events, which its log gets all of and stderr from WARN upwards, never at the price of a
//! stall. What steers a terminal is an escape in them: they name programs and paths that anybody in the sandbox may have
//! made.
//!
//! The subscriber is our own: `tracing-subscriber` writes to one place, waits for it, and knows no bounded log.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use amika_core::contract::path;
use amika_core::untrusted::Untrusted;
use amika_core::volume::civil_from_days;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber, info, warn};

use crate::logs::{Bounds, Log};

static LOG: OnceLock<Arc<Log>> = OnceLock::new();
static KEEPS_NOTHING: OnceLock<()> = OnceLock::new();

/// Opens the daemon's log; what was said before is not in it.
pub(crate) fn open_log() -> Arc<Log> {
    let bounds = Bounds {
        head: 64 << 10,
        ring: 1 << 20,
    };
    LOG.get_or_init(|| Arc::new(Log::create(Path::new(path::AMIKAD_LOG), bounds)))
        .clone()
}

/// Says one sentence on stderr and in the log.
pub(crate) fn say(message: impl fmt::Display) {
    warn!("{message}");
}

/// Says one sentence in the log only.
pub(crate) fn note(message: impl fmt::Display) {
    info!("{message}");
}

/// Says a sentence, unless it was said before: where nothing can be written, each attempt fails in the same way.
pub(crate) fn say_once(message: impl fmt::Display) {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let message = message.to_string();
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    // A bound, since messages name paths.
    if !said.contains(&message) && said.len() < 64 {
        say(&message);
        said.push(message);
    }
}

/// Says what cannot be kept in a file of amikad's, unless it was said of all of them ([`keep_nothing`]): then in the log only.
pub(crate) fn say_unkept(message: impl fmt::Display) {
    if KEEPS_NOTHING.get().is_some() {
        note(message);
    } else {
        say_once(message);
    }
}

/// Says once, for all files to come, that they cannot be kept.
pub(crate) fn keep_nothing(message: impl fmt::Display) {
    if KEEPS_NOTHING.set(()).is_ok() {
        say(message);
    }
}

/// Takes in all events of this process from now on, and what panics say.
pub(crate) fn listen() {
    // It can only be refused where it was done before.
    let _ = tracing::subscriber::set_global_default(Teller);
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("?");
        tracing::error!(thread, "{panic}; this is a bug");
    }));
}

/// Characters of a sentence; the longest path and what is said of it fit.
const LENGTH: usize = 6000;
/// Lines that wait for a stderr that takes nothing; more are in the log only.
const WAITING: usize = 64;
/// How long they are waited for when the process is about to end, in milliseconds.
const LAST_WORDS: u16 = 100;

/// The subscriber: no spans, every event from INFO upwards.
struct Teller;

impl Subscriber for Teller {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut sentence = Sentence::default();
        event.record(&mut sentence);
        let text = sentence.message + &sentence.fields;
        let text = Untrusted::new(&text).within(LENGTH);
        let level = *event.metadata().level();
        if let Some(log) = LOG.get() {
            let line = format!("{Now} {level:>5} {text}\n");
            if std::thread::panicking() {
                // It may have the lock itself.
                log.try_append(line.as_bytes());
            } else {
                log.append(line.as_bytes());
            }
        }
        if level <= Level::WARN {
            let Some(mut waiting) = try_waiting() else {
                return;
            };
            if waiting.len() < WAITING {
                waiting.push_back(format!("amikad: {text}\n"));
            }
            flush(&mut waiting, 0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event as one line: the message, then `name=value` for each field.
#[derive(Default)]
struct Sentence {
    message: String,
    fields: String,
}

impl Visit for Sentence {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

/// The time now, as RFC 3339 has it, in UTC and to the millisecond.
struct Now;

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default();
        write_time(f, since.as_secs(), since.subsec_millis())
    }
}

fn write_time(f: &mut impl Write, seconds: u64, millis: u32) -> fmt::Result {
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(
        f,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
    )
}

/// Lines that stderr did not take yet.
static QUEUE: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

fn waiting() -> MutexGuard<'static, VecDeque<String>> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same; none where a thread that panics may have it itself.
fn try_waiting() -> Option<MutexGuard<'static, VecDeque<String>>> {
    if std::thread::panicking() {
        QUEUE.try_lock().ok()
    } else {
        Some(waiting())
    }
}

/// Whether a line waits until stderr can be written.
pub(crate) fn has_more_to_say() -> bool {
    !waiting().is_empty()
}

/// Writes what waits, as far as stderr takes it now.
pub(crate) fn go_on() {
    flush(&mut waiting(), 0);
}

/// Writes what waits, before the process ends or becomes another.
pub(crate) fn finish() {
    flush(&mut waiting(), LAST_WORDS);
}

fn flush(waiting: &mut VecDeque<String>, patience: u16) {
    let stderr = io::stderr();
    while let Some(line) = waiting.front() {
        let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        // A pipe that polls writable takes at least a page without blocking (pipe(7)), so a reader that stalls costs a
        // message and not the loop that reaps.
        if !poll(&mut ready, PollTimeout::from(patience)).is_ok_and(|ready| ready > 0) {
            return;
        }
        let bytes = line.as_bytes();
        let _ = nix::unistd::write(stderr.as_fd(), &bytes[..bytes.len().min(4096)]);
        waiting.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_the_rfc_has_them() {
        for (seconds, millis, text) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 7, "2000-02-28T23:59:59.007Z"),
            (951_782_400, 999, "2000-02-29T00:00:00.999Z"),
            (4_102_444_800, 0, "2100-01-01T00:00:00.000Z"),
        ] {
            let mut written = String::new();
            write_time(&mut written, seconds, millis).unwrap();
            assert_eq!(written, text);
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_fields_and_steers_nothing() {
        struct Take(Mutex<Vec<String>>);
        impl Subscriber for Take {
            fn enabled(&self, _: &Metadata<'_>) -> bool {
                true
            }
            fn new_span(&self, _: &Attributes<'_>) -> Id {
                Id::from_u64(1)
            }
            fn record(&self, _: &Id, _: &Record<'_>) {}
            fn record_follows_from(&self, _: &Id, _: &Id) {}
            fn event(&self, event: &Event<'_>) {
                let mut sentence = Sentence::default();
                event.record(&mut sentence);
                let text = sentence.message + &sentence.fields;
                let text = Untrusted::new(&text).within(LENGTH).to_string();
                self.0.lock().unwrap().push(text);
            }
            fn enter(&self, _: &Id) {}
            fn exit(&self, _: &Id) {}
        }
        let take = Arc::new(Take(Mutex::default()));
        tracing::subscriber::with_default(take.clone(), || {
            info!(role = "cmd", pid = 7, "started");
            warn!("a \x1b[31mred\nname");
        });
        let lines = take.0.lock().unwrap();
        assert_eq!(lines[0], "started role=cmd pid=7");
        assert!(!lines[1].contains(['\x1b', '\n']), "{}", lines[1]);
    }
}

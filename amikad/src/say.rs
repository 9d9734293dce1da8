//! amikad's own words: a line on stderr and in its log, never at the price of a stall. What steers a terminal
//! is an escape in them: they name programs and paths that anybody in the sandbox may have made.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use amika_core::contract::path;
use amika_core::untrusted::Untrusted;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::logs::{Bounds, Log};

static LOG: OnceLock<Arc<Log>> = OnceLock::new();

/// Opens the daemon's log; what was said before is not in it.
pub(crate) fn open_log() -> Arc<Log> {
    let bounds = Bounds {
        head: 64 << 10,
        ring: 1 << 20,
    };
    LOG.get_or_init(|| Arc::new(Log::create(Path::new(path::AMIKAD_LOG), bounds)))
        .clone()
}

/// Characters of a sentence; the longest path and what is said of it fit.
const LENGTH: usize = 6000;

fn line(message: &str) -> String {
    format!("amikad: {}\n", Untrusted::new(message).within(LENGTH))
}

/// Says one sentence on stderr and in the log.
pub(crate) fn say(message: impl std::fmt::Display) {
    let line = line(&message.to_string());
    if let Some(log) = LOG.get() {
        log.append(line.as_bytes());
    }
    let stderr = io::stderr();
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // A pipe that polls writable takes at least a page without blocking, so a reader that stalls
    // costs a message and not the loop that reaps.
    if poll(&mut ready, PollTimeout::from(100_u8)).is_ok_and(|ready| ready > 0) {
        let bytes = line.as_bytes();
        let _ = nix::unistd::write(stderr.as_fd(), &bytes[..bytes.len().min(4096)]);
    }
}

/// Says a sentence, unless it was said before: where nothing can be written, all fails alike.
pub(crate) fn say_once(message: impl std::fmt::Display) {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let message = message.to_string();
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    // A bound, since messages name paths.
    if !said.contains(&message) && said.len() < 64 {
        say(&message);
        said.push(message);
    }
}

/// Says one sentence in the log only.
pub(crate) fn note(message: impl std::fmt::Display) {
    if let Some(log) = LOG.get() {
        log.append(line(&message.to_string()).as_bytes());
    }
}

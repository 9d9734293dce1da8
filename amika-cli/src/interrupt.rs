//! Ctrl-C, SIGTERM and a closed terminal, as something that a command can wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use amika_sandbox::cancel::{self, Cancel};
use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long a command may take for its end after SIGTERM. Who sends it (a service manager, `timeout`, a
/// shutdown) sends SIGKILL soon, after which nothing is said.
const GRACE: Duration = Duration::from_secs(8);

/// Those of the signals that whoever started this process did not have it ignore. What was ignored stays so
/// (POSIX, `nohup`), for this process's life: the first answer holds.
pub fn not_ignored(signals: impl IntoIterator<Item = i32>) -> Vec<i32> {
    static IGNORED: OnceLock<u64> = OnceLock::new();
    let ignored = *IGNORED.get_or_init(|| {
        // Where it cannot be read, none is: they end the command, as they do everywhere else.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        ignored_in(&status)
    });
    let kept = |signal: &i32| ignored & (1 << (signal - 1)) == 0;
    signals.into_iter().filter(kept).collect()
}

/// The set of ignored signals in `/proc/PID/status`: bit 0 is signal 1.
fn ignored_in(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

/// What SIGHUP means to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// Its terminal is gone.
    Ends,
    /// Something of its own ([`on_hangup`]).
    IsAnothers,
}

/// Calls this at each SIGHUP, until the task is aborted.
///
/// # Errors
/// When the system refuses to install the handler.
pub fn on_hangup(tell: impl Fn() + Send + 'static) -> std::io::Result<tokio::task::JoinHandle<()>> {
    let mut signals = signal_hook_tokio::Signals::new(not_ignored([SIGHUP]))?;
    Ok(tokio::spawn(async move {
        while signals.next().await.is_some() {
            tell();
        }
    }))
}

/// Tells how often the user asked for the end.
#[derive(Clone)]
pub struct Interrupt {
    cancel: Cancel,
    /// SIGTERM is meant for somebody else.
    handed_over: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes the signals over from now on, but for those that were ignored already: `nohup`, and a shell's
    /// `trap ''`, mean it. `overdue` is called, on a thread of its own, when the command
    /// has not ended some seconds after SIGTERM, whatever it waits for; it is to end the process.
    ///
    /// # Errors
    /// When the system refuses to install the handlers.
    pub fn install(
        hangup: Hangup,
        overdue: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let ends = match hangup {
            Hangup::Ends => vec![SIGINT, SIGTERM, SIGHUP],
            Hangup::IsAnothers => vec![SIGINT, SIGTERM],
        };
        let mut signals = signal_hook_tokio::Signals::new(not_ignored(ends))?;
        let (canceler, cancel) = cancel::new();
        tokio::spawn(async move {
            while signals.next().await.is_some() {
                canceler.ask();
            }
        });
        let handed_over = Arc::new(AtomicBool::new(false));
        // Not on the runtime: a call that blocks it (a file on a dead network disk) is one reason to be late.
        let mut terminated = signal_hook::iterator::Signals::new(not_ignored([SIGTERM]))?;
        let is_anothers = Arc::clone(&handed_over);
        std::thread::Builder::new()
            .name("sigterm".into())
            .stack_size(64 * 1024)
            .spawn(move || {
                if terminated.forever().next().is_some() {
                    std::thread::sleep(GRACE);
                    if !is_anothers.load(Ordering::Relaxed) {
                        overdue();
                    }
                }
            })?;
        Ok(Self {
            cancel,
            handed_over,
        })
    }

    /// Leaves SIGTERM to a program in a sandbox, which may take as long as it wants.
    pub fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Relaxed);
    }

    /// What operations are told the same by.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Returns once the end was asked for, at once if it already was.
    pub async fn requested(&self) {
        self.cancel.requested().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_is_ignored() {
        let status =
            "Name:\tamika\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(ignored_in(status), (1 << (SIGHUP - 1)) | (1 << 12));
        assert_eq!(ignored_in("Name:\tamika\n"), 0);
    }
}

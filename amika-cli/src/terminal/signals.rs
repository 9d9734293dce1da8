//! The signals that concern a remote program, one at a time and in their order.

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};

/// A signal that this process was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-\.
    Quit,
    /// Asked to end.
    Terminate,
    /// The terminal went away.
    HangUp,
    /// The terminal has another size.
    Resized,
}

impl Signal {
    /// Its name without `SIG`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Terminate => "TERM",
            Self::HangUp => "HUP",
            Self::Resized => "WINCH",
        }
    }

    fn of(number: i32) -> Option<Self> {
        Some(match number {
            SIGINT => Self::Interrupt,
            SIGQUIT => Self::Quit,
            SIGTERM => Self::Terminate,
            SIGHUP => Self::HangUp,
            SIGWINCH => Self::Resized,
            _ => return None,
        })
    }
}

/// The stream of them, from its making on. None of them ends this process any more.
pub(crate) struct Signals(signal_hook_tokio::Signals);

impl Signals {
    /// Takes the signals over, but for those that were ignored when amika was started.
    ///
    /// # Errors
    /// When the system refuses to install the handlers.
    pub(crate) fn install() -> std::io::Result<Self> {
        let mut signals = crate::interrupt::not_ignored([SIGINT, SIGQUIT, SIGTERM, SIGHUP]);
        signals.push(SIGWINCH);
        signal_hook_tokio::Signals::new(signals).map(Self)
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            match self.0.next().await {
                Some(number) => {
                    if let Some(signal) = Signal::of(number) {
                        return signal;
                    }
                }
                // The stream ends with the runtime alone.
                None => std::future::pending().await,
            }
        }
    }
}

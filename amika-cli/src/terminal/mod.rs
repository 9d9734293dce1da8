//! This process's terminal, standard streams and signals, lent to a program in a sandbox.

mod input;
mod output;
mod raw;
mod session;
mod signals;
mod watch;

pub(crate) use input::Input;
pub(crate) use output::{Output, Target};
pub(crate) use raw::{RawMode, is_terminal, size};
pub(crate) use session::{Remote, Streams, kill, run, run_watched};
pub(crate) use signals::{Signal, Signals};
pub(crate) use watch::Watch;

/// Variables that tell a program what kind of terminal it has.
const DESCRIPTION: [&str; 3] = ["TERM", "COLORTERM", "LANG"];

/// Returns what describes this terminal, for the environment of a program that gets one like it.
pub(crate) fn description() -> Vec<(String, String)> {
    DESCRIPTION
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .filter(|(_, value)| !value.is_empty() && !value.contains('\0'))
        .collect()
}

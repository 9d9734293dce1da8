//! This process's terminal, standard streams and signals, lent to a program in a sandbox.

mod input;
mod kind;
mod output;
mod pager;
mod raw;
mod session;
mod signals;
mod watch;

pub(crate) use crate::exec_as::{Remote, Streams};
pub(crate) use input::Input;
pub(crate) use kind::{description, known_description};
pub(crate) use output::{Output, Target};
pub(crate) use raw::{RawMode, all_of_stdin, hidden_line, is_terminal, size};
pub(crate) use session::{Known, run, run_as};
pub(crate) use signals::{Signal, Signals};
pub(crate) use watch::{Unwatched, Watch};

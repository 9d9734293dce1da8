//! Tar archives on their way into sandboxes, written while what is in them is read.

mod hashing;
mod live;
mod pack;
mod report;
mod tar_in;
mod tar_out;

pub use hashing::Hashing;
pub use live::{CUT, GONE, open as open_content};
pub use pack::{Top, pack, pack_noting};
pub use report::{Report, at, shown, told_acted_on};
pub use tar_in::modified;
pub use tar_out::{Modes, OddTimes, TarOut};

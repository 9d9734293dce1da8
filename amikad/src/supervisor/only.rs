//! One daemon in a sandbox: who comes second touches nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;

use amika_core::contract::path;
use nix::libc;

/// Held by the daemon for as long as it lives.
#[derive(Debug)]
pub(super) struct Claim(#[allow(dead_code, reason = "its being open is what counts")] Option<File>);

/// Claims the sandbox; the error says that there is a daemon already. Where no lock can be had, a second one cannot
/// be told from the first.
pub(super) fn claim() -> Result<Claim, String> {
    // Best effort, as all in `/run`.
    let _ = fs::create_dir_all(path::RUN_DIR);
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags);
    let Ok(file) = options.open(path::LOCK) else {
        return Ok(Claim(None));
    };
    match file.try_lock() {
        Ok(()) => Ok(Claim(Some(file))),
        Err(TryLockError::WouldBlock) => Err(
            "amikad runs in this sandbox already; `amikad --help` tells what else it does"
                .to_owned(),
        ),
        Err(TryLockError::Error(_)) => Ok(Claim(None)),
    }
}

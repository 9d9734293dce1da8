//! Work that may take long or hang, done on a thread beside the loop.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::say::note;

/// Does `work` on a thread of its own and gives what comes of it to `answer`; what `failed` makes where it panics. Without
/// threads to be had it is done here and now: late is better than never.
pub(super) fn answer<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
    failed: impl FnOnce() -> T + Send + 'static,
    answer: impl FnOnce(T) + Send + 'static,
) {
    let all = move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        answer(done.unwrap_or_else(|_| failed()));
    };
    // In a cell, since a thread that cannot be made takes its closure with it.
    let cell = std::sync::Arc::new(std::sync::Mutex::new(Some(all)));
    let take = {
        let cell = cell.clone();
        move || cell.lock().ok().and_then(|mut all| all.take())
    };
    let thread = std::thread::Builder::new().name(name.to_owned());
    let inside = take.clone();
    let made = thread.spawn(move || {
        if let Some(all) = inside() {
            all();
        }
    });
    if let Err(error) = made {
        note(format!("no thread for `{name}`: {error}"));
        if let Some(all) = take() {
            all();
        }
    }
}

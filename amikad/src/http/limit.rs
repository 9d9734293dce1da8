//! How many of a kind there may be at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::{StatusCode, header};

use super::answer::{Answer, error, set};
use super::route::Door;

/// One kind, counted for each door: the network takes nothing from root.
#[derive(Debug)]
pub(super) struct Limit {
    /// In the plural.
    what: &'static str,
    most: usize,
    network: AtomicUsize,
    root: AtomicUsize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Permit(&'static AtomicUsize);

impl Limit {
    /// `most` through each door.
    pub(super) const fn new(what: &'static str, most: usize) -> Self {
        Self {
            what,
            most,
            network: AtomicUsize::new(0),
            root: AtomicUsize::new(0),
        }
    }

    /// Takes one, or refuses; the error is the answer.
    #[allow(
        clippy::result_large_err,
        reason = "a refusal is an answer like any other, made once a request"
    )]
    pub(super) fn take(&'static self, door: Door) -> Result<Permit, Answer> {
        let taken = match door {
            Door::Tcp => &self.network,
            Door::Root => &self.root,
        };
        if taken.fetch_add(1, Ordering::AcqRel) < self.most {
            return Ok(Permit(taken));
        }
        taken.fetch_sub(1, Ordering::AcqRel);
        let message = format!("too many {} are open; close some", self.what);
        let code = format!("too_many_{}", self.what);
        let mut answer = error(StatusCode::TOO_MANY_REQUESTS, &code, message);
        set(answer.headers_mut(), header::RETRY_AFTER, "1");
        Err(answer)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

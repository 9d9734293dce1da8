//! What time it is, as something that a test can set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the time. A copy of it tells the same.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Self(None)
    }

    /// One that stands still until it is set, with what sets it; in milliseconds since the Unix epoch.
    pub fn settable(at: i64) -> (Self, Arc<AtomicI64>) {
        let time = Arc::new(AtomicI64::new(at));
        (Self(Some(Arc::clone(&time))), time)
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        match &self.0 {
            Some(time) => time.load(Ordering::Relaxed),
            None => i64::try_from(amika_host::clock::now_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// A time as the API shows it: RFC 3339, UTC, milliseconds. What is no time of the calendar is its end.
pub fn shown(millis: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_are_of_utc() {
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(1_764_406_034_056), "2025-11-29T08:47:14.056Z");
        assert_eq!(
            shown(i64::MAX),
            shown(jiff::Timestamp::MAX.as_millisecond())
        );
    }
}

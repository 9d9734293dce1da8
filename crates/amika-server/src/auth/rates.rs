//! How much is asked: buckets that fill by the second, one for each key and one for each address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failures::whole;
use crate::config::Rates;

/// How many are remembered; those that are full again go first.
const REMEMBERED: usize = 10_000;

/// What was asked of late.
#[derive(Debug)]
pub struct Asked {
    changes: Buckets<String>,
    requests: Buckets<IpAddr>,
}

impl Asked {
    /// Nothing yet.
    pub fn new(rates: Rates) -> Self {
        Self {
            changes: Buckets::new(rates.per_key),
            requests: Buckets::new(rates.per_address),
        }
    }

    /// Counts a change by a key, or by a session of a user's; the seconds to wait where there were too many.
    pub fn change(&self, by: &str) -> Option<u64> {
        self.changes.take(by.to_owned(), Instant::now())
    }

    /// The same of a request from an address.
    pub fn request(&self, from: IpAddr) -> Option<u64> {
        self.requests.take(whole(from), Instant::now())
    }
}

#[derive(Debug)]
struct Buckets<K> {
    /// How much one holds, and gets back in a minute; 0 is no bound.
    size: u32,
    all: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    fn new(size: u32) -> Self {
        Self {
            size,
            all: Mutex::default(),
        }
    }

    fn take(&self, of: K, now: Instant) -> Option<u64> {
        if self.size == 0 {
            return None;
        }
        let (size, second) = (f64::from(self.size), f64::from(self.size) / 60.0);
        let refilled = |bucket: &Bucket| {
            let passed = now.saturating_duration_since(bucket.at);
            (bucket.left + passed.as_secs_f64() * second).min(size)
        };
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED && !all.contains_key(&of) {
            all.retain(|_, bucket| refilled(bucket) < size);
            if all.len() >= REMEMBERED
                && let Some(fullest) = all
                    .iter()
                    .max_by(|a, b| refilled(a.1).total_cmp(&refilled(b.1)))
            {
                let fullest = fullest.0.clone();
                all.remove(&fullest);
            }
        }
        let bucket = all.entry(of).or_insert(Bucket {
            left: size,
            at: now,
        });
        let left = refilled(bucket);
        *bucket = Bucket {
            left: if left >= 1.0 { left - 1.0 } else { left },
            at: now,
        };
        (left < 1.0).then(|| {
            let wait = Duration::from_secs_f64((1.0 - left) / second);
            wait.as_secs() + 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_emptied_and_fills_again_and_one_does_not_count_for_another() {
        let buckets = Buckets::new(60);
        let begun = Instant::now();
        for _ in 0..60 {
            assert_eq!(buckets.take("a", begun), None);
        }
        assert_eq!(buckets.take("a", begun), Some(2));
        assert_eq!(buckets.take("b", begun), None);
        let later = begun + Duration::from_secs(1);
        assert_eq!(buckets.take("a", later), None, "one came back");
        assert!(buckets.take("a", later).is_some());
        let much_later = begun + Duration::from_hours(1);
        assert_eq!(
            (0..70)
                .filter(|_| buckets.take("a", much_later).is_none())
                .count(),
            60
        );
        assert_eq!(Buckets::new(0).take("a", begun), None, "no bound");
    }

    #[test]
    fn memory_has_a_bound() {
        let buckets = Buckets::new(60);
        let begun = Instant::now();
        for number in 0..REMEMBERED + 100 {
            buckets.take(number, begun);
        }
        assert!(buckets.all.lock().unwrap().len() <= REMEMBERED);
    }
}

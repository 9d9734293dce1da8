//! Failed sign-ins, counted by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// How many may fail before it is said to wait.
const ALLOWED: u32 = 10;

/// How long they are remembered, in milliseconds.
const WINDOW: i64 = 60_000;

/// Addresses that are remembered at most; the oldest go first.
const REMEMBERED: usize = 10_000;

/// The failures of late.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<IpAddr, Entry>>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    since: i64,
    count: u32,
}

impl Failures {
    /// Counts one of an address at a time; where there were too many, the seconds to wait.
    pub fn count(&self, address: IpAddr, now: i64) -> Option<u64> {
        let address = whole(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |entry: &Entry| now - entry.since >= WINDOW || now < entry.since;
        if all.len() >= REMEMBERED {
            all.retain(|_, entry| !is_old(entry));
            if all.len() >= REMEMBERED
                && let Some(oldest) = all.iter().min_by_key(|(_, it)| it.since)
            {
                let oldest = *oldest.0;
                all.remove(&oldest);
            }
        }
        let fresh = Entry {
            since: now,
            count: 0,
        };
        let entry = all.entry(address).or_insert(fresh);
        if is_old(entry) {
            *entry = fresh;
        }
        entry.count = entry.count.saturating_add(1);
        (entry.count > ALLOWED).then(|| {
            u64::try_from((entry.since + WINDOW - now + 999) / 1000)
                .unwrap_or(1)
                .max(1)
        })
    }
}

/// Who has an IPv6 network has all addresses of a /64.
pub(super) fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6((address.to_bits() >> 64 << 64).into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_a_minute_are_borne_and_addresses_do_not_count_for_each_other() {
        let failures = Failures::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..ALLOWED {
            assert_eq!(failures.count(one, 1_000), None);
        }
        assert_eq!(failures.count(one, 1_000), Some(60));
        assert_eq!(failures.count(one, 60_500), Some(1));
        assert_eq!(failures.count("192.0.2.2".parse().unwrap(), 1_000), None);
        assert_eq!(failures.count(one, 61_000), None, "a minute later");
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_memory_has_a_bound() {
        let failures = Failures::default();
        for number in 0..ALLOWED {
            let address = format!("2001:db8::{number:x}").parse().unwrap();
            assert_eq!(failures.count(address, 0), None);
        }
        assert!(
            failures
                .count("2001:db8::ffff".parse().unwrap(), 0)
                .is_some()
        );
        for number in 0..u32::try_from(REMEMBERED).unwrap() + 500 {
            failures.count(IpAddr::V4(number.into()), i64::from(number % 7));
        }
        assert!(failures.0.lock().unwrap().len() <= REMEMBERED);
    }
}

//! Moments as people type them: so long ago, a date or time, or seconds since the Unix epoch.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Duration),
    /// So long after the Unix epoch.
    At(Duration),
}

impl Moment {
    /// The time since the Unix epoch; `now` is what it is now.
    pub fn since_epoch(self, now: Duration) -> Duration {
        match self {
            Self::Ago(ago) => now.saturating_sub(ago),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    /// A length of time (`0` is now), RFC 3339 with or without its time of day and zone (UTC then), or seconds
    /// since the Unix epoch with or without a fraction.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = amika_core::duration::parse(text) {
            return Ok(Self::Ago(ago));
        }
        let is_number = text.starts_with(|first: char| first.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_number
            && let Ok(seconds) = text.parse::<f64>()
            && let Ok(at) = Duration::try_from_secs_f64(seconds)
            && i32::try_from(at.as_secs()).is_ok()
        {
            return Ok(Self::At(at));
        }
        let without_zone = || {
            let civil: DateTime = text.parse().ok()?;
            Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
        };
        let millis = text
            .parse::<Timestamp>()
            .ok()
            .or_else(without_zone)
            .and_then(|time| u64::try_from(time.as_millisecond()).ok());
        millis
            .map(|millis| Self::At(Duration::from_millis(millis)))
            .ok_or_else(|| {
                "use a length of time such as 10m or 1.5s, a time such as 2026-01-31T12:00:00Z, a date (UTC), or \
                 seconds since 1970"
                    .to_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_docker_reads_them() {
        let ago = |millis| Ok(Moment::Ago(Duration::from_millis(millis)));
        let at = |millis| Ok(Moment::At(Duration::from_millis(millis)));
        for (text, expected) in [
            ("10m", ago(600_000)),
            ("1.5s", ago(1500)),
            ("0", ago(0)),
            ("1735689600", at(1_735_689_600_000)),
            ("1735689600.25", at(1_735_689_600_250)),
            ("2025-01-01T00:00:00Z", at(1_735_689_600_000)),
            ("2025-01-01T02:00:00.5+02:00", at(1_735_689_600_500)),
            ("2025-01-01T00:00:00", at(1_735_689_600_000)),
            ("2025-01-01", at(1_735_689_600_000)),
        ] {
            assert_eq!(text.parse::<Moment>(), expected, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2025-13-01",
            "1900-01-01",
            "-5",
            "1e9",
            "9999999999",
            "inf",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        let now = Duration::from_secs(100);
        assert_eq!(
            Moment::Ago(Duration::from_secs(30))
                .since_epoch(now)
                .as_secs(),
            70
        );
        assert_eq!(Moment::Ago(Duration::MAX).since_epoch(now).as_secs(), 0);
        assert_eq!(Moment::At(now).since_epoch(Duration::ZERO), now);
    }
}

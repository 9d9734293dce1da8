//! Limits on what a sandbox may use, in Docker's units.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Processes and threads that a sandbox may have where nobody says how many: a fork bomb ends there. Builds
/// and test suites of large projects have some hundreds.
pub const DEFAULT_PIDS: i64 = 4096;

/// What the kernel adds to the badness of a sandbox's processes when memory runs out on the host
/// (`oom_score_adj`, proc(5), -1000 to 1000): they go before what the user has open, and after what asked
/// to go first.
pub const OOM_SCORE_ADJ: i64 = 500;

/// Memory that a sandbox may use where nobody says how much: three quarters of what the engine has, each
/// sandbox by itself. `None` where the engine does not tell, or has next to none.
pub fn default_memory(engine_bytes: i64) -> Option<Memory> {
    const MIB: i64 = 1 << 20;
    Memory::from_bytes(engine_bytes / 4 / MIB * 3 * MIB).ok()
}

/// A limit as a flag names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit<T> {
    /// None at all: the word `unlimited`.
    Unlimited,
    /// At most this.
    At(T),
}

impl<T> Limit<T> {
    /// The word for no limit.
    pub const UNLIMITED: &'static str = "unlimited";

    /// The value, unless there is no limit.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Unlimited => None,
            Self::At(value) => Some(value),
        }
    }
}

impl<T: FromStr> FromStr for Limit<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == Self::UNLIMITED {
            return Ok(Self::Unlimited);
        }
        text.parse().map(Self::At)
    }
}

/// A number of processes and threads, from 1 to what Linux numbers (`PID_MAX_LIMIT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pids(i64);

impl Pids {
    /// The most that Linux numbers: it refuses a higher limit.
    pub const MAX: i64 = 1 << 22;

    /// Returns a number that Linux can count to; `None` for any other.
    pub fn new(number: i64) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// Returns the number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Pids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Pids {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let number = text.parse().ok();
        number
            .and_then(Self::new)
            .ok_or_else(|| InvalidLimit::Pids {
                text: text.to_owned(),
            })
    }
}

/// A number of processors, in billionths as the engine counts them (`NanoCpus`); more than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus(i64);

impl Cpus {
    /// Returns the billionths of a processor.
    pub fn nano(self) -> i64 {
        self.0
    }

    /// An equal part of it for each of some, which is at least what an engine gives.
    #[must_use]
    pub fn shared(self, among: i64) -> Self {
        const LEAST: i64 = 10_000_000;
        Self((self.0 / among.max(1)).max(LEAST))
    }
}

/// Reads a decimal number such as `2` or `1.5`, with at most nine digits behind the point.
impl FromStr for Cpus {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let invalid = || InvalidLimit::Cpus {
            text: text.to_owned(),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(invalid());
        }
        let whole: i64 = whole.parse().map_err(|_| invalid())?;
        let fraction: i64 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
        match whole
            .checked_mul(1_000_000_000)
            .and_then(|nano| nano.checked_add(fraction))
        {
            Some(nano) if nano > 0 => Ok(Self(nano)),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        f.write_str(format!("{whole}.{fraction:09}").trim_end_matches('0'))
    }
}

/// A number for JSON, as `docker update --cpus` takes it.
impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "nobody has 2^53 billionths of a processor"
        )]
        let cpus = self.0 as f64 / 1e9;
        serializer.serialize_f64(cpus)
    }
}

/// An amount of memory, in bytes; at least [`Memory::MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Memory(i64);

impl Memory {
    /// The least that the engine accepts: 6 MiB.
    pub const MIN: i64 = 6 << 20;

    /// An equal part of it for each of some, which is at least the least there is.
    #[must_use]
    pub fn shared(self, among: i64) -> Self {
        Self((self.0 / among.max(1)).max(Self::MIN))
    }

    /// Returns the amount of a number of bytes.
    pub fn from_bytes(bytes: i64) -> Result<Self, InvalidLimit> {
        if bytes < Self::MIN {
            return Err(InvalidLimit::Memory {
                text: bytes.to_string(),
            });
        }
        Ok(Self(bytes))
    }

    /// Returns the number of bytes.
    pub fn bytes(self) -> i64 {
        self.0
    }
}

/// Reads what `docker run --memory` takes: an integer and one of `b`, `k`, `m`, `g`, powers of 1024.
impl FromStr for Memory {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let invalid = || InvalidLimit::Memory {
            text: text.to_owned(),
        };
        let end = text
            .find(|found: char| !found.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let factor: i64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => return Err(invalid()),
        };
        let bytes = number
            .parse::<i64>()
            .ok()
            .and_then(|number| number.checked_mul(factor));
        bytes
            .filter(|bytes| *bytes >= Self::MIN)
            .map(Self)
            .ok_or_else(invalid)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("g", 30), ("m", 20), ("k", 10)] {
            if self.0 % (1 << shift) == 0 {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}b", self.0)
    }
}

/// A text or number that is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// No number of processors.
    #[error("\"{}\" is no number of processors: use one above 0, such as 2 or 1.5", .text.escape_debug())]
    Cpus {
        /// What was given.
        text: String,
    },
    /// No number of processes.
    #[error("\"{}\" is no number of processes: use 1 to {}, or `unlimited`", .text.escape_debug(), Pids::MAX)]
    Pids {
        /// What was given.
        text: String,
    },
    /// No amount of memory.
    #[error("\"{}\" is no amount of memory: use one such as \"512m\" or \"4g\", at least 6m", .text.escape_debug())]
    Memory {
        /// What was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn processors_are_exact() {
        for (text, nano) in [
            ("2", 2_000_000_000),
            ("1.5", 1_500_000_000),
            ("0.1", 100_000_000),
            ("0.000000001", 1),
            ("02.50", 2_500_000_000),
        ] {
            assert_eq!(text.parse::<Cpus>().map(Cpus::nano), Ok(nano));
        }
        for text in [
            "",
            "0",
            "0.0",
            "-1",
            "+1",
            "1.",
            ".5",
            "1e3",
            "inf",
            "nan",
            "1.0000000001",
            "9999999999",
        ] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
        assert_eq!(
            serde_json::to_string(&"1.5".parse::<Cpus>().unwrap()).unwrap(),
            "1.5"
        );
    }

    #[test]
    fn a_sandbox_has_three_quarters_of_the_engine_s_memory() {
        let of = |bytes| default_memory(bytes).map(Memory::bytes);
        assert_eq!(of(16 << 30), Some(12 << 30));
        assert_eq!(of(8 << 20), Some(6 << 20));
        assert_eq!(of((16 << 30) + 12345), Some(12 << 30));
        assert_eq!(of(i64::MAX).map(|bytes| bytes > 0), Some(true));
        for none in [0, -1, 4 << 20] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_limit_can_be_lifted() {
        assert_eq!("unlimited".parse(), Ok(Limit::<Memory>::Unlimited));
        assert_eq!("unlimited".parse(), Ok(Limit::<Pids>::Unlimited));
        assert_eq!("300".parse(), Ok(Limit::At(Pids(300))));
        for text in [
            "",
            "0",
            "-1",
            "Unlimited",
            "4194305",
            "1.5",
            "9999999999999999999",
        ] {
            assert!(text.parse::<Limit<Pids>>().is_err(), "{text}");
        }
    }

    #[test]
    fn memory_has_docker_s_units_and_never_wraps() {
        for (text, bytes) in [
            ("6291456", 6 << 20),
            ("6144k", 6 << 20),
            ("512m", 512 << 20),
            ("4g", 4 << 30),
            ("4G", 4 << 30),
            ("4GiB", 4 << 30),
        ] {
            assert_eq!(text.parse::<Memory>().map(Memory::bytes), Ok(bytes));
        }
        for text in [
            "",
            "g",
            "5m",
            "0",
            "-4g",
            "+4g",
            "4.5g",
            "4 g",
            "4x",
            "9223372036854775807g",
        ] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn limits_read_as_they_print(nano in 1i64.., bytes in Memory::MIN..) {
            prop_assert_eq!(Cpus(nano).to_string().parse(), Ok(Cpus(nano)));
            prop_assert_eq!(Memory(bytes).to_string().parse(), Ok(Memory(bytes)));
        }

        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,24}|[0-9.kmgb-]{0,24}") {
            let _ = (text.parse::<Cpus>(), text.parse::<Memory>());
        }
    }
}

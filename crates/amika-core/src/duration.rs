//! Lengths of time as people type them: `90s`, `10m`, `1h30m`, `500ms`, `1.5s`.

use std::time::Duration;

/// Units, longest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Digits of a fraction that are read: more than any unit has milliseconds for.
const FRACTION: usize = 9;

/// Reads a length of time: one or more numbers, each with its unit, the longer unit first; the last one may
/// have a fraction, of which whole milliseconds count. `0` needs no unit.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration {
        text: text.to_owned(),
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|found: char| !found.is_ascii_digit())
            .ok_or_else(invalid)?;
        let (number, behind) = rest.split_at(digits);
        let (fraction, behind) = fraction(behind).ok_or_else(invalid)?;
        let letters = behind
            .find(|found: char| found.is_ascii_digit())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        // The search goes on where the last unit was found, so none can stand twice or too late.
        let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*length))
            .and_then(|whole| whole.checked_add(parts(fraction, *length)));
        if !fraction.is_empty() && !behind.is_empty() {
            return Err(invalid());
        }
        millis = part
            .and_then(|part| millis.checked_add(part))
            .ok_or_else(invalid)?;
        rest = behind;
    }
    if text.is_empty() {
        Err(invalid())
    } else {
        Ok(Duration::from_millis(millis))
    }
}

/// Splits a point and the digits behind it off; `None` for a point alone, or more digits than there is use for.
fn fraction(text: &str) -> Option<(&str, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some(("", text));
    };
    let digits = rest.find(|found: char| !found.is_ascii_digit())?;
    (1..=FRACTION)
        .contains(&digits)
        .then(|| rest.split_at(digits))
}

/// So many milliseconds are these decimals of a unit.
fn parts(fraction: &str, length: u64) -> u64 {
    let scale = (0..fraction.len()).fold(1, |scale: u64, _| scale * 10);
    fraction.parse::<u64>().unwrap_or(0) * length / scale
}

/// Returns a length of time as [`parse`] reads it, in whole milliseconds.
pub fn print(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0".to_owned();
    }
    let mut printed = String::new();
    for (unit, length) in UNITS {
        if millis >= length {
            printed.push_str(&(millis / length).to_string());
            printed.push_str(unit);
            millis %= length;
        }
    }
    printed
}

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no length of time: use one such as 90s, 10m or 1h30m", .text.escape_debug())]
pub struct InvalidDuration {
    /// What was given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        for (text, millis) in [
            ("10m", 600_000),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1m500ms", 60_500),
            ("2d", 172_800_000),
            ("0", 0),
            ("0s", 0),
            ("007s", 7000),
            ("1.5s", 1500),
            ("0.25h", 900_000),
            ("1m0.5s", 60_500),
            ("0.999999999d", 86_399_999),
            ("1.5ms", 1),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn the_rest_is_refused() {
        for text in [
            "",
            "10",
            "m",
            "10 m",
            " 10m",
            "-10m",
            "+10m",
            "1.5",
            "1.s",
            ".5s",
            "1.5h30m",
            "1.0000000001s",
            "10M",
            "10min",
            "30m1h",
            "1s1s",
            "1h30",
            "10m ",
            "99999999999999999999s",
            "9999999999999999d",
            "1µs",
        ] {
            assert_eq!(
                parse(text),
                Err(InvalidDuration {
                    text: text.to_owned()
                })
            );
        }
        assert_eq!(
            parse("10").unwrap_err().to_string(),
            "\"10\" is no length of time: use one such as 90s, 10m or 1h30m"
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same(millis: u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&print(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,16}|[0-9dhms]{0,24}") {
            let _ = parse(&text);
        }
    }
}

//! Times in tar archives, those included that an octal number cannot tell: before 1970 and after 2242.
//!
//! The header's field of twelve bytes holds eleven octal digits, or, as GNU tar, Go and libarchive have it, a
//! number of two's complement with the first bit set (base-256). A PAX record `mtime` goes before it.

/// The largest number that eleven octal digits tell.
const OCTAL: i64 = 0o777_7777_7777;

/// Whether an engine would not give a file this time, but 1970: it counts nanoseconds since then.
pub fn is_odd(seconds: i64) -> bool {
    !(0..=i64::MAX / 1_000_000_000).contains(&seconds)
}

/// The header's field for seconds since 1970.
pub fn field(seconds: i64) -> [u8; 12] {
    let mut field = [0; 12];
    if (0..=OCTAL).contains(&seconds) {
        let digits = format!("{seconds:011o}");
        field[..11].copy_from_slice(digits.as_bytes());
        return field;
    }
    field[..4].fill(if seconds < 0 { 0xff } else { 0 });
    field[0] |= 0x80;
    field[4..].copy_from_slice(&seconds.to_be_bytes());
    field
}

/// What a header's field tells; `None` for what is no time, or one that no file can have.
pub fn parse_field(field: &[u8; 12]) -> Option<i64> {
    if field[0] & 0x80 == 0 {
        let text = std::str::from_utf8(field).ok()?;
        let text = text.trim_matches([' ', '\0']);
        return match text {
            "" => Some(0),
            text => i64::from_str_radix(text, 8).ok(),
        };
    }
    // The mark is the highest bit but one's sign.
    let sign: u8 = if field[0] & 0x40 == 0 { 0 } else { 0xff };
    let filled = field[0] | 0x80 == sign | 0x80 && field[1..4].iter().all(|&byte| byte == sign);
    let seconds = i64::from_be_bytes(field[4..].try_into().ok()?);
    (filled && (seconds < 0) == (sign != 0)).then_some(seconds)
}

/// What a PAX record `mtime` tells, in whole seconds, rounded down.
pub fn parse_record(value: &str) -> Option<i64> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let seconds: i64 = match whole {
        "-" | "-0" => 0,
        whole => whole.parse().ok()?,
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is_before = whole.starts_with('-') && fraction.bytes().any(|byte| byte != b'0');
    seconds.checked_sub(i64::from(is_before))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_times_are_octal_and_others_are_as_other_programs_write_them() {
        assert_eq!(&field(1_000_000_000), b"07346545000\0");
        assert_eq!(&field(OCTAL), b"77777777777\0");
        // GNU tar of files of 1960 and of 2300.
        let old = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xed, 0x31, 0x8a, 0x80,
        ];
        assert_eq!(field(-315_520_384), old);
        assert_eq!(parse_field(&old), Some(-315_520_384));
        let late = [0x80, 0, 0, 0, 0, 0, 0, 2, 0x6c, 0xb5, 0xdb, 0];
        assert_eq!(field(10_413_792_000), late);
    }

    #[test]
    fn what_is_no_time_is_none() {
        assert_eq!(parse_field(b"not a time\0\0"), None);
        assert_eq!(parse_field(b"       1750 "), Some(1000));
        assert_eq!(parse_field(&[0; 12]), Some(0));
        assert_eq!(parse_field(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        for (record, seconds) in [
            ("-1.5", Some(-2)),
            ("-0.5", Some(-1)),
            ("-315520384", Some(-315_520_384)),
            ("10413792000.25", Some(10_413_792_000)),
            ("1.x", None),
            ("", None),
        ] {
            assert_eq!(parse_record(record), seconds, "{record}");
        }
    }

    proptest! {
        #[test]
        fn each_time_comes_back(seconds: i64) {
            prop_assert_eq!(parse_field(&field(seconds)), Some(seconds));
            prop_assert_eq!(parse_record(&seconds.to_string()), Some(seconds));
        }

        #[test]
        fn no_field_makes_it_panic(field: [u8; 12]) {
            let _ = parse_field(&field);
        }
    }
}

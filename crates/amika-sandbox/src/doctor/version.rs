//! Versions as engines and distributions write them.

/// A version: three numbers, perhaps of a candidate, and what a distribution adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    numbers: [u32; 3],
    /// Which candidate of a release it is; a release itself comes after all of them.
    candidate: u32,
    /// What stands behind, such as `+ds1-1+deb12u1`.
    rest: String,
}

impl Version {
    /// Reads `1.1.5`, `v1.1.12-0-g51d5e946`, `1.4.0-rc.2`, `20.10.24+dfsg1`, `1.0.0~rc93+ds1-5+deb11u3`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        let patch = numbers.next().unwrap_or(Some(0))?;
        let candidate = rest
            .trim_start_matches(['-', '~'])
            .strip_prefix("rc")
            .map(|rest| {
                let digits = rest.trim_start_matches('.');
                let end = digits
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(digits.len());
                digits[..end].parse().unwrap_or(0)
            });
        Some(Self {
            numbers: [major, minor, patch],
            candidate: candidate.unwrap_or(u32::MAX),
            rest: rest.to_owned(),
        })
    }

    /// Its first number.
    pub(super) fn major(&self) -> u32 {
        self.numbers[0]
    }

    /// Whether a fault is mended in it that was mended in these versions, in rising order, each in a line
    /// of releases of its own: what is older than all of them has it, what is younger has not.
    pub(super) fn has_mend_of(&self, mends: &[Self]) -> bool {
        let line = |version: &Self| [version.numbers[0], version.numbers[1]];
        let in_line = mends.iter().find(|mend| line(mend) == line(self));
        match in_line.or(mends.last()) {
            Some(mend) => (self.numbers, self.candidate) >= (mend.numbers, mend.candidate),
            None => true,
        }
    }

    /// Whether a distribution made it, which mends faults without another number of the release.
    pub(super) fn is_of_a_distribution(&self) -> bool {
        ["+ds", "+dfsg", "deb", "ubuntu", ".el", ".fc", "-r"]
            .iter()
            .any(|mark| self.rest.contains(mark))
            && !self.rest.starts_with("-rc")
    }

    /// The number of a distribution's update, behind these words: 1 of `+ds1-1+deb12u1` for `+ds1-1+deb12u`.
    pub(super) fn update_behind(&self, words: &str) -> Option<u32> {
        self.rest.strip_prefix(words)?.parse().ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_they_are_written() {
        for (text, numbers, candidate, rest, by_distribution) in [
            ("1.1.5", [1, 1, 5], u32::MAX, "", false),
            (
                "v1.1.12-0-g51d5e946",
                [1, 1, 12],
                u32::MAX,
                "-0-g51d5e946",
                false,
            ),
            ("1.4.0-rc.2", [1, 4, 0], 2, "-rc.2", false),
            ("1.0.0-rc93", [1, 0, 0], 93, "-rc93", false),
            (
                "1.0.0~rc93+ds1-5+deb11u3",
                [1, 0, 0],
                93,
                "~rc93+ds1-5+deb11u3",
                true,
            ),
            (
                "1.1.5+ds1-1+deb12u1",
                [1, 1, 5],
                u32::MAX,
                "+ds1-1+deb12u1",
                true,
            ),
            (
                "1.1.12-0ubuntu2~22.04.1",
                [1, 1, 12],
                u32::MAX,
                "-0ubuntu2~22.04.1",
                true,
            ),
            ("1.1.12-3.el9", [1, 1, 12], u32::MAX, "-3.el9", true),
            ("20.10.24+dfsg1", [20, 10, 24], u32::MAX, "+dfsg1", true),
            ("28.2.2", [28, 2, 2], u32::MAX, "", false),
            ("29.0", [29, 0, 0], u32::MAX, "", false),
        ] {
            let version = Version::parse(text).unwrap();
            assert_eq!(version.numbers, numbers, "{text}");
            assert_eq!(version.candidate, candidate, "{text}");
            assert_eq!(version.rest, rest, "{text}");
            assert_eq!(version.is_of_a_distribution(), by_distribution, "{text}");
        }
        for text in [
            "",
            "51d5e946",
            "dev",
            "1",
            "1.x.2",
            ".1.2",
            "4294967296.0.0",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}

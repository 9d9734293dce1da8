//! How a sandbox's volumes are named.

use std::fmt;

use crate::name::SandboxName;

/// The longest part of a volume's name that comes from a repository's name, in bytes: with it the
/// whole stays well below the 255 bytes that a directory entry may have.
const MAX_REPO_LENGTH: usize = 100;

/// What makes a volume's name unique: the moment of its making, and a random part for volumes made
/// in the same second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    unix_seconds: u64,
    random: u16,
}

impl Stamp {
    /// Makes a stamp of seconds since the Unix epoch and a random number.
    pub fn new(unix_seconds: u64, random: u16) -> Self {
        Self {
            unix_seconds,
            random,
        }
    }
}

/// Prints the UTC time as `yyyymmddHHMMSS`, then the random part as 4 hexadecimal digits.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.unix_seconds / 86_400, self.unix_seconds % 86_400);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{:04x}",
            self.random
        )
    }
}

/// Returns year, month and day of a count of days since 1970-01-01, in the Gregorian calendar.
///
/// The algorithm is `civil_from_days` of Howard Hinnant's "chrono-compatible low-level date
/// algorithms", for days that are not negative.
pub fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Returns the count of days since 1970-01-01 of a date, the inverse of [`civil_from_days`] and of the
/// same source. For dates from 1970 on.
#[cfg(feature = "config")]
pub(crate) fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Returns the name of the volume that holds the clone of `repo`; it outlives the sandbox.
pub fn git(sandbox: &SandboxName, repo: &str, stamp: Stamp) -> String {
    format!("amika-git-{sandbox}-{}-{stamp}", sanitise_repo(repo))
}

/// Returns the name of the volume at the agent's home.
pub fn home(sandbox: &SandboxName, stamp: Stamp) -> String {
    format!("amika-home-{sandbox}-{stamp}")
}

/// Returns the name of the volume at amikad's state directory.
pub fn state(sandbox: &SandboxName, stamp: Stamp) -> String {
    format!("amika-state-{sandbox}-{stamp}")
}

/// Returns the name of the volume of the Docker Engine inside.
pub fn docker(sandbox: &SandboxName, stamp: Stamp) -> String {
    format!("amika-docker-{sandbox}-{stamp}")
}

/// Returns the name of the volume that holds a copy of a host directory. `index` is the mount's
/// place among the sandbox's copies, so that two of one create never share a name.
pub fn rwcopy(sandbox: &SandboxName, index: usize, stamp: Stamp) -> String {
    format!("amika-rwcopy-{sandbox}-{index}-{stamp}")
}

/// Returns the name of a volume that a repository's file calls `name`. `whose` is the digest of which repository, and of whom
/// for: others that call one the same have another.
pub fn named(repo: &str, name: &str, whose: &str) -> String {
    format!("amika-named-{}-{name}-{whose}", sanitise_repo(repo))
}

/// Returns a repository's name as it stands in a volume's name: every character that Docker does
/// not allow there becomes `-`. The directory in the sandbox keeps the true name.
pub fn sanitise_repo(repo: &str) -> String {
    let allowed = |found: char| found.is_ascii_alphanumeric() || matches!(found, '_' | '.' | '-');
    repo.chars()
        .map(|found| if allowed(found) { found } else { '-' })
        .take(MAX_REPO_LENGTH)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn teal_tokyo() -> SandboxName {
        "teal-tokyo".parse().unwrap()
    }

    #[test]
    fn names_are_those_of_the_contract() {
        // 2026-11-22 08:32:09 UTC
        let stamp = Stamp::new(1_795_336_329, 0x0a1b);
        let name = teal_tokyo();
        assert_eq!(
            git(&name, "Hello-World", stamp),
            "amika-git-teal-tokyo-Hello-World-202611220832090a1b"
        );
        assert_eq!(
            home(&name, stamp),
            "amika-home-teal-tokyo-202611220832090a1b"
        );
        assert_eq!(
            state(&name, stamp),
            "amika-state-teal-tokyo-202611220832090a1b"
        );
        assert_eq!(
            docker(&name, stamp),
            "amika-docker-teal-tokyo-202611220832090a1b"
        );
        assert_eq!(
            rwcopy(&name, 2, stamp),
            "amika-rwcopy-teal-tokyo-2-202611220832090a1b"
        );
    }

    #[test]
    fn stamps_know_the_calendar() {
        for (seconds, printed) in [
            (0, "197001010000000000"),
            (951_782_399, "200002282359590000"),
            (951_782_400, "200002290000000000"),
            (951_868_800, "200003010000000000"),
            (1_709_164_800, "202402290000000000"),
            (1_735_689_599, "202412312359590000"),
            (4_107_542_400, "210003010000000000"),
        ] {
            assert_eq!(Stamp::new(seconds, 0).to_string(), printed);
        }
    }

    #[test]
    fn repository_names_lose_what_docker_refuses() {
        for (repo, printed) in [
            ("Hello-World", "Hello-World"),
            ("a_b.c-d", "a_b.c-d"),
            ("my repo", "my-repo"),
            ("größe", "gr--e"),
            ("a/b:c", "a-b-c"),
            ("", ""),
        ] {
            assert_eq!(sanitise_repo(repo), printed);
        }
    }

    proptest! {
        #[test]
        fn every_volume_name_is_one_that_docker_takes(repo in any::<String>(), seconds in 0u64..9_999_999_999, random: u16) {
            let name = git(&teal_tokyo(), &repo, Stamp::new(seconds, random));
            prop_assert!(name.len() < 255);
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)));
        }
    }
}

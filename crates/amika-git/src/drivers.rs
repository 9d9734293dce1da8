//! Filter drivers: whose programs they run. Those that the user's configuration names run on this machine;
//! what the repository's own names is not in the configuration that git is given, whoever wrote it.

use std::collections::BTreeSet;

use super::programs;
use super::settings::Settings;

/// What a filter driver can run.
pub(super) const PROGRAMS: [&str; 3] = ["clean", "smudge", "process"];

/// What Git LFS installs, whether for all repositories or with `--local` for one.
pub(super) fn lfs(variable: &str) -> Option<&'static str> {
    Some(match variable {
        "clean" => "git-lfs clean -- %f",
        "smudge" => "git-lfs smudge -- %f",
        "process" => "git-lfs filter-process",
        _ => return None,
    })
}

/// The key of a driver's program.
pub(super) fn key(driver: &[u8], variable: &str) -> Vec<u8> {
    [b"filter.", driver, b".", variable.as_bytes()].concat()
}

/// Whether the repository itself decides what a driver runs. LFS is no such driver: its programs are
/// known, and are the only ones that run for it.
pub(super) fn is_own(settings: &Settings, driver: &[u8]) -> bool {
    driver != b"lfs"
        && PROGRAMS.iter().any(|variable| {
            let key = key(driver, variable);
            settings.named(&key) != settings.users(&key)
        })
}

/// Whether the user's configuration has a program that makes files of objects.
pub(super) fn is_users(settings: &Settings, driver: &[u8]) -> bool {
    let set = |variable: &&str| settings.users(&key(driver, variable)).is_some();
    ["smudge", "process"].iter().any(set)
        && !is_own(settings, driver)
        && relative(settings, driver).is_none()
}

/// The program of the user's that would be looked for in the repository: the driver does not run for it.
pub(super) fn relative(settings: &Settings, driver: &[u8]) -> Option<String> {
    let programs = PROGRAMS.iter();
    let mut programs = programs.filter_map(|variable| settings.users(&key(driver, variable)));
    programs.find_map(programs::relative)
}

/// Drivers of the user's that the repository would have run otherwise: they do not run for it.
pub(super) fn taken_back(settings: &Settings) -> BTreeSet<&[u8]> {
    let users = settings.users_section("filter");
    users
        .map(|(driver, _, _)| driver)
        .filter(|driver| is_own(settings, driver))
        .collect()
}

/// Whether the repository has LFS set up for itself alone (`git lfs install --local`).
pub(super) fn has_own_lfs(settings: &Settings) -> bool {
    let mut own = settings.own_section("filter");
    own.any(|(driver, _, _)| driver == b"lfs")
}

#[cfg(test)]
mod tests {
    use super::super::settings::{joined, sample};
    use super::*;

    fn settings(users: &str, own: &str) -> Settings {
        joined(sample(users, false), sample(own, true))
    }

    #[test]
    fn the_users_own_drivers_run() {
        let users = settings("filter.up.smudge\ntr a-z A-Z|filter.x.clean\ny", "");
        assert!(!is_own(&users, b"up") && is_users(&users, b"up"));
        assert!(!is_own(&users, b"unknown") && !is_users(&users, b"unknown"));
        assert!(taken_back(&users).is_empty());
    }

    #[test]
    fn a_repositorys_drivers_do_not_even_under_the_users_names() {
        for (users, own) in [
            ("", "filter.evil.clean\ntouch x"),
            ("filter.evil.clean\ncat", "filter.evil.process\ntouch x"),
            ("filter.evil.smudge\ncat", "filter.evil.smudge\ntouch x"),
        ] {
            let found = settings(users, own);
            assert!(
                is_own(&found, b"evil") && !is_users(&found, b"evil"),
                "{own}"
            );
            assert_eq!(taken_back(&found).contains(&b"evil"[..]), !users.is_empty());
        }
    }

    #[test]
    fn lfs_is_known() {
        let own = settings("", "filter.lfs.clean\nevil");
        assert!(!is_own(&own, b"lfs") && has_own_lfs(&own));
        assert!(!has_own_lfs(&settings("filter.lfs.clean\nx", "")));
    }
}

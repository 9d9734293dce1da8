//! Which programs a repository's own configuration names: git must not run them on this machine, whoever
//! wrote that file. Those that the user's or the system's configuration names are the user's own.

use super::config::Settings;

/// A setting that takes another's place: key and value.
pub(super) type Override = (String, String);

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

/// Whether the repository itself decides what a driver runs. LFS is no such driver: its programs are
/// known, and are the only ones that run for it.
pub(super) fn is_own(settings: &Settings, driver: &str) -> bool {
    driver != "lfs"
        && PROGRAMS.iter().any(|variable| {
            let key = format!("filter.{driver}.{variable}");
            settings.get(&key) != settings.users(&key)
        })
}

/// What git must be told so that nothing runs that the repository itself names. Hooks and the file-system
/// monitor are off for all repositories, and so are transports.
pub(super) fn overrides(settings: &Settings) -> Vec<Override> {
    let mut overrides = Vec::new();
    let mut drivers: Vec<&str> = Vec::new();
    for (driver, _, _) in settings.own_section("filter") {
        if !drivers.contains(&driver) {
            drivers.push(driver);
        }
    }
    for driver in drivers {
        for variable in PROGRAMS {
            let key = format!("filter.{driver}.{variable}");
            let value = match (driver, settings.users(&key)) {
                ("lfs", _) => lfs(variable),
                // Empty means none: git knows no way to take a setting back.
                _ if is_own(settings, driver) => Some(""),
                (_, users) => users,
            };
            overrides.extend(value.map(|value| (key, value.to_owned())));
        }
        overrides.push((format!("filter.{driver}.required"), "false".into()));
    }
    for (extension, variable, _) in settings.own_section("lfs") {
        if extension.starts_with("extension.") {
            overrides.push((format!("lfs.{extension}.{variable}"), String::new()));
        }
    }
    for (hook, _, _) in settings.own_section("hook") {
        overrides.push((format!("hook.{hook}.enabled"), "false".into()));
    }
    overrides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listed: &str) -> Settings {
        Settings::parse_scoped(listed.replace('|', "\0").as_bytes())
    }

    fn overridden(listed: &str) -> Vec<Override> {
        overrides(&settings(listed))
    }

    #[test]
    fn the_users_own_drivers_run() {
        let users = "global|filter.up.smudge\ntr a-z A-Z|system|filter.x.clean\ny";
        assert_eq!(overridden(users), []);
        assert!(!is_own(&settings(users), "up"));
        assert!(!is_own(&settings(users), "unknown"));
    }

    #[test]
    fn a_repositorys_drivers_do_not_even_under_the_users_names() {
        for listed in [
            "local|filter.evil.clean\ntouch x",
            "worktree|filter.evil.process\ntouch x",
            "global|filter.evil.clean\ncat|local|filter.evil.process\ntouch x",
            "global|filter.evil.smudge\ncat|local|filter.evil.smudge\ntouch x",
        ] {
            assert!(is_own(&settings(listed), "evil"), "{listed}");
            let found = overridden(listed);
            for variable in PROGRAMS {
                let none = (format!("filter.evil.{variable}"), String::new());
                assert!(found.contains(&none), "{listed}: {found:?}");
            }
        }
    }

    #[test]
    fn lfs_runs_its_own_programs_and_no_extension() {
        let listed = "local|filter.lfs.clean\nevil|local|lfs.extension.a.b.clean\nevil";
        let found = overridden(listed);
        let has = |key: &str, value: &str| found.contains(&(key.to_owned(), value.to_owned()));
        assert!(has("filter.lfs.clean", "git-lfs clean -- %f"), "{found:?}");
        assert!(has("lfs.extension.a.b.clean", ""), "{found:?}");
        assert!(!is_own(&settings(listed), "lfs"));
    }
}

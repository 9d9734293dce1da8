//! The environment that children get, made from the container's.
//!
//! It is passed on byte for byte, except for what belongs to amikad alone and for the few values
//! without which an agent cannot work.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use amika_core::contract::{env, path};

/// PATH where the container has none: what an engine gives by default.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables in order; the first of a name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// The process's own.
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_os_str())
    }

    /// Sets `name`, wherever it stood.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        let value = value.into();
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.into(), value)),
        }
    }

    /// Sets `name` unless it is there.
    pub(crate) fn set_default(&mut self, name: &str, value: impl Into<OsString>) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// Takes `name` out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// `NAME=value` strings for exec.
    pub(crate) fn to_c_strings(&self) -> Vec<CString> {
        let joined = self
            .0
            .iter()
            .map(|(key, value)| [key.as_bytes(), b"=", value.as_bytes()].concat());
        // A NUL cannot have come through an environment.
        joined
            .filter_map(|bytes| CString::new(bytes).ok())
            .collect()
    }

    /// Files that `program` may mean, in the order of PATH; a name with a slash means itself.
    pub(crate) fn candidates(&self, program: &OsStr) -> Vec<PathBuf> {
        if program.as_bytes().contains(&b'/') {
            return vec![program.into()];
        }
        if program.is_empty() {
            return Vec::new();
        }
        let search = self.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
        let directories = search.as_bytes().split(|byte| *byte == b':');
        directories
            .map(|directory| match directory {
                // POSIX: an empty entry is the current directory.
                b"" => Path::new(".").join(program),
                directory => Path::new(OsStr::from_bytes(directory)).join(program),
            })
            .collect()
    }

    /// The agent's working directory: what the environment names, if that is a whole path without `..`.
    pub(crate) fn agent_cwd(&self) -> PathBuf {
        match self.get(env::AGENT_CWD).map(Path::new) {
            Some(cwd) if cwd.is_absolute() && !climbs(cwd) => cwd.into(),
            _ => path::WORKSPACE.into(),
        }
    }

    /// Takes out what belongs to amikad and the OpenCode server alone.
    pub(crate) fn remove_secrets(&mut self) {
        self.remove(env::TOKEN_SHA256);
        self.remove(env::OPENCODE_PASSWORD);
    }

    /// The variables that were chosen for a program by name, with their values; the list of them goes.
    pub(crate) fn take_chosen(&mut self) -> Vec<(String, OsString)> {
        let names = self.get(env::EXEC_ENV).map(ToOwned::to_owned);
        self.remove(env::EXEC_ENV);
        let names = names.unwrap_or_default();
        let names = names.to_string_lossy();
        names
            .split('=')
            .filter_map(|name| Some((name.to_owned(), self.get(name)?.to_owned())))
            .collect()
    }

    /// Makes git accept every repository: root and the agent work in each other's, and git would
    /// refuse with "dubious ownership". Appended after what the user may have put there.
    pub(crate) fn trust_repositories(&mut self) {
        let count = self.get("GIT_CONFIG_COUNT").and_then(OsStr::to_str);
        let count: u32 = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        // Git takes no more than an int holds, and says so itself.
        if count >= i32::MAX.unsigned_abs() {
            return;
        }
        // By what is there, and not by a count that anybody may have written.
        let is_there = self.0.iter().any(|(key, value)| {
            let number = key
                .to_str()
                .and_then(|key| key.strip_prefix("GIT_CONFIG_KEY_"));
            let number = number.and_then(|number| number.parse::<u32>().ok());
            number
                .filter(|number| *number < count)
                .is_some_and(|number| {
                    let mine = format!("GIT_CONFIG_VALUE_{number}");
                    value == "safe.directory" && self.get(&mine).is_some_and(|value| value == "*")
                })
        });
        if is_there {
            return;
        }
        self.set(&format!("GIT_CONFIG_KEY_{count}"), "safe.directory");
        self.set(&format!("GIT_CONFIG_VALUE_{count}"), "*");
        self.set("GIT_CONFIG_COUNT", (count + 1).to_string());
    }

    /// Sets HOME to the agent's, unless somebody chose one.
    ///
    /// Engines set HOME by themselves, from `/etc/passwd`, so a value counts as chosen only if it
    /// differs from what an engine gives: `own_home`, the passwd entry of the user amikad runs as,
    /// or `/` when there is none.
    pub(crate) fn set_agent_home(&mut self, own_home: Option<&Path>) {
        let chosen = self.get("HOME").is_some_and(|home| {
            let engine_gives = own_home.is_some_and(|own| own == Path::new(home));
            !home.is_empty() && home != "/" && home != "/root" && !engine_gives
        });
        if !chosen {
            self.set("HOME", path::HOME);
        }
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// Whether a path has a `..`, by which it may mean another place than it seems to: what is made and given away on
/// the way to it is not to be found out.
pub(crate) fn climbs(path: &Path) -> bool {
    path.components()
        .any(|component| component == Component::ParentDir)
}

/// `text` for exec; what stands after a NUL, which no argument can hold, is dropped.
pub(crate) fn c_string(text: &OsStr) -> CString {
    let bytes: Vec<u8> = text
        .as_bytes()
        .iter()
        .copied()
        .take_while(|byte| *byte != 0)
        .collect();
    CString::new(OsString::from_vec(bytes).into_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables
            .iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    }

    #[test]
    fn safe_directory_is_appended_after_the_users_own_settings() {
        let mut env = environment(&[
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "user.name"),
            ("GIT_CONFIG_VALUE_0", "Ada"),
        ]);
        env.trust_repositories();
        assert_eq!(env.get("GIT_CONFIG_COUNT").unwrap(), "2");
        assert_eq!(env.get("GIT_CONFIG_VALUE_0").unwrap(), "Ada");
        assert_eq!(env.get("GIT_CONFIG_KEY_1").unwrap(), "safe.directory");
        let once = env.clone();
        env.trust_repositories();
        assert_eq!(env, once, "an exec inside an exec adds nothing");
    }

    #[test]
    fn a_count_of_settings_that_nobody_wrote_costs_no_time_and_wraps_nowhere() {
        for (count, then) in [
            ("2000000000", "2000000001"),
            ("2147483647", "2147483647"),
            ("4294967295", "4294967295"),
            ("4294967296", "1"),
        ] {
            let mut env = environment(&[("GIT_CONFIG_COUNT", count)]);
            env.trust_repositories();
            assert_eq!(env.get("GIT_CONFIG_COUNT").unwrap(), then);
        }
    }

    #[test]
    fn home_is_the_agents_unless_somebody_chose_one() {
        for given in [None, Some("/root"), Some("/"), Some(""), Some("/home/node")] {
            let mut env = Environment::default();
            if let Some(given) = given {
                env.set("HOME", given);
            }
            env.set_agent_home(Some(Path::new("/home/node")));
            assert_eq!(env.get("HOME").unwrap(), "/home/amika", "given {given:?}");
        }
        let mut env = environment(&[("HOME", "/opt/home")]);
        env.set_agent_home(Some(Path::new("/root")));
        assert_eq!(env.get("HOME").unwrap(), "/opt/home");
    }

    #[test]
    fn path_is_searched_as_posix_says() {
        let env = environment(&[("PATH", "/a::/b")]);
        let found = env.candidates(OsStr::new("x"));
        assert_eq!(found, [PathBuf::from("/a/x"), "./x".into(), "/b/x".into()]);
        assert_eq!(env.candidates(OsStr::new("./x")), [PathBuf::from("./x")]);
        assert!(env.candidates(OsStr::new("")).is_empty());
    }

    #[test]
    fn an_agent_directory_that_is_relative_or_climbs_is_not_taken() {
        for refused in [
            "x",
            "",
            "/home/amika/..",
            "/home/amika/../..",
            "/a/../b",
            "/..",
        ] {
            assert_eq!(
                environment(&[(env::AGENT_CWD, refused)]).agent_cwd(),
                Path::new(path::WORKSPACE),
                "{refused}"
            );
        }
        for taken in ["/", "/a/..b", "/a/b..", "/a/./b"] {
            let env = environment(&[(env::AGENT_CWD, taken)]);
            assert_eq!(env.agent_cwd(), Path::new(taken));
        }
    }
}

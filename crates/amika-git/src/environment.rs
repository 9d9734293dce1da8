//! What git is given of the caller's environment: one table, which `docs/repositories.md` shows.
//!
//! The user's configuration may come by variables as well as by files, and holds. What points git at another
//! repository, or makes it read one in another way, is not meant for the one that Amika was asked for.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use amika_host::machine::Machine;

/// For which of its errands git is given a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Reading a repository of this machine, on a generated directory.
    Local,
    /// Fetching a URL.
    Network,
}

/// What becomes of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Git does not see it.
    Hidden,
    /// Git gets this value for both errands.
    Always(&'static str),
    /// Git gets this value for a repository of this machine; for a URL the user's holds.
    Locally(&'static str),
}

/// One row: names, where a last `*` stands for any rest, and what becomes of them. What is in no row is
/// kept.
pub(super) const TABLE: [(&[&str], Fate); 10] = [
    // Another repository, or other parts of it.
    (
        &[
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_COMMON_DIR",
            "GIT_IMPLICIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_INDEX_VERSION",
            "GIT_OBJECT_DIRECTORY",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_QUARANTINE_PATH",
            "GIT_NAMESPACE",
            "GIT_PREFIX",
            "GIT_INTERNAL_*",
            "GIT_SHALLOW_FILE",
            "GIT_GRAFT_FILE",
            "GIT_REPLACE_REF_BASE",
            "GIT_ATTR_SOURCE",
            "GIT_CONFIG",
        ],
        Fate::Hidden,
    ),
    // Another way of reading it, or of making the temporary one.
    (
        &[
            "GIT_LITERAL_PATHSPECS",
            "GIT_GLOB_PATHSPECS",
            "GIT_NOGLOB_PATHSPECS",
            "GIT_ICASE_PATHSPECS",
            "GIT_EXTERNAL_DIFF",
            "GIT_DIFF_OPTS",
            "GIT_TEMPLATE_DIR",
            "GIT_DEFAULT_HASH",
            "GIT_DEFAULT_REF_FORMAT",
        ],
        Fate::Hidden,
    ),
    // LFS content is taken from the repository's own store, or fetched by itself.
    (&["GIT_LFS_SKIP_SMUDGE"], Fate::Always("1")),
    // What git says is read.
    (&["LC_ALL"], Fate::Always("C")),
    (&["GIT_OPTIONAL_LOCKS"], Fate::Locally("0")),
    // A lazy fetch of a partial clone would write into the host's repository.
    (&["GIT_NO_LAZY_FETCH"], Fate::Locally("1")),
    (&["GIT_NO_REPLACE_OBJECTS"], Fate::Locally("1")),
    (&["GIT_ALLOW_PROTOCOL"], Fate::Locally("none")),
    (&["GIT_TERMINAL_PROMPT"], Fate::Locally("0")),
    (&["GIT_ATTR_NOSYSTEM"], Fate::Locally("1")),
];

/// What becomes of a variable; `None` when it is kept as it is.
fn fate(name: &str) -> Option<Fate> {
    let is = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == *pattern,
    };
    let mut rows = TABLE.iter();
    let row = rows.find(|(names, _)| names.iter().any(is));
    row.map(|(_, fate)| *fate)
}

/// Lists of directories in which programs and their parts are looked for.
const LISTS: [&str; 6] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "GCONV_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
];
/// Libraries: one without a slash is looked for in those directories.
const LIBRARIES: [&str; 2] = ["LD_PRELOAD", "DYLD_INSERT_LIBRARIES"];
/// Places of git's programs, of configuration, and of temporary files.
const PLACES: [&str; 6] = [
    "GIT_EXEC_PATH",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "HOME",
    "XDG_CONFIG_HOME",
    "TMPDIR",
];

/// What becomes of a variable that would make git, or a program that it starts, look in the directory that it
/// runs in: that may be a repository's, and then what is found there is the repository's too. `None` for a
/// variable that stays as it is; empty for one that is hidden: an empty list is the directory itself.
pub(super) fn absolute(name: &OsStr, value: &OsStr) -> Option<OsString> {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let name = name.to_str()?;
    let bytes = value.as_bytes();
    let is_absolute = |path: &&[u8]| path.starts_with(b"/");
    if PLACES.contains(&name) {
        let is_kept = bytes.is_empty() || is_absolute(&bytes);
        return (!is_kept).then(OsString::new);
    }
    let is_library = LIBRARIES.contains(&name);
    if !is_library && !LISTS.contains(&name) {
        return None;
    }
    let separates = |byte: &u8| *byte == b':' || is_library && *byte == b' ';
    let is_plain = |path: &&[u8]| is_library && !path.is_empty() && !path.contains(&b'/');
    let all = bytes.split(separates);
    let kept: Vec<&[u8]> = all.filter(|it| is_absolute(it) || is_plain(it)).collect();
    let left = kept.join(&b':');
    if left == bytes && !left.is_empty() {
        return None;
    }
    Some(OsString::from_vec(left))
}

/// The value of a variable of the caller's for another git, without what would be looked for in the directory that
/// it runs in.
pub fn absolute_variable(machine: &Machine, name: &str) -> Option<OsString> {
    let value = machine.variable(name)?;
    let value = absolute(OsStr::new(name), value).unwrap_or_else(|| value.to_owned());
    (!value.is_empty()).then_some(value)
}

/// Takes out of a command's environment what would be looked for in the directory that it runs in.
pub(super) fn hide_relative<'a>(
    command: &mut Command,
    callers: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
) {
    for (name, value) in callers {
        match absolute(name, value) {
            Some(value) if value.is_empty() => command.env_remove(name),
            Some(value) => command.env(name, value),
            None => continue,
        };
    }
}

/// Where git has the protocols that it may use, whatever is configured.
pub(super) const PROTOCOLS: &str = "GIT_ALLOW_PROTOCOL";

/// A list of protocols without those that read repositories of this machine.
pub(super) fn without_files(protocols: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let all = protocols.as_bytes().split(|&byte| byte == b':');
    let kept: Vec<&[u8]> = all
        .filter(|name| ![&b"file"[..], b"fd"].contains(name))
        .collect();
    OsString::from_vec(kept.join(&b':'))
}

/// Gives a command its environment, of what the caller has.
pub(super) fn apply<'a>(
    command: &mut Command,
    errand: Errand,
    callers: impl IntoIterator<Item = &'a OsStr>,
) {
    for name in callers {
        if name.to_str().and_then(fate) == Some(Fate::Hidden) {
            command.env_remove(name);
        }
    }
    for (names, fate) in TABLE {
        let value = match (fate, errand) {
            (Fate::Always(value), _) | (Fate::Locally(value), Errand::Local) => value,
            (Fate::Hidden, _) | (Fate::Locally(_), Errand::Network) => continue,
        };
        for name in names {
            command.env(name, value);
        }
    }
}

/// `GIT_CONFIG_COUNT` with its keys and values: what comes first, then the user's. `None` where the user's
/// are not as git wants them: it says so itself.
pub(super) fn numbered(
    first: &[(OsString, OsString)],
    callers: impl Fn(&str) -> Option<OsString>,
) -> Option<Vec<(String, OsString)>> {
    let count = match callers("GIT_CONFIG_COUNT") {
        None => 0,
        Some(count) if count.is_empty() => 0,
        Some(count) => count.to_str()?.trim().parse::<u32>().ok()?,
    };
    let mut settings = first.to_vec();
    for number in 0..count {
        let one = |what: &str| callers(&format!("GIT_CONFIG_{what}_{number}"));
        settings.push((one("KEY")?, one("VALUE")?));
    }
    let mut all = vec![(
        "GIT_CONFIG_COUNT".to_owned(),
        settings.len().to_string().into(),
    )];
    for (number, (key, value)) in settings.into_iter().enumerate() {
        all.push((format!("GIT_CONFIG_KEY_{number}"), key));
        all.push((format!("GIT_CONFIG_VALUE_{number}"), value));
    }
    Some(all)
}

/// Where git has the settings of its own command line.
pub(super) const PARAMETERS: &str = "GIT_CONFIG_PARAMETERS";

/// `GIT_CONFIG_PARAMETERS` with further settings at its end, which are those that count.
pub(super) fn parameters(callers: Option<&OsStr>, settings: &[(OsString, OsString)]) -> OsString {
    let mut all = callers.map(OsStr::to_owned).unwrap_or_default();
    for (key, value) in settings {
        if !all.is_empty() {
            all.push(" ");
        }
        all.push(quoted(key));
        all.push("=");
        all.push(quoted(value));
    }
    all
}

/// A text between quotes, as git takes it apart.
fn quoted(text: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut quoted = vec![b'\''];
    for &byte in text.as_bytes() {
        match byte {
            b'\'' | b'!' => quoted.extend([b'\'', b'\\', byte, b'\'']),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn seen(errand: Errand, names: &[&str]) -> BTreeMap<String, Option<String>> {
        let mut command = Command::new("git");
        apply(&mut command, errand, names.iter().map(OsStr::new));
        let text = |text: &OsStr| text.to_str().unwrap().to_owned();
        let changes = command.get_envs();
        changes
            .map(|(name, value)| (text(name), value.map(text)))
            .collect()
    }

    #[test]
    fn what_points_at_another_repository_is_hidden() {
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_COMMON_DIR",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_NAMESPACE",
            "GIT_INTERNAL_SUPER_PREFIX",
        ] {
            for errand in [Errand::Local, Errand::Network] {
                assert_eq!(seen(errand, &[name]).get(name), Some(&None), "{name}");
            }
        }
    }

    #[test]
    fn what_is_the_users_configuration_is_kept() {
        for name in [
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_KEY_0",
            "GIT_CONFIG_VALUE_0",
            "GIT_CONFIG_PARAMETERS",
            "GIT_CONFIG_GLOBAL",
            "GIT_CONFIG_SYSTEM",
            "GIT_CONFIG_NOSYSTEM",
            "GIT_SSH",
            "GIT_SSH_COMMAND",
            "GIT_ASKPASS",
            "GIT_SSL_CAINFO",
            "GIT_HTTP_USER_AGENT",
            "GIT_DISCOVERY_ACROSS_FILESYSTEM",
            "GIT_CEILING_DIRECTORIES",
            "GIT_TRACE",
            "GIT_TRACE_CURL",
            "GIT_EXEC_PATH",
            "GIT_LFS_PROGRESS",
            "HOME",
            "SSH_AUTH_SOCK",
        ] {
            for errand in [Errand::Local, Errand::Network] {
                assert_eq!(seen(errand, &[name]).get(name), None, "{name}");
            }
        }
        for name in ["GIT_ALLOW_PROTOCOL", "GIT_TERMINAL_PROMPT"] {
            assert_eq!(seen(Errand::Network, &[name]).get(name), None, "{name}");
            assert!(seen(Errand::Local, &[name])[name].is_some(), "{name}");
        }
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let docs = include_str!("../../../docs/repositories.md");
        let rows: Vec<(&str, &str)> = docs
            .lines()
            .skip_while(|line| !line.starts_with("| variable"))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(str::trim);
                (cells.next().unwrap(), cells.next().unwrap())
            })
            .collect();
        let mut documented: Vec<(String, String)> = Vec::new();
        for (names, becomes) in &rows {
            for name in names.split(", ") {
                documented.push((name.trim_matches('`').to_owned(), (*becomes).to_owned()));
            }
        }
        for (names, fate) in TABLE {
            let words = match fate {
                Fate::Hidden => "hidden".to_owned(),
                Fate::Always(value) => format!("set to `{value}`"),
                Fate::Locally(value) => format!("set to `{value}` for a path, kept for a URL"),
            };
            for name in names {
                let row = ((*name).to_owned(), words.clone());
                assert!(
                    documented.contains(&row),
                    "{row:?} is not in {documented:?}"
                );
            }
        }
        for (name, becomes) in &documented {
            let plain = name.trim_end_matches('*');
            match becomes.as_str() {
                "kept" => assert_eq!(fate(plain), None, "{name}"),
                _ => assert!(
                    TABLE
                        .iter()
                        .any(|(names, _)| names.contains(&name.as_str())),
                    "{name}"
                ),
            }
        }
    }

    #[test]
    fn nothing_is_looked_for_in_the_directory_that_git_runs_in() {
        for (name, value, left) in [
            ("PATH", ".:/usr/bin:bin::/bin:", Some("/usr/bin:/bin")),
            ("PATH", "./bin", None),
            ("PATH", "", None),
            ("LD_LIBRARY_PATH", ":/opt/lib", Some("/opt/lib")),
            ("GCONV_PATH", "x", None),
            (
                "LD_PRELOAD",
                "libx.so ./liby.so:/z.so",
                Some("libx.so:/z.so"),
            ),
            ("GIT_EXEC_PATH", "libexec", None),
            ("GIT_CONFIG_GLOBAL", ".gitconfig", None),
            ("HOME", ".", None),
            ("TMPDIR", "tmp", None),
        ] {
            let found = absolute(OsStr::new(name), OsStr::new(value));
            let left = left.unwrap_or_default();
            assert_eq!(found, Some(OsString::from(left)), "{name}={value}");
        }
        for (name, value) in [
            ("PATH", "/usr/bin:/bin"),
            ("LD_PRELOAD", "libx.so:/z.so"),
            ("GIT_CONFIG_GLOBAL", ""),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("HOME", "/home/ada"),
            ("GIT_TRACE", "1"),
        ] {
            let found = absolute(OsStr::new(name), OsStr::new(value));
            assert_eq!(found, None, "{name}={value}");
        }
        let mut command = Command::new("git");
        hide_relative(&mut command, [(OsStr::new("HOME"), OsStr::new("x"))]);
        assert_eq!(command.get_envs().next(), Some((OsStr::new("HOME"), None)));
    }

    #[test]
    fn no_list_of_protocols_has_those_for_files_of_this_machine() {
        for (listed, left) in [
            ("file", ""),
            ("https:file:ssh", "https:ssh"),
            ("https:file:fd", "https"),
            ("profile:ssh", "profile:ssh"),
            ("", ""),
        ] {
            assert_eq!(without_files(OsStr::new(listed)), left, "{listed}");
        }
    }

    #[test]
    fn numbered_settings_of_ours_come_before_the_users() {
        let environment = BTreeMap::from([
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "a.b"),
            ("GIT_CONFIG_VALUE_0", "x=y"),
        ]);
        let users = |name: &str| environment.get(name).map(OsString::from);
        let ours = [("include.path".into(), OsString::from("/x"))];
        let all = numbered(&ours, users).unwrap();
        let all: Vec<String> = all
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        assert_eq!(
            all,
            [
                "GIT_CONFIG_COUNT=2",
                "GIT_CONFIG_KEY_0=include.path",
                "GIT_CONFIG_VALUE_0=/x",
                "GIT_CONFIG_KEY_1=a.b",
                "GIT_CONFIG_VALUE_1=x=y",
            ]
        );
        let bogus = |name: &str| (name == "GIT_CONFIG_COUNT").then(|| OsString::from("4000000000"));
        assert_eq!(numbered(&ours, bogus), None);
    }

    #[test]
    fn settings_of_ours_come_after_the_users_parameters_whatever_is_in_them() {
        let ours = [("filter.a=b's!.clean".into(), OsString::from("it's"))];
        let mut git = Command::new("git");
        git.env(
            "GIT_CONFIG_PARAMETERS",
            parameters(Some(OsStr::new("'x.y=1'")), &ours),
        );
        git.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        let listed = git
            .current_dir("/")
            .args(["config", "--list", "-z"])
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(
            listed.ends_with("x.y\n1\0filter.a=b's!.clean\nit's\0"),
            "{listed:?}"
        );
    }
}

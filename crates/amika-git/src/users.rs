//! The user's and the system's own configuration of git, which is in force as it is.
//!
//! Git reads it in an empty directory of ours. What it includes for certain places only
//! (`includeIf.gitdir:…`) is decided here, since git does not see the repository's place: it runs on a
//! generated directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use amika_host::machine::Machine;

use super::command::{Git, SETTINGS};
use super::error::GitError;

/// One setting of the user's, as git lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsersSetting {
    /// Section and variable in lower case.
    pub(super) key: Vec<u8>,
    /// The value; `None` for a boolean that is on.
    pub(super) value: Option<Vec<u8>>,
    /// The file that it is in.
    pub(super) file: Option<PathBuf>,
    /// It comes by the environment (`GIT_CONFIG_COUNT`, `GIT_CONFIG_PARAMETERS`), which counts more than any
    /// file, also one of the repository's.
    pub(super) is_environments: bool,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Users {
    machine: Machine,
    settings: Vec<UsersSetting>,
}

/// What decides which further files the user's configuration includes.
pub(super) struct Facts<'a> {
    /// The repository's git directory.
    pub(super) git_dir: &'a Path,
    /// The URLs of its remotes.
    pub(super) urls: &'a [Vec<u8>],
}

impl Users {
    /// Asks git, in a directory that has no configuration of its own.
    pub(super) fn read(machine: &Machine, git: &Git) -> Result<Self, GitError> {
        let listed = git.output(&["config", "--list", "-z", "--show-scope", "--show-origin"])?;
        Ok(Self::parse(machine, &listed))
    }

    /// Parses what git lists: scope, origin, and key with value, each ended by a zero byte.
    fn parse(machine: &Machine, listed: &[u8]) -> Self {
        let parts: Vec<&[u8]> = listed.split(|&byte| byte == 0).collect();
        let mut settings = Vec::new();
        for entry in parts.chunks_exact(3) {
            let file = entry[1].strip_prefix(b"file:");
            let said = entry[0] == b"command" && file.is_none();
            let is_users = match entry[0] {
                b"system" | b"global" => true,
                // What we say has no file, as what the environment says; what we include has one.
                b"command" => file.is_some() || !is_ours(entry[2]),
                _ => false,
            };
            if !is_users {
                continue;
            }
            let (key, value) = match entry[2].iter().position(|&byte| byte == b'\n') {
                Some(at) => (&entry[2][..at], Some(entry[2][at + 1..].to_vec())),
                None => (entry[2], None),
            };
            settings.push(UsersSetting {
                key: key.to_vec(),
                value,
                file: file.map(|file| PathBuf::from(OsStr::from_bytes(file))),
                is_environments: said,
            });
        }
        Self {
            machine: machine.clone(),
            settings,
        }
    }

    /// What the process was given that they hold for.
    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// All settings, in the order in which they count.
    pub(super) fn settings(&self) -> &[UsersSetting] {
        &self.settings
    }

    /// The values of a key that may be given more than once; an empty one takes those before it back.
    pub(super) fn values(&self, key: &str) -> Vec<&[u8]> {
        let mut values = Vec::new();
        for setting in &self.settings {
            if setting.key == key.as_bytes() {
                match setting.value.as_deref() {
                    Some(b"") => values.clear(),
                    Some(value) => values.push(value),
                    None => {}
                }
            }
        }
        values
    }

    /// The files that are included for this repository.
    pub(super) fn included(&self, facts: &Facts<'_>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for setting in &self.settings {
            let condition = setting.key.strip_prefix(b"includeif.");
            let condition = condition.and_then(|rest| rest.strip_suffix(b".path"));
            let (Some(condition), Some(value)) = (condition, &setting.value) else {
                continue;
            };
            let beside = setting.file.as_deref().and_then(Path::parent);
            let home = self.machine.home();
            if holds(condition, beside, home, facts)
                && let Some(file) = expanded(value, beside, home)
            {
                files.push(file);
            }
        }
        files
    }
}

/// Whether a setting, as git lists it, is one that we give to every command.
fn is_ours(listed: &[u8]) -> bool {
    let Ok(listed) = std::str::from_utf8(listed) else {
        return false;
    };
    let (key, value) = listed.split_once('\n').unwrap_or((listed, ""));
    let is = |ours: &&str| {
        ours.split_once('=')
            .is_some_and(|(name, of)| name.eq_ignore_ascii_case(key) && of == value)
    };
    SETTINGS.iter().any(is) || key == "include.path"
}

/// Whether a condition holds for a repository. Branches are git's to tell: it sees them.
fn holds(condition: &[u8], beside: Option<&Path>, home: Option<&Path>, facts: &Facts<'_>) -> bool {
    if let Some(pattern) = condition.strip_prefix(b"gitdir:") {
        return is_place(pattern, beside, home, facts.git_dir, false);
    }
    if let Some(pattern) = condition.strip_prefix(b"gitdir/i:") {
        return is_place(pattern, beside, home, facts.git_dir, true);
    }
    if let Some(pattern) = condition.strip_prefix(b"hasconfig:remote.*.url:") {
        return facts.urls.iter().any(|url| matches(pattern, url));
    }
    false
}

/// The rules of `git help config`, "Conditional includes".
fn is_place(
    pattern: &[u8],
    beside: Option<&Path>,
    home: Option<&Path>,
    git_dir: &Path,
    any_case: bool,
) -> bool {
    let mut pattern = match pattern.strip_prefix(b"./") {
        Some(rest) => match beside {
            Some(beside) => [beside.as_os_str().as_bytes(), b"/", rest].concat(),
            None => return false,
        },
        None => match expanded(pattern, None, home) {
            Some(path) => path.into_os_string().into_vec(),
            None => [b"**/", pattern].concat(),
        },
    };
    if pattern.ends_with(b"/") {
        pattern.extend_from_slice(b"**");
    }
    let real = git_dir.canonicalize();
    let places = [Some(git_dir), real.as_deref().ok()];
    places.into_iter().flatten().any(|place| {
        let mut place = place.as_os_str().as_bytes().to_vec();
        if any_case {
            place.make_ascii_lowercase();
            pattern.make_ascii_lowercase();
        }
        matches(&pattern, &place)
    })
}

/// A path as git's configuration has it: absolute, of a home directory, or beside the file that names it.
fn expanded(path: &[u8], beside: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    let plain = |path: &[u8]| PathBuf::from(OsString::from_vec(path.to_vec()));
    if path.starts_with(b"/") {
        return Some(plain(path));
    }
    if let Some(rest) = path.strip_prefix(b"~/") {
        return Some(home?.join(plain(rest)));
    }
    Some(beside?.join(plain(path)))
}

/// Git's patterns of paths: `?` and `*` do not stand for a slash, `**` between slashes for any directories.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Each position of the pattern is tried once for each of the text.
    let width = text.len() + 1;
    let mut dead = vec![false; (pattern.len() + 1) * width];
    fits(pattern, text, 0, 0, width, &mut dead)
}

fn fits(
    pattern: &[u8],
    text: &[u8],
    at: usize,
    of: usize,
    width: usize,
    dead: &mut [bool],
) -> bool {
    if dead[at * width + of] {
        return false;
    }
    let rest = &pattern[at..];
    let found = match rest.first() {
        None => of == text.len(),
        Some(b'*') if rest.starts_with(b"**") => {
            let begins = at == 0 || pattern[at - 1] == b'/';
            if begins && rest.starts_with(b"**/") {
                fits(pattern, text, at + 3, of, width, dead)
                    || (of..text.len())
                        .filter(|&slash| text[slash] == b'/')
                        .any(|slash| fits(pattern, text, at + 3, slash + 1, width, dead))
            } else if begins && rest.len() == 2 {
                true
            } else {
                fits(pattern, text, at + 1, of, width, dead)
            }
        }
        Some(b'*') => (of..=text.len())
            .take_while(|&end| end == of || text[end - 1] != b'/')
            .any(|end| fits(pattern, text, at + 1, end, width, dead)),
        Some(b'?') => {
            text.get(of).is_some_and(|&byte| byte != b'/')
                && fits(pattern, text, at + 1, of + 1, width, dead)
        }
        Some(b'[') => match class(rest, text.get(of).copied()) {
            Some(length) => fits(pattern, text, at + length, of + 1, width, dead),
            None => false,
        },
        Some(b'\\') if rest.len() > 1 => {
            text.get(of) == Some(&rest[1]) && fits(pattern, text, at + 2, of + 1, width, dead)
        }
        Some(byte) => {
            text.get(of) == Some(byte) && fits(pattern, text, at + 1, of + 1, width, dead)
        }
    };
    dead[at * width + of] = !found;
    found
}

/// The length of a class of bytes that a byte is in.
fn class(pattern: &[u8], byte: Option<u8>) -> Option<usize> {
    let byte = byte.filter(|&byte| byte != b'/')?;
    let is_not = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if is_not { 2 } else { 1 };
    let mut at = first;
    let mut is_in = false;
    loop {
        let one = *pattern.get(at)?;
        if one == b']' && at > first {
            return (is_in != is_not).then_some(at + 1);
        }
        if pattern.get(at + 1) == Some(&b'-') && pattern.get(at + 2).is_some_and(|&to| to != b']') {
            is_in |= (one..=pattern[at + 2]).contains(&byte);
            at += 3;
        } else {
            is_in |= one == byte;
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_gits() {
        for (pattern, text, fit) in [
            ("/w/**", "/w/a/.git", true),
            ("/w/**", "/work/a/.git", false),
            ("**/a/**", "/w/a/.git", true),
            ("**/a/**", "/w/ba/.git", false),
            ("**/.git", "/w/.git", true),
            ("/w/*/.git", "/w/a/.git", true),
            ("/w/*/.git", "/w/a/b/.git", false),
            ("/w/?[a-c]/x", "/w/zb/x", true),
            ("/w/?[!a-c]/x", "/w/zb/x", false),
            ("https://example.com/**", "https://example.com/a/b", true),
            (
                "***********************************b",
                &"a".repeat(60),
                false,
            ),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                fit,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_place_is_what_git_takes_for_it() {
        let holds = |condition: &str, git_dir: &str| {
            let facts = Facts {
                git_dir: Path::new(git_dir),
                urls: &[b"git@example.com:a".to_vec()],
            };
            let beside = Some(Path::new("/etc/x"));
            super::holds(
                condition.as_bytes(),
                beside,
                Some(Path::new("/home/ada")),
                &facts,
            )
        };
        assert!(holds("gitdir:/w/", "/w/a/.git"));
        assert!(holds("gitdir:a/", "/w/a/.git"));
        assert!(!holds("gitdir:/W/", "/w/a/.git") && holds("gitdir/i:/W/", "/w/a/.git"));
        assert!(holds("gitdir:~/a/", "/home/ada/a/.git"));
        assert!(holds("gitdir:./a/", "/etc/x/a/.git"));
        assert!(holds("hasconfig:remote.*.url:git@example.com:*", "/w/.git"));
        assert!(!holds("onbranch:main", "/w/.git"));
    }

    #[test]
    fn only_what_the_user_wrote_counts() {
        let listed = "global|file:/h/.gitconfig|a.b\nx|local|file:config|a.b\ny|command|command line:|a.b\nz|\
                      command|file:/h/inc|a.c|command|command line:|core.fsmonitor\nfalse|";
        let users = Users::parse(&Machine::of_process(), listed.replace('|', "\0").as_bytes());
        let keys: Vec<_> = users.settings().iter().map(|one| &one.key[..]).collect();
        assert_eq!(keys, [b"a.b", b"a.b", b"a.c"]);
        assert_eq!(users.values("a.b"), [b"x", b"z"]);
        let by_environment: Vec<bool> = users
            .settings()
            .iter()
            .map(|one| one.is_environments)
            .collect();
        assert_eq!(by_environment, [false, true, false]);
        assert_eq!(users.settings()[2].value, None);
    }
}

//! Programs of the user's own configuration that git runs: those of filters.
//!
//! Git runs them in the work tree, where whatever they name relative to it is the repository's: `./clean`,
//! `sh tools/clean`, or a module that an interpreter looks for beside itself. So they run in an empty
//! directory of ours, and one that is plainly named so does not run at all.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::command::Override;
use super::drivers::{self, PROGRAMS};
use super::settings::Settings;

/// Names the empty directory to what is put before a program. Not by its path: git replaces `%` in one
/// program and not in another.
pub(super) const NOWHERE: &str = "AMIKA_GIT_NOWHERE";

/// The settings by which the user's filters run elsewhere, or not at all.
pub(super) fn settings(settings: &Settings) -> Vec<Override> {
    let mut names: Vec<&[u8]> = settings
        .users_section("filter")
        .map(|(driver, _, _)| driver)
        .filter(|driver| !drivers::is_own(settings, driver))
        .collect();
    if drivers::has_own_lfs(settings) {
        names.push(b"lfs");
    }
    names.sort_unstable();
    names.dedup();
    let mut all = Vec::new();
    let mut set = |key: Vec<u8>, value: Vec<u8>| {
        all.push((OsString::from_vec(key), OsString::from_vec(value)));
    };
    for driver in names {
        let is_own_lfs = driver == b"lfs" && drivers::has_own_lfs(settings);
        let is_relative = !is_own_lfs && drivers::relative(settings, driver).is_some();
        for variable in PROGRAMS {
            let key = drivers::key(driver, variable);
            let program = match drivers::lfs(variable).filter(|_| is_own_lfs) {
                Some(program) => program.as_bytes(),
                None => settings.users(&key).unwrap_or_default(),
            };
            if is_relative {
                // Empty means none: git knows no way to take a setting back.
                set(key, Vec::new());
            } else if !program.is_empty() {
                let first = format!("cd \"${NOWHERE}\" || exit\n");
                set(key, [first.as_bytes(), program].concat());
            }
        }
        if is_relative {
            set(drivers::key(driver, "required"), b"false".to_vec());
        }
    }
    all
}

/// The first program of a command of the shell's that is looked for in the directory that it runs in, or
/// another word that plainly names something there; `None` where there is none.
pub(super) fn relative(command: &[u8]) -> Option<String> {
    let mut is_first = true;
    for word in words(command) {
        let Word::Text(text) = word else {
            is_first = true;
            continue;
        };
        let name = text.split(|&byte| byte == b'=').next().unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let is_assignment = name.len() < text.len() && name.iter().all(is_name);
        // What the shell replaces is not known here.
        let is_absolute = matches!(text.first(), Some(b'/' | b'~' | b'$' | b'`'));
        let is_program = is_first && !is_assignment && text.contains(&b'/') && !is_absolute;
        if is_program || text.starts_with(b"./") || text.starts_with(b"../") {
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
        let goes_on = [
            &b"exec"[..],
            b"env",
            b"command",
            b"then",
            b"do",
            b"else",
            b"!",
            b"{",
        ];
        is_first = is_first && (is_assignment || goes_on.contains(&&text[..]));
    }
    None
}

/// A part of a command.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// A word, without its quotes.
    Text(Vec<u8>),
    /// What a further program may stand behind.
    Operator,
}

/// The words of a command, as far as that can be told without running it.
fn words(command: &[u8]) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(by), byte) if by == byte => quote = None,
            (Some(b'\''), byte) => word.get_or_insert_default().push(byte),
            (_, b'\\') => word.get_or_insert_default().extend(bytes.next()),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t') => words.extend(word.take().map(Word::Text)),
            (None, b';' | b'&' | b'|' | b'(' | b')' | b'\n' | b'<' | b'>' | b'`') => {
                words.extend(word.take().map(Word::Text));
                words.push(Word::Operator);
            }
            (_, byte) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word.map(Word::Text));
    words
}

#[cfg(test)]
mod tests {
    use super::super::settings::{joined, sample};
    use super::*;

    #[test]
    fn a_program_that_the_repository_could_supply_is_told() {
        for (command, program) in [
            ("./tools/clean", "./tools/clean"),
            ("tools/clean %f", "tools/clean"),
            ("../clean", "../clean"),
            ("'./tools/a b' x", "./tools/a b"),
            ("\"tools/clean\"", "tools/clean"),
            ("tools\\/clean", "tools/clean"),
            ("LC_ALL=C tools/clean", "tools/clean"),
            ("exec env A=/x tools/clean", "tools/clean"),
            ("cat | tools/clean", "tools/clean"),
            ("cat&&tools/clean", "tools/clean"),
            ("(tools/clean)", "tools/clean"),
            ("cat\ntools/clean", "tools/clean"),
            ("sh ./clean", "./clean"),
            ("python3 ../clean.py", "../clean.py"),
            ("cat; if true; then tools/clean; fi", "tools/clean"),
            ("x=`tools/clean`", "tools/clean"),
        ] {
            assert_eq!(
                relative(command.as_bytes()).as_deref(),
                Some(program),
                "{command}"
            );
        }
        for command in [
            "",
            "cat",
            "git-lfs clean -- %f",
            "/usr/bin/clean --x ./",
            "tr a-z A-Z",
            "sed -e s/a/b/g",
            "sed 's/a/b/; s/c/d/'",
            "~/bin/clean",
            "$HOME/bin/clean",
            "\"$HOME/bin/clean\" x",
            "LC_ALL=C sed s/a/b/",
        ] {
            let expected = (command == "/usr/bin/clean --x ./").then_some("./");
            assert_eq!(
                relative(command.as_bytes()).as_deref(),
                expected,
                "{command}"
            );
        }
    }

    #[test]
    fn the_users_filters_run_elsewhere_or_not_at_all() {
        let users = "filter.up.clean\ntr a-z A-Z|filter.bad.smudge\ncat|filter.bad.clean\n./x|filter.own.clean\ncat|filter.lfs.process\ngit-lfs filter-process";
        let all = joined(sample(users, false), sample("filter.own.clean\nevil", true));
        let set: Vec<(String, String)> = settings(&all)
            .into_iter()
            .map(|(key, value)| {
                let text = |text: OsString| text.into_string().unwrap_or_default();
                (text(key), text(value))
            })
            .collect();
        let elsewhere = |program: &str| format!("cd \"$AMIKA_GIT_NOWHERE\" || exit\n{program}");
        let expected = [
            ("filter.bad.clean", String::new()),
            ("filter.bad.smudge", String::new()),
            ("filter.bad.process", String::new()),
            ("filter.bad.required", "false".to_owned()),
            ("filter.lfs.process", elsewhere("git-lfs filter-process")),
            ("filter.up.clean", elsewhere("tr a-z A-Z")),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value));
        assert_eq!(set, expected);
    }
}

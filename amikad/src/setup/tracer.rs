//! Where a bash script failed: the line, as far as bash can be made to tell it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use amika_core::contract::path;

use super::Script;
use crate::files::read_head;

/// How a bash script is made to tell where it failed: a file for `BASH_ENV`, and two that it writes.
///
/// Non-interactive bash reads `BASH_ENV` before the script. The traps set there write to files and
/// change neither variables, options, `$?` nor `$_`; the script's own traps replace them; and
/// `BASH_ENV` is put back before the script's first line, so that no other bash sees it.
#[derive(Debug)]
pub(crate) struct Tracer {
    error: PathBuf,
    exit: PathBuf,
    script: PathBuf,
}

impl Tracer {
    /// Prepares the files; none if bash does not run `script`, or nothing can be written.
    pub(crate) fn prepare(
        script: &Script,
        file: &Path,
        users_own: Option<&OsStr>,
    ) -> Option<(Self, OsString)> {
        if !script.is_bash() {
            return None;
        }
        let run = Path::new(path::RUN_DIR);
        let bash_env = run.join("setup-bash-env");
        let tracer = Self {
            error: run.join("setup-error"),
            exit: run.join("setup-exit"),
            script: file.to_owned(),
        };
        std::fs::write(&bash_env, tracer.bash_env(users_own)).ok()?;
        Some((tracer, bash_env.into()))
    }

    fn bash_env(&self, users_own: Option<&OsStr>) -> Vec<u8> {
        let (error, exit) = (self.error.display(), self.exit.display());
        let mut text = format!(
            "trap 'printf \"%s\\n%.0s\" \"$LINENO\" \"$_\" 2>/dev/null >|{error}' ERR\n\
             trap '[ $? -eq 0 ] || printf \"%s\\0\" \"${{BASH_LINENO[@]}}\" \"$BASH_COMMAND\" \
             2>/dev/null >|{exit} || :' EXIT\n"
        )
        .into_bytes();
        match users_own {
            None => text.extend(b"unset BASH_ENV\n"),
            Some(own) => {
                text.extend(b"BASH_ENV='");
                for byte in own.as_bytes() {
                    match byte {
                        b'\'' => text.extend(b"'\\''"),
                        byte => text.push(*byte),
                    }
                }
                text.extend(b"'\n[ ! -r \"$BASH_ENV\" ] || . \"$BASH_ENV\"\n");
            }
        }
        text
    }

    /// The line that failed, as far as it can be told; `tail` is the end of the output.
    pub(crate) fn failed_line(&self, tail: &[String]) -> Option<u32> {
        // The script could put anything in the place of these.
        let read = |file| read_head(file, 1 << 20);
        let source = read(&self.script).ok()?;
        let exit = read(&self.exit).unwrap_or_default();
        let error = read(&self.error).unwrap_or_default();
        let name = self.script.to_string_lossy();
        find_line(
            &String::from_utf8_lossy(&source),
            &exit,
            &String::from_utf8_lossy(&error),
            &name,
            tail,
        )
    }
}

/// Puts together what the traps wrote: `exit` holds the call stack's lines and the last command,
/// `error` the line of the last top-level command that failed.
fn find_line(source: &str, exit: &[u8], error: &str, name: &str, tail: &[String]) -> Option<u32> {
    // Bash's own words come first: after a syntax error the traps know the command before it.
    let prefix = format!("{name}: line ");
    let told = tail.iter().rev().find_map(|line| {
        let (number, what) = line.strip_prefix(&prefix)?.split_once(':')?;
        let fatal = what.contains("unbound variable") || what.contains("syntax error");
        fatal.then(|| number.parse().ok())?
    });
    if told.is_some() {
        return told;
    }
    let mut fields: Vec<_> = exit.split(|byte| *byte == 0).collect();
    fields.pop();
    let command = String::from_utf8_lossy(fields.pop().unwrap_or_default()).into_owned();
    let stack: Vec<u32> = fields
        .iter()
        .filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok())
        .collect();
    // The outermost entry is always 0; the one before it is the line of the top-level call.
    let call = stack
        .len()
        .checked_sub(2)
        .and_then(|index| stack.get(index).copied());
    let exits = command.split_whitespace().next() == Some("exit");
    if exits || call.is_some() {
        return only_line_with(source, &command).or(call);
    }
    error.trim().parse().ok()
}

/// The only line that holds `command`, if there is exactly one.
fn only_line_with(source: &str, command: &str) -> Option<u32> {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let holds = |line: &str| {
        !line.trim_start().starts_with('#')
            && line.match_indices(command).any(|(at, _)| {
                let bytes = line.as_bytes();
                let before = at.checked_sub(1).and_then(|at| bytes.get(at));
                !is_word(before) && !is_word(bytes.get(at + command.len()))
            })
    };
    if command.is_empty() {
        return None;
    }
    let mut lines = (1_u32..)
        .zip(source.lines())
        .filter(|(_, line)| holds(line));
    match (lines.next(), lines.next()) {
        (Some((number, _)), None) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failed_line_is_told_where_it_is_certain() {
        let source = "#!/bin/bash\nf() {\n  ls /x\n}\nf\nfalse\nexit 3\n# exit 3\n";
        let find = |exit: &[u8], error| find_line(source, exit, error, "s", &[]);
        assert_eq!(find(b"0\0false\0", "6\n"), Some(6), "a failing command");
        assert_eq!(
            find(b"5\x000\0ls /x\0", ""),
            Some(3),
            "one inside a function"
        );
        assert_eq!(
            find(b"5\x000\0gone\0", ""),
            Some(5),
            "else the function's call"
        );
        assert_eq!(
            find(b"0\0exit 3\0", "6\n"),
            Some(7),
            "an exit, whatever failed before"
        );
        assert_eq!(
            find(b"0\0exit 4\0", "6\n"),
            None,
            "an exit that is not found"
        );
        assert_eq!(find(b"", ""), None);
        let tail = [
            "s: line 4: nope: unbound variable".to_owned(),
            "bye".to_owned(),
        ];
        assert_eq!(find_line(source, b"0\0false\0", "6", "s", &tail), Some(4));
    }

    #[test]
    fn an_exit_that_stands_twice_is_not_guessed() {
        assert_eq!(only_line_with("exit 1\nexit 1\n", "exit 1"), None);
        assert_eq!(only_line_with("exit 11\na || exit 1\n", "exit 1"), Some(2));
    }

    #[test]
    fn bash_env_of_the_user_is_put_back() {
        let tracer = Tracer {
            error: "/e".into(),
            exit: "/x".into(),
            script: "/s".into(),
        };
        let text = String::from_utf8(tracer.bash_env(Some(OsStr::new("/it's")))).unwrap();
        assert!(text.contains("BASH_ENV='/it'\\''s'\n"), "{text}");
        assert!(
            String::from_utf8(tracer.bash_env(None))
                .unwrap()
                .ends_with("unset BASH_ENV\n")
        );
    }
}

//! What the setup script is, and why it failed.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use amika_core::contract::{NOOP_SETUP, path};
use nix::libc;
use sha2::{Digest, Sha256};

use crate::files::{open_regular, read_head};

/// What there is to know of a script before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// Its beginning, at most 4 KiB.
    head: Vec<u8>,
}

/// What stands on a `#!` line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shebang<'a> {
    /// The interpreter's path, with a carriage return if the line has one.
    pub(crate) interpreter: &'a [u8],
    /// The rest of the line.
    pub(crate) argument: &'a [u8],
}

impl Script {
    /// Looks at the script; none if there is none. A link to nowhere is one that cannot run.
    pub(crate) fn find(file: &Path) -> Option<Self> {
        file.symlink_metadata().ok()?;
        // A directory, a FIFO, or an unreadable file: exec will say so.
        let head = read_head(file, 4096).unwrap_or_default();
        Some(Self { head })
    }

    /// Whether it is the presets' no-op.
    pub(crate) fn is_noop(&self) -> bool {
        self.head == NOOP_SETUP
    }

    /// Its `#!` line.
    pub(crate) fn shebang(&self) -> Option<Shebang<'_>> {
        let line = self
            .head
            .strip_prefix(b"#!")?
            .split(|byte| *byte == b'\n')
            .next()?;
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line
            .iter()
            .position(|byte| !blank(byte))
            .unwrap_or(line.len());
        let line = &line[start..];
        let end = line.iter().position(blank).unwrap_or(line.len());
        Some(Shebang {
            interpreter: &line[..end],
            argument: line[end..].trim_ascii_start(),
        })
    }

    /// Whether bash runs it, which can tell the line that failed.
    fn is_bash(&self) -> bool {
        self.shebang().is_some_and(|shebang| {
            let name = shebang.interpreter.rsplit(|byte| *byte == b'/').next();
            match name {
                Some(b"bash") => true,
                Some(b"env") => {
                    let words = shebang.argument.split(|byte| *byte == b' ');
                    words
                        .filter(|word| *word != b"-S")
                        .any(|word| word.ends_with(b"bash"))
                }
                _ => false,
            }
        })
    }

    fn has_windows_line_ends(&self) -> bool {
        self.head
            .split(|byte| *byte == b'\n')
            .next()
            .is_some_and(|line| line.ends_with(b"\r"))
    }

    /// Exit code and sentence for a script that exec refused.
    pub(crate) fn explain_refusal(&self, file: &Path, source: &io::Error) -> (i32, String) {
        let name = file.display();
        match source.raw_os_error() {
            Some(libc::ENOENT) => (127, self.explain_missing(file)),
            Some(libc::ENOEXEC) => (
                126,
                format!("`{name}` has no `#!` line; begin it with `#!/bin/bash` or another"),
            ),
            Some(libc::EACCES) => (126, self.explain_denied(file)),
            _ => (126, format!("`{name}` cannot be executed: {source}")),
        }
    }

    fn explain_missing(&self, file: &Path) -> String {
        let name = file.display();
        let Some(shebang) = self.shebang().filter(|_| file.exists()) else {
            return match std::fs::read_link(file) {
                Ok(target) => {
                    format!(
                        "`{name}` is a link to `{}`, which does not exist",
                        target.display()
                    )
                }
                Err(_) => format!("`{name}` cannot be run: its loader is missing"),
            };
        };
        if self.has_windows_line_ends() {
            return windows_line_ends(file);
        }
        let interpreter = OsStr::from_bytes(shebang.interpreter).display();
        format!("`{name}` needs the interpreter `{interpreter}`, which is not in this image")
    }

    fn explain_denied(&self, file: &Path) -> String {
        let name = file.display();
        match file.metadata() {
            Ok(data) if data.is_dir() => format!("`{name}` is a directory, not a script"),
            Ok(data) if !data.is_file() => format!("`{name}` is no regular file"),
            Ok(data) if data.permissions().mode() & 0o111 == 0 => {
                format!("`{name}` is not executable; run `chmod +x` on it")
            }
            _ => match self.shebang() {
                Some(shebang) => {
                    let interpreter = OsStr::from_bytes(shebang.interpreter).display();
                    format!("`{name}` or its interpreter `{interpreter}` may not be executed here")
                }
                None => format!("`{name}` may not be executed here (no permission, or noexec)"),
            },
        }
    }

    /// What a person should know of a script that ran and failed with `code`, beyond its output.
    pub(crate) fn hint(&self, file: &Path, code: i32) -> Option<String> {
        // `#!/usr/bin/env bash\r` starts env, which then finds no `bash\r`.
        (matches!(code, 126 | 127) && self.has_windows_line_ends()).then(|| windows_line_ends(file))
    }
}

fn windows_line_ends(file: &Path) -> String {
    let name = file.display();
    format!("`{name}` has Windows line ends (CRLF); convert it with `sed -i 's/\\r$//'`")
}

/// SHA-256 of a file, as hexadecimal digits.
pub(crate) fn hash(file: &Path) -> io::Result<String> {
    let mut file = open_regular(file)?;
    let mut hasher = Sha256::new();
    let mut buffer = [0_u8; 8192];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crate::secrets::hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

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

    fn script(text: &str) -> Script {
        Script {
            head: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn shebangs_are_read_as_the_kernel_reads_them() {
        let of = |text| {
            let script = script(text);
            let shebang = script.shebang()?;
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            Some((text(shebang.interpreter), text(shebang.argument)))
        };
        assert_eq!(of("#!/bin/sh\n"), Some(("/bin/sh".into(), String::new())));
        assert_eq!(
            of("#! /usr/bin/env -S bash -e\nx"),
            Some(("/usr/bin/env".into(), "-S bash -e".into()))
        );
        assert_eq!(
            of("#!/bin/bash\r\n"),
            Some(("/bin/bash\r".into(), String::new()))
        );
        assert_eq!(of("echo"), None);
        assert!(script("#!/usr/bin/env bash\n").is_bash());
        assert!(script("#!/bin/bash -e\n").is_bash());
        assert!(!script("#!/bin/sh\n").is_bash());
    }

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

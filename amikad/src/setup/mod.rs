//! What the setup script is, and why it failed.

mod once;
mod tracer;

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use amika_core::contract::NOOP_SETUP;
use nix::libc;
use sha2::{Digest, Sha256};

pub(crate) use once::Once;
pub(crate) use tracer::Tracer;

use crate::files::{open_regular, read_head};

/// What there is to know of a script before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// Its beginning, at most 4 KiB.
    head: Vec<u8>,
}

/// Where the script is, to be run from there: a repository's own is reached by a link, and finds its neighbours
/// by `$(dirname "$0")` only when `$0` is its place in the repository.
pub(crate) fn real_path(file: &Path) -> PathBuf {
    let is_link = file
        .symlink_metadata()
        .is_ok_and(|data| data.file_type().is_symlink());
    match file.canonicalize() {
        Ok(real) if is_link => real,
        // A link to nowhere is told of by its own name.
        _ => file.to_owned(),
    }
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
    /// Looks at the script; none if there is none. A link to nowhere is one that cannot run, and so is what cannot
    /// be looked at: the gate opens only where it is known that nothing stands in it.
    pub(crate) fn find(file: &Path) -> Option<Self> {
        if let Err(error) = file.symlink_metadata()
            && matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
        {
            return None;
        }
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
            Some(libc::EPERM) => crate::spawn::explain_exec(
                file.as_os_str(),
                std::slice::from_ref(&file.to_owned()),
                source,
            ),
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

/// SHA-256 of the first `limit` bytes of a file, as hexadecimal digits.
fn hash_head(file: &Path, limit: u64) -> io::Result<String> {
    let mut file = open_regular(file)?.take(limit);
    let mut hasher = Sha256::new();
    let mut buffer = [0_u8; 8192];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(amika_core::hex::hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
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
}

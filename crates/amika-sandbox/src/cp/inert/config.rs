//! The configuration of a git directory, read as text and written anew with nothing in it that git acts on.
//!
//! What is kept is a list, not what is left of one: the layout of the repository, and where its remotes are.

use std::fmt::Write as _;

use amika_core::label::RepositorySource;

/// The largest configuration that is read, in bytes; nobody writes so much by hand.
pub(super) const MAX_BYTES: u64 = 1 << 20;
/// Settings that are taken over, at most.
const MAX_SETTINGS: usize = 10_000;
/// Bytes of a value that is taken over.
const MAX_VALUE: usize = 2048;

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The section, in lower case.
    pub section: String,
    /// The part of the section's name in quotes, as it is written.
    pub subsection: Option<Vec<u8>>,
    /// The variable, in lower case.
    pub key: String,
    /// Its value; none where it stands alone, which means yes.
    pub value: Option<Vec<u8>>,
}

impl Setting {
    /// The value as text, if it is one line of it that steers nothing.
    fn text(&self) -> Option<&str> {
        plain(self.value.as_deref()?)
    }

    fn flag(&self) -> Option<bool> {
        let Some(value) = &self.value else {
            return Some(true);
        };
        match value.to_ascii_lowercase().as_slice() {
            b"true" | b"yes" | b"on" | b"1" => Some(true),
            b"false" | b"no" | b"off" | b"0" | b"" => Some(false),
            _ => None,
        }
    }
}

fn plain(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let is_plain = !text.is_empty() && text.len() <= MAX_VALUE && !text.contains(char::is_control);
    is_plain.then_some(text)
}

/// Reads a configuration as git does; nothing where git would refuse it. Includes are not followed.
pub(super) fn parse(text: &[u8]) -> Option<Vec<Setting>> {
    let mut from = Text(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
    let mut settings = Vec::new();
    let mut section: Option<(String, Option<Vec<u8>>)> = None;
    while let Some(byte) = from.next() {
        match byte {
            b'#' | b';' => from.skip_line(),
            b'[' => section = Some(header(&mut from)?),
            byte if byte.is_ascii_whitespace() => {}
            byte if byte.is_ascii_alphabetic() => {
                let (name, subsection) = section.clone()?;
                let (key, value) = variable(byte, &mut from)?;
                settings.push(Setting {
                    section: name,
                    subsection,
                    key,
                    value,
                });
            }
            _ => return None,
        }
    }
    Some(settings)
}

/// What is still to be read.
struct Text<'t>(&'t [u8]);

impl Text<'_> {
    /// The next byte; the two of a line end of DOS are one.
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        if *first == b'\r' && rest.first() == Some(&b'\n') {
            self.0 = &rest[1..];
            return Some(b'\n');
        }
        Some(*first)
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|byte| byte != b'\n') {}
    }
}

/// Behind a `[`.
fn header(from: &mut Text<'_>) -> Option<(String, Option<Vec<u8>>)> {
    let mut name = String::new();
    loop {
        match from.next()? {
            b']' => break,
            b' ' | b'\t' => {
                let mut byte = from.next()?;
                while matches!(byte, b' ' | b'\t') {
                    byte = from.next()?;
                }
                let quoted = (byte == b'"').then(|| quoted(from)).flatten()?;
                return Some((name, Some(quoted)));
            }
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') => {
                name.push(char::from(byte.to_ascii_lowercase()));
            }
            _ => return None,
        }
    }
    // The old way to write a subsection, which is in lower case then.
    Some(match name.split_once('.') {
        Some((section, rest)) => (section.to_owned(), Some(rest.as_bytes().to_vec())),
        None => (name, None),
    })
}

/// Behind the first quote of a subsection, to the bracket.
fn quoted(from: &mut Text<'_>) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        match from.next()? {
            b'"' => break,
            b'\n' => return None,
            b'\\' => text.push(from.next().filter(|byte| *byte != b'\n')?),
            byte => text.push(byte),
        }
    }
    (from.next()? == b']').then_some(text)
}

/// A variable that begins with this letter.
fn variable(first: u8, from: &mut Text<'_>) -> Option<(String, Option<Vec<u8>>)> {
    let mut key = String::from(char::from(first.to_ascii_lowercase()));
    let mut byte = from.next();
    while let Some(letter) = byte.filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
        key.push(char::from(letter.to_ascii_lowercase()));
        byte = from.next();
    }
    while matches!(byte, Some(b' ' | b'\t')) {
        byte = from.next();
    }
    match byte {
        None | Some(b'\n') => Some((key, None)),
        Some(b'=') => Some((key, Some(value(from)?))),
        Some(_) => None,
    }
}

fn value(from: &mut Text<'_>) -> Option<Vec<u8>> {
    let (mut text, mut blanks) = (Vec::new(), Vec::new());
    let mut in_quotes = false;
    loop {
        match from.next() {
            None | Some(b'\n') => return (!in_quotes).then_some(text),
            Some(b'#' | b';') if !in_quotes => {
                from.skip_line();
                return Some(text);
            }
            Some(blank @ (b' ' | b'\t')) if !in_quotes => {
                if !text.is_empty() {
                    blanks.push(blank);
                }
            }
            Some(byte) => {
                text.append(&mut blanks);
                match byte {
                    b'"' => in_quotes = !in_quotes,
                    b'\\' => match from.next()? {
                        b'\n' => {}
                        b't' => text.push(b'\t'),
                        b'b' => text.push(8),
                        b'n' => text.push(b'\n'),
                        kept @ (b'\\' | b'"') => text.push(kept),
                        _ => return None,
                    },
                    byte => text.push(byte),
                }
            }
        }
    }
}

/// The configuration that stands in the place of this one. What git would refuse is one of a plain
/// repository.
pub(super) fn cleaned(text: &[u8]) -> String {
    let settings = parse(text).unwrap_or_default();
    let mut core = vec![String::new(); 5];
    let (mut extensions, mut remotes, mut branches) = (Vec::new(), Vec::new(), Vec::new());
    for setting in settings.iter().take(MAX_SETTINGS) {
        let key = setting.key.as_str();
        match (setting.section.as_str(), &setting.subsection) {
            ("core", None) => {
                let names = ["bare", "fileMode", "ignoreCase", "symlinks"];
                let known = names.iter().position(|name| name.eq_ignore_ascii_case(key));
                if let (Some(at), Some(flag)) = (known, setting.flag()) {
                    core[at] = format!("\t{} = {flag}\n", names[at]);
                }
                if key == "repositoryformatversion" && setting.text() == Some("1") {
                    "1".clone_into(&mut core[4]);
                }
            }
            ("extensions", None) => {
                let line = match (key, setting.text()) {
                    ("objectformat", Some(format @ ("sha1" | "sha256"))) => {
                        format!("\tobjectFormat = {format}\n")
                    }
                    ("refstorage", Some(storage @ ("files" | "reftable"))) => {
                        format!("\trefStorage = {storage}\n")
                    }
                    _ => continue,
                };
                extensions.push(line);
            }
            ("remote", Some(name)) => {
                let kept = match (key, setting.text()) {
                    ("url", Some(url)) => address(url),
                    ("fetch", Some(spec)) if is_refspec(spec) => Some(spec.to_owned()),
                    _ => None,
                };
                if let (Some(name), Some(value)) = (plain_name(name), kept) {
                    remotes.push(("remote", name.to_owned(), setting.key.clone(), value));
                }
            }
            ("branch", Some(name)) => {
                let kept = match (key, setting.text()) {
                    ("remote", Some(remote)) => plain_name(remote.as_bytes()).map(str::to_owned),
                    ("merge", Some(name)) if is_full_ref(name) => Some(name.to_owned()),
                    _ => None,
                };
                if let (Some(name), Some(value)) = (plain_name(name), kept) {
                    branches.push(("branch", name.to_owned(), setting.key.clone(), value));
                }
            }
            _ => {}
        }
    }
    // A branch's remote may be an address too: only the name of one that is kept stays.
    branches.retain(|(_, _, key, value)| {
        key != "remote" || value == "." || remotes.iter().any(|(_, name, ..)| name == value)
    });
    let version = if core[4].is_empty() && extensions.is_empty() {
        "0"
    } else {
        "1"
    };
    let mut written = format!("[core]\n\trepositoryformatversion = {version}\n");
    written.extend(core[..4].iter().map(String::as_str));
    if !extensions.is_empty() {
        written.push_str("[extensions]\n");
        written.extend(extensions);
    }
    let mut last = None;
    for (section, name, key, value) in remotes.iter().chain(&branches) {
        if last != Some((section, name)) {
            let _ = writeln!(written, "[{section} \"{}\"]", escaped(name));
            last = Some((section, name));
        }
        let _ = writeln!(written, "\t{key} = \"{}\"", escaped(value));
    }
    written
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A name of a remote or branch that is nothing else: no address, no option, no path.
fn plain_name(name: &[u8]) -> Option<&str> {
    let name = plain(name)?;
    let is_name = name == "."
        || name.len() <= 250
            && !name.starts_with(['-', '/', '.'])
            && !name.contains("..")
            && !name.contains([':', '\\', '"', ' ', '~', '^', '?', '*', '[']);
    is_name.then_some(name)
}

fn is_full_ref(name: &str) -> bool {
    name.strip_prefix("refs/")
        .is_some_and(|rest| plain_name(rest.as_bytes()).is_some())
}

/// Whether it is a pair of refs, each with one `*` at most.
fn is_refspec(spec: &str) -> bool {
    let spec = spec.strip_prefix('+').unwrap_or(spec);
    let is_side =
        |side: &str| side.matches('*').count() <= 1 && is_full_ref(&side.replacen('*', "x", 1));
    match spec.split_once(':') {
        Some((from, to)) => is_side(from) && is_side(to),
        None => is_side(spec),
    }
}

/// An address over the network, without what signs in; a helper's name, an option and a path of the sandbox
/// are none.
pub(super) fn address(url: &str) -> Option<String> {
    let has_blank = url.contains(|found: char| found.is_control() || found.is_whitespace());
    if has_blank || url.starts_with('-') || url.contains("::") || url.contains("--upload-pack") {
        return None;
    }
    let is_host = |host: &str| {
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        !host.is_empty() && !host.starts_with('-') && !host.contains('\\')
    };
    let known = match url.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split('/').next().unwrap_or_default();
            let scheme = scheme.to_ascii_lowercase();
            ["https", "http", "ssh", "git"].contains(&scheme.as_str())
                && is_host(authority)
                && !authority.starts_with('-')
        }
        // `git@host:path`, where no slash comes before the colon.
        None => url.split_once(':').is_some_and(|(host, path)| {
            !host.contains('/') && is_host(host) && !path.is_empty() && !path.starts_with('-')
        }),
    };
    known.then(|| RepositorySource::from(url).as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_the_repository_stays() {
        let text = b"[core]\n\trepositoryformatversion = 1\n\tfilemode = true\n\tbare\n\tignorecase = no\n\
            [extensions]\n\tobjectFormat = sha256\n\trefStorage = files\n\
            [remote \"origin\"]\n\turl = https://t0ken@example.com/a.git\n\
            \tfetch = +refs/heads/*:refs/remotes/origin/*\n\
            [remote \"up\"]\n\turl = git@example.com:a/b.git\n\
            [branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n";
        assert_eq!(
            cleaned(text),
            "[core]\n\trepositoryformatversion = 1\n\tbare = true\n\tfileMode = true\n\tignoreCase = false\n\
             [extensions]\n\tobjectFormat = sha256\n\trefStorage = files\n\
             [remote \"origin\"]\n\turl = \"https://example.com/a.git\"\n\
             \tfetch = \"+refs/heads/*:refs/remotes/origin/*\"\n\
             [remote \"up\"]\n\turl = \"git@example.com:a/b.git\"\n\
             [branch \"main\"]\n\tremote = \"origin\"\n\tmerge = \"refs/heads/main\"\n"
        );
        // Written anew it is the same again.
        let once = cleaned(text);
        assert_eq!(cleaned(once.as_bytes()), once);
    }

    #[test]
    fn nothing_that_git_acts_on_stays() {
        for line in [
            "[core]\nfsmonitor = evil",
            "[core]\nhooksPath = evil",
            "[core]\nsshCommand = evil",
            "[core] pager = evil",
            "[CORE]\nFSMonitor = evil",
            "[core]\nworktree = /evil",
            "[core]\nfsm\\\nonitor = evil",
            "[core]\nbare = true ; x\n\tfsmonitor = \"evil\"",
            "[core]\nrepositoryformatversion = \"0\\n\\tfsmonitor=evil\"",
            "[include]\npath = evil",
            "[includeIf \"gitdir:/\"]\npath = evil",
            "[filter \"evil\"]\nclean = evil",
            "[alias]\nst = !evil",
            "[diff \"x\"]\ntextconv = evil",
            "[remote \"o\"]\nuploadpack = evil",
            "[remote \"o\"]\nproxy = evil",
            "[remote \"o\"]\nvcs = evil",
            "[remote \"o\"]\nurl = ext::sh -c evil",
            "[remote \"o\"]\nurl = evil::x",
            "[remote \"o\"]\nurl = --upload-pack=evil",
            "[remote \"o\"]\nurl = -evil",
            "[remote \"o\"]\nurl = ssh://-oProxyCommand=evil/x",
            "[remote \"o\"]\nurl = -oProxyCommand=evil:x",
            "[remote \"o\"]\nurl = git@-evil:x",
            "[remote \"o\"]\nurl = host:-evil",
            "[remote \"o\"]\nurl = /evil",
            "[remote \"o\"]\nurl = ../evil",
            "[remote \"o\"]\nurl = file:///evil",
            "[remote \"o\"]\nurl = \"https://example.com/a\\n[core]\\nfsmonitor=evil\"",
            "[remote \"o\"]\nfetch = evil",
            "[remote \"-evil\"]\nurl = https://example.com/",
            "[remote \"../evil\"]\nurl = https://example.com/",
            "[remote \"a\\\"]\nevil\"]\nurl = https://example.com/",
            "[remote.o]\nurl = ext::evil",
            "[branch \"main\"]\nremote = ext::evil",
            "[branch \"main\"]\nremote = evil",
            "[branch \"main\"]\nrebase = evil",
            "[url \"ext::evil\"]\ninsteadOf = https://",
            "[extensions]\nworktreeConfig = evil",
            "[extensions]\npartialClone = evil",
            "[extensions]\nobjectFormat = evil",
            "[credential]\nhelper = !evil",
            "[user]\nname = evil",
            "[gpg]\nprogram = evil",
            "[submodule \"a\"]\nupdate = !evil",
            "fsmonitor = evil",
            "[core\nfsmonitor = evil",
        ] {
            let cleaned = cleaned(line.as_bytes());
            assert!(!cleaned.contains("evil"), "{line}: {cleaned}");
            assert!(cleaned.starts_with("[core]\n\trepositoryformatversion = "));
            let settings = parse(cleaned.as_bytes()).expect("what is written can be read");
            assert!(settings.iter().all(|one| one.key != "fsmonitor"), "{line}");
        }
    }

    #[test]
    fn values_are_read_as_git_reads_them() {
        let value = |text: &str| {
            let text = format!("[a \"B.c\"]\n\tKey{text}\n");
            parse(text.as_bytes()).map(|settings| settings[0].clone())
        };
        for (text, expected) in [
            (" = a b  ; c", Some(Some("a b"))),
            ("= \" a \" # c", Some(Some(" a "))),
            (" = a\\\nb", Some(Some("ab"))),
            (" = a\\tb\\\"", Some(Some("a\tb\""))),
            (" =", Some(Some(""))),
            ("", Some(None)),
            (" = \"a", None),
            (" = a\\x", None),
            (" a", None),
        ] {
            let found = value(text);
            let expected = expected.map(|value| Setting {
                section: "a".into(),
                subsection: Some(b"B.c".to_vec()),
                key: "key".into(),
                value: value.map(|value| value.as_bytes().to_vec()),
            });
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(parse(b"[a.B]\r\nx=1\r\n").map(|found| found.len()), Some(1));
    }
}

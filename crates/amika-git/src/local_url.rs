//! URLs that lead to a repository of this machine. Git's own transport would run a git in that repository, which
//! acts on its configuration and follows what it borrows; so such a URL is read by us, as a path is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

const SCHEME: &str = "file://";

/// The path that git would read for a URL, or for what `insteadOf` made of one; `None` where it would ask
/// another machine, or a program that speaks to one.
///
/// The rules are git's: `%41` is resolved, `file://host/a` is the path `//host/a`, and what has no colon
/// before its first slash is a path as it is.
pub(super) fn path(url: &str) -> Option<PathBuf> {
    if let Some(rest) = url.strip_prefix(SCHEME) {
        let mut path = decoded(rest.as_bytes());
        if !path.starts_with(b"/") {
            path.splice(..0, *b"//");
        }
        return Some(PathBuf::from(OsString::from_vec(path)));
    }
    let is_remote = match (url.find(':'), url.find('/')) {
        (Some(colon), Some(slash)) => colon < slash,
        (colon, _) => colon.is_some(),
    };
    (!is_remote).then(|| PathBuf::from(url))
}

/// The bytes with `%41` resolved; what is no such number stays, and so does a zero.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digit = |at: usize| {
            let digit = after.get(at).map(|&digit| char::from(digit).to_digit(16));
            digit.flatten().and_then(|digit| u8::try_from(digit).ok())
        };
        let value = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) if (high, low) != (0, 0) => Some(high << 4 | low),
            _ => None,
        };
        bytes.push(value.unwrap_or(*first));
        rest = value.map_or(after, |_| &after[2..]);
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn what_git_reads_on_this_machine_is_a_path() {
        for (url, expected) in [
            ("file:///srv/a", &b"/srv/a"[..]),
            ("file:///srv/a%20b%2fc", b"/srv/a b/c"),
            ("file:///srv/%e4%C3", b"/srv/\xe4\xc3"),
            ("file:///srv/100%/%zz%4", b"/srv/100%/%zz%4"),
            ("file:///srv/%00%+1", b"/srv/%00%+1"),
            ("file://localhost/srv/a", b"//localhost/srv/a"),
            ("file://srv", b"//srv"),
            ("/srv/mirror/a.git", b"/srv/mirror/a.git"),
            ("mirror/a:b", b"mirror/a:b"),
            ("/srv/%41", b"/srv/%41"),
        ] {
            let found = path(url).unwrap();
            assert_eq!(found.as_os_str().as_bytes(), expected, "{url}");
        }
    }

    #[test]
    fn what_it_asks_others_for_is_none() {
        for url in [
            "https://example.com/a",
            "ssh://example.com/a",
            "git@example.com:a/b",
            "host:/srv/a",
            "ext::git-upload-pack /srv/a",
            "FILE:///srv/a",
            "http::file:///srv/a",
        ] {
            assert_eq!(path(url), None, "{url}");
        }
    }
}

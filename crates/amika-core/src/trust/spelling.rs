//! The one spelling of a repository, by which it is known again.

use std::fmt::Write as _;

/// The one spelling of a URL. What certainly names the same repository of the same server is one: the case of
/// scheme and host, the scheme's own port, `.git` and slashes at the end, and whom HTTPS signs in as. What may be
/// another repository, or another who answers, is another: each scheme (`http:` and `git:` prove no server),
/// the user of SSH and whether its path begins at his home, other ports, a dot behind the host.
///
/// HTTPS is written without its scheme: `host/o/r`. A remote helper's (`helper::…`) keeps its beginning.
pub fn canonical_url(url: &str) -> String {
    if let Some((helper, rest)) = url.split_once("::")
        && !rest.is_empty()
        && !helper.is_empty()
        && helper
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-')
    {
        // What a helper makes of anything but a URL is its own.
        let rest = if rest.contains("://") {
            canonical_url(rest)
        } else {
            without_blanks(rest)
        };
        return format!("{helper}::{rest}");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return without_blanks(&canonical_scp(url));
    };
    let scheme = match &*scheme.to_ascii_lowercase() {
        "git+ssh" | "ssh+git" => "ssh".to_owned(),
        scheme => scheme.to_owned(),
    };
    if scheme == "file" {
        // `r` and `r.git` may lie beside each other.
        return without_blanks(&format!("file://{}", rest.trim_end_matches('/')));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = bare_path(path.strip_prefix('/').unwrap_or(path));
    let authority = canonical_authority(&scheme, authority);
    without_blanks(&match &*scheme {
        "https" => format!("{authority}/{path}"),
        scheme => format!("{scheme}://{authority}/{path}"),
    })
}

/// As scp has it: `[user@]host:path`, where a path without a slash before it begins at the user's home.
fn canonical_scp(text: &str) -> String {
    // A host in brackets has colons of its own.
    let inside = text.find(']').unwrap_or(0);
    let Some(at) = text[inside..].find(':') else {
        return bare_path(text);
    };
    let (authority, path) = (&text[..inside + at], &text[inside + at + 1..]);
    let authority = canonical_authority("ssh", authority);
    let path = match path.strip_prefix('/') {
        Some(absolute) => bare_path(absolute),
        None if path.starts_with('~') => bare_path(path),
        None => format!("~/{}", bare_path(path)),
    };
    format!("ssh://{authority}/{path}")
}

/// User and host without what does not matter, and without a password.
fn canonical_authority(scheme: &str, authority: &str) -> String {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let host = host.to_ascii_lowercase();
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        "ssh" => ":22",
        "git" => ":9418",
        _ => ":",
    };
    let host = host
        .strip_suffix(own_port)
        .or_else(|| host.strip_suffix(':'))
        .unwrap_or(&host);
    match user {
        // The server is the same whoever asks, and hosts take a token as the user.
        Some(_) if matches!(scheme, "https" | "http") => host.to_owned(),
        // A user with a password is not the user without.
        Some(user) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:@{host}"),
            None => format!("{user}@{host}"),
        },
        None => host.to_owned(),
    }
}

/// A path without what may stand behind a repository's name.
fn bare_path(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix("/.git").unwrap_or(path);
    let path = path.trim_end_matches('/');
    path.strip_suffix(".git")
        .filter(|stem| !stem.is_empty() && !stem.ends_with('/'))
        .unwrap_or(path)
        .to_owned()
}

/// A text in which blanks and control characters are written as in a URL.
pub(super) fn without_blanks(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a string does not fail.
                let _ = write!(clean, "%{byte:02X}");
            }
        } else {
            clean.push(c);
        }
    }
    clean
}

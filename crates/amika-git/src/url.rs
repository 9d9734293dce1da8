//! What is a URL, what is the repository's name in it, and what of it is secret.

/// Whether a `--git` value is a URL; everything else is a path on this machine.
///
/// As git does, `host:path` is a URL only when no slash comes before the colon.
pub(super) fn is_url(spec: &str) -> bool {
    if let Some((scheme, _)) = spec.split_once("://") {
        return !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+.-:".contains(c));
    }
    match spec.split_once(':') {
        Some((host, path)) => !host.is_empty() && !host.contains('/') && !path.is_empty(),
        None => false,
    }
}

/// The last part of a URL or path, as `git clone` would name the directory.
pub(super) fn repository_name(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let mut path = path.trim_end_matches('/');
    path = path
        .strip_suffix("/.git")
        .unwrap_or(path)
        .trim_end_matches('/');
    let mut parts = path.rsplit(['/', ':']);
    let last = parts.next().unwrap_or(path);
    let named = |part: &&str| !is_hidden_part(part) && !part.is_empty();
    let last = if is_hidden_part(last) {
        parts.find(named).unwrap_or(last.trim_start_matches('.'))
    } else {
        last
    };
    let name = without_dot_git(last);
    // Only the host is left of `https://example.com/`: its name does as well.
    let name = name.rsplit('@').next().unwrap_or(name);
    directory_name(name)
}

/// Whether a directory is the hidden part of a project that has its repository: its name says no more.
pub(super) fn is_hidden_part(name: &str) -> bool {
    matches!(name, ".git" | ".bare" | ".repo" | ".bare.git" | ".repo.git")
}

/// A bare repository's name without the `.git` that it ends with.
pub(super) fn without_dot_git(name: &str) -> &str {
    match name.strip_suffix(".git") {
        Some(stem) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// A name that can be a directory beside others, or `repository`.
pub(super) fn directory_name(name: &str) -> String {
    match name {
        "" | "." | ".." => "repository".to_owned(),
        name => name.replace(['/', '\0', '\n', '\r'], "-"),
    }
}

/// A remote's URL without user, password and token.
///
/// For HTTP all of the user part goes: hosts take a token as the user. For SSH the user is part of the
/// address, and only a password goes. What cannot be read as a URL is left as it is.
pub(super) fn without_secrets(url: &str) -> String {
    // `helper::rest`, as in `codecommit::https://…`.
    if let Some((helper, rest)) = url.split_once("::")
        && !helper.is_empty()
        && helper
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !helper.contains('/')
        && !rest.is_empty()
    {
        return format!("{helper}::{}", without_secrets(rest));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    if scheme.eq_ignore_ascii_case("file") {
        return url.to_owned();
    }
    let ssh = scheme.to_ascii_lowercase().contains("ssh") || scheme.eq_ignore_ascii_case("git");
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // A password may hold an unescaped `@`, and, wrongly, a slash: curl and git split at the last `@`
    // before the path.
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) if ssh => match user.split_once(':') {
            Some((user, _)) => format!("{user}@{host}"),
            None => authority.to_owned(),
        },
        Some((_, host)) => host.to_owned(),
        None => authority.to_owned(),
    };
    let path = if ssh {
        path
    } else {
        &path[..path.find(['?', '#']).unwrap_or(path.len())]
    };
    format!("{scheme}://{authority}{path}")
}

/// Scheme, host and port of an HTTP URL, in one spelling; `None` of any other, and where it could be read in two
/// ways.
pub(super) fn server(url: &str) -> Option<(String, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let usual = match &*scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next()?;
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (host, usual),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let is_clear = !host.is_empty() && host.chars().all(is_plain) && authority.is_ascii();
    let is_clear =
        is_clear && !authority.contains(|c: char| c == '\\' || c.is_control() || c == ' ');
    is_clear.then(|| (scheme, host.to_ascii_lowercase(), port))
}

/// A text with the secret of a URL taken out, wherever it stands in it.
pub(super) fn redact(text: &str, url: &str) -> String {
    let clean = without_secrets(url);
    let mut text = text.replace(url, &clean);
    if let Some((_, rest)) = url.split_once("://")
        && let Some((user, _)) = rest
            .split('/')
            .next()
            .and_then(|authority| authority.rsplit_once('@'))
    {
        for secret in [
            Some(user),
            user.split_once(':').map(|(_, password)| password),
        ]
        .into_iter()
        .flatten()
        .filter(|secret| secret.len() > 3)
        {
            text = text.replace(secret, "***");
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_paths() {
        for url in [
            "https://example.com/a.git",
            "ssh://git@example.com:22/a",
            "git@example.com:me/a.git",
            "host:a",
            "file:///srv/a",
            "codecommit::https://example.com/a",
        ] {
            assert!(is_url(url), "{url}");
        }
        for path in ["./src", "src", "/srv/a", "./a:b", "a/b:c", "..", "a:", ":a"] {
            assert!(!is_url(path), "{path}");
        }
    }

    #[test]
    fn the_name_is_the_last_part() {
        for (url, name) in [
            ("https://example.com/me/Hello-World.git", "Hello-World"),
            ("https://example.com/me/Hello-World/", "Hello-World"),
            ("git@example.com:me/a.git", "a"),
            ("host:a", "a"),
            ("file:///srv/a/.git", "a"),
            ("file:///srv/a/.bare", "a"),
            ("file:///srv/a/.bare/.git", "a"),
            ("host:a/.bare.git/", "a"),
            ("https://example.com/me/.github", ".github"),
            ("https://example.com/me/.dotfiles.git", ".dotfiles"),
            ("https://u:p@example.com/", "example.com"),
            ("https://example.com/a.git?token=x", "a"),
            ("https://example.com/..", "repository"),
        ] {
            assert_eq!(repository_name(url), name, "{url}");
        }
    }

    #[test]
    fn secrets_go_and_addresses_stay() {
        for (url, clean) in [
            (
                "https://me:tok@example.com/a.git",
                "https://example.com/a.git",
            ),
            ("https://tok@example.com/a.git", "https://example.com/a.git"),
            (
                "https://me:p@ss@example.com:8443/a",
                "https://example.com:8443/a",
            ),
            (
                "https://example.com/a.git?private_token=x",
                "https://example.com/a.git",
            ),
            ("ssh://git:pw@example.com/a", "ssh://git@example.com/a"),
            ("ssh://git@example.com/a", "ssh://git@example.com/a"),
            ("git+ssh://git@example.com/a", "git+ssh://git@example.com/a"),
            ("git@example.com:me/a.git", "git@example.com:me/a.git"),
            ("/srv/a", "/srv/a"),
            ("../a", "../a"),
            ("file:///srv/a@b", "file:///srv/a@b"),
            (
                "codecommit::https://me:tok@example.com/a",
                "codecommit::https://example.com/a",
            ),
        ] {
            assert_eq!(without_secrets(url), clean, "{url}");
        }
    }

    #[test]
    fn messages_do_not_repeat_a_secret() {
        let url = "https://me:s3cret@example.com/a";
        let said = "fatal: Authentication failed for 'https://me:s3cret@example.com/a/' (s3cret)";
        let shown = redact(said, url);
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

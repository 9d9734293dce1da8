//! One name for all the ways to write a repository's URL.

/// The most characters that a URL may have.
pub const MOST: usize = 2048;

/// What is no URL of a repository.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no URL of a repository", .text.escape_debug())]
pub struct NoRepository {
    /// What was given, cut.
    pub text: String,
}

/// `host/path` of a URL: scheme, user, `.git`, case of the host, a default port and a slash at the end do not
/// matter. `git@host:o/r.git`, `ssh://git@host/o/r` and `https://host/o/r/` are one.
///
/// # Errors
/// For what has no host or no path, for a file's URL, and for characters that no URL has.
pub fn canonical(text: &str) -> Result<String, NoRepository> {
    read(text).ok_or_else(|| NoRepository {
        text: text.chars().take(200).collect(),
    })
}

fn read(text: &str) -> Option<String> {
    let bad = |found: char| found.is_control() || found.is_whitespace() || found == '\\';
    if text.len() > MOST || text.contains(bad) {
        return None;
    }
    let (authority, path, default_port) = if let Some((scheme, rest)) = text.split_once("://") {
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => "80",
            "https" => "443",
            "ssh" | "git+ssh" => "22",
            _ => return None,
        };
        let (authority, path) = rest.split_once('/')?;
        (authority, path, default_port)
    } else {
        // scp's way: the colon ends the host. A path of this machine has a slash before any.
        let (authority, path) = text.split_once(':')?;
        if authority.contains('/') {
            return None;
        }
        (authority, path, "22")
    };
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = host.to_ascii_lowercase();
    let host = host
        .strip_suffix(&format!(":{default_port}"))
        .unwrap_or(&host);
    let path = path.split(['?', '#']).next()?.trim_matches('/');
    let path = path
        .strip_suffix(".git")
        .unwrap_or(path)
        .trim_end_matches('/');
    let is_climbing = path.split('/').any(|part| matches!(part, "" | "." | ".."));
    let is_host = !host.is_empty() && !host.starts_with(['-', '.', ':']);
    (is_host && !is_climbing).then(|| format!("{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_repository_has_one_name_however_it_is_written() {
        for text in [
            "https://example.com/o/r",
            "https://example.com/o/r/",
            "https://example.com/o/r.git",
            "https://EXAMPLE.com:443/o/r.git/",
            "https://user:s3cret@example.com/o/r?x=1#y",
            "http://example.com/o/r",
            "ssh://git@example.com/o/r.git",
            "ssh://git@example.com:22/o/r",
            "git@example.com:o/r.git",
            "example.com:/o/r",
        ] {
            assert_eq!(canonical(text).as_deref(), Ok("example.com/o/r"), "{text}");
        }
        let port = canonical("https://example.com:8443/o/R");
        assert_eq!(port.as_deref(), Ok("example.com:8443/o/R"));
    }

    #[test]
    fn what_is_no_repository_of_a_host_has_none() {
        for text in [
            "",
            "o/r",
            "/srv/r",
            "./r",
            "https://example.com",
            "https://example.com/",
            "https:///o/r",
            "file:///srv/r",
            "https://example.com/o/../r",
            "https://example.com/o r",
            "ext::sh -c id",
            "https://-x/o",
            "https://example.com/o\\r",
            "c:",
            "ftp://example.com/o",
            "https://h/.git",
        ] {
            assert!(canonical(text).is_err(), "{text}");
        }
        assert!(canonical(&format!("https://h/{}", "x".repeat(MOST))).is_err());
    }

    proptest! {
        #[test]
        fn a_name_is_its_own_name_and_has_no_secret(text in any::<String>(), path in "[a-z]{1,5}(/[a-z.]{1,5}){0,2}") {
            let _ = canonical(&text);
            if let Ok(name) = canonical(&format!("https://u:CANARY@host/{path}?CANARY")) {
                prop_assert!(!name.contains("CANARY"));
                prop_assert_eq!(canonical(&format!("https://{name}")).map(|it| it.trim_end_matches(".git").to_owned()), Ok(name.trim_end_matches(".git").to_owned()));
            }
        }
    }
}

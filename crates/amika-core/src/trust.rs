//! Whether a repository is given what is the user's, and what it asks for.
//!
//! A setup script runs as root with the network on, beside copies of the user's sign-ins. A repository of
//! this machine is taken to be the user's own; one by URL is asked about the first time.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// What is done with a repository's configuration and the user's sign-ins; the user's setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Its configuration applies, and the sign-ins go in.
    Auto,
    /// As [`Trust::Auto`] once the user said so; without a terminal the sign-ins stay behind.
    Ask,
    /// Neither its configuration nor the sign-ins, unless it is on the list.
    Never,
}

impl Trust {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Ask, Self::Never];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ask => "ask",
            Self::Never => "never",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Trust {
    type Err = UnknownTrust;

    fn from_str(text: &str) -> Result<Self, UnknownTrust> {
        let found = Self::ALL.into_iter().find(|trust| trust.as_str() == text);
        found.ok_or_else(|| UnknownTrust {
            text: text.to_owned(),
        })
    }
}

/// A word that is no [`Trust`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("trust is \"auto\", \"ask\" or \"never\", not \"{}\"", .text.escape_debug())]
pub struct UnknownTrust {
    /// What was given.
    pub text: String,
}

/// Where a repository comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A directory of this machine, as an absolute path without links.
    Path(String),
    /// A URL.
    Url(String),
}

impl Origin {
    /// The one spelling of it, by which it is known again. It has no blank in it.
    pub fn canonical(&self) -> String {
        match self {
            Self::Path(path) => without_blanks(path),
            Self::Url(url) => canonical_url(url),
        }
    }

    /// What holds for it where the user set nothing.
    pub fn default_trust(&self) -> Trust {
        match self {
            Self::Path(_) => Trust::Auto,
            Self::Url(_) => Trust::Ask,
        }
    }
}

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
fn without_blanks(text: &str) -> String {
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

/// A source that the user trusts, as it stands in the list: the source, and behind a blank what it held
/// when it was trusted. Without that it is trusted whatever it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Its one spelling.
    pub source: String,
    /// `sha256:` and 64 digits: a digest of what applies of its configuration, and the setup script.
    pub content: Option<String>,
}

impl Trusted {
    /// Whether it is about this source with this content. Content that could not be read is none.
    pub fn covers(&self, source: &str, content: Option<&str>) -> bool {
        let same = match (&self.content, content) {
            (None, _) => true,
            (Some(trusted), Some(content)) => trusted == content,
            (Some(_), None) => false,
        };
        same && self.source == source
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Some(content) => write!(f, "{} {content}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

impl FromStr for Trusted {
    type Err = InvalidTrusted;

    /// Reads an entry of the list. A URL may have any spelling, a path must be absolute.
    fn from_str(text: &str) -> Result<Self, InvalidTrusted> {
        let (source, content) = match text.split_once(' ') {
            Some((source, content)) => (source, Some(content)),
            None => (text, None),
        };
        let digits = |content: &str| {
            content
                .strip_prefix("sha256:")
                .filter(|digits| digits.len() == 64)
                .is_some_and(|digits| {
                    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
                    digits.bytes().all(hex)
                })
        };
        if content.is_some_and(|content| !digits(content)) {
            return Err(InvalidTrusted::Content);
        }
        let source = if source.starts_with('/') {
            Origin::Path(source.to_owned()).canonical()
        } else if source.contains(['/', ':']) && !source.starts_with(['.', '~']) {
            listed_url(source)
        } else {
            return Err(InvalidTrusted::Source {
                source_text: source.to_owned(),
            });
        };
        Ok(Self {
            source,
            content: content.map(str::to_owned),
        })
    }
}

/// The one spelling of a URL in the list, where it may have that spelling already: `host/o/r`.
fn listed_url(text: &str) -> String {
    match text.split_once('/') {
        // `host:8443/o/r` and `host:o/r` look alike: a number alone is a port.
        Some((host, _))
            if !text.contains("://")
                && host
                    .rsplit_once(':')
                    .is_none_or(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()))
                && !text.contains("::") =>
        {
            canonical_url(&format!("https://{text}"))
        }
        _ => canonical_url(text),
    }
}

/// Why a text is no entry of the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrusted {
    /// It is neither a URL nor an absolute path.
    #[error("\"{}\" is neither a URL nor an absolute path", .source_text.escape_debug())]
    Source {
        /// What stands there.
        source_text: String,
    },
    /// What stands behind the blank is no digest.
    #[error("what follows the blank must be sha256: and 64 digits, or nothing")]
    Content,
}

/// What the decision goes by.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact, and a column of the table that decides"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The setting, or what holds without one: [`Origin::default_trust`].
    pub trust: Trust,
    /// Whether the list has this source with this content.
    pub remembered: bool,
    /// Whether there is anybody to ask.
    pub can_ask: bool,
    /// Whether `--credentials` says that sign-ins go in.
    pub credentials_asked: bool,
    /// Whether anything of the repository's configuration would apply.
    pub asks_for_anything: bool,
    /// Whether any sign-in would go in.
    pub has_sign_ins: bool,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The configuration applies, and the sign-ins go in.
    All,
    /// The user is asked which of the others it is.
    Ask,
    /// The configuration applies, and the sign-ins stay behind.
    WithoutSignIns,
    /// The configuration does not apply, and the sign-ins stay behind.
    Nothing,
}

impl Decision {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ask => "ask",
            Self::WithoutSignIns => "without_sign_ins",
            Self::Nothing => "nothing",
        }
    }
}

/// Decides what of a repository applies, and whether sign-ins go into its sandbox.
pub fn decide(question: Question) -> Decision {
    let Question {
        trust,
        remembered,
        can_ask,
        credentials_asked,
        asks_for_anything,
        has_sign_ins,
    } = question;
    if remembered || !(asks_for_anything || has_sign_ins) {
        return Decision::All;
    }
    match trust {
        Trust::Auto => Decision::All,
        Trust::Never => Decision::Nothing,
        Trust::Ask if can_ask => Decision::Ask,
        Trust::Ask if credentials_asked || !has_sign_ins => Decision::All,
        Trust::Ask => Decision::WithoutSignIns,
    }
}

impl Question {
    /// Whether what git signs in with may go to servers that only the repository names: not where nobody said so,
    /// though nothing else that is the user's would go in.
    pub fn lets_servers(&self, is_answered: bool) -> bool {
        is_answered || self.remembered || self.trust == Trust::Auto
    }
}

/// An answer to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This once.
    Yes,
    /// From now on, as long as it holds the same.
    Always,
    /// Nothing is made.
    No,
}

impl Answer {
    /// Reads a line; what is neither a yes nor an always is a no.
    pub fn read(line: &str) -> Self {
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Self::Yes,
            "a" | "always" => Self::Always,
            _ => Self::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn spellings_of_one_repository_are_one() {
        for url in [
            "https://example.com/o/r",
            "https://example.com/o/r/",
            "https://example.com/o/r.git",
            "https://example.com/o/r.git/",
            "https://example.com/o/r/.git",
            "https://example.com:443/o/r",
            "https://example.com:/o/r",
            "HTTPS://EXAMPLE.com/o/r.git",
            "https://me:tok@example.com/o/r",
        ] {
            assert_eq!(canonical_url(url), "example.com/o/r", "{url}");
        }
        for url in [
            "ssh://git@example.com/~/o/r",
            "ssh://git@example.com:22/~/o/r.git",
            "git+ssh://git@EXAMPLE.com/~/o/r",
            "git@example.com:o/r.git",
            "git@example.com:~/o/r/",
        ] {
            assert_eq!(canonical_url(url), "ssh://git@example.com/~/o/r", "{url}");
        }
    }

    /// Each of these names another repository, or can be answered by somebody else.
    #[test]
    fn no_spelling_of_another_repository_is_covered() {
        let urls = [
            "https://example.com/o/r",
            "http://example.com/o/r",
            "http://example.com:443/o/r",
            "git://example.com/o/r",
            "ftp://example.com/o/r",
            "ftps://example.com/o/r",
            "https://example.com:80/o/r",
            "https://example.com:22/o/r",
            "https://example.com:9418/o/r",
            "https://example.com./o/r",
            "https://example.com//o/r",
            "https://example.com/O/r",
            "https://example.com/o/../o/r",
            "https://example.com/o/r?x",
            "https://example.com/o/r#x",
            "https://example.com/~/o/r",
            "https://example.com/8443/o/r",
            "https://example.com:8443/o/r",
            "example.com:8443/o/r",
            "ssh://example.com/o/r",
            "ssh://git@example.com/o/r",
            "ssh://me@example.com/o/r",
            "ssh://me:password@example.com/o/r",
            "ssh://git@example.com:443/o/r",
            "git@example.com:o/r",
            "me@example.com:o/r",
            "example.com:o/r",
            "example.com:~me/o/r",
            "file://example.com/o/r",
            "file:///example.com/o/r",
            "file:///example.com/o/r.git",
            "https::https://example.com/o/r",
            "http::http://example.com/o/r",
            "ext::example.com/o/r",
            "ext::example.com/o/r.git",
        ];
        let spellings: BTreeSet<String> = urls.iter().map(|url| canonical_url(url)).collect();
        assert_eq!(spellings.len(), urls.len(), "{spellings:?}");
        // As they stand in the list they are the same, and nothing else.
        for url in urls {
            let written = canonical_url(url);
            let entry: Trusted = written.parse().expect("an entry");
            assert!(entry.covers(&written, None), "{entry} for {url}");
        }
        // What was written before schemes were told apart is HTTPS.
        let old: Trusted = "example.com/o/r".parse().expect("an entry");
        let covered = urls
            .iter()
            .filter(|url| old.covers(&canonical_url(url), None));
        assert_eq!(covered.collect::<Vec<_>>(), [&"https://example.com/o/r"]);
    }

    #[test]
    fn no_password_is_in_a_spelling() {
        for url in [
            "https://me:secret@example.com/o/r",
            "http://secret@example.com/o/r",
            "ssh://me:secret@example.com/o/r",
            "ftp://me:secret@example.com/o/r",
            "codecommit::https://me:secret@example.com/o/r",
        ] {
            assert!(!canonical_url(url).contains("secret"), "{url}");
        }
    }

    #[test]
    fn other_repositories_are_others() {
        for (url, canonical) in [
            ("https://example.com/o/R", "example.com/o/R"),
            ("https://example.com:8443/o/r", "example.com:8443/o/r"),
            ("http://Example.com:80/o/r.git", "http://example.com/o/r"),
            ("git://example.com:9418/o/r", "git://example.com/o/r"),
            (
                "https://example.com.evil.example/o/r",
                "example.com.evil.example/o/r",
            ),
            ("https://example.com@evil.example/o/r", "evil.example/o/r"),
            (
                "https://evil.example/example.com/o/r",
                "evil.example/example.com/o/r",
            ),
            (
                "https://evil.example?@example.com/o/r",
                "evil.example/?@example.com/o/r",
            ),
            ("git@[::1]:o/r.git", "ssh://git@[::1]/~/o/r"),
            ("[git@host:22]:/r.git", "ssh://[git@host:22]/r"),
            ("file:///srv/r.git/", "file:///srv/r.git"),
            ("file:///srv/r/.git", "file:///srv/r/.git"),
            (
                "https://example.com/o/r sha256:00",
                "example.com/o/r%20sha256:00",
            ),
            ("https://example.com/.git", "example.com/.git"),
            (
                "codecommit::https://me@example.com/o/r",
                "codecommit::example.com/o/r",
            ),
        ] {
            assert_eq!(canonical_url(url), canonical, "{url}");
        }
    }

    #[test]
    fn entries_are_written_as_they_are_read() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, written) in [
            (
                "https://me@Example.com/o/r.git".to_owned(),
                "example.com/o/r".to_owned(),
            ),
            ("example.com/o/r".to_owned(), "example.com/o/r".to_owned()),
            (
                "example.com:8443/o/r".to_owned(),
                "example.com:8443/o/r".to_owned(),
            ),
            (
                "git@example.com:o/r".to_owned(),
                "ssh://git@example.com/~/o/r".to_owned(),
            ),
            (
                "http://example.com/o/r".to_owned(),
                "http://example.com/o/r".to_owned(),
            ),
            ("file:///srv/r".to_owned(), "file:///srv/r".to_owned()),
            ("/srv/r".to_owned(), "/srv/r".to_owned()),
            (
                format!("example.com/o/r {digest}"),
                format!("example.com/o/r {digest}"),
            ),
        ] {
            let entry: Trusted = text.parse().expect("an entry");
            assert_eq!(entry.to_string(), written);
            assert_eq!(written.parse(), Ok(entry));
        }
        for text in [
            "",
            "r",
            "./r",
            "../r",
            "~/r",
            "example.com/o/r sha256:00",
            "example.com/o/r x",
        ] {
            assert!(text.parse::<Trusted>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_entry_covers_what_was_trusted_and_nothing_else() {
        let entry = |content: Option<&str>| Trusted {
            source: "host/r".to_owned(),
            content: content.map(str::to_owned),
        };
        for (entry, source, content, covered) in [
            (entry(Some("1")), "host/r", Some("1"), true),
            (entry(Some("1")), "host/r", Some("2"), false),
            (entry(Some("1")), "host/r", None, false),
            (entry(Some("1")), "host/s", Some("1"), false),
            (entry(None), "host/r", Some("2"), true),
            (entry(None), "host/r", None, true),
            (entry(None), "host/r2", Some("2"), false),
        ] {
            assert_eq!(
                entry.covers(source, content),
                covered,
                "{entry} {content:?}"
            );
        }
    }

    /// Every case: setting × remembered × somebody to ask × `--credentials` × what there is.
    #[test]
    fn the_decision_is_this_table() {
        for trust in Trust::ALL {
            for bits in 0..32u8 {
                let bit = |index: u8| bits & (1 << index) != 0;
                let question = Question {
                    trust,
                    remembered: bit(0),
                    can_ask: bit(1),
                    credentials_asked: bit(2),
                    asks_for_anything: bit(3),
                    has_sign_ins: bit(4),
                };
                let settled = bit(0) || !(bit(3) || bit(4));
                let stay_behind = bit(4) && !bit(2);
                let expected = match (trust, bit(1), stay_behind) {
                    _ if settled => Decision::All,
                    (Trust::Never, _, _) => Decision::Nothing,
                    (Trust::Ask, true, _) => Decision::Ask,
                    (Trust::Ask, false, true) => Decision::WithoutSignIns,
                    (Trust::Auto, _, _) | (Trust::Ask, false, false) => Decision::All,
                };
                assert_eq!(decide(question), expected, "{question:?}");
            }
        }
    }

    #[test]
    fn servers_that_a_repository_names_wait_for_a_word() {
        for trust in Trust::ALL {
            for bits in 0..64_u8 {
                let bit = |at: u8| bits & (1 << at) != 0;
                let question = Question {
                    trust,
                    remembered: bit(0),
                    can_ask: bit(1),
                    credentials_asked: bit(2),
                    asks_for_anything: bit(3),
                    has_sign_ins: bit(4),
                };
                let is_said = bit(0) || bit(5) || trust == Trust::Auto;
                assert_eq!(question.lets_servers(bit(5)), is_said, "{question:?}");
            }
        }
    }

    #[test]
    fn urls_are_asked_about_and_paths_are_not() {
        assert_eq!(Origin::Path("/r".into()).default_trust(), Trust::Auto);
        assert_eq!(
            Origin::Url("https://h/r".into()).default_trust(),
            Trust::Ask
        );
    }

    #[test]
    fn only_a_clear_yes_is_one() {
        for (line, answer) in [
            ("y\n", Answer::Yes),
            ("YES\n", Answer::Yes),
            ("a\n", Answer::Always),
            ("always", Answer::Always),
            ("\n", Answer::No),
            ("", Answer::No),
            ("n\n", Answer::No),
            ("yy\n", Answer::No),
            ("\u{1b}[Ay\n", Answer::No),
        ] {
            assert_eq!(Answer::read(line), answer, "{line:?}");
        }
    }
}

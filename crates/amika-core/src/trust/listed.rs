//! The list of sources that the user trusts.

use std::fmt;
use std::str::FromStr;

use super::spelling::{canonical_url, without_blanks};

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
            without_blanks(source)
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

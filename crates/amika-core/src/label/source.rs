//! Where a repository came from, in a form that may be shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A path or URL of a repository, without what signs in: made by leaving out the user of an
/// http(s) URL (tokens are often given as one), every password, the query and the fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "String", into = "String")]
pub struct RepositorySource(String);

impl RepositorySource {
    /// Returns the source as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RepositorySource {
    fn from(text: &str) -> Self {
        Self(without_credentials(text))
    }
}

impl From<String> for RepositorySource {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<RepositorySource> for String {
    fn from(source: RepositorySource) -> Self {
        source.0
    }
}

impl fmt::Display for RepositorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn without_credentials(text: &str) -> String {
    // Without a scheme it is a path or scp-style (`git@host:path`), where no secret has a place.
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    if scheme.eq_ignore_ascii_case("file") {
        return text.to_owned();
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    // The last "@", since careless users leave one in their password unescaped.
    let Some((user, host)) = authority.rsplit_once('@') else {
        return format!("{scheme}://{authority}{path}");
    };
    let user = user.split(':').next().unwrap_or_default();
    if user.is_empty() || scheme.to_ascii_lowercase().starts_with("http") {
        return format!("{scheme}://{host}{path}");
    }
    format!("{scheme}://{user}@{host}{path}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_signs_in_is_kept() {
        for (text, shown) in [
            ("/src/app", "/src/app"),
            (
                "git@example.com:team/app.git",
                "git@example.com:team/app.git",
            ),
            ("https://example.com/app.git", "https://example.com/app.git"),
            (
                "https://s3cret@example.com/app.git",
                "https://example.com/app.git",
            ),
            (
                "https://x:s3cret@example.com:8443/app",
                "https://example.com:8443/app",
            ),
            (
                "HTTPS://x:s3@cret@example.com/app",
                "HTTPS://example.com/app",
            ),
            (
                "https://example.com/app?private_token=s3cret",
                "https://example.com/app",
            ),
            ("https://example.com/app#s3cret", "https://example.com/app"),
            ("https://x:s3cret@example.com", "https://example.com"),
            ("ssh://git@example.com/app", "ssh://git@example.com/app"),
            (
                "ssh://git:s3cret@example.com:22/app",
                "ssh://git@example.com:22/app",
            ),
            ("https://example.com/a@b/app", "https://example.com/a@b/app"),
            ("file:///src/a#b?c", "file:///src/a#b?c"),
        ] {
            assert_eq!(RepositorySource::from(text).as_str(), shown);
        }
    }

    proptest! {
        #[test]
        fn a_password_never_survives(user in "[a-z]{0,4}", host in "[a-z]{1,8}", path in "(/[a-z]{1,5}){0,3}") {
            for scheme in ["https", "http", "ssh", "git+ssh", "ftp"] {
                let text = format!("{scheme}://{user}:CANARY@{host}{path}?t=CANARY#CANARY");
                let source = RepositorySource::from(text.as_str());
                prop_assert!(!source.as_str().contains("CANARY"), "{source}");
                prop_assert_eq!(RepositorySource::from(source.as_str()), source.clone());
            }
        }
    }
}

//! Where the user's dotfiles come from: `--dotfiles`, and the setting of that name.

use std::fmt;
use std::str::FromStr;

/// A repository of dotfiles, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DotfilesSource {
    /// None, whatever is set elsewhere.
    None,
    /// A path or a URL, as `--git` has them.
    Of(String),
}

/// The word for [`DotfilesSource::None`].
const NONE: &str = "none";

/// What can be no source of dotfiles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" names no repository: give a path or a URL, or none", .0.escape_debug())]
pub struct InvalidSource(String);

impl FromStr for DotfilesSource {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        if text == NONE {
            return Ok(Self::None);
        }
        let is_odd = text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control);
        if is_odd {
            return Err(InvalidSource(text.to_owned()));
        }
        Ok(Self::Of(text.to_owned()))
    }
}

impl fmt::Display for DotfilesSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => NONE,
            Self::Of(source) => source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_read_as_they_print() {
        for text in [
            "none",
            "~/src/dotfiles",
            "/a b",
            "https://host/me/dotfiles",
            "git@host:me/d",
        ] {
            let read = text.parse::<DotfilesSource>().map(|it| it.to_string());
            assert_eq!(read.as_deref(), Ok(text));
        }
        for text in ["", "-x", "a\nb"] {
            assert!(text.parse::<DotfilesSource>().is_err(), "{text}");
        }
    }
}

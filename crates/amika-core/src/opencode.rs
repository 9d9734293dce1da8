//! When a sandbox's OpenCode web server is started.

use std::fmt;
use std::str::FromStr;

/// When it is, where it is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenCodeStart {
    /// By itself, once setup is done with.
    #[default]
    Auto,
    /// With the first connection to its port.
    OnDemand,
    /// Never.
    Off,
}

impl OpenCodeStart {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Auto, Self::OnDemand, Self::Off];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::OnDemand => "on-demand",
            Self::Off => "off",
        }
    }

    /// What [`crate::contract::env::OPENCODE_WEB`] means: "starts automatically […] when […] `AMIKA_OPENCODE_WEB` is not
    /// set to 0", with `on-demand` beside that.
    pub fn of_variable(value: Option<&str>) -> Self {
        match value {
            Some("0" | "off") => Self::Off,
            Some("on-demand") => Self::OnDemand,
            _ => Self::Auto,
        }
    }

    /// The value of that variable which means it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Auto => "1",
            Self::OnDemand => "on-demand",
            Self::Off => "0",
        }
    }
}

impl fmt::Display for OpenCodeStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`OpenCodeStart`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not one of auto, on-demand, off", .0.escape_debug())]
pub struct UnknownOpenCodeStart(String);

impl FromStr for OpenCodeStart {
    type Err = UnknownOpenCodeStart;

    fn from_str(word: &str) -> Result<Self, UnknownOpenCodeStart> {
        let found = Self::ALL.into_iter().find(|start| start.as_str() == word);
        found.ok_or_else(|| UnknownOpenCodeStart(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_said_by_a_word_and_by_a_value_of_the_variable() {
        for start in OpenCodeStart::ALL {
            assert_eq!(start.as_str().parse(), Ok(start));
            assert_eq!(OpenCodeStart::of_variable(Some(start.variable())), start);
        }
        for value in [None, Some(""), Some("1"), Some("true")] {
            assert_eq!(OpenCodeStart::of_variable(value), OpenCodeStart::Auto);
        }
        assert_eq!(OpenCodeStart::of_variable(Some("off")), OpenCodeStart::Off);
        assert_eq!(
            "ondemand".parse::<OpenCodeStart>().unwrap_err().to_string(),
            "\"ondemand\" is not one of auto, on-demand, off"
        );
        assert!("\n".parse::<OpenCodeStart>().is_err());
    }
}

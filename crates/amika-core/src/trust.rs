//! Whether a repository is given what is the user's, and what it asks for.
//!
//! A setup script runs as root with the network on, beside copies of the user's sign-ins. A repository of
//! this machine is taken to be the user's own; one by URL is asked about the first time.

mod listed;
mod spelling;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use listed::{InvalidTrusted, Trusted};
pub use spelling::canonical_url;
use spelling::without_blanks;

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
    /// Whether somebody said that the source is trusted: without it, what git signs in with goes to no server that only the repository
    /// names, and the user's own settings do not go in, though no sign-in would either and nobody was asked.
    pub fn is_trusted(&self, is_answered: bool) -> bool {
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

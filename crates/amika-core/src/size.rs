//! Sizes of sandboxes, in words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much a sandbox may use at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// 1 CPU, 2 GiB.
    Xs,
    /// 2 CPUs, 4 GiB.
    M,
    /// 4 CPUs, 8 GiB.
    L,
    /// 8 CPUs, 16 GiB.
    Xl,
}

/// A word that is no size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no size \"{}\": they are xs, m, l and xl", .0.escape_debug())]
pub struct NoSize(pub String);

impl Size {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Xs, Self::M, Self::L, Self::Xl];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Xs => "xs",
            Self::M => "m",
            Self::L => "l",
            Self::Xl => "xl",
        }
    }

    /// Processors.
    pub fn cpus(self) -> i64 {
        match self {
            Self::Xs => 1,
            Self::M => 2,
            Self::L => 4,
            Self::Xl => 8,
        }
    }

    /// Memory, in bytes.
    pub fn memory(self) -> i64 {
        (self.cpus() * 2) << 30
    }

    /// What it comes to, for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Xs => "1 CPU, 2 GiB",
            Self::M => "2 CPUs, 4 GiB",
            Self::L => "4 CPUs, 8 GiB",
            Self::Xl => "8 CPUs, 16 GiB",
        }
    }
}

impl FromStr for Size {
    type Err = NoSize;

    fn from_str(text: &str) -> Result<Self, NoSize> {
        let found = Self::ALL.into_iter().find(|size| size.as_str() == text);
        found.ok_or_else(|| NoSize(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_its_word_and_the_sentence_says_what_it_has() {
        for size in Size::ALL {
            assert_eq!(size.as_str().parse(), Ok(size));
            assert_eq!(serde_json::json!(size), size.as_str());
            let plural = if size.cpus() == 1 { "" } else { "s" };
            let sentence = format!("{} CPU{plural}, {} GiB", size.cpus(), size.memory() >> 30);
            assert_eq!(size.sentence(), sentence);
        }
        assert_eq!("XL".parse::<Size>(), Err(NoSize("XL".to_owned())));
    }
}

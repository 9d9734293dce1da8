//! Sizes of sandboxes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::scope::UnknownWord;

/// How much a sandbox may use at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
}

impl Size {
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
}

impl FromStr for Size {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|size| size.as_str() == text);
        found.ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

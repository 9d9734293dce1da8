//! Why a request came to nothing.

use serde::Deserialize;

use crate::address::Address;

/// What requests return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server said no.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// Nobody answered.
    #[error("{address} does not answer")]
    Unreachable {
        /// Who was asked.
        address: Address,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What answered is no server of ours, or one of another version.
    #[error("what {address} answered is not understood")]
    NotUnderstood {
        /// Who was asked.
        address: Address,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection ended in the middle of an answer.
    #[error("the connection to the server ended in the middle of its answer")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An answer that says no.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Refusal {
    /// The status of HTTP.
    #[serde(skip)]
    pub status: u16,
    /// The stable word.
    pub code: String,
    /// What was wrong: one sentence.
    pub message: String,
    /// Places in the request, and what is wrong with each.
    #[serde(default)]
    pub details: Details,
    /// What to do next.
    #[serde(default)]
    pub hints: Vec<String>,
    /// Finds the request in the server's log.
    #[serde(default)]
    pub trace_id: String,
    /// Seconds until the same may be asked again.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

/// What else is told of a refusal: places of the request, or an agent's own words.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Details {
    /// Places, and what is wrong with each.
    Places(Vec<Place>),
    /// Text.
    Text(String),
}

impl Default for Details {
    fn default() -> Self {
        Self::Places(Vec::new())
    }
}

/// A place in the request.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Place {
    /// A JSON pointer into the body, or the name of a parameter.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Failure {
    /// The status of HTTP, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }
}

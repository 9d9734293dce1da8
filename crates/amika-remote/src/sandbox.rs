//! What is read of answers about sandboxes; all else in them is passed on as it is.

use serde::Deserialize;

/// A sandbox of a server's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `initializing`, `started`, `stopping`, `stopped`, `deleting`, `failed`
    pub state: String,
    /// More of that.
    pub status: Option<String>,
    /// How its setup went.
    pub setup_status: Option<String>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// Name of its repository.
    pub repo_name: Option<String>,
    /// The branch that it began with.
    pub branch: Option<String>,
    /// Where its repository is now, where that was asked for and is known.
    pub head: Option<Head>,
    /// What it is at and uses, where that was asked for.
    pub details: Option<Details>,
    /// Services and ports.
    pub services: Vec<Service>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// What is being done to it.
    pub operation_id: Option<String>,
}

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// At a branch.
    Branch(String),
    /// Detached, at a commit.
    Commit(String),
}

/// What a sandbox is at, and uses; none of what is not known.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Its image.
    pub image: String,
    /// Commits that its repository did not begin with.
    pub commits_ahead: Option<u64>,
    /// Whether anything is not committed.
    pub changed: Option<bool>,
    /// For how long nothing went on in it, in milliseconds.
    pub idle_ms: Option<u64>,
    /// Why it counts as active.
    pub active_because: Option<Vec<String>>,
    /// Bytes of memory that it uses.
    pub memory_bytes: Option<u64>,
    /// Bytes that it wrote beside image and volumes.
    pub size_bytes: Option<u64>,
    /// Names of its volumes.
    pub volumes: Vec<String>,
}

impl Sandbox {
    /// The branch that its repository is at, or as much of the commit as people read; the branch that it began with while
    /// that is not known.
    pub fn branch_now(&self) -> Option<&str> {
        match &self.head {
            Some(Head::Branch(name)) => Some(name),
            Some(Head::Commit(commit)) => Some(commit.get(..7).unwrap_or(commit)),
            None => self.branch.as_deref(),
        }
    }
}

/// A service of one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Where it is reached; empty where it has no scheme.
    pub url: String,
    /// The port that it is reached at.
    pub host_port: Option<u16>,
    /// The port inside.
    pub container_port: u16,
    /// `tcp` or `udp`
    pub protocol: String,
}

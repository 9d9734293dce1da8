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
    /// Its branch.
    pub branch: Option<String>,
    /// Services and ports.
    pub services: Vec<Service>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// What is being done to it.
    pub operation_id: Option<String>,
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

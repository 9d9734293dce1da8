//! What every request is answered with.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::api::idempotency::UnderWay;
use crate::audit_file::AuditFile;
use crate::auth::failures::Failures;
use crate::auth::rates::Asked;
use crate::auth::tickets::Tickets;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Engines;
use crate::metrics::Metrics;
use crate::ports::door::Ports;
use crate::sandboxes::idle::Idleness;
use crate::sandboxes::look::Looks;
use crate::sandboxes::operations::Operations;
use crate::sandboxes::snapshot::Live;
use crate::seal::Seal;
use crate::store::Store;
use crate::streams::Streams;

/// The one organisation of a server: its id in what the API shows.
pub const ORG: &str = "amika";

/// The server.
pub struct App {
    /// How it is configured.
    pub config: Config,
    /// The engine with its sandboxes.
    pub engines: Engines,
    /// What is on the engine, as it was a moment ago.
    pub looks: Looks,
    /// All sandboxes as they are shown.
    pub live: Live,
    /// How often anything of that changed.
    pub changes: Arc<Changes>,
    /// When they were active last.
    pub idleness: Idleness,
    /// What is being done to sandboxes.
    pub operations: Operations,
    /// Tickets that were not used yet.
    pub tickets: Tickets,
    /// The ways to ports.
    pub ports: std::sync::Arc<Ports>,
    /// Streams that are open.
    pub streams: std::sync::Arc<Streams>,
    /// What it keeps.
    pub store: Store,
    /// Held while saved settings are read, changed and written: of two who change one, neither loses the other's.
    pub saving: tokio::sync::Mutex<()>,
    /// What it seals secrets with.
    pub seal: Seal,
    /// What time it is.
    pub clock: Clock,
    /// Failed sign-ins of late.
    pub failures: Failures,
    /// What was asked of late.
    pub asked: Asked,
    /// Requests with a key of their sender's that are being answered.
    pub idempotent: UnderWay,
    /// What was done, in lines.
    pub audit: AuditFile,
    /// Held while it is counted what a user has, and more is added.
    pub counting: tokio::sync::Mutex<()>,
    /// What it counts.
    pub metrics: Metrics,
    /// Whether the server comes to its end: streams end then.
    pub ending: watch::Sender<bool>,
    /// Its id: stamped on its sandboxes.
    pub server_id: String,
    /// Host names that are its own, in lower case.
    pub names: BTreeSet<String>,
    /// Where people find it: `scheme://host[:port]`.
    pub address: String,
}

impl App {
    /// The host names of a configuration.
    pub fn names(config: &Config) -> BTreeSet<String> {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let public = config.public_url.as_ref().map(|url| url.host.clone());
        own.into_iter()
            .chain(config.domain.clone())
            .chain(public)
            .collect()
    }
}

//! What every request is answered with.

use std::collections::BTreeSet;

use crate::auth::failures::Failures;
use crate::auth::tickets::Tickets;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Engines;
use crate::metrics::Metrics;
use crate::ports::door::Ports;
use crate::sandboxes::idle::Idleness;
use crate::sandboxes::look::Looks;
use crate::sandboxes::operations::Operations;
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
    /// What it counts.
    pub metrics: Metrics,
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

//! The two bridges that sandboxes share without reaching each other.

use amika_core::label::{Kind, ResourceRecord, key};
use amika_engine::{EngineError, NetworkSpec};

use crate::error::{self, Error, Result};
use crate::sandboxes::Sandboxes;

/// The bridge that sandboxes are on that name none.
pub const DEFAULT: &str = "amika";
/// The bridge from which nothing is reached.
pub(super) const INTERNAL: &str = "amika-internal";

/// Makes one of the two shared networks, unless it is there.
pub(super) async fn ensure(engine: &Sandboxes, name: &str) -> Result<()> {
    if let Some(network) = engine.inspect_network(name).await? {
        return if network.labels.contains_key(key::KIND) {
            Ok(())
        } else {
            Err(Error::new(
                error::Kind::Conflict,
                format!("a network \"{name}\" that is not amika's is in the way"),
            )
            .hint("remove it, or name the network to join with `--network`"))
        };
    }
    // Engines before 25 take a second network of the same name: one amika at a time makes it.
    let _lock = engine.locks().wait("network").await?;
    if engine.inspect_network(name).await?.is_some() {
        return Ok(());
    }
    let spec = NetworkSpec {
        name: name.to_owned(),
        // All sandboxes share it: it is no test run's own.
        labels: ResourceRecord::new(Kind::Network).to_labels(),
        subnet: None,
        internal: name == INTERNAL,
        joined: false,
    };
    match engine.create_bridge(&spec).await {
        Ok(()) | Err(EngineError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

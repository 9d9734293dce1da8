//! How a sandbox's last boot went, read from the container whether it runs or not.

use amika_core::contract::path;
use amika_core::wire::BootRecord;

use amika_engine::{Engine, EngineError};

/// The record is a few KiB; a sandbox could write anything there.
const LIMIT: usize = 256 * 1024;

/// Reads the boot record; `None` when there is none, or none that can be understood.
///
/// # Errors
/// Those of the engine.
pub async fn read_boot_record(
    engine: &Engine,
    container: &str,
) -> Result<Option<BootRecord>, EngineError> {
    match engine.read_file(container, path::BOOT_RECORD, LIMIT).await {
        Ok(content) => Ok(content.and_then(|json| serde_json::from_slice(&json).ok())),
        Err(EngineError::Broken(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

//! Removing what the engine does not let go of at once.

use std::time::Duration;

use super::EngineError;

/// Times between tries: 6.35 s in all, as long as an engine at work takes to remove a container of many
/// files.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
    Duration::from_millis(3200),
];

/// Removes something, and tries again for a while as long as the refusal is one that may pass.
pub(super) async fn until_let_go<F>(
    may_pass: impl Fn(&EngineError) -> bool,
    remove: impl Fn() -> F,
) -> Result<(), EngineError>
where
    F: Future<Output = Result<(), EngineError>>,
{
    for pause in PAUSES {
        match remove().await {
            Err(refusal) if may_pass(&refusal) => {
                tracing::debug!(?refusal, "not let go of yet");
                tokio::time::sleep(pause).await;
            }
            other => return other,
        }
    }
    remove().await
}

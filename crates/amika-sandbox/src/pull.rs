//! Pulling an image that a sandbox is to be made from.

use futures_util::StreamExt as _;

use crate::error::{Error, Kind, Result};
use crate::progress::Steps;
use crate::sandboxes::Sandboxes;

/// Pulls an image with docker's own sign-in.
///
/// # Errors
/// When the registry does not have it, does not answer, or wants another sign-in.
pub async fn pull(engine: &Sandboxes, reference: &str, steps: &mut Steps) -> Result<()> {
    steps.begin("pull");
    let login = crate::registry::find_login(engine.machine(), reference).await;
    let mut progress = std::pin::pin!(engine.pull_image(reference, login));
    while let Some(item) = progress.next().await {
        match item {
            // Bytes of layers would flood a log; their beginnings and ends tell enough.
            Ok(item) if item.current.is_none() => {
                let layer = item
                    .layer
                    .map(|layer| format!("{layer}: "))
                    .unwrap_or_default();
                steps.line(&format!("{layer}{}", item.status));
            }
            Ok(_) => {}
            Err(error) => {
                steps.fail(reference);
                return Err(Error::new(
                    Kind::Image,
                    format!("image `{reference}` is not on the engine and cannot be pulled"),
                )
                .caused_by(&error)
                .hint("check the name; for a private image, run `docker login` first"));
            }
        }
    }
    steps.finish(reference);
    Ok(())
}

//! The image that presets are built on.

use futures_util::StreamExt as _;

use crate::error::{Error, Kind, Result};
use crate::progress::Steps;
use crate::sandboxes::Sandboxes;

/// What is used where a registry answers.
const FROM_REGISTRY: &str = "debian:trixie-slim";
/// What `make base-image` makes where none does.
const LOCAL: &str = "amika-base:trixie";

/// Finds the base image: the one asked for, else the registry's if it is here, else the local one,
/// else the registry's is pulled.
///
/// # Errors
/// When there is none and none can be had.
pub(super) async fn find(
    engine: &Sandboxes,
    asked: Option<&str>,
    steps: &mut Steps,
) -> Result<String> {
    if let Some(reference) = asked {
        if engine.inspect_image(reference).await?.is_none() {
            crate::pull::pull(engine, reference, steps).await?;
        }
        return Ok(reference.to_owned());
    }
    for reference in [FROM_REGISTRY, LOCAL] {
        if engine.inspect_image(reference).await?.is_some() {
            return Ok(reference.to_owned());
        }
    }
    let mut progress = std::pin::pin!(engine.pull_image(FROM_REGISTRY, None));
    while let Some(item) = progress.next().await {
        if let Err(error) = item {
            return Err(Error::new(
                Kind::Image,
                format!("no base image: `{FROM_REGISTRY}` cannot be pulled, and there is no local `{LOCAL}`"),
            )
            .caused_by(&error)
            .hint(format!(
                "make one from Debian's packages: `mmdebstrap --variant=minbase trixie - | docker import - {LOCAL}`"
            ))
            .hint("or name a Debian trixie or Ubuntu image that is here: `amika image build --base IMAGE`"));
        }
    }
    Ok(FROM_REGISTRY.to_owned())
}

//! What is to be known of the services beside a sandbox before anything is made: their images, and a network for them.

use amika_core::name::SandboxName;
use amika_core::service::{Ready, Service, sidecars};

use super::facts::{MissingImage, must_fit, of_registry};
use super::settings::Settings;
use crate::error::{Error, Kind, Result};
use crate::networks;
use crate::progress::Steps;
use crate::sandboxes::Sandboxes;

/// Refuses a network on which others would reach the services, or the sandbox would not.
///
/// # Errors
/// [`Kind::Invalid`].
pub(super) fn refuse_network(settings: &Settings) -> Result<()> {
    let network = settings.network.as_deref();
    let given = network.filter(|network| !networks::is_made_here(network));
    let (Some(given), true) = (given, settings.has_sidecars()) else {
        return Ok(());
    };
    let message = format!(
        "--network {}: services with an image are on a network of the sandbox's own",
        given.escape_debug()
    );
    Err(Error::new(Kind::Invalid, message)
        .hint("leave it out, or take `--network internal` for one without a way out")
        .hint("`--no-setup` makes the sandbox without what its repository declares"))
}

/// Refuses a name of a sandbox that one of its services has too: on their network both would answer to it.
///
/// # Errors
/// [`Kind::Invalid`].
pub(crate) fn refuse_name(name: &SandboxName, services: &[Service]) -> Result<()> {
    let mut names = sidecars(services).map(|(service, _)| service);
    let is_its = |service: &&str| service.eq_ignore_ascii_case(name.as_str());
    let Some(service) = names.find(is_its) else {
        return Ok(());
    };
    let message = format!("service \"{service}\" would answer to the name of its sandbox");
    Err(Error::new(Kind::Invalid, message).hint("choose another name for the sandbox"))
}

/// Gets their images. One that does not say how it is up is looked at on the first TCP port that its image exposes.
///
/// # Errors
/// [`Kind::Image`] for one that cannot be had, or that does not fit.
pub(super) async fn get_images(
    engine: &Sandboxes,
    settings: &mut Settings,
    missing: MissingImage,
    steps: &mut Steps,
) -> Result<()> {
    for service in &mut settings.services {
        let Some(sidecar) = &mut service.sidecar else {
            continue;
        };
        let of =
            |error: Error| error.cause(format!("it is the image of service \"{}\"", service.name));
        let image = of_registry(engine, &sidecar.image, missing, steps).await;
        let image = image.map_err(of)?;
        must_fit(&sidecar.image, &image).map_err(of)?;
        let port = image.ports.first();
        let seen = port.map(|port| Ready::Tcp { port: *port });
        sidecar.ready = sidecar.ready.take().or(seen);
    }
    Ok(())
}

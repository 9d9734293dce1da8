//! What is there: the image, the engine's defaults, this host's certificates and proxies.

use amika_core::contract::{AGENT_USER, path};
use amika_core::label::{Creator, SandboxId};
use amika_core::volume::Stamp;

use super::build;
use super::limits::EngineSize;
use super::mounts::{self, Sources};
use super::request::Image;
use super::settings::Settings;
use super::source::Source;
use crate::amikad::Daemon;
use crate::error::{Error, Kind, Result};
use crate::inject::Injection;
use crate::networks;
use crate::preset;
use crate::progress::Steps;
use crate::sandboxes::Sandboxes;
use crate::trust::RecordKey;
use amika_core::text::shell_quote;
use amika_engine::ImageFacts;

/// Facts that the plan is made from.
pub(super) struct Facts {
    /// Id of the sandbox to be.
    pub id: SandboxId,
    /// Marks its volumes.
    pub stamp: Stamp,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
    /// This process.
    pub creator: Creator,
    /// Reference of the image to use.
    pub image_reference: String,
    /// The image.
    pub image: ImageFacts,
    /// What is mounted at amikad's directory; nothing when the image brings all that is needed.
    pub injection: Option<Injection>,
    /// SHA-256 of the sandbox's token.
    pub token_sha256: String,
    /// What the sandbox's record is signed with.
    pub record_key: RecordKey,
    /// Proxy variables.
    pub proxies: Vec<(String, String)>,
    /// Whether the engine's log driver is the one that grows without bound.
    pub unbounded_log: bool,
    /// How much the engine has.
    pub engine_size: EngineSize,
    /// What was found at the mounts' sources.
    pub sources: Sources,
    /// The network to be on.
    pub network: networks::Choice,
    /// Label of the test run that this process belongs to.
    pub test: Option<String>,
}

/// Whether an image that is not there may be built or pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingImage {
    /// Build or pull it.
    Get,
    /// Leave the engine as it is: only a plan is wanted.
    Refuse,
}

/// Gathers the facts.
///
/// # Errors
/// [`Kind::Image`] when the image cannot be had or does not fit.
pub(super) async fn gather(
    engine: &Sandboxes,
    settings: &Settings,
    source: Option<&Source>,
    missing: MissingImage,
    steps: &mut Steps,
) -> Result<Facts> {
    let id = SandboxId::from_random(rand::random());
    let token_sha256 = engine.user_key()?.token(id.as_str()).sha256();
    let now = amika_host::clock::now_millis();
    // The engine's answer on itself takes as long as that on an image: ask both at once.
    let (image, system) = tokio::join!(
        find_image(engine, settings, source, missing, steps),
        engine.system()
    );
    let (image_reference, image) = image?;
    must_fit(&image_reference, &image)?;
    let image = match &settings.image {
        Image::Preset(_) => image,
        Image::Other(_) | Image::Dockerfile(_) => as_made_from(image),
    };
    let daemon = Daemon::for_architecture(&image.architecture)?;
    let system = system?;
    let sources = mounts::look(engine, settings, &system, &id).await?;
    let apart = settings.capabilities().can_speak_for_others() || settings.has_sidecars();
    let network = networks::choose(engine, settings.network.as_deref(), apart).await?;
    let certificates = crate::certificates::extra_bundle(engine.machine());
    let brings_daemon = matches!(settings.image, Image::Preset(_));
    let injection =
        (!brings_daemon || certificates.is_some()).then(|| Injection::new(daemon, certificates));
    Ok(Facts {
        id,
        stamp: Stamp::new(now / 1000, rand::random()),
        now,
        creator: crate::creator::this_process(),
        image_reference,
        image,
        injection,
        token_sha256,
        record_key: engine.record_key()?,
        proxies: crate::proxy::variables(engine.machine()),
        unbounded_log: system.has_unbounded_log(),
        engine_size: EngineSize {
            cpus: system.cpus,
            memory: system.memory,
        },
        sources,
        network,
        test: engine.test_run(),
    })
}

async fn find_image(
    engine: &Sandboxes,
    settings: &Settings,
    source: Option<&Source>,
    missing: MissingImage,
    steps: &mut Steps,
) -> Result<(String, ImageFacts)> {
    let reference = match &settings.image {
        Image::Preset(preset) => {
            preset.reference(&preset.fingerprint(Daemon::for_engine(engine).await?.fingerprint()))
        }
        Image::Other(reference) => reference.clone(),
        Image::Dockerfile(dockerfile) => {
            let network = settings.network.as_deref();
            let image = build::image(engine, dockerfile, source, network, missing, steps);
            return Box::pin(image).await;
        }
    };
    let is_there = is_there(engine, &reference).await?;
    if let Some(facts) = is_there {
        return Ok((reference, facts));
    }
    match &settings.image {
        Image::Preset(preset) => {
            if missing == MissingImage::Refuse {
                let how = format!("`amika image build {preset}` builds it");
                return Err(no_plan(&reference).hint(how));
            }
            let request = preset::Request {
                preset: *preset,
                base: None,
                force: false,
            };
            preset::ensure(engine, request, steps).await?;
            let facts = gotten(engine, &reference).await?;
            Ok((reference, facts))
        }
        Image::Other(_) | Image::Dockerfile(_) => {
            let facts = pulled(engine, &reference, missing, steps).await?;
            Ok((reference, facts))
        }
    }
}

/// Refuses an image that is for another system, or that says of itself what sandboxes alone may.
///
/// # Errors
/// [`Kind::Image`].
pub(super) fn must_fit(reference: &str, image: &ImageFacts) -> Result<()> {
    crate::image_labels::refuse(reference, &image.labels)?;
    if image.os == "linux" {
        return Ok(());
    }
    let message = format!("image `{reference}` is for {}, not for linux", image.os);
    Err(Error::new(Kind::Image, message))
}

/// An image of a registry; it is pulled where it is not there.
///
/// # Errors
/// [`Kind::Image`] when it cannot be had.
pub(super) async fn of_registry(
    engine: &Sandboxes,
    reference: &str,
    missing: MissingImage,
    steps: &mut Steps,
) -> Result<ImageFacts> {
    match is_there(engine, reference).await? {
        Some(facts) => Ok(facts),
        None => pulled(engine, reference, missing, steps).await,
    }
}

async fn is_there(engine: &Sandboxes, reference: &str) -> Result<Option<ImageFacts>> {
    let found = engine.inspect_image(reference).await;
    found.or_else(invalid_reference)
}

async fn pulled(
    engine: &Sandboxes,
    reference: &str,
    missing: MissingImage,
    steps: &mut Steps,
) -> Result<ImageFacts> {
    if missing == MissingImage::Refuse {
        let how = format!("`docker pull {}`", shell_quote(reference));
        return Err(no_plan(reference).hint(how));
    }
    build::refuse_gone(reference)?;
    crate::pull::pull(engine, reference, steps).await?;
    gotten(engine, reference).await
}

fn no_plan(reference: &str) -> Error {
    let message = format!("image `{reference}` is not there, so no plan can be made");
    Error::new(Kind::Image, message)
}

async fn gotten(engine: &Sandboxes, reference: &str) -> Result<ImageFacts> {
    let facts = engine.inspect_image(reference).await?;
    facts.ok_or_else(|| Error::new(Kind::Image, format!("image `{reference}` went away")))
}

/// An image that was made from a preset has amikad as its ENTRYPOINT, which every other image is given
/// anyway, and the preset's agent, unless it names a user itself.
fn as_made_from(mut image: ImageFacts) -> ImageFacts {
    if image.entrypoint.first().map(String::as_str) == Some(path::AMIKAD) {
        image.entrypoint.clear();
        if image.user.is_empty() {
            AGENT_USER.clone_into(&mut image.user);
        }
    }
    image
}

/// A reference that the engine calls invalid is a bad image, not a bad engine.
fn invalid_reference(error: amika_engine::EngineError) -> Result<Option<ImageFacts>> {
    match error {
        // Of any other reason Docker says so with 400, Podman of this with 500.
        amika_engine::EngineError::Refused { status, message }
            if status == 400 || message.contains("invalid reference format") =>
        {
            Err(Error::new(
                Kind::Image,
                format!("the image's name is no reference: {message}"),
            )
            .hint("it is `[REGISTRY/]NAME[:TAG]` in lower case, such as `debian:trixie`; `docker image ls` lists what is there"))
        }
        other => Err(other.into()),
    }
}

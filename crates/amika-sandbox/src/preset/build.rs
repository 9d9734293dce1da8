//! Building a preset image, unless one of the same recipe is there.

use std::collections::{BTreeMap, HashMap};

use amika_core::label::{Kind, ResourceRecord};

use super::base;
use super::recipe::{LABEL_PRESET, LABEL_RECIPE, Preset, version_args};
use crate::amikad::Daemon;
use crate::certificates;
use crate::error::{self, Error, Result};
use crate::image_build;
use crate::progress::Steps;
use crate::sandboxes::Sandboxes;
use amika_engine::BuildSpec;
use amika_host::machine::Machine;

/// What to build, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The preset.
    pub preset: Preset,
    /// The image to build on, where the user names one.
    pub base: Option<&'a str>,
    /// Build although it is there.
    pub force: bool,
}

/// A preset image that is there now.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct PresetImage {
    /// Name of the preset.
    pub preset: String,
    /// Reference of the image.
    pub image: String,
    /// Whether it was built now.
    pub built: bool,
}

/// Makes sure that a preset's image is there.
///
/// # Errors
/// When no base image can be had, or the build fails.
pub async fn ensure(
    engine: &Sandboxes,
    request: Request<'_>,
    steps: &mut Steps,
) -> Result<PresetImage> {
    let daemon = Daemon::for_engine(engine).await?;
    let fingerprint = request.preset.fingerprint(daemon.fingerprint());
    let image = request.preset.reference(&fingerprint);
    let preset = request.preset.name().to_owned();
    if !request.force && engine.inspect_image(&image).await?.is_some() {
        return Ok(PresetImage {
            preset,
            image,
            built: false,
        });
    }
    // Two first creates side by side: the second waits for the first one's image, and has it.
    let _lock = engine
        .locks()
        .wait(&format!("preset-{}-{fingerprint}", request.preset.name()))
        .await?;
    if !request.force && engine.inspect_image(&image).await?.is_some() {
        return Ok(PresetImage {
            preset,
            image,
            built: false,
        });
    }
    let base = match request.preset.parent() {
        Some(parent) => {
            let parent = Request {
                preset: parent,
                ..request
            };
            Box::pin(ensure(engine, parent, steps)).await?.image
        }
        None => base::find(engine, request.base, steps).await?,
    };
    // A preset has the labels of its base too.
    if let Some(facts) = engine.inspect_image(&base).await? {
        crate::image_labels::refuse(&base, &facts.labels)?;
    }
    build(engine, request.preset, &base, &fingerprint, &daemon, steps).await?;
    Ok(PresetImage {
        preset,
        image,
        built: true,
    })
}

async fn build(
    engine: &Sandboxes,
    preset: Preset,
    base: &str,
    fingerprint: &str,
    daemon: &Daemon,
    steps: &mut Steps,
) -> Result<()> {
    let image = preset.reference(fingerprint);
    steps.begin("image");
    steps.line(&format!(
        "building {image} on {base}; this is done once and takes a few minutes"
    ));
    let context = context(engine.machine(), preset, daemon).map_err(|error| {
        Error::new(error::Kind::Image, "the build context cannot be made").caused_by(&error)
    })?;
    let mut args = version_args();
    args.insert("BASE_IMAGE".into(), base.to_owned());
    args.extend(crate::proxy::variables(engine.machine()));
    let mut labels: HashMap<String, String> = ResourceRecord::new(Kind::Image)
        .to_labels()
        .into_iter()
        .collect();
    labels.insert(LABEL_PRESET.into(), preset.name().into());
    labels.insert(LABEL_RECIPE.into(), fingerprint.into());
    if let Some((key, value)) = engine.test_run_label() {
        labels.insert(key, value);
    }
    let spec = BuildSpec {
        tag: &image,
        dockerfile: "Dockerfile",
        args: &args,
        labels: &labels,
        network: None,
        memory: 0,
    };
    if let Err(failed) = image_build::run(engine, &spec, context, steps).await {
        steps.fail("could not be built");
        let message = format!("the image `{preset}` could not be built");
        return Err(failed.told(message).hint(
            "the engine keeps the steps that succeeded: run `amika image build` again after mending the cause",
        ));
    }
    steps.finish(&image);
    Ok(())
}

/// The context as a tar archive: the recipe's files, the host's certificates, and amikad.
fn context(machine: &Machine, preset: Preset, daemon: &Daemon) -> std::io::Result<Vec<u8>> {
    let mut files: BTreeMap<&str, (u32, &[u8])> = BTreeMap::new();
    for file in preset.files() {
        files.insert(
            file.path,
            (if file.executable { 0o755 } else { 0o644 }, file.content),
        );
    }
    let certificates = certificates::extra_bundle(machine).unwrap_or_default();
    if preset.parent().is_none() {
        files.insert("ca-certificates.crt", (0o644, &certificates));
        files.insert("amikad", (0o755, daemon.bytes()));
    }
    let mut archive = tar::Builder::new(Vec::new());
    for (path, (mode, content)) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        // A fixed time keeps the engine's layer cache valid from one host to the next.
        header.set_mtime(0);
        archive.append_data(&mut header, path, content)?;
    }
    archive.into_inner()
}

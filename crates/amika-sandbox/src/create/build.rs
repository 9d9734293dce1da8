//! The image that is built of a repository's Dockerfile, unless one of the same content is there.
//!
//! The build is given the directory that the Dockerfile stands in, as the sandbox will have it, and nothing of this machine
//! beside certificates and proxies.

use std::collections::{BTreeMap, HashMap};

use amika_core::build::{Ignore, declares, in_each_stage};
use amika_core::config::{self, Dockerfile, Located, RepoFile};
use amika_core::diagnostic::{Diagnostic, Severity};
use amika_core::hex::hex;
use amika_core::label::{Kind as Label, ResourceRecord, key};
use amika_engine::{BuildSpec, ImageFacts};
use amika_git::{self as git, GitError};
use sha2::{Digest as _, Sha256};

use super::facts::MissingImage;
use super::source::{Contents, Source};
use crate::amikad::Daemon;
use crate::error::{Error, Kind, Result};
use crate::preset::{self, Preset};
use crate::progress::Steps;
use crate::sandboxes::Sandboxes;
use crate::{certificates, image_build, image_labels, inject, networks};

/// What the names of such images begin with.
const NAMESPACE: &str = "amika-build/";
/// The largest Dockerfile that is read, in bytes.
pub(super) const DOCKERFILE_LIMIT: u64 = 1 << 20;
/// The largest `.dockerignore` that is read, in bytes.
const IGNORE_LIMIT: u64 = 1 << 20;
/// The most that a build is given, in bytes: it is held in memory.
const CONTEXT_LIMIT: u64 = 128 << 20;
/// Names in the context of what is added to it. The engine takes the Dockerfile and the list out before the first step.
const OWN_DOCKERFILE: &str = ".amika.Dockerfile";
const OWN_IGNORE: &str = ".dockerignore";
/// Name of the image that this machine's certificates are taken from: in the context, `COPY . .` would take them too.
const CERTIFICATES: &str = "amika-certificates";
/// Files of that image: certificates, and what leads apt to them.
const BUNDLE_FILE: &str = "ca-certificates.crt";
const APT_FILE: &str = "apt.conf";
/// Where certificates stand in each stage.
const PLACE: &str = "/usr/local/share/amika-build";
/// The argument that is given the reference of the preset's image, where a Dockerfile declares it.
const CODER: &str = "AMIKA_CODER";

/// Refuses to ask a registry for an image that was built here: whoever has that name there is somebody else.
///
/// # Errors
/// [`Kind::Image`].
pub(super) fn refuse_gone(reference: &str) -> Result<()> {
    if !reference.starts_with(NAMESPACE) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Image,
        format!("image `{reference}` was built of a repository's Dockerfile, and is gone"),
    )
    .hint("create the sandbox from the repository (`--git`), which builds it again, or name another: `--image`, `--preset`"))
}

/// Makes sure that the image is there; for a plan it need not be, and nothing is known of what it brings then.
///
/// # Errors
/// [`Kind::Invalid`] for a Dockerfile that cannot be used, with its place in the configuration; [`Kind::Image`] when it
/// cannot be built.
pub(super) async fn image(
    engine: &Sandboxes,
    dockerfile: &Dockerfile,
    source: Option<&Source>,
    network: Option<&str>,
    missing: MissingImage,
    steps: &mut Steps,
) -> Result<(String, ImageFacts)> {
    let Some(source) = source else {
        let message = "a Dockerfile is one of a repository, and there is none";
        return Err(Error::new(Kind::Invalid, message));
    };
    let path = match &dockerfile.file {
        RepoFile::Path(path) => path,
        RepoFile::Refused(problem) => return Err(refused(source, problem)),
    };
    let Contents::Copied(repository) = &source.contents else {
        return Err(Error::new(
            Kind::Invalid,
            "no image is built of a Dockerfile in a volume: an agent may have written it",
        )
        .hint("name the image: `--preset coder`, or `--image IMAGE`"));
    };
    let mut build = Build::prepare(engine, repository, source, path, &dockerfile.args).await?;
    build.give_coder(engine, missing, steps).await?;
    let fingerprint = build.fingerprint();
    let reference = format!("{NAMESPACE}{}:{fingerprint}", build.name);
    if let Some(facts) = engine.inspect_image(&reference).await? {
        return Ok((reference, facts));
    }
    if missing == MissingImage::Refuse {
        let unknown = ImageFacts {
            architecture: engine.system().await?.architecture,
            os: "linux".to_owned(),
            ..ImageFacts::default()
        };
        return Ok((reference, unknown));
    }
    // Two first creates side by side: the second waits for the first one's image, and has it.
    let lock = format!("build-{fingerprint}");
    let _lock = engine.locks().wait(&lock).await?;
    if let Some(facts) = engine.inspect_image(&reference).await? {
        return Ok((reference, facts));
    }
    build
        .run(engine, &reference, &fingerprint, network, steps)
        .await?;
    let facts = engine.inspect_image(&reference).await?;
    let facts =
        facts.ok_or_else(|| Error::new(Kind::Image, format!("image `{reference}` went away")))?;
    if let Err(refusal) = image_labels::refuse(&reference, &facts.labels) {
        engine.remove_image(&reference).await?;
        return Err(refusal);
    }
    Ok((reference, facts))
}

/// The error of a Dockerfile that cannot be used.
fn refused(source: &Source, problem: &Diagnostic) -> Error {
    let text = String::from_utf8_lossy(source.bytes.as_deref().unwrap_or_default());
    crate::finding::refusal(config::PATH, &text, std::slice::from_ref(problem)).hint(
        "mend it in the repository and commit it, or name another image: `--preset coder`, `--image IMAGE`",
    )
}

/// All that goes into an image.
struct Build {
    /// What the image is called: the repository.
    name: String,
    /// Repository and Dockerfile, for people and lists.
    of: String,
    /// Path of the Dockerfile.
    path: String,
    /// Its text.
    dockerfile: String,
    args: BTreeMap<String, String>,
    /// The directory as a tar archive.
    context: Vec<u8>,
    certificates: Option<Vec<u8>>,
}

/// The end of an archive: two blocks of zeros.
const END: usize = 1024;

impl Build {
    async fn prepare(
        engine: &Sandboxes,
        repository: &git::Repository,
        source: &Source,
        named: &Located<String>,
        args: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let unusable = |why: &'static str| {
            let message = format!("dockerfile \"{}\" {why}", named.value.escape_debug());
            let text = String::from_utf8_lossy(source.bytes.as_deref().unwrap_or_default());
            let problem = Diagnostic::new(Severity::Error, message, &text, named.span.clone());
            refused(source, &problem.with_label(why))
        };
        let path = match repository.entry(&named.value).await {
            Ok(Some(git::Entry {
                path,
                kind: git::Kind::File { .. },
            })) => path,
            Ok(Some(_)) => return Err(unusable("is a directory")),
            Ok(None) => {
                return Err(unusable(
                    "does not exist on the branch that the sandbox starts on",
                ));
            }
            Err(GitError::Outside { .. }) => return Err(unusable(super::SCRIPT_OUTSIDE)),
            Err(error) => return Err(error.into()),
        };
        let read = async |path: &str, limit| match repository.file(path, limit).await {
            Err(GitError::Outside { .. }) => Ok(None),
            other => other,
        };
        let dockerfile = read(&path, DOCKERFILE_LIMIT).await?.unwrap_or_default();
        let Ok(dockerfile) = String::from_utf8(dockerfile) else {
            return Err(unusable("is not UTF-8"));
        };
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let below = |name: &str| match directory {
            "" => name.to_owned(),
            directory => format!("{directory}/{name}"),
        };
        // As Docker has it: the one beside the Dockerfile, of its name, comes first.
        let ignore = match read(&format!("{path}.dockerignore"), IGNORE_LIMIT).await? {
            Some(own) => Some(own),
            None => read(&below(".dockerignore"), IGNORE_LIMIT).await?,
        };
        let ignore = Ignore::parse(&String::from_utf8_lossy(&ignore.unwrap_or_default()));
        let keep = move |path: &[u8]| {
            let own = [OWN_DOCKERFILE, OWN_IGNORE];
            !own.iter().any(|own| own.as_bytes() == path) && !ignore.ignores(path)
        };
        let context = repository.directory_tar(directory, keep, CONTEXT_LIMIT);
        let context = context.await.map_err(|error| match error {
            GitError::TooLarge { .. } => Error::new(
                Kind::Image,
                format!(
                    "the directory of {path} has more than {} MiB: so much is no build given",
                    CONTEXT_LIMIT >> 20
                ),
            )
            .hint("name in a `.dockerignore` beside it what the build does not need"),
            error => error.into(),
        })?;
        let repository = &repository.facts().name;
        Ok(Self {
            name: image_name(repository),
            of: format!("{repository}/{path}"),
            path,
            dockerfile,
            args: args.clone(),
            context,
            certificates: certificates::extra_bundle(engine.machine()),
        })
    }

    /// Gives it the preset's image to build on, where it asks for that.
    async fn give_coder(
        &mut self,
        engine: &Sandboxes,
        missing: MissingImage,
        steps: &mut Steps,
    ) -> Result<()> {
        // Its name is not anybody's to give.
        self.args.remove(CODER);
        if !declares(&self.dockerfile, CODER) {
            return Ok(());
        }
        let preset = Preset::Coder;
        let image = if missing == MissingImage::Get {
            let request = preset::Request {
                preset,
                base: None,
                force: false,
            };
            preset::ensure(engine, request, steps).await?.image
        } else {
            let daemon = Daemon::for_engine(engine).await?;
            preset.reference(&preset.fingerprint(daemon.fingerprint()))
        };
        self.args.insert(CODER.to_owned(), image);
        Ok(())
    }

    /// Of all that makes the image what it is, where nothing of one part can stand for something of the other.
    fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        let count = self.args.len().to_string();
        let args = self.args.iter().flat_map(|(name, value)| [name, value]);
        let args = args.map(String::as_bytes);
        let parts = [
            self.of.as_bytes(),
            self.dockerfile.as_bytes(),
            &self.context,
            self.certificates.as_deref().unwrap_or_default(),
            count.as_bytes(),
        ];
        for part in parts.into_iter().chain(args) {
            crate::digest::add(&mut digest, part);
        }
        hex(&digest.finalize())[..24].to_owned()
    }

    async fn run(
        &self,
        engine: &Sandboxes,
        reference: &str,
        fingerprint: &str,
        network: Option<&str>,
        steps: &mut Steps,
    ) -> Result<()> {
        steps.begin("image");
        steps.line(&format!("building {reference} of {}", self.path));
        let unmade = |error: std::io::Error| {
            Error::new(Kind::Image, "the build context cannot be made").caused_by(&error)
        };
        let dockerfile = match &self.certificates {
            None => self.dockerfile.clone(),
            Some(bundle) => {
                let image = certificates_image(engine, bundle, steps).await?;
                in_each_stage(&self.dockerfile, &with_certificates(&image))
            }
        };
        let ignore = format!("{OWN_DOCKERFILE}\n{OWN_IGNORE}\n");
        let added = [
            (OWN_DOCKERFILE, dockerfile.as_bytes()),
            (OWN_IGNORE, ignore.as_bytes()),
        ];
        let end = self.context.len().saturating_sub(END);
        let context = append(self.context[..end].to_vec(), &added).map_err(unmade)?;
        let mut args: HashMap<String, String> = self.args.clone().into_iter().collect();
        args.extend(crate::proxy::variables(engine.machine()));
        let mut labels = labels(fingerprint, &self.of);
        labels.extend(engine.test_run_label());
        let network = networks::of_builds(engine, network).await?;
        // As much as a sandbox has: what is built is a repository's.
        let memory = engine.system().await?.memory / 4 * 3;
        let spec = BuildSpec {
            tag: reference,
            dockerfile: OWN_DOCKERFILE,
            args: &args,
            labels: &labels,
            network: network.as_deref(),
            memory,
        };
        if let Err(failed) = image_build::run(engine, &spec, context, steps).await {
            steps.fail("could not be built");
            let message = format!("the image of {} could not be built", self.path);
            return Err(failed
                .told(message)
                .hint("mend it, and commit that; or name another image: `--preset coder`, `--image IMAGE`"));
        }
        steps.finish(reference);
        Ok(())
    }
}

/// The labels of an image that was built here, but is no preset's.
fn labels(fingerprint: &str, of: &str) -> HashMap<String, String> {
    let labels = ResourceRecord::new(Label::Image).to_labels();
    let mut labels: HashMap<String, String> = labels.into_iter().collect();
    labels.insert(key::RECIPE.into(), fingerprint.to_owned());
    labels.insert(key::BUILT_OF.into(), of.to_owned());
    // What it is built on may be a preset, which it is not.
    labels.insert(key::PRESET.into(), String::new());
    labels
}

/// An image that has nothing but this machine's certificates, made where there is none of these.
async fn certificates_image(
    engine: &Sandboxes,
    bundle: &[u8],
    steps: &mut Steps,
) -> Result<String> {
    let fingerprint = &hex(&Sha256::digest(bundle))[..24];
    let reference = format!("{CERTIFICATES}:{fingerprint}");
    if engine.inspect_image(&reference).await?.is_some() {
        return Ok(reference);
    }
    let _lock = engine.locks().wait(&format!("build-{fingerprint}")).await?;
    if engine.inspect_image(&reference).await?.is_some() {
        return Ok(reference);
    }
    let apt = inject::apt_conf(&format!("{PLACE}/{BUNDLE_FILE}"));
    let dockerfile = format!("FROM scratch\nCOPY {BUNDLE_FILE} {APT_FILE} /\n");
    let files = [
        (BUNDLE_FILE, bundle),
        (APT_FILE, apt.as_bytes()),
        (OWN_DOCKERFILE, dockerfile.as_bytes()),
    ];
    let context = append(Vec::new(), &files).map_err(|error| {
        Error::new(Kind::Image, "the build context cannot be made").caused_by(&error)
    })?;
    let labels = labels(fingerprint, "this machine's certificates");
    let spec = BuildSpec {
        tag: &reference,
        dockerfile: OWN_DOCKERFILE,
        args: &HashMap::new(),
        // Of no test run, whose end would take it from the builds of others.
        labels: &labels,
        network: None,
        memory: 0,
    };
    let built = image_build::run(engine, &spec, context, steps).await;
    built.map_err(|failed| {
        failed.told("this machine's certificates cannot be made an image of".to_owned())
    })?;
    Ok(reference)
}

/// What gives each stage of a Dockerfile the certificates of an image.
fn with_certificates(image: &str) -> String {
    let (bundle, apt) = (
        format!("{PLACE}/{BUNDLE_FILE}"),
        format!("{PLACE}/{APT_FILE}"),
    );
    let mut added = format!("COPY --from={image} / {PLACE}/\n");
    // Arguments, not variables: they hold for the build alone.
    for (name, value) in inject::certificate_variables_at(&bundle, &apt) {
        added.extend(["ARG ", &name, "=", &value, "\n"]);
    }
    added
}

/// An archive with more files, and its end; `archive` has none.
fn append(archive: Vec<u8>, files: &[(&str, &[u8])]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(archive);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        archive.append_data(&mut header, path, *content)?;
    }
    archive.into_inner()
}

/// A repository's name as an image's may be.
fn image_name(repository: &str) -> String {
    let lower = repository.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(100);
    match name.trim_end_matches('-') {
        "" => "repository".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_hold_for_every_stage_and_for_the_build_alone() {
        let added = with_certificates("c:1");
        assert!(
            added.starts_with(
                "COPY --from=c:1 / /usr/local/share/amika-build/\nARG SSL_CERT_FILE=/"
            )
        );
        assert!(!added.contains("ENV"), "{added}");
        let text = in_each_stage("FROM a\nFROM b\n", &added);
        assert_eq!(text.matches("COPY --from").count(), 2);
    }

    #[test]
    fn every_repository_has_a_name_for_its_image() {
        for (name, expected) in [
            ("app", "app"),
            ("My App.js", "my-app-js"),
            ("..", "repository"),
            ("ü", "repository"),
            ("a__b", "a-b"),
        ] {
            assert_eq!(image_name(name), expected);
        }
        let long = format!(
            "{NAMESPACE}{}:{}",
            image_name(&"x".repeat(400)),
            "0".repeat(24)
        );
        assert_eq!(amika_core::image::check_reference(&long), Ok(()));
    }
}

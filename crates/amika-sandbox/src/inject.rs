//! amikad for images that do not bring it, and the host's certificates: one volume, filled once.
//!
//! The volume is named by the hash of what it holds and mounted read-only, so it costs a sandbox
//! nothing and works in an image without a shell. A second, empty volume, the mark, tells that the first one
//! is complete: labels cannot change after a volume was made, and its existence is one cheap call.
//!
//! A volume that no container has may be removed at any moment, by the engine's `prune` or by `doctor` of
//! whoever uses the engine, and the engine makes an empty one of the name for the container that wants
//! it next. So a mark has the labels of its volume, which tell when and by whom it was made: an empty one
//! has others. And a create looks once its container has the volume, when nobody can take it away any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use amika_core::contract::path;
use amika_core::hex::hex;
use amika_core::label::{Kind, Labels, ResourceRecord, key};
use sha2::{Digest as _, Sha256};

use crate::amikad::Daemon;
use crate::error::Result;
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerSpec, EngineError, MountSpec, VolumeFacts};

/// Name of the certificates' file beside the program.
pub const CERTIFICATES: &str = "/usr/local/lib/amikad/ca-certificates.crt";
/// Name of apt's configuration beside the program: apt knows no environment variable for the file.
pub const APT_CONFIG: &str = "/usr/local/lib/amikad/apt.conf";

/// Begins the name of each such volume.
const PREFIX: &str = "amikad-";
/// Ends the name of the empty volume that tells that another one is complete.
const COMPLETE: &str = "-complete";

/// The volume of which this one tells that it is complete, if that is what it is for.
pub fn marked(volume: &str) -> Option<&str> {
    volume.strip_suffix(COMPLETE)
}

/// The name of the volume that tells that this one is complete.
pub fn mark(volume: &str) -> String {
    format!("{volume}{COMPLETE}")
}

/// The volumes that hold a program and that nothing needs, of these that no container has: all but the one of the
/// name `current`. A mark is told of only where its volume is gone, since it goes with it.
pub fn unneeded<'a>(
    unused: &'a [VolumeFacts],
    there: &BTreeSet<&str>,
    current: Option<&str>,
) -> Vec<&'a VolumeFacts> {
    let is_program = |volume: &&VolumeFacts| {
        let kind = volume.labels.get(key::KIND).map(String::as_str);
        kind == Some(Kind::Amikad.as_str()) && volume.name.starts_with(PREFIX)
    };
    unused
        .iter()
        .filter(is_program)
        .filter(|volume| match marked(&volume.name) {
            Some(marked) => !there.contains(marked),
            None => Some(volume.name.as_str()) != current,
        })
        .collect()
}

/// Whether a volume is the one of which a mark tells.
fn is_complete(volume: Option<&VolumeFacts>, mark: Option<&VolumeFacts>) -> bool {
    volume
        .zip(mark)
        .is_some_and(|(volume, mark)| volume.labels == mark.labels)
}

/// What is mounted at amikad's directory.
#[derive(Clone)]
pub struct Injection {
    daemon: Arc<Daemon>,
    certificates: Option<Arc<[u8]>>,
    name: String,
    /// Those of a volume that is made now.
    labels: Labels,
}

impl Injection {
    /// An injection of a program and, where the host has them, certificates.
    pub fn new(daemon: Daemon, certificates: Option<Vec<u8>>) -> Self {
        let mut digest = Sha256::new();
        digest.update(daemon.fingerprint());
        digest.update([0]);
        digest.update(certificates.as_deref().unwrap_or_default());
        let name = format!("{PREFIX}{}", &hex(&digest.finalize())[..16]);
        // The volume is everybody's, also when a test run made it.
        let labels = ResourceRecord {
            created_at: Some(amika_host::clock::now_millis()),
            creator: Some(crate::creator::this_process()),
            ..ResourceRecord::new(Kind::Amikad)
        };
        Self {
            daemon: Arc::new(daemon),
            certificates: certificates.map(Into::into),
            name,
            labels: labels.to_labels(),
        }
    }

    /// The one for this machine's certificates and the engine's architecture.
    ///
    /// # Errors
    /// When this `amika` carries no program for it; those of the engine.
    pub async fn current(engine: &Sandboxes) -> Result<Self> {
        let daemon = Daemon::for_engine(engine).await?;
        Ok(Self::new(
            daemon,
            crate::certificates::extra_bundle(engine.machine()),
        ))
    }

    /// The name of the volume.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether certificates are in it.
    pub fn has_certificates(&self) -> bool {
        self.certificates.is_some()
    }

    /// Makes sure that the volume is there and complete, and stays so: for when a container has it. `image`
    /// serves as the never started container through which it is filled.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn ensure(&self, engine: &Sandboxes, image: &str) -> Result<()> {
        if self.is_there(engine).await? {
            return Ok(());
        }
        let (injection, image) = (self.clone(), image.to_owned());
        let filling = engine.clone();
        // Broken off, it would leave its helper behind.
        engine
            .unbroken(async move { injection.make(&filling, &image).await })
            .await
    }

    async fn is_there(&self, engine: &Sandboxes) -> Result<bool> {
        let mark = mark(&self.name);
        let (volume, mark) = tokio::try_join!(
            engine.inspect_volume(&self.name),
            engine.inspect_volume(&mark)
        )?;
        Ok(is_complete(volume.as_ref(), mark.as_ref()))
    }

    async fn make(&self, engine: &Sandboxes, image: &str) -> Result<()> {
        let _lock = engine.locks().wait(&self.name).await?;
        if self.is_there(engine).await? {
            return Ok(());
        }
        // It is of none, or of a volume that was removed.
        engine.remove_volume(&mark(&self.name)).await?;
        // Only the filler is a test run's own.
        let mut filler_labels = self.labels.clone();
        filler_labels.extend(engine.test_run_label());
        let filler = ContainerSpec {
            name: format!("{}-fill-{:08x}", self.name, rand::random::<u32>()),
            image: image.to_owned(),
            entrypoint: Some(vec![path::AMIKAD.into()]),
            cmd: Some(vec!["--version".into()]),
            labels: filler_labels,
            network: "none".into(),
            mounts: vec![MountSpec::Volume {
                name: self.name.clone(),
                target: path::AMIKAD_DIR.into(),
                read_only: false,
                labels: self.labels.clone(),
                no_copy: true,
            }],
            ..ContainerSpec::default()
        };
        let id = engine.create_container(&filler).await?;
        // While the filler has the volume, it cannot be replaced by another one.
        let making = async {
            self.fill(engine, &id).await?;
            let volume = engine.inspect_volume(&self.name).await?;
            let labels = volume.map_or_else(Labels::new, |volume| volume.labels);
            engine.create_volume(&mark(&self.name), labels).await
        };
        let result = making.await;
        engine.remove_container(&id).await?;
        Ok(result?)
    }

    /// The mount of it.
    pub fn mount(&self) -> MountSpec {
        MountSpec::Volume {
            name: self.name.clone(),
            target: path::AMIKAD_DIR.into(),
            read_only: true,
            labels: self.labels.clone(),
            no_copy: true,
        }
    }

    async fn fill(&self, engine: &Sandboxes, container: &str) -> Result<(), EngineError> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |name: &str, mode: u32, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, name, content)
        };
        let made = add("amikad", 0o755, self.daemon.bytes()).and_then(|()| {
            let Some(certificates) = &self.certificates else {
                return Ok(());
            };
            add("ca-certificates.crt", 0o644, certificates)?;
            add("apt.conf", 0o644, apt_conf(CERTIFICATES).as_bytes())
        });
        let archive = made
            .and_then(|()| archive.into_inner())
            .map_err(|error| EngineError::Broken(error.to_string()))?;
        engine
            .put_archive(container, path::AMIKAD_DIR, archive)
            .await
    }
}

/// The variables that lead programs to the injected certificates.
pub fn certificate_variables() -> Vec<(String, String)> {
    certificate_variables_at(CERTIFICATES, APT_CONFIG)
}

/// The variables that lead programs to certificates at a place, and apt to its configuration.
pub(crate) fn certificate_variables_at(bundle: &str, apt: &str) -> Vec<(String, String)> {
    const BUNDLE: [&str; 7] = [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "NODE_EXTRA_CA_CERTS",
        "PIP_CERT",
        "REQUESTS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO",
    ];
    BUNDLE
        .iter()
        .map(|key| ((*key).to_owned(), bundle.to_owned()))
        .chain(std::iter::once(("APT_CONFIG".to_owned(), apt.to_owned())))
        .collect()
}

/// What leads apt to certificates.
pub(crate) fn apt_conf(bundle: &str) -> String {
    format!("Acquire::https::CaInfo \"{bundle}\";\n")
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn volume(name: &str, kind: Kind, made: u64) -> VolumeFacts {
        let record = ResourceRecord {
            created_at: Some(made),
            ..ResourceRecord::new(kind)
        };
        VolumeFacts {
            name: name.to_owned(),
            labels: record.to_labels(),
            driver: "local".to_owned(),
            mountpoint: String::new(),
        }
    }

    #[test]
    fn only_volumes_that_no_container_has_and_the_next_create_does_not_want_are_unneeded() {
        let of = |name| volume(name, Kind::Amikad, 1);
        let unused = [
            of("amikad-current"),
            of("amikad-current-complete"),
            of("amikad-old"),
            of("amikad-old-complete"),
            // A container has the volume of this mark.
            of("amikad-used-complete"),
            // Somebody removed the volume of this one.
            of("amikad-gone-complete"),
            volume("amikad-home", Kind::Home, 1),
            of("named-otherwise"),
        ];
        let there = BTreeSet::from(["amikad-current", "amikad-old", "amikad-used"]);
        let names = |current| -> Vec<&str> {
            let found = unneeded(&unused, &there, current);
            found.into_iter().map(|it| it.name.as_str()).collect()
        };
        let always = ["amikad-old", "amikad-gone-complete"];
        assert_eq!(names(Some("amikad-current")), always);
        assert_eq!(names(None), ["amikad-current", always[0], always[1]]);
    }

    #[test]
    fn a_volume_that_was_made_again_is_not_the_one_that_was_complete() {
        let first = volume("amikad-1", Kind::Amikad, 1);
        let mark = volume("amikad-1-complete", Kind::Amikad, 1);
        let again = volume("amikad-1", Kind::Amikad, 2);
        for (volume, mark, complete) in [
            (Some(&first), Some(&mark), true),
            (Some(&again), Some(&mark), false),
            (None, Some(&mark), false),
            (Some(&first), None, false),
        ] {
            assert_eq!(is_complete(volume, mark), complete, "{volume:?} {mark:?}");
        }
    }
}

//! amikad for images that do not bring it, and the host's certificates: one volume, filled once.
//!
//! The volume is named by the hash of what it holds and mounted read-only, so it costs a sandbox
//! nothing and works in an image without a shell. A second, empty volume tells that the first one
//! is complete: labels cannot change after a volume was made, and its existence is one cheap call.

use std::sync::Arc;

use amika_core::contract::path;
use amika_core::hex::hex;
use amika_core::label::{Kind, ResourceRecord};
use sha2::{Digest as _, Sha256};

use crate::amikad::Daemon;
use crate::error::Result;
use amika_engine::{ContainerSpec, Engine, EngineError, MountSpec};

/// Name of the certificates' file beside the program.
pub const CERTIFICATES: &str = "/usr/local/lib/amikad/ca-certificates.crt";
/// Name of apt's configuration beside the program: apt knows no environment variable for the file.
pub const APT_CONFIG: &str = "/usr/local/lib/amikad/apt.conf";

/// Ends the name of the empty volume that tells that another one is complete.
const COMPLETE: &str = "-complete";

/// The volume of which this one tells that it is complete, if that is what it is for.
pub fn marked(volume: &str) -> Option<&str> {
    volume.strip_suffix(COMPLETE)
}

/// What is mounted at amikad's directory.
#[derive(Clone)]
pub struct Injection {
    daemon: Arc<Daemon>,
    certificates: Option<Arc<[u8]>>,
    name: String,
}

impl Injection {
    /// An injection of a program and, where the host has them, certificates.
    pub fn new(daemon: Daemon, certificates: Option<Vec<u8>>) -> Self {
        let mut digest = Sha256::new();
        digest.update(daemon.fingerprint());
        digest.update([0]);
        digest.update(certificates.as_deref().unwrap_or_default());
        let name = format!("amikad-{}", &hex(&digest.finalize())[..16]);
        Self {
            daemon: Arc::new(daemon),
            certificates: certificates.map(Into::into),
            name,
        }
    }

    /// Whether certificates are in it.
    pub fn has_certificates(&self) -> bool {
        self.certificates.is_some()
    }

    /// Makes sure that the volume is there and complete. `image` serves as the never started
    /// container through which it is filled.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn ensure(&self, engine: &Engine, image: &str) -> Result<()> {
        let complete = format!("{}{COMPLETE}", self.name);
        if engine.inspect_volume(&complete).await?.is_some() {
            return Ok(());
        }
        let (injection, image) = (self.clone(), image.to_owned());
        let filling = engine.clone();
        // Broken off, it would leave its helper behind.
        engine
            .unbroken(async move { injection.make(&filling, &image, complete).await })
            .await
    }

    async fn make(&self, engine: &Engine, image: &str, complete: String) -> Result<()> {
        let _lock = crate::lock::FileLock::wait(&self.name).await?;
        if engine.inspect_volume(&complete).await?.is_some() {
            return Ok(());
        }
        // The volume is everybody's, also when a test run made it: only the filler is the run's own.
        let labels = ResourceRecord::new(Kind::Amikad).to_labels();
        let filler_labels = ResourceRecord {
            creator: Some(crate::creator::this_process()),
            ..ResourceRecord::new(Kind::Amikad)
        };
        let mut filler_labels = filler_labels.to_labels();
        filler_labels.extend(crate::test_run_label());
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
                labels: labels.clone(),
                no_copy: true,
            }],
            ..ContainerSpec::default()
        };
        let id = engine.create_container(&filler).await?;
        let result = self.fill(engine, &id).await;
        engine.remove_container(&id).await?;
        result?;
        engine.create_volume(&complete, labels).await?;
        Ok(())
    }

    /// The mount of it.
    pub fn mount(&self) -> MountSpec {
        MountSpec::Volume {
            name: self.name.clone(),
            target: path::AMIKAD_DIR.into(),
            read_only: true,
            labels: ResourceRecord::new(Kind::Amikad).to_labels(),
            no_copy: true,
        }
    }

    async fn fill(&self, engine: &Engine, container: &str) -> Result<(), EngineError> {
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
            add(
                "apt.conf",
                0o644,
                format!("Acquire::https::CaInfo \"{CERTIFICATES}\";\n").as_bytes(),
            )
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
        .map(|key| ((*key).to_owned(), CERTIFICATES.to_owned()))
        .chain(std::iter::once((
            "APT_CONFIG".to_owned(),
            APT_CONFIG.to_owned(),
        )))
        .collect()
}

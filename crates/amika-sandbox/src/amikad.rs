//! The daemon's program for the engine's architecture: carried inside `amika`, or beside it.

use std::borrow::Cow;
use std::path::PathBuf;

use amika_core::hex::hex;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, Result};
use crate::sandboxes::Sandboxes;

include!(concat!(env!("OUT_DIR"), "/daemons.rs"));

/// A program that this one carries.
struct Embedded {
    arch: &'static str,
    digest: [u8; 32],
    bytes: &'static [u8],
}

/// amikad for one architecture.
pub struct Daemon {
    bytes: Cow<'static, [u8]>,
    fingerprint: String,
}

impl Daemon {
    /// The program for the engine's own architecture.
    ///
    /// # Errors
    /// When this `amika` carries none for it.
    pub async fn for_engine(engine: &Sandboxes) -> Result<Self> {
        if engine.is_local() {
            // A local engine runs on this machine's processor: no call is needed to learn it.
            return Self::for_architecture(std::env::consts::ARCH);
        }
        let facts = engine.system().await?;
        Self::for_architecture(&facts.architecture)
    }

    /// The program for an architecture, in Go's, Rust's or the kernel's words.
    ///
    /// # Errors
    /// As [`Daemon::for_engine`].
    pub fn for_architecture(architecture: &str) -> Result<Self> {
        let arch = match architecture {
            "amd64" | "x86_64" => "x86_64",
            "arm64" | "aarch64" | "arm64v8" => "aarch64",
            other => other,
        };
        if let Some(embedded) = EMBEDDED.iter().find(|embedded| embedded.arch == arch) {
            return Ok(Self::new(Cow::Borrowed(embedded.bytes), &embedded.digest));
        }
        if let Some(bytes) = beside(arch).and_then(|path| std::fs::read(path).ok()) {
            let digest = Sha256::digest(&bytes);
            return Ok(Self::new(Cow::Owned(bytes), &digest));
        }
        Err(Error::new(
            Kind::Image,
            format!("this amika carries no amikad for the architecture {architecture}"),
        )
        .hint("build amika with `make build`, or use an image of another architecture"))
    }

    fn new(bytes: Cow<'static, [u8]>, digest: &[u8]) -> Self {
        let mut fingerprint = hex(digest);
        fingerprint.truncate(12);
        Self { bytes, fingerprint }
    }

    /// The program.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Fingerprint of the program: 12 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Where a build that carries none looks: beside its own program.
fn beside(arch: &str) -> Option<PathBuf> {
    let path = std::env::current_exe()
        .ok()?
        .with_file_name(format!("amikad-{arch}"));
    path.is_file().then_some(path)
}

//! The daemon's program for the engine's architecture: carried inside `amika`, or beside it.

use std::borrow::Cow;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::engine::{Engine, hex};
use crate::error::{CommandError, ExitCode, Result};

include!(concat!(env!("OUT_DIR"), "/daemons.rs"));

/// amikad for one architecture.
pub struct Daemon {
    bytes: Cow<'static, [u8]>,
}

impl Daemon {
    /// The program for the engine's own architecture.
    ///
    /// # Errors
    /// When this `amika` carries none for it.
    pub async fn for_engine(engine: &Engine) -> Result<Self> {
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
        if let Some((_, bytes)) = EMBEDDED.iter().find(|(name, _)| *name == arch) {
            return Ok(Self {
                bytes: Cow::Borrowed(bytes),
            });
        }
        if let Some(bytes) = beside(arch).and_then(|path| std::fs::read(path).ok()) {
            return Ok(Self {
                bytes: Cow::Owned(bytes),
            });
        }
        Err(CommandError::new(
            ExitCode::Image,
            format!("this amika carries no amikad for the architecture {architecture}"),
        )
        .hint("build amika with `make build`, or use an image of another architecture"))
    }

    /// The program.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Fingerprint of the program: 12 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(&self.bytes))[..12].to_owned()
    }
}

/// Where a build that carries none looks: beside its own program.
fn beside(arch: &str) -> Option<PathBuf> {
    let path = std::env::current_exe()
        .ok()?
        .with_file_name(format!("amikad-{arch}"));
    path.is_file().then_some(path)
}

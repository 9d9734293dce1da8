//! TLS with a certificate that may change while the server runs.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use amika_sandbox::error::{Error, Kind, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What speaks TLS with the certificate of now.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<(Arc<ServerConfig>, Stamp)>,
}

/// When both files were written.
type Stamp = [Option<SystemTime>; 2];

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for files that cannot be read, or do not belong to each other.
    pub fn load(cert: PathBuf, key: PathBuf) -> Result<Self> {
        let read = read(&cert, &key)?;
        Ok(Self {
            current: RwLock::new((read, stamp(&cert, &key))),
            cert,
            key,
        })
    }

    /// What takes the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.0))
    }

    /// Reads both files again where they were written since, or `always`. What cannot be used is told, and the
    /// certificate of before goes on.
    pub fn renew(&self, always: bool) {
        let now = stamp(&self.cert, &self.key);
        let is_same = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            == now;
        if is_same && !always {
            return;
        }
        match read(&self.cert, &self.key) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = (config, now);
                tracing::info!("the certificate was read anew");
            }
            Err(error) => {
                // Told once for each state of the files.
                self.current
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .1 = now;
                tracing::error!(
                    "{}: {}; the one of before goes on",
                    error.message,
                    error.causes.join(": ")
                );
            }
        }
    }
}

fn stamp(cert: &PathBuf, key: &PathBuf) -> Stamp {
    [cert, key].map(|path| path.metadata().and_then(|meta| meta.modified()).ok())
}

fn read(cert: &PathBuf, key: &PathBuf) -> Result<Arc<ServerConfig>> {
    let unusable = |path: &PathBuf, error: &dyn std::error::Error| {
        let message = format!("{} cannot be used for TLS", path.display());
        Error::new(Kind::Invalid, message).caused_by(error)
    };
    let chain = CertificateDer::pem_file_iter(cert).map_err(|error| unusable(cert, &error))?;
    let chain: Vec<_> = chain
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(cert, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(cert, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| unusable(cert, &error))?;
    Ok(Arc::new(config))
}

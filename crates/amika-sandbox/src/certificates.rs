//! Certificates that this host trusts beyond the usual ones: a company's proxy signs with them.

use std::path::{Path, PathBuf};

use amika_host::machine::Machine;

/// Where distributions keep the whole bundle.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// Where administrators put certificates of their own.
const EXTRA: [&str; 2] = [
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
];

/// The host's bundle, when it holds certificates that an image does not bring: a file in an
/// administrator's directory, or `SSL_CERT_FILE` in the environment.
pub fn extra_bundle(machine: &Machine) -> Option<Vec<u8>> {
    let named = machine.variable("SSL_CERT_FILE").map(PathBuf::from);
    if let Some(bundle) = named.and_then(|path| std::fs::read(path).ok()) {
        return Some(bundle);
    }
    if !EXTRA.iter().any(|dir| has_certificates(Path::new(dir))) {
        return None;
    }
    BUNDLES.iter().find_map(|path| std::fs::read(path).ok())
}

fn has_certificates(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.extension()
            .is_some_and(|extension| extension == "crt" || extension == "pem")
            || (path.is_dir() && has_certificates(&path))
    })
}

//! The API token and the OpenCode password: where they come from.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;

use amika_core::contract::{env, path};
use amika_core::hex::{hex, unhex};
use amika_core::proof::Key;
use nix::libc;
use sha2::{Digest, Sha256};

use crate::environment::Environment;
use crate::say::{say, say_unkept};
use crate::sys;

/// The secrets of a sandbox, each found or made when first asked for.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// SHA-256 of the token, from the environment: the key itself.
    given_key: Option<[u8; 32]>,
    /// The OpenCode password, from the environment.
    given_password: Option<String>,
    /// User name of the OpenCode server.
    pub(crate) opencode_user: String,
    key: OnceLock<Key>,
    password: OnceLock<String>,
}

impl Secrets {
    /// Takes what the container's environment names.
    pub(crate) fn from_environment(environment: &Environment) -> Self {
        let text = |name| environment.get(name).and_then(OsStr::to_str);
        let given = text(env::TOKEN_SHA256);
        let given_key = given.and_then(parse_hash);
        if given.is_some() && given_key.is_none() {
            say(format!(
                "{} is no SHA-256 in hexadecimal; ignored",
                env::TOKEN_SHA256
            ));
        }
        let filled = |value: &&str| !value.is_empty();
        Self {
            given_key,
            given_password: text(env::OPENCODE_PASSWORD)
                .filter(filled)
                .map(str::to_owned),
            opencode_user: text("OPENCODE_SERVER_USERNAME")
                .filter(filled)
                .unwrap_or("opencode")
                .to_owned(),
            key: OnceLock::new(),
            password: OnceLock::new(),
        }
    }

    /// Makes the token now if nobody gave one, so that it can be read from the state directory.
    pub(crate) fn prepare_token(&self) {
        self.key();
    }

    /// What a client and amikad prove to each other that they know.
    pub(crate) fn key(&self) -> &Key {
        self.key.get_or_init(|| match self.given_key {
            Some(bytes) => Key::from_bytes(bytes),
            None => {
                Key::of_token(kept_secret(Path::new(path::TOKEN_FILE), 32, "API token").as_bytes())
            }
        })
    }

    /// The password of the OpenCode server.
    pub(crate) fn opencode_password(&self) -> &str {
        self.password.get_or_init(|| {
            self.given_password.clone().unwrap_or_else(|| {
                // Whatever length the user chose.
                kept_secret(
                    Path::new(path::OPENCODE_PASSWORD_FILE),
                    1,
                    "OpenCode password",
                )
            })
        })
    }
}

/// The secret in `file`, made there if there is none that can be trusted and has `least` bytes.
fn kept_secret(file: &Path, least: usize, what: &str) -> String {
    if let Ok(secret) = read_secret(file, least) {
        return secret;
    }
    let secret = hex(&random_bytes());
    if let Err(error) = write_secret(file, &secret) {
        say_unkept(format!(
            "cannot keep the {what} in {}: {error}",
            file.display()
        ));
    }
    secret
}

/// Reads a secret from a file that is regular, ours, and nobody else's to read or write.
fn read_secret(file: &Path, least: usize) -> io::Result<String> {
    // Non-blocking: a FIFO in its place must not hold up the boot.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(file)?;
    let data = opened.metadata()?;
    // No bit set for the group or for others.
    let ours = data.is_file()
        && data.uid() == nix::unistd::geteuid().as_raw()
        && data.mode().trailing_zeros() >= 6;
    let mut text = String::new();
    opened.take(4096).read_to_string(&mut text)?;
    let text = text.trim_end_matches(['\n', '\r']);
    if ours && text.len() >= least {
        Ok(text.to_owned())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn write_secret(file: &Path, secret: &str) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW);
    options.open(file)?.write_all(secret.as_bytes())
}

/// 32 bytes that nobody can guess.
pub(crate) fn random_bytes() -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    let read = sys::random(&mut bytes).or_else(|_| {
        // A kernel or a filter without the call.
        std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes))
    });
    if read.is_err() {
        // Without /dev: the kernel's generator answers through its other door as well.
        let uuids =
            (0..2).filter_map(|_| std::fs::read_to_string("/proc/sys/kernel/random/uuid").ok());
        bytes = Sha256::digest(uuids.collect::<String>()).into();
    }
    bytes
}

/// The 32 bytes that so many digits are.
fn parse_hash(text: &str) -> Option<[u8; 32]> {
    unhex(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use amika_core::proof::Nonces;

    use super::*;

    #[test]
    fn the_token_is_known_by_its_hash_only() {
        let hash = hex(&Sha256::digest(b"secret-token"));
        let environment = [(env::TOKEN_SHA256.into(), hash.into())]
            .into_iter()
            .collect::<Environment>();
        let secrets = Secrets::from_environment(&environment);
        let nonces = Nonces::new(vec![1; 16], [2; 32]).unwrap();
        let proof = Key::of_token(b"secret-token").client_proof(&nonces);
        assert!(secrets.key().is_clients(&proof, &nonces));
        for wrong in [&b""[..], b"secret-toke", b"secret-token ", b"x"] {
            let proof = Key::of_token(wrong).client_proof(&nonces);
            assert!(!secrets.key().is_clients(&proof, &nonces));
        }
    }

    #[test]
    fn only_a_whole_hash_counts() {
        assert_eq!(parse_hash(&"0f".repeat(32)), Some([15; 32]));
        assert_eq!(parse_hash(&"0F".repeat(32)), Some([15; 32]));
        for broken in ["", "0f", &"0g".repeat(32), &"0f".repeat(33)] {
            assert_eq!(parse_hash(broken), None, "{broken}");
        }
    }
}

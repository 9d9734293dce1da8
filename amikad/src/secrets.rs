//! The API token and the OpenCode password: where they come from and how they are compared.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;

use amika_core::contract::{env, path};
use nix::libc;
use sha2::{Digest, Sha256};

use crate::environment::Environment;
use crate::say::say;

/// The secrets of a sandbox, each found or made when first asked for.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// SHA-256 of the token, from the environment.
    given_hash: Option<[u8; 32]>,
    /// The OpenCode password, from the environment.
    given_password: Option<String>,
    /// User name of the OpenCode server.
    pub(crate) opencode_user: String,
    hash: OnceLock<[u8; 32]>,
    password: OnceLock<String>,
}

impl Secrets {
    /// Takes what the container's environment names.
    pub(crate) fn from_environment(environment: &Environment) -> Self {
        let text = |name| environment.get(name).and_then(OsStr::to_str);
        let given = text(env::TOKEN_SHA256);
        let given_hash = given.and_then(parse_hash);
        if given.is_some() && given_hash.is_none() {
            say(format!(
                "{} is no SHA-256 in hexadecimal; ignored",
                env::TOKEN_SHA256
            ));
        }
        let filled = |value: &&str| !value.is_empty();
        Self {
            given_hash,
            given_password: text(env::OPENCODE_PASSWORD)
                .filter(filled)
                .map(str::to_owned),
            opencode_user: text("OPENCODE_SERVER_USERNAME")
                .filter(filled)
                .unwrap_or("opencode")
                .to_owned(),
            hash: OnceLock::new(),
            password: OnceLock::new(),
        }
    }

    /// Makes the token now if nobody gave one, so that it can be read from the state directory.
    pub(crate) fn prepare_token(&self) {
        self.token_hash();
    }

    /// Whether `token` is the sandbox's; takes the same time whatever is wrong with it.
    pub(crate) fn admits(&self, token: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let differences = hash
            .iter()
            .zip(self.token_hash())
            .fold(0, |acc, (a, b)| acc | (a ^ b));
        std::hint::black_box(differences) == 0
    }

    fn token_hash(&self) -> &[u8; 32] {
        self.hash.get_or_init(|| {
            self.given_hash.unwrap_or_else(|| {
                Sha256::digest(kept_secret(Path::new(path::TOKEN_FILE), 32, "API token")).into()
            })
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
        say(format!(
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
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if read.is_err() {
        // Without /dev: the kernel's generator answers through its other door as well.
        let uuids =
            (0..2).filter_map(|_| std::fs::read_to_string("/proc/sys/kernel/random/uuid").ok());
        bytes = Sha256::digest(uuids.collect::<String>()).into();
    }
    bytes
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_known_by_its_hash_only() {
        let hash = hex(&Sha256::digest(b"secret-token"));
        let environment = [(env::TOKEN_SHA256.into(), hash.into())]
            .into_iter()
            .collect::<Environment>();
        let secrets = Secrets::from_environment(&environment);
        assert!(secrets.admits(b"secret-token"));
        for wrong in [&b""[..], b"secret-toke", b"secret-token ", b"x"] {
            assert!(!secrets.admits(wrong));
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

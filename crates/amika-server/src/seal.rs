//! Secrets at rest: XChaCha20-Poly1305, each under a nonce of its own and bound to where it belongs.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};

/// Length of the key, in bytes.
pub const KEY_LENGTH: usize = 32;

const NONCE_LENGTH: usize = 24;

/// First byte of what is sealed: how it is.
const VERSION: u8 = 1;

/// Seals and opens under one key.
#[derive(Clone)]
pub struct Seal(XChaCha20Poly1305);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// One under a key.
    pub fn new(key: &[u8; KEY_LENGTH]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals what belongs to `place`: it cannot be opened as another's.
    pub fn seal(&self, place: &str, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LENGTH] = rand::random();
        let payload = Payload {
            msg: secret,
            aad: place.as_bytes(),
        };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload);
        // It fails for texts of 256 GiB alone.
        let sealed = sealed.unwrap_or_default();
        [&[VERSION], &nonce[..], &sealed].concat()
    }

    /// Opens what was sealed for `place`; `None` for anything else, and under another key.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = sealed.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (nonce, text) = rest.split_at_checked(NONCE_LENGTH)?;
        let payload = Payload {
            msg: text,
            aad: place.as_bytes(),
        };
        self.0.decrypt(XNonce::from_slice(nonce), payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_the_same_key_opens_it_in_the_same_place(secret in any::<Vec<u8>>(), flip in any::<usize>()) {
            let seal = Seal::new(&[7; KEY_LENGTH]);
            let sealed = seal.seal("a", &secret);
            prop_assert_eq!(seal.open("a", &sealed), Some(secret.clone()));
            prop_assert_eq!(seal.open("b", &sealed), None);
            prop_assert_eq!(Seal::new(&[8; KEY_LENGTH]).open("a", &sealed), None);
            prop_assert_ne!(&seal.seal("a", &secret), &sealed);
            let mut changed = sealed;
            let at = flip % changed.len();
            changed[at] ^= 1;
            prop_assert_eq!(seal.open("a", &changed), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(Seal::new(&[7; KEY_LENGTH]).open("a", &bytes), None);
        }
    }
}

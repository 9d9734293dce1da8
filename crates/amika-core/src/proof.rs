//! How amikad and its client prove to each other that they know the sandbox's token, which never
//! travels.
//!
//! The client sends a nonce; amikad answers with one of its own and with [`Key::server_proof`] over
//! both. Only then does the client send anything else, with [`Key::client_proof`] over the same two.
//! Both are good for one connection. The directions have labels of their own, so that neither proof
//! can be sent back as the other, and label and server nonce have a fixed length, so that no two
//! different pairs of nonces are the same bytes.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Bytes of a server's nonce.
pub const SERVER_NONCE: usize = 32;
/// The fewest bytes of a client's nonce.
pub const CLIENT_NONCE_MIN: usize = 16;
/// The most bytes of a client's nonce.
pub const CLIENT_NONCE_MAX: usize = 64;
/// The scheme of `Authorization` and `WWW-Authenticate`.
pub const SCHEME: &str = "Amika";

const SERVER: [u8; 6] = *b"server";
const CLIENT: [u8; 6] = *b"client";

/// What both sides know: the SHA-256 of the sandbox's token.
#[derive(Clone)]
pub struct Key([u8; 32]);

/// The nonces of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonces {
    client: Vec<u8>,
    server: [u8; SERVER_NONCE],
}

impl Nonces {
    /// The two nonces; `None` where the client's is too short or too long.
    pub fn new(client: Vec<u8>, server: [u8; SERVER_NONCE]) -> Option<Self> {
        (CLIENT_NONCE_MIN..=CLIENT_NONCE_MAX)
            .contains(&client.len())
            .then_some(Self { client, server })
    }

    /// The server's nonce.
    pub fn server(&self) -> &[u8; SERVER_NONCE] {
        &self.server
    }
}

impl Key {
    /// The key of this token.
    pub fn of_token(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// The key itself, as it stands in the container's environment.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What shows that the server knows the key.
    pub fn server_proof(&self, nonces: &Nonces) -> [u8; 32] {
        self.mac(SERVER, nonces).finalize().into_bytes().into()
    }

    /// What shows that the client does.
    pub fn client_proof(&self, nonces: &Nonces) -> [u8; 32] {
        self.mac(CLIENT, nonces).finalize().into_bytes().into()
    }

    /// Whether `proof` is the server's; takes the same time whatever is wrong with it.
    pub fn is_servers(&self, proof: &[u8], nonces: &Nonces) -> bool {
        self.mac(SERVER, nonces).verify_slice(proof).is_ok()
    }

    /// Whether `proof` is the client's; takes the same time whatever is wrong with it.
    pub fn is_clients(&self, proof: &[u8], nonces: &Nonces) -> bool {
        self.mac(CLIENT, nonces).verify_slice(proof).is_ok()
    }

    fn mac(&self, label: [u8; 6], nonces: &Nonces) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(&label);
        mac.update(&nonces.client);
        mac.update(&nonces.server);
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;

    fn nonces(client: &[u8]) -> Nonces {
        Nonces::new(client.to_vec(), [7; SERVER_NONCE]).expect("a nonce that fits")
    }

    #[test]
    fn proofs_are_those_of_hmac_sha_256_over_label_and_both_nonces() {
        // Made with Python's hmac module.
        let key = Key::of_token(b"token");
        let both = nonces(&[1; 16]);
        assert_eq!(hex(&key.server_proof(&both)), SERVER_VECTOR);
        assert_eq!(hex(&key.client_proof(&both)), CLIENT_VECTOR);
    }

    #[test]
    fn a_proof_is_good_for_its_direction_key_and_nonces_only() {
        let (key, both) = (Key::of_token(b"token"), nonces(&[1; 16]));
        let (server, client) = (key.server_proof(&both), key.client_proof(&both));
        assert!(key.is_servers(&server, &both) && key.is_clients(&client, &both));
        assert!(!key.is_servers(&client, &both) && !key.is_clients(&server, &both));
        for (key, both) in [
            (Key::of_token(b"other"), both),
            (key.clone(), nonces(&[2; 16])),
            (key.clone(), nonces(&[1; 17])),
        ] {
            assert!(!key.is_servers(&server, &both) && !key.is_clients(&client, &both));
        }
        for cut in [&server[..0], &server[..31]] {
            assert!(!key.is_servers(cut, &nonces(&[1; 16])));
        }
    }

    #[test]
    fn nonces_have_a_least_and_a_largest_length() {
        for (length, fits) in [(0, false), (15, false), (16, true), (64, true), (65, false)] {
            let made = Nonces::new(vec![0; length], [0; SERVER_NONCE]);
            assert_eq!(made.is_some(), fits, "{length}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", Key::of_token(b"token")), "Key(…)");
    }

    const SERVER_VECTOR: &str = "bb60191105fff0e0918bee18138ef235c878d154bb023594f9ee7acce6ef035c";
    const CLIENT_VECTOR: &str = "296b4257b1808999855c417de56342c5b6f9e1bd69d92ad7d626f2a47b05ac77";
}

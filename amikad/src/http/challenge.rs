//! `GET /v1/challenge`: amikad proves itself first, and then the client does, on one connection.
//!
//! Neither sends the token. What a connection proved is worth nothing on another one.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

use std::sync::{Mutex, PoisonError};

use amika_core::hex::{hex, unhex};
use amika_core::proof::{Nonces, SCHEME};
use amika_core::wire::ChallengeAnswer;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;

use super::answer::{Answer, error, json, set};
use super::left::Left;
use super::route::Door;
use crate::secrets::{Secrets, random_bytes};

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Session {
    /// The way it came in.
    pub(super) door: Door,
    /// Tells when the client left.
    pub(super) left: Left,
    /// Those of the last challenge on it.
    nonces: Mutex<Option<Nonces>>,
}

impl Session {
    /// A connection on which nothing was proved yet.
    pub(super) fn new(door: Door, left: Left) -> Self {
        Self {
            door,
            left,
            nonces: Mutex::new(None),
        }
    }

    /// Answers a challenge, which takes the place of an earlier one.
    pub(super) fn challenge(&self, request: &Parts, secrets: &Secrets) -> Result<Answer, Answer> {
        let query = request.uri.query().unwrap_or_default();
        let nonces = query
            .strip_prefix("nonce=")
            .and_then(unhex)
            .and_then(|client| Nonces::new(client, random_bytes()));
        let Some(nonces) = nonces else {
            let message = "one `nonce` of 16 to 64 bytes in hexadecimal digits is needed";
            return Err(error(StatusCode::BAD_REQUEST, "bad_nonce", message));
        };
        let answer = ChallengeAnswer {
            nonce: hex(nonces.server()),
            proof: hex(&secrets.key().server_proof(&nonces)),
        };
        *self.nonces.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonces);
        Ok(json(StatusCode::OK, &answer))
    }

    /// Refuses who did not prove on this connection that it knows the sandbox's token.
    pub(super) fn check(&self, headers: &HeaderMap, secrets: &Secrets) -> Result<(), Answer> {
        if self.door == Door::Root {
            return Ok(());
        }
        let nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let admitted = match (given.next().and_then(proof), given.next(), nonces.as_ref()) {
            (Some(proof), None, Some(nonces)) => secrets.key().is_clients(&proof, nonces),
            _ => false,
        };
        if admitted {
            return Ok(());
        }
        let message = "the token never travels: ask `GET /v1/challenge?nonce=HEX` on this connection, check the proof, \
             and send `Authorization: Amika HEX` with HMAC-SHA-256(SHA-256(token), \"client\" || both nonces); \
             root inside needs none on /run/amikad/amikad.sock";
        let mut answer = error(StatusCode::UNAUTHORIZED, "unauthorized", message);
        set(answer.headers_mut(), header::WWW_AUTHENTICATE, SCHEME);
        Err(answer)
    }
}

/// The proof in a value of `Authorization`.
fn proof(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, proof) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| unhex(proof))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_scheme_counts() {
        let proof = |text| proof(&HeaderValue::from_static(text));
        assert_eq!(proof("Amika 0aff"), Some(vec![10, 255]));
        assert_eq!(proof("amika 0aff"), Some(vec![10, 255]));
        for other in [
            "Bearer 0aff",
            "Basic 0aff",
            "Amika",
            "0aff",
            "Amika 0a f",
            "",
        ] {
            assert_eq!(proof(other), None, "{other}");
        }
    }
}

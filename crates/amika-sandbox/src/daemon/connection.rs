//! One connection to amikad, on which nothing goes out before the other side has proved itself.

use std::time::Duration;

use amika_core::hex::{hex, unhex};
use amika_core::proof::{Key, Nonces, SCHEME};
use amika_core::wire::ChallengeAnswer;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::http::request::Builder;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;

use super::Transport;
use super::client::ClientError;

/// Until a challenge is answered. A daemon that is up does so within a millisecond.
const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(3);
/// Until an answer's headers are there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The answer to a challenge has 170 bytes.
const CHALLENGE_LIMIT: usize = 4096;

/// Why what answers cannot be trusted to be the sandbox's amikad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It knows no challenge, or cannot take one now: an older amikad, or a busy one, or somebody else.
    NoProof(StatusCode),
    /// It answered with something that is no proof.
    WrongProof,
    /// It took the connection and did not answer.
    Silent,
    /// It took the connection and closed it: nobody is behind the port yet, or any more.
    Closed(String),
}

/// Why there is no connection that can be used.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is none.
    Unreachable(String),
    /// Who is there did not prove itself; nothing but a nonce was sent.
    Doubtful(Doubt),
}

/// A connection whose other side is the sandbox's amikad.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authorization: Option<String>,
}

impl Connection {
    /// Connects, and where the way is open to others, lets amikad prove itself first.
    pub(super) async fn open(transport: &Transport, key: Option<&Key>) -> Result<Self, Refusal> {
        let unreachable = |error: &dyn std::fmt::Display| Refusal::Unreachable(error.to_string());
        let io = transport
            .open()
            .await
            .map_err(|error| unreachable(&error))?;
        let (sender, connection) = handshake(TokioIo::new(io))
            .await
            .map_err(|error| unreachable(&error))?;
        tokio::spawn(connection.with_upgrades());
        let mut made = Self {
            sender,
            authorization: None,
        };
        if let Transport::Published(_) = transport {
            let Some(key) = key else {
                return Err(unreachable(&"no key to check a proof with"));
            };
            made.be_convinced(key).await.map_err(Refusal::Doubtful)?;
        }
        Ok(made)
    }

    /// Sends a challenge and checks the answer before anything else goes out.
    async fn be_convinced(&mut self, key: &Key) -> Result<(), Doubt> {
        let asked = tokio::time::timeout(CHALLENGE_TIMEOUT, self.challenge(key));
        self.authorization = Some(asked.await.map_err(|_| Doubt::Silent)??);
        Ok(())
    }

    /// Returns the value of `Authorization` that is good on this connection.
    async fn challenge(&mut self, key: &Key) -> Result<String, Doubt> {
        let nonce: [u8; 32] = rand::random();
        let request = Request::get(format!("/v1/challenge?nonce={}", hex(&nonce)))
            .header("Host", "localhost")
            .body(Full::new(Bytes::new()))
            .map_err(|error| Doubt::Closed(error.to_string()))?;
        let response = self.sender.send_request(request).await.map_err(|error| {
            if error.is_parse() || error.is_user() {
                Doubt::WrongProof
            } else {
                Doubt::Closed(error.to_string())
            }
        })?;
        if response.status() != StatusCode::OK {
            return Err(Doubt::NoProof(response.status()));
        }
        let body = Limited::new(response.into_body(), CHALLENGE_LIMIT)
            .collect()
            .await
            .map_err(|_| Doubt::WrongProof)?
            .to_bytes();
        let answer: ChallengeAnswer =
            serde_json::from_slice(&body).map_err(|_| Doubt::WrongProof)?;
        let nonces = unhex(&answer.nonce)
            .and_then(|server| server.try_into().ok())
            .and_then(|server| Nonces::new(nonce.to_vec(), server))
            .ok_or(Doubt::WrongProof)?;
        let proof = unhex(&answer.proof).ok_or(Doubt::WrongProof)?;
        if !key.is_servers(&proof, &nonces) {
            return Err(Doubt::WrongProof);
        }
        Ok(format!("{SCHEME} {}", hex(&key.client_proof(&nonces))))
    }

    /// Sends a request. Where the way asked for no proof and amikad does, as where it is not root, the
    /// challenge follows on the same connection.
    pub(super) async fn send(
        &mut self,
        request: impl Fn() -> Builder,
        body: &Bytes,
        key: Option<&Key>,
    ) -> Result<Response<Incoming>, ClientError> {
        let response = self.send_once(request(), body.clone()).await?;
        let (StatusCode::UNAUTHORIZED, None, Some(key)) =
            (response.status(), &self.authorization, key)
        else {
            return Ok(response);
        };
        // Read to its end, so that the connection can be used again.
        let refusal = super::client::refused(response).await;
        if self.be_convinced(key).await.is_err() {
            return Err(refusal);
        }
        self.send_once(request(), body.clone()).await
    }

    async fn send_once(
        &mut self,
        mut request: Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let unreachable =
            |error: &dyn std::fmt::Display| ClientError::Unreachable(error.to_string());
        request = request.header("Host", "localhost");
        if let Some(proof) = &self.authorization {
            let mut value = hyper::header::HeaderValue::from_str(proof)
                .map_err(|error| ClientError::Malformed(error.to_string()))?;
            value.set_sensitive(true);
            request = request.header("Authorization", value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| ClientError::Malformed(error.to_string()))?;
        let exchange = async {
            // The last answer's end may not have been noticed yet.
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| unreachable(&format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))?
            .map_err(|error| unreachable(&error))
    }
}

#[cfg(test)]
mod tests;

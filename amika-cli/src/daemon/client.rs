//! amikad's HTTP API, as the host uses it.

use std::time::Duration;

use amika_core::wire::{OpenCodeAccess, Status};
use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::{Token, Transport};

/// Until an answer's headers are there. A daemon that is up answers within a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// No document of amikad is larger.
const DOCUMENT_LIMIT: usize = 1024 * 1024;

/// Why amikad gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing accepts the connection, or it broke before an answer: not up yet, or gone.
    #[error("amikad does not answer: {0}")]
    Unreachable(String),
    /// It answered with an error.
    #[error("amikad answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The message in the answer.
        message: String,
    },
    /// It answered something else than was asked for.
    #[error("amikad's answer cannot be understood: {0}")]
    Malformed(String),
}

/// Which part of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPart {
    /// All that was kept.
    All,
    /// The last lines.
    Tail(usize),
    /// What was written after so many bytes.
    Since(u64),
}

/// A client of one sandbox's amikad. Each call is a connection of its own.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    token: Option<Token>,
}

impl Client {
    /// A client that goes this way and shows this token; the relay needs none.
    pub fn new(transport: Transport, token: Option<Token>) -> Self {
        Self { transport, token }
    }

    /// `GET /v1/status`.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.document("/v1/status").await
    }

    /// How to sign in to OpenCode.
    pub async fn opencode_access(&self) -> Result<OpenCodeAccess, ClientError> {
        self.document("/v1/services/opencode").await
    }

    /// A log as it is: `name` is `setup`, `opencode` or `amikad`; it ends by itself when the log
    /// is finished, or at once without `follow`.
    pub async fn log(
        &self,
        name: &str,
        follow: bool,
        part: LogPart,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let mut target = format!("/v1/logs/{name}?follow={}", u8::from(follow));
        match part {
            LogPart::All => {}
            LogPart::Tail(lines) => target = format!("{target}&tail={lines}"),
            LogPart::Since(offset) => target = format!("{target}&since={offset}"),
        }
        let response = self.request(&target).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        let body = response.into_body();
        Ok(futures_util::stream::unfold(
            Some(body),
            |body| async move {
                let mut body = body?;
                loop {
                    match body.frame().await? {
                        Ok(frame) => {
                            if let Ok(data) = frame.into_data() {
                                return Some((Ok(data), Some(body)));
                            }
                        }
                        Err(error) => {
                            return Some((Err(ClientError::Unreachable(error.to_string())), None));
                        }
                    }
                }
            },
        ))
    }

    async fn document<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let response = self.request(target).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        let body = collect(response).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    async fn request(&self, target: &str) -> Result<Response<Incoming>, ClientError> {
        let unreachable =
            |error: &dyn std::fmt::Display| ClientError::Unreachable(error.to_string());
        let exchange = async {
            let io = self
                .transport
                .open()
                .await
                .map_err(|error| unreachable(&error))?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
                .await
                .map_err(|error| unreachable(&error))?;
            tokio::spawn(connection);
            let mut request = Request::get(target).header("Host", "localhost");
            if let Some(token) = &self.token {
                request = request.header("Authorization", format!("Bearer {}", token.secret()));
            }
            let request = request
                .body(Empty::<Bytes>::new())
                .map_err(|error| ClientError::Malformed(error.to_string()))?;
            sender
                .send_request(request)
                .await
                .map_err(|error| unreachable(&error))
        };
        tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| unreachable(&format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))?
    }
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = http_body_util::Limited::new(response.into_body(), DOCUMENT_LIMIT);
    let collected = tokio::time::timeout(ANSWER_TIMEOUT, body.collect())
        .await
        .map_err(|_| ClientError::Unreachable("the answer broke off".into()))?;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| ClientError::Unreachable(error.to_string()))
}

async fn refused(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    let message = match collect(response).await {
        Ok(body) => serde_json::from_slice::<amika_core::wire::ErrorBody>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).into_owned(),
            |body| body.error.message,
        ),
        Err(error) => error.to_string(),
    };
    ClientError::Refused { status, message }
}

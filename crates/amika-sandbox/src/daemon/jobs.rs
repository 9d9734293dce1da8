//! Jobs, by amikad's API.

use amika_core::wire::{Job, JobRequest, SignalRequest};
use bytes::Bytes;
use futures_util::Stream;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::client::{Client, ClientError, collect, refused};

impl Client {
    /// Starts one; it runs whatever becomes of this side.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] for a program that cannot be, and where the sandbox is being prepared
    /// or stopped.
    pub async fn start_job(&self, job: &JobRequest) -> Result<Job, ClientError> {
        // Texts always serialise.
        let body = Bytes::from(serde_json::to_vec(job).unwrap_or_default());
        let request = || Request::post("/v1/jobs").header("Content-Type", "application/json");
        let response = self.send_with(request, body).await?;
        if response.status() != StatusCode::CREATED {
            return Err(refused(response).await);
        }
        read(response).await
    }

    /// Ends one, unless it has ended.
    ///
    /// # Errors
    /// As [`Client::job`].
    pub async fn end_job(&self, id: &str) -> Result<Job, ClientError> {
        let response = self
            .send(|| Request::delete(format!("/v1/jobs/{id}")))
            .await?;
        match response.status() {
            StatusCode::OK | StatusCode::ACCEPTED => read(response).await,
            _ => Err(refused(response).await),
        }
    }

    /// Sends a signal to one.
    ///
    /// # Errors
    /// As [`Client::job`]; [`ClientError::Refused`] with 400 for what is no signal, with 409 for one that has ended.
    pub async fn signal_job(&self, id: &str, signal: &str) -> Result<Job, ClientError> {
        let asked = SignalRequest {
            signal: signal.to_owned(),
        };
        // Texts always serialise.
        let body = Bytes::from(serde_json::to_vec(&asked).unwrap_or_default());
        let request = || {
            Request::post(format!("/v1/jobs/{id}/signal"))
                .header("Content-Type", "application/json")
        };
        let response = self.send_with(request, body).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refused(response).await);
        }
        read(response).await
    }

    /// Those that run, and the last that ended, the oldest first.
    ///
    /// # Errors
    /// As for any call.
    pub async fn jobs(&self) -> Result<Vec<Job>, ClientError> {
        self.document("/v1/jobs").await
    }

    /// One that was started; `id` is amikad's own word.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 404 for one that is forgotten.
    pub async fn job(&self, id: &str) -> Result<Job, ClientError> {
        self.document(&format!("/v1/jobs/{id}")).await
    }

    /// What one wrote, from its first byte that is kept on until it ends.
    ///
    /// # Errors
    /// As [`Client::job`].
    pub async fn follow_job(
        &self,
        id: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        self.stream(&format!("/v1/jobs/{id}/log?follow=1"), None)
            .await
    }
}

async fn read(response: Response<Incoming>) -> Result<Job, ClientError> {
    let body = collect(response).await?;
    serde_json::from_slice(&body).map_err(|error| ClientError::Malformed(error.to_string()))
}

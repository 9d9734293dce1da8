//! What an engine that cannot be reached, or that refuses, is to an operation.

use amika_engine::EngineError;

use crate::error::{Error, Kind};

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        let base = |kind| Error::new(kind, error.to_string());
        let refused = |kind| Error {
            is_engines: true,
            ..base(kind)
        };
        match &error {
            EngineError::Unreachable { reason, .. } => {
                let error = base(Kind::EngineUnreachable).cause(reason.clone());
                if reason.contains("ermission denied") {
                    error.hint("add yourself to the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again), or run with sudo")
                } else {
                    error.hint("start the engine, or point DOCKER_HOST or `docker context use` at one; `amika doctor` says what is missing")
                }
            }
            EngineError::Endpoint(_) => base(Kind::EngineUnreachable)
                .hint("`docker context ls` lists the contexts that exist"),
            EngineError::TooOld { .. } => {
                base(Kind::EngineUnreachable).hint("update the engine to 20.10 or later")
            }
            EngineError::Broken(_) => {
                base(Kind::EngineUnreachable).hint("`amika doctor` checks the engine")
            }
            EngineError::NotFound(_) => refused(Kind::NotFound),
            EngineError::Conflict(_) => refused(Kind::Conflict),
            EngineError::PortTaken { .. } => base(Kind::Conflict),
            EngineError::Refused { .. } => refused(Kind::Failure),
        }
    }
}

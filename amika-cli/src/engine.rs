//! The engine that this process's environment means, and how its refusals end a command.

use std::io::IsTerminal as _;

use amika_engine::{Caller, Endpoint, Engine, EngineError};

use crate::error::{CommandError, ExitCode};

/// The endpoint that this process's environment and docker's configuration name.
///
/// # Errors
/// As [`Endpoint::discover`].
pub fn endpoint() -> Result<Endpoint, EngineError> {
    let env = |key: &str| std::env::var(key).ok();
    Endpoint::discover(&env, &crate::host::docker_config_dir())
}

/// Connects to the engine that this process's environment and docker's configuration name.
///
/// # Errors
/// As [`endpoint`] and [`Engine::connect`].
pub async fn connect() -> Result<Engine, EngineError> {
    let caller = Caller {
        can_answer: std::io::stdin().is_terminal(),
        temporary: crate::host::temporary_dir(),
    };
    Engine::connect(endpoint()?, &caller).await
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let base = |code| CommandError::new(code, error.to_string());
        let refused = |code| CommandError {
            is_engines: true,
            ..base(code)
        };
        match &error {
            EngineError::Unreachable { reason, .. } => {
                let error = base(ExitCode::Engine).cause(reason.clone());
                if reason.contains("ermission denied") {
                    error.hint("add yourself to the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again), or run with sudo")
                } else {
                    error.hint("start the engine, or point DOCKER_HOST or `docker context use` at one; `amika doctor` says what is missing")
                }
            }
            EngineError::Endpoint(_) => {
                base(ExitCode::Engine).hint("`docker context ls` lists the contexts that exist")
            }
            EngineError::TooOld { .. } => {
                base(ExitCode::Engine).hint("update the engine to 20.10 or later")
            }
            EngineError::Broken(_) => {
                base(ExitCode::Engine).hint("`amika doctor` checks the engine")
            }
            EngineError::NotFound(_) => refused(ExitCode::NotFound),
            EngineError::Conflict(_) => refused(ExitCode::Conflict),
            EngineError::PortTaken { .. } => base(ExitCode::Conflict),
            EngineError::Refused { .. } => refused(ExitCode::Failure),
        }
    }
}

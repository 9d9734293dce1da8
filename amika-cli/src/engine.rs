//! The engine that this process's environment means.

use std::io::IsTerminal as _;

use amika_engine::{Caller, Endpoint, Engine, EngineError};

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
        temporary: std::env::temp_dir(),
    };
    Engine::connect(endpoint()?, &caller).await
}

//! The engine that this process's environment means.

use std::sync::Arc;

use amika_engine::{Caller, Endpoint, Engine, EngineError};
use amika_host::machine::Machine;

use crate::error::Error;
use crate::sandbox;
use crate::sandboxes::{Sandboxes, User};

/// The endpoint that this process's environment and docker's configuration name.
///
/// # Errors
/// As [`Endpoint::discover`].
pub fn endpoint(machine: &Machine) -> Result<Endpoint, EngineError> {
    let env = |key: &str| machine.text(key).map(str::to_owned);
    Endpoint::discover(&env, &machine.docker_config_dir())
}

/// Connects to the engine that this process's environment and docker's configuration name.
///
/// # Errors
/// As [`endpoint`] and [`Engine::connect`].
pub async fn connect(user: &Arc<User>) -> Result<Sandboxes, EngineError> {
    let machine = user.machine();
    let caller = Caller {
        can_answer: machine.terminal().stdin,
        temporary: machine.temporary().to_owned(),
    };
    let engine = Engine::connect(endpoint(machine)?, &caller).await?;
    Ok(Sandboxes::new(engine, user))
}

/// What a failure of a command on these sandboxes is told as ([`sandbox::looked_at_again`]), by an engine that
/// is asked anew.
pub async fn looked_at_again(user: &Arc<User>, error: Error, names: &[&str]) -> Error {
    if !error.is_engines {
        return error;
    }
    match connect(user).await {
        Ok(engine) => sandbox::looked_at_again(&engine, error, names).await,
        // Without an engine, what it said before is all there is to tell.
        Err(_) => error,
    }
}

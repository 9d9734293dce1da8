//! Variables that the sandbox was given beside its container's environment: read from a file that is root's alone.

use std::fs;
use std::io;
use std::path::Path;

use amika_core::contract::path;
use amika_core::wire::GivenVariables;

use crate::environment::Environment;
use crate::files::{read_roots, read_roots_if_there};
use crate::say::say;

/// Takes over what was put there for this boot, once it is whole, and reads what holds.
pub(crate) fn take() -> GivenVariables {
    let (now, next) = (
        Path::new(path::SECRETS_ENV),
        Path::new(path::NEXT_SECRETS_ENV),
    );
    match read_roots::<GivenVariables>(next, GivenVariables::LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(_) => {
            if let Err(error) = fs::rename(next, now) {
                say(format!("cannot rename {}: {error}", next.display()));
            }
        }
        // Whoever wrote it was cut off: what was there holds, until it is written again.
        Err(error) => {
            say(format!("{} is not taken over: {error}", next.display()));
            let _ = fs::remove_file(next);
        }
    }
    current()
}

/// What holds now.
pub(crate) fn current() -> GivenVariables {
    read_roots_if_there(Path::new(path::SECRETS_ENV), GivenVariables::LIMIT)
}

/// Adds what everybody is given.
pub(crate) fn add(environment: &mut Environment, given: &GivenVariables) {
    for (name, value) in &given.everybody {
        environment.set(name, value);
    }
}

/// Adds what agents are given beside that.
pub(crate) fn add_agents(environment: &mut Environment, given: &GivenVariables) {
    for (name, value) in &given.agents {
        environment.set(name, value);
    }
}

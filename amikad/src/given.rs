//! Variables that the sandbox was given beside its container's environment: read from a file that is root's alone.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use amika_core::contract::path;
use amika_core::wire::GivenVariables;

use crate::environment::Environment;
use crate::files::read_small;
use crate::say::say;

/// Takes over what was put there for this boot, once it is whole, and reads what holds.
pub(crate) fn take() -> GivenVariables {
    let (now, next) = (
        Path::new(path::SECRETS_ENV),
        Path::new(path::NEXT_SECRETS_ENV),
    );
    match read(next) {
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
    let file = Path::new(path::SECRETS_ENV);
    match read(file) {
        Ok(given) => given,
        Err(error) => {
            // Who is not root may not read it, and is not given it.
            let is_no_news =
                [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied].contains(&error.kind());
            if !is_no_news {
                say(format!("{} is not understood: {error}", file.display()));
            }
            GivenVariables::default()
        }
    }
}

fn read(file: &Path) -> io::Result<GivenVariables> {
    let data = file.symlink_metadata()?;
    // A file that others may write, or a link that leads to one, is not root's word.
    if !data.is_file() || data.uid() != 0 || data.mode() & 0o022 != 0 {
        return Err(io::Error::other("it is no file of root's alone"));
    }
    Ok(serde_json::from_slice(&read_small(
        file,
        GivenVariables::LIMIT,
    )?)?)
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

//! The variables that `--env` and `--env-file` ask for, with the values that this shell has.

use std::path::{Path, PathBuf};

use amika_core::env::{EnvVar, Resolved, parse_file, resolve};

use crate::error::{Error, Kind, Result};
use crate::host_path;
use crate::output::Printer;

/// Reads flags and files; a flag wins over a file.
///
/// # Errors
/// [`Kind::Invalid`] for what sets no variable, and for a file that cannot be read.
pub fn read(flags: &[String], files: &[PathBuf]) -> Result<Resolved> {
    let mut variables = Vec::new();
    for file in files {
        variables.extend(read_file(file)?);
    }
    for flag in flags {
        let variable = flag.parse::<EnvVar>();
        variables
            .push(variable.map_err(|error| Error::new(Kind::Invalid, format!("--env: {error}")))?);
    }
    Ok(resolve(variables, |name| std::env::var(name).ok()))
}

fn read_file(file: &Path) -> Result<Vec<EnvVar>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| host_path::unreadable(Kind::Invalid, "--env-file ", file, &error))?;
    parse_file(&text).map_err(|error| {
        let shown = amika_host::path::clean(file);
        let message = format!("--env-file {}: {error}", shown.display());
        Error::new(Kind::Invalid, message)
    })
}

/// Warns of variables that were to have this shell's value, which it has not.
pub fn warn_of_unset(names: &[String], out: &Printer) {
    for name in names {
        let why = match std::env::var_os(name) {
            Some(_) => "its value here is not UTF-8",
            None => "it is not set here",
        };
        out.warn(&format!("environment variable {name} is left out: {why}"));
    }
}

//! What the process was given by whoever started it: environment, directories, terminals.
//!
//! Nothing else below a door asks the process for them. A door takes them once and hands them on, so that two
//! doors can be given different ones, and whoever reads a function sees by its arguments what it depends on.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::scratch::Scratches;
use crate::temporary;

/// This machine as the process sees it. A copy of it costs nothing.
#[derive(Clone, Debug)]
pub struct Machine(Arc<Facts>);

#[derive(Clone, Debug)]
struct Facts {
    environment: BTreeMap<OsString, OsString>,
    home: Option<PathBuf>,
    temporary: PathBuf,
    named_temporary: PathBuf,
    /// Why the one is not the other.
    unusable: Option<String>,
    /// The system's number for why there is none.
    directory: Result<PathBuf, Option<i32>>,
    terminal: Terminal,
    /// Where the user's data is, in place of the place that the environment names.
    data: Option<PathBuf>,
    scratches: Scratches,
}

/// Which of the standard streams are a terminal's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Somebody may type an answer.
    pub stdin: bool,
    /// Somebody sees what is said.
    pub stderr: bool,
}

/// What a machine is made of whose user is not this process's own: a server has a home of its own, and asks nobody
/// at a terminal.
#[derive(Clone, Debug)]
pub struct Given {
    /// The environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Where temporary files go.
    pub temporary: PathBuf,
    /// What relative paths are relative to.
    pub directory: PathBuf,
}

impl Machine {
    /// One that is made of values; no terminal belongs to it.
    pub fn given(given: Given) -> Self {
        let Given {
            environment,
            home,
            temporary,
            directory,
        } = given;
        Self(Arc::new(Facts {
            environment,
            home,
            named_temporary: temporary.clone(),
            temporary,
            unusable: None,
            directory: Ok(directory),
            terminal: Terminal::default(),
            data: None,
            scratches: Scratches::default(),
        }))
    }

    /// What this process was given. Doors call it, once each, and tests.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that asks the process"
    )]
    pub fn of_process() -> Self {
        let named_temporary = std::env::temp_dir();
        let (temporary, unusable) = temporary::directory(&named_temporary);
        Self(Arc::new(Facts {
            environment: std::env::vars_os().collect(),
            home: std::env::home_dir(),
            temporary,
            named_temporary,
            unusable: unusable.map(|unusable| unusable.to_string()),
            directory: std::env::current_dir().map_err(|error| error.raw_os_error()),
            terminal: Terminal {
                stdin: io::stdin().is_terminal(),
                stderr: io::stderr().is_terminal(),
            },
            data: None,
            scratches: Scratches::default(),
        }))
    }

    /// This machine with another place for what is kept of its user, keys above all.
    #[must_use]
    pub fn keeping_data_in(&self, directory: &Path) -> Self {
        let mut facts = Facts::clone(&self.0);
        facts.data = Some(directory.to_owned());
        Self(Arc::new(facts))
    }

    /// This machine with some variables changed, or taken away. `HOME` changes the home too.
    #[must_use]
    pub fn with_variables<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, Option<&'a OsStr>)>,
    ) -> Self {
        let mut facts = Facts::clone(&self.0);
        for (name, value) in changes {
            if name == "HOME" {
                facts.home = value.map(PathBuf::from);
            }
            match value {
                Some(value) => facts.environment.insert(name.into(), value.to_owned()),
                None => facts.environment.remove(OsStr::new(name)),
            };
        }
        Self(Arc::new(facts))
    }

    /// The place for the user's data that [`Machine::keeping_data_in`] set.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.0.data.as_deref()
    }

    /// A variable of the environment.
    pub fn variable(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let environment = &self.0.environment;
        environment.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// A variable of the environment that is text.
    pub fn text(&self, name: impl AsRef<OsStr>) -> Option<&str> {
        self.variable(name)?.to_str()
    }

    /// All variables, each name once, sorted.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let all = self.0.environment.iter();
        all.map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The user's home directory, as the environment or the system's list of users has it.
    pub fn home(&self) -> Option<&Path> {
        self.0.home.as_deref()
    }

    /// Where the environment says that temporary files go, whether any can be made there or not.
    pub fn named_temporary(&self) -> &Path {
        &self.0.named_temporary
    }

    /// Why temporary files do not go where the environment says; nothing where they do.
    pub fn unusable_temporary(&self) -> Option<&str> {
        self.0.unusable.as_deref()
    }

    /// Where temporary files go: what the environment names, or a usual place where that cannot be used.
    pub fn temporary(&self) -> &Path {
        &self.0.temporary
    }

    /// The temporary directories that were made for it, also by a machine that was made of this one.
    pub fn scratches(&self) -> &Scratches {
        &self.0.scratches
    }

    /// The directory that the process was started in.
    ///
    /// # Errors
    /// When it is gone, or may not be seen.
    pub fn directory(&self) -> io::Result<&Path> {
        match &self.0.directory {
            Ok(directory) => Ok(directory),
            Err(Some(number)) => Err(io::Error::from_raw_os_error(*number)),
            Err(None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Which of the standard streams are a terminal's.
    pub fn terminal(&self) -> Terminal {
        self.0.terminal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "it is held against what the process says"
    )]
    fn it_is_as_the_process_was_given_it() {
        let machine = Machine::of_process();
        let directory = std::env::current_dir().expect("a directory");
        assert_eq!(machine.directory().expect("one"), directory);
        assert_eq!(machine.temporary(), std::env::temp_dir());
        assert_eq!(machine.home(), std::env::home_dir().as_deref());
        for (name, value) in std::env::vars_os() {
            assert_eq!(machine.variable(&name), Some(value.as_os_str()), "{name:?}");
        }
        assert_eq!(machine.text("AMIKA_NO_SUCH_VARIABLE"), None);
        assert_eq!(machine.variables().count(), std::env::vars_os().count());
    }
}

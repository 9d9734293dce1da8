//! What the OpenCode web server is: where it is found, how it is called, what it is given.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use amika_core::contract::{OPENCODE_PORT, env};

use crate::environment::Environment;

/// The file that `opencode` means for the agent, if it may execute one.
pub(crate) fn find(environment: &Environment) -> Option<PathBuf> {
    environment
        .candidates("opencode".as_ref())
        .into_iter()
        .find(|candidate| {
            candidate
                .metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
}

/// Whether the environment allows the server.
pub(crate) fn is_enabled(environment: &Environment) -> bool {
    environment
        .get(env::OPENCODE_WEB)
        .is_none_or(|value| value != "0")
}

/// The server's command line.
pub(crate) fn command_line(program: &Path) -> Vec<OsString> {
    let port = OPENCODE_PORT.to_string();
    let mut line = vec![program.as_os_str().to_owned()];
    line.extend(["web", "--port", &port, "--hostname", "0.0.0.0"].map(OsString::from));
    line
}

/// The server's environment: the agent's, with the password that nobody else gets.
pub(crate) fn environment(agent: &Environment, password: &str) -> Environment {
    let mut environment = agent.clone();
    environment.set(env::OPENCODE_PASSWORD, password);
    // `opencode web` opens a browser; there is none here, and a desktop's must not be asked.
    environment.set("BROWSER", "true");
    environment
}

//! The pager of this machine's user, as git chooses it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use amika_host::machine::Machine;

/// Starts the pager; none where there is to be none, or it cannot be started. It reads from its standard input.
pub(super) fn start(machine: &Machine) -> Option<Child> {
    let pager = chosen(machine)?;
    let mut command = Command::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    // As git does: less ends where all fits, shows colours, and leaves the screen as it is.
    for (name, value) in [("LESS", "FRX"), ("LV", "-c")] {
        if machine.variable(name).is_none() {
            command.env(name, value);
        }
    }
    command.spawn().ok()
}

/// What git would start, by its variables and the user's own configuration; where there is no git, `PAGER` or less.
fn chosen(machine: &Machine) -> Option<String> {
    let mut git = Command::new("git");
    // In no repository: what one has in its configuration is not asked for.
    git.args(["-c", amika_git::NO_BARE, "var", "GIT_PAGER"])
        .current_dir(Path::new("/"))
        .env_remove("GIT_DIR")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let told = git.output().ok().filter(|output| output.status.success());
    let pager = match told {
        Some(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        None => machine.text("PAGER").unwrap_or("less").to_owned(),
    };
    (!pager.is_empty() && pager != "cat").then_some(pager)
}

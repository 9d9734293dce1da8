//! `amikad dotfiles`: the user's own ways of a shell, installed once, in front of the first setup.
//!
//! `amika` puts the repository of them into the agent's home, and a note into the state volume. The first setup then begins
//! with them, so that what they make in the home is a part of its beginning and not the agent's work. They are the
//! user's, so the agent runs them; one that fails, or does not end, is told of, and holds up nothing: a sandbox without an
//! alias is of use.

mod limit;
mod links;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use amika_core::contract::path;
use amika_core::wire::Dotfiles;
use nix::libc;

use crate::args::InstallDotfiles;
use crate::files::read_small;
use crate::record::write_atomically;
use crate::say::say;
use crate::setup::Script;
use links::Links;

/// Names of the script that installs them, in the order of GitHub Codespaces and the Dev Container CLI.
const SCRIPTS: [&str; 8] = [
    "install.sh",
    "install",
    "bootstrap.sh",
    "bootstrap",
    "script/bootstrap",
    "setup.sh",
    "setup",
    "script/setup",
];
/// They are ended after so long: setup, and whoever waits for the sandbox, wait for them.
const LONGEST: Duration = Duration::from_mins(10);
/// Exit code for what is there and cannot be run, as shells have it.
const CANNOT_RUN: i32 = 126;

/// Whether there are any that were not installed yet.
pub(crate) fn are_waiting() -> bool {
    let note = read_small(Path::new(path::DOTFILES_NOTE), Dotfiles::LARGEST as u64).ok();
    let note = note.and_then(|text| serde_json::from_slice::<Dotfiles>(&text).ok());
    note.is_some_and(|note| note.waits)
}

/// The arguments of the program that stands in for setup where there are.
pub(crate) fn before(script: Option<&Path>, user: Option<&str>) -> Vec<OsString> {
    let user = user.map(|user| format!("--user={user}").into());
    let script = script.map(|script| script.as_os_str().to_owned());
    [path::AMIKAD.into(), "dotfiles".into()]
        .into_iter()
        .chain(user)
        .chain(script)
        .collect()
}

/// Has the agent install them, and becomes the setup script. Returns only where there is none, or it cannot be run.
pub(crate) fn then_setup(wanted: &InstallDotfiles) -> i32 {
    let failure = match install_as_agent(wanted.user.as_deref()) {
        Ok(None) => None,
        Ok(Some(how)) => Some(how),
        Err(error) => Some(format!("cannot be installed: {error}")),
    };
    if let Some(how) = &failure {
        say(format!(
            "dotfiles: {how}; the sandbox goes on without what is missing"
        ));
    }
    let note = Dotfiles {
        failure,
        ..Dotfiles::default()
    };
    // A struct of plain values always serialises.
    let note = serde_json::to_vec(&note).unwrap_or_default();
    if let Err(error) = write_atomically(Path::new(path::DOTFILES_NOTE), &note) {
        say(format!("cannot write {}: {error}", path::DOTFILES_NOTE));
    }
    let Some(file) = wanted.script.as_deref().map(Path::new) else {
        return 0;
    };
    let error = Command::new(file).exec();
    let script = Script::find(file).unwrap_or_default();
    let (code, message) = script.explain_refusal(file, &error);
    say(message);
    code
}

/// How it went, where it did not go well.
fn install_as_agent(user: Option<&str>) -> io::Result<Option<String>> {
    let own = std::env::current_exe()?;
    let user = user.map(|user| format!("--user={user}"));
    let mut command = Command::new(&own);
    command
        .arg("exec-as")
        .args(user)
        .args(["--workdir", path::DOTFILES, "--"])
        .arg(&own)
        .args(["dotfiles", "--install"])
        // It tells the line at which setup fails, of setup's own script.
        .env_remove("BASH_ENV")
        // The agent may not open it.
        .stdin(File::open(path::DOTFILES_NOTE)?);
    let Some(status) = limit::run(&mut command, LONGEST)? else {
        let minutes = LONGEST.as_secs() / 60;
        return Ok(Some(format!("not done after {minutes} minutes, and ended")));
    };
    Ok(match status.code() {
        Some(0) => None,
        Some(code) => Some(format!("exited with {code}")),
        None => Some("was killed".to_owned()),
    })
}

/// Runs the script that installs them, as whoever this process is, or links what belongs into the home. The note comes by
/// standard input.
pub(crate) fn install() -> i32 {
    let root = Path::new(path::DOTFILES);
    let scripts = SCRIPTS.iter().map(|name| (name, root.join(name)));
    for (name, file) in scripts {
        let Ok(data) = file.metadata() else { continue };
        if !data.is_file() {
            continue;
        }
        say(format!("dotfiles: running {name}"));
        let mode = data.permissions().mode();
        if mode & 0o100 == 0 {
            // As those others do it; where that fails, so does the start.
            let _ = fs::set_permissions(&file, PermissionsExt::from_mode(mode | 0o700));
        }
        let mut error = Command::new(&file).stdin(Stdio::null()).exec();
        if error.raw_os_error() == Some(libc::ENOEXEC) {
            // Without a `#!` line it is a shell's, as shells take it.
            let mut shell = Command::new("/bin/sh");
            error = shell.arg(&file).stdin(Stdio::null()).exec();
        }
        say(format!("dotfiles: {name} cannot be run: {error}"));
        return CANNOT_RUN;
    }
    let kept = match read_note() {
        Ok(note) => note.kept,
        Err(error) => {
            // What must stay is not known.
            say(format!("dotfiles: their note cannot be read: {error}"));
            return 1;
        }
    };
    let mut links = Links::of(Path::new(path::HOME), kept);
    links.add(root);
    say(format!("dotfiles: {} linked into the home", links.made));
    i32::from(links.has_failed)
}

fn read_note() -> io::Result<Dotfiles> {
    let mut text = Vec::new();
    let most = Dotfiles::LARGEST as u64;
    io::stdin().take(most).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_for_setup_is_told_whom_and_what() {
        let words = |script: Option<&str>, user| -> Vec<String> {
            let all = before(script.map(Path::new), user);
            all.into_iter()
                .map(|it| it.into_string().unwrap())
                .collect()
        };
        assert_eq!(words(None, None), [path::AMIKAD, "dotfiles"]);
        assert_eq!(
            words(Some("/s/setup.sh"), Some("app")),
            [path::AMIKAD, "dotfiles", "--user=app", "/s/setup.sh"]
        );
    }
}

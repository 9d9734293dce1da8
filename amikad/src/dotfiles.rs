//! `amikad dotfiles`: the user's own ways of a shell, installed once, in front of the first setup.
//!
//! `amika` puts the repository of them into the agent's home, and a note into the state volume. The first setup then begins
//! with them, so that what they make in the home is a part of its beginning and not the agent's work. They are the
//! user's, so the agent runs them; one that fails is told of, and holds up nothing: a sandbox without an alias is of use.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use amika_core::contract::path;
use amika_core::wire::Dotfiles;
use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::args::InstallDotfiles;
use crate::files::read_small;
use crate::mounts::id_of;
use crate::record::write_atomically;
use crate::say::say;
use crate::setup::Script;

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
/// What a repository has for git and its host, and no home has.
const OF_GIT: [&str; 5] = [
    ".git",
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".github",
];
/// Directories are gone into this deep.
const DEPTH: usize = 16;
/// Size of the note.
const LIMIT: u64 = 64 << 10;
/// Exit code for what is there and cannot be run, as shells have it.
const CANNOT_RUN: i32 = 126;

/// Whether there are any that were not installed yet.
pub(crate) fn are_waiting() -> bool {
    let note = read_small(Path::new(path::DOTFILES_NOTE), LIMIT).ok();
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
        waits: false,
        failure,
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
    let status = Command::new(&own)
        .arg("exec-as")
        .args(user)
        .args(["--workdir", path::DOTFILES, "--"])
        .arg(&own)
        .args(["dotfiles", "--install"])
        // It tells the line at which setup fails, of setup's own script.
        .env_remove("BASH_ENV")
        .stdin(Stdio::null())
        .status()?;
    Ok(match status.code() {
        Some(0) => None,
        Some(code) => Some(format!("exited with {code}")),
        None => Some("was killed".to_owned()),
    })
}

/// Runs the script that installs them, as whoever this process is, or links what belongs into the home.
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
        let mut error = Command::new(&file).exec();
        if error.raw_os_error() == Some(nix::libc::ENOEXEC) {
            // Without a `#!` line it is a shell's, as shells take it.
            error = Command::new("/bin/sh").arg(&file).exec();
        }
        say(format!("dotfiles: {name} cannot be run: {error}"));
        return CANNOT_RUN;
    }
    let home = Path::new(path::HOME);
    let mut links = Links {
        mount: mount_of(home),
        ..Links::default()
    };
    links.add(root, home, 0);
    say(format!("dotfiles: {} linked into the home", links.made));
    i32::from(links.has_failed)
}

/// What is linked into the home.
#[derive(Default)]
struct Links {
    /// The home's mount: what is mounted in it is somebody else's.
    mount: Option<u64>,
    made: usize,
    has_failed: bool,
}

impl Links {
    /// Links what is in a directory of the repository into one of the home. Of the root, what begins with a dot.
    fn add(&mut self, from: &Path, to: &Path, depth: usize) {
        let mut names: Vec<OsString> = fs::read_dir(from)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| depth > 0 || belongs(name))
            .collect();
        names.sort();
        for name in names {
            let (source, place) = (from.join(&name), to.join(&name));
            if let Err(error) = self.link(&source, &place, depth) {
                say(format!("dotfiles: {} stays: {error}", place.display()));
                self.has_failed = true;
            }
        }
    }

    fn link(&mut self, source: &Path, place: &Path, depth: usize) -> io::Result<()> {
        match place.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(there) if there.is_dir() => {
                let is_directory = source.symlink_metadata()?.is_dir();
                if !is_directory || depth == DEPTH {
                    return Err(io::Error::other("it is a directory"));
                }
                if self.mount.is_none() || mount_of(place) != self.mount {
                    return Err(io::Error::other("something is mounted there"));
                }
                self.add(source, place, depth + 1);
                return Ok(());
            }
            // A mount's file is busy, and stays.
            Ok(_) => fs::remove_file(place)?,
        }
        symlink(source, place)?;
        self.made += 1;
        Ok(())
    }
}

fn belongs(name: &OsStr) -> bool {
    let text = name.as_encoded_bytes();
    text.starts_with(b".") && !OF_GIT.iter().any(|own| own.as_bytes() == text)
}

/// The mount that a directory lies on.
fn mount_of(directory: &Path) -> Option<u64> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = Dir::open(directory, flags, Mode::empty()).ok()?;
    id_of(open.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_begins_with_a_dot_is_linked_and_directories_are_joined() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("dotfiles"), place.path().join("home"));
        for file in [
            ".bashrc",
            ".config/tool/a",
            ".config/other",
            ".git/config",
            ".gitignore",
            "README.md",
        ] {
            put(&from.join(file), "new");
        }
        put(&to.join(".bashrc"), "old");
        put(&to.join(".config/tool/b"), "old");
        let mut links = Links {
            mount: mount_of(&to),
            ..Links::default()
        };
        links.add(&from, &to, 0);
        assert_eq!((links.made, links.has_failed), (3, false));
        let link = |name: &str| fs::read_link(to.join(name)).ok();
        for name in [".bashrc", ".config/tool/a", ".config/other"] {
            assert_eq!(link(name), Some(from.join(name)));
        }
        assert_eq!(fs::read(to.join(".config/tool/b")).unwrap(), b"old");
        for name in [".git", ".gitignore", "README.md"] {
            assert!(!to.join(name).exists(), "{name}");
        }
        // Once more changes nothing.
        links.add(&from, &to, 0);
        assert_eq!(link(".bashrc"), Some(from.join(".bashrc")));
    }

    #[test]
    fn a_directory_in_the_way_of_a_file_stays_and_what_is_mounted_too() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("dotfiles"), place.path().join("home"));
        put(&from.join(".vimrc"), "new");
        put(&from.join(".config/a"), "new");
        put(&to.join(".vimrc/x"), "old");
        put(&to.join(".config/b"), "old");
        let mut links = Links::default();
        links.add(&from, &to, 0);
        assert!(links.has_failed);
        assert_eq!(links.made, 0);
        assert!(!to.join(".config/a").exists());
    }

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

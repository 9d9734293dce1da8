//! The agents' sign-ins: found on the host, copied into the sandbox's home.

use std::collections::BTreeSet;
use std::path::Path;

use amika_core::credential::{
    Agent, CredentialFile, CredentialPlan, Found, Selection, SignIn, plan,
};
use amika_core::mount::Mount;

use super::upload::Upload;
use crate::host_file::read_file;
use crate::progress::Progress;
use amika_host::regular_file::{self, Links};

/// Decides what is taken from a home directory.
pub fn find(home: &Path, selection: &Selection, mounts: &[Mount]) -> CredentialPlan {
    plan(selection, mounts, |file| look(&home.join(file.path)))
}

/// Sign-ins that were read and are to be copied in.
pub struct Taken {
    /// The files.
    pub upload: Upload,
    /// Whose they are.
    pub agents: Vec<Agent>,
    /// Those of them whose sign-in renews itself, which ends every other copy of it.
    pub renewing: Vec<Agent>,
}

/// Reads the files to take. What cannot be read any more is left out with a warning.
pub fn read(home: &Path, plan: &CredentialPlan, out: &dyn Progress) -> Option<Taken> {
    for (file, why) in &plan.skipped {
        if why.is_warning() {
            out.warn(&format!("~/{} is not copied: {why}", file.path));
        }
    }
    let mut files = Vec::new();
    for credential in &plan.take {
        match read_file(&home.join(credential.path)) {
            Ok(file) => files.push((credential, file.content)),
            Err(error) => out.warn(&format!("~/{} is not copied: {error}", credential.path)),
        }
    }
    if files.is_empty() {
        return None;
    }
    let agents = |renewing_only: bool| {
        let chosen = files.iter().filter(|(file, content)| {
            !renewing_only || (file.is_sign_in() && SignIn::read(content).renews_itself)
        });
        let agents: BTreeSet<Agent> = chosen.map(|(file, _)| file.agent).collect();
        agents.into_iter().collect()
    };
    Some(Taken {
        agents: agents(false),
        renewing: agents(true),
        upload: self::files(files.into_iter().map(|(file, content)| (*file, content))),
    })
}

/// Files of sign-ins for a home, with the directories that they are in.
pub(super) fn files(files: impl Iterator<Item = (CredentialFile, Vec<u8>)>) -> Upload {
    let files = files.map(|(file, bytes)| (file.path.to_owned(), bytes, 0o600));
    Upload::agents(files.collect())
}

/// What stands at a path of the host, links followed.
fn look(path: &Path) -> Found {
    let Ok(meta) = path.metadata() else {
        // A file below a directory that may not be entered is there or not: nobody can tell.
        return if path.symlink_metadata().is_ok() {
            Found::Unreadable
        } else {
            Found::Missing
        };
    };
    if meta.is_dir() {
        Found::Directory
    } else if !meta.is_file() {
        Found::Special
    } else if regular_file::open(path, Links::Followed).is_err() {
        Found::Unreadable
    } else {
        Found::File { size: meta.len() }
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::super::upload::Owner;
    use super::*;

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a directory");
        let put = |path: &str, content: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            std::fs::write(path, content).expect("write");
        };
        put(".claude.json", "{}");
        put(
            ".claude/.credentials.json",
            r#"{"claudeAiOauth":{"refreshToken":"r"}}"#,
        );
        put(".codex/auth.json", r#"{"OPENAI_API_KEY":"k"}"#);
        put(".local/state/opencode/model.json", "{}");
        put(".claude.json.backup", "{}");
        home
    }

    /// Nobody who is told anything.
    struct Unheard;

    impl Progress for Unheard {
        fn tell(&self, _: crate::progress::Event<'_>) {}

        fn shows_steps(&self) -> bool {
            false
        }
    }

    #[test]
    fn files_are_the_agent_s_alone_and_their_directories_too() {
        let home = home();
        let plan = find(home.path(), &Selection::all(), &[]);
        let taken = read(home.path(), &plan, &Unheard).expect("files");
        let entries: Vec<(&str, u32)> = taken
            .upload
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.mode))
            .collect();
        assert_eq!(
            entries,
            [
                (".claude", 0o700),
                (".codex", 0o700),
                (".local", 0o700),
                (".local/state", 0o700),
                (".local/state/opencode", 0o700),
                (".claude.json", 0o600),
                (".claude/.credentials.json", 0o600),
                (".codex/auth.json", 0o600),
                (".local/state/opencode/model.json", 0o600),
            ]
        );
        assert!(
            taken
                .upload
                .files
                .iter()
                .all(|file| file.owner == Owner::Agent)
        );
        assert_eq!(taken.agents, [Agent::Claude, Agent::Codex, Agent::OpenCode]);
        assert_eq!(taken.renewing, [Agent::Claude]);
    }

    #[test]
    fn a_pipe_in_a_file_s_place_is_passed_over_at_once() {
        let home = tempfile::tempdir().expect("a directory");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            home.path().join(".claude.json"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a pipe");
        let plan = find(home.path(), &Selection::all(), &[]);
        assert_eq!(plan.take, []);
        assert_eq!(plan.skipped.len(), 1);
        assert!(read_file(&home.path().join(".claude.json")).is_err());
    }
}

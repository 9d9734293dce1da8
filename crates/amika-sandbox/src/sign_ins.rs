//! Two copies of a sign-in, one on the host and one in a sandbox: reading both and telling which works.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use amika_core::contract::path;
use amika_core::credential::{
    Agent, Copy, CredentialFile, FILES, MAX_BYTES, Newer, Taken, Taking, Tokens, Untaken,
    compare_tokens, newer, take,
};
use amika_core::label::{SandboxId, SandboxRecord};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::host_file::{HostFile, read_file};
use crate::progress::Progress;
use crate::sandbox::{self, Sandbox};
use crate::sandboxes::Sandboxes;
use crate::trust::RecordKey;
use amika_engine::{ArchivedFile, ContainerState, EngineError};

/// What stands at one of two places.
pub enum Side<T> {
    /// Nothing.
    Missing,
    /// A file.
    File(T),
    /// Something from which nothing can be taken, with the reason.
    Unusable(String),
}

impl<T> Side<T> {
    /// The file, if there is one.
    pub fn file(&self) -> Option<&T> {
        match self {
            Self::File(file) => Some(file),
            Self::Missing | Self::Unusable(_) => None,
        }
    }
}

/// A file on both sides.
pub struct Pair {
    /// Which file.
    pub file: CredentialFile,
    /// The host's.
    pub host: Side<HostFile>,
    /// The sandbox's.
    pub sandbox: Side<ArchivedFile>,
    /// Whether a mount decides what stands at its place in the sandbox.
    pub mounted: bool,
}

impl Pair {
    /// Which one is newer, when both can be read.
    pub fn newer(&self) -> Option<Newer> {
        let (host, sandbox) = (self.host.file()?, self.sandbox.file()?);
        let host = Copy {
            content: &host.content,
            modified: host.modified,
        };
        let sandbox = Copy {
            content: &sandbox.content,
            modified: sandbox.modified,
        };
        Some(newer(&self.file, host, sandbox))
    }

    /// What `pull` would take of the sandbox's; none when there is nothing that can be read.
    pub fn taken(&self, taking: &Taking<'_>) -> Option<Result<Taken, Untaken>> {
        let host = match &self.host {
            Side::Unusable(_) => return None,
            side => side.file().map(|file| file.content.as_slice()),
        };
        let sandbox = self.sandbox.file()?;
        Some(take(&self.file, host, &sandbox.content, taking))
    }

    /// How the sandbox's refresh tokens stand to this machine's, when both can be read.
    pub fn tokens(&self) -> Option<Tokens> {
        let (host, sandbox) = (self.host.file()?, self.sandbox.file()?);
        Some(compare_tokens(&self.file, &host.content, &sandbox.content))
    }
}

/// What holds for taking sign-ins of these files now, where the user says that tokens whose account nothing
/// tells are taken.
pub fn taking(pairs: &[Pair], force: bool) -> Taking<'_> {
    /// Claude Code's settings, in which it keeps the account.
    const SETTINGS: &str = ".claude.json";
    let settings = pairs.iter().find(|pair| pair.file.path == SETTINGS);
    Taking {
        now: amika_host::clock::now_millis(),
        force,
        unknown: true,
        host_settings: settings
            .and_then(|pair| pair.host.file())
            .map(|file| file.content.as_slice()),
        sandbox_settings: settings
            .and_then(|pair| pair.sandbox.file())
            .map(|file| file.content.as_slice()),
    }
}

/// Reads all files on both sides; the sandbox may be stopped.
///
/// # Errors
/// Those of the engine.
pub async fn read_both(engine: &Sandboxes, sandbox: &Sandbox, home: &Path) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for file in FILES {
        let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
        let theirs = engine
            .read_regular_file(&sandbox.container.id, &file.target(), limit)
            .await;
        pairs.push(Pair {
            file,
            host: on_host(&home.join(file.path)),
            sandbox: match theirs {
                Ok(Some(file)) => Side::File(file),
                Ok(None) => Side::Missing,
                Err(EngineError::Broken(why)) => Side::Unusable(why),
                Err(error) => return Err(error.into()),
            },
            mounted: is_mounted(sandbox, &file.target()),
        });
    }
    Ok(pairs)
}

fn on_host(path: &Path) -> Side<HostFile> {
    match read_file(path) {
        Ok(file) => Side::File(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Side::Missing,
        Err(error) => Side::Unusable(error.to_string()),
    }
}

/// Whether a mount decides what is at a path in the home: one at it, or above it and beneath the
/// home, or a single file that was copied there.
fn is_mounted(sandbox: &Sandbox, target: &str) -> bool {
    if sandbox.record.copied_files.contains_key(target) {
        return true;
    }
    sandbox.container.mounts.iter().any(|mount| {
        let point = Path::new(&mount.target);
        point.starts_with(path::HOME)
            && mount.target != path::HOME
            && Path::new(target).starts_with(point)
    })
}

/// How long a sandbox is asked for what it was given later: one into which much is being copied
/// answers only afterwards.
const BUSY: Duration = Duration::from_secs(2);
/// More than the names of all agents.
const MAX_ADDED: usize = 4096;

/// What a sandbox's state volume says of the sign-ins that it was given since it was made. Whoever is
/// root in it can write there: only what is signed was noted by this user's `amika`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    agents: BTreeSet<Agent>,
    #[serde(default)]
    signature: String,
}

impl Added {
    /// The note on these agents.
    pub fn sign(agents: BTreeSet<Agent>, id: &SandboxId, key: &RecordKey) -> Self {
        let signature = key.sign_note(id, &names(&agents));
        Self { agents, signature }
    }

    /// Reads a file of it: an older amika wrote the agents alone.
    fn from_file(file: &[u8]) -> Self {
        serde_json::from_slice(file).unwrap_or_else(|_| Self {
            agents: serde_json::from_slice(file).unwrap_or_default(),
            signature: String::new(),
        })
    }

    fn is_signed(&self, id: &SandboxId, key: &RecordKey) -> bool {
        key.signed_note(id, &names(&self.agents), &self.signature)
    }
}

fn names(agents: &BTreeSet<Agent>) -> String {
    let names: Vec<&str> = agents.iter().map(|agent| agent.as_str()).collect();
    names.join(",")
}

/// Agents whose sign-ins a sandbox was given: when it was made, as its labels say, or later, as its
/// state volume does. What cannot be read there is not counted.
pub async fn agents(
    engine: &Sandboxes,
    container: &str,
    record: &SandboxRecord,
) -> BTreeSet<Agent> {
    let mut agents: BTreeSet<Agent> = record.credentials.iter().copied().collect();
    agents.extend(added(engine, container).await.agents);
    agents
}

/// Those of [`agents`] that this user gave it, which is not taken from what a sandbox says of itself.
///
/// # Errors
/// When the user's key cannot be read.
pub async fn agents_given(engine: &Sandboxes, sandbox: &Sandbox) -> Result<BTreeSet<Agent>> {
    let key = engine.record_key()?;
    let mut given = BTreeSet::new();
    if key.trust(&sandbox.container).follows_host_paths() {
        given.extend(sandbox.record.credentials.iter().copied());
    }
    let added = added(engine, &sandbox.container.id).await;
    if added.is_signed(&sandbox.record.id, &key) {
        given.extend(added.agents);
    }
    Ok(given)
}

async fn added(engine: &Sandboxes, container: &str) -> Added {
    let added = engine
        .read_regular_file(container, path::ADDED_CREDENTIALS, MAX_ADDED)
        .await;
    match added {
        Ok(Some(file)) => Added::from_file(&file.content),
        Ok(None) | Err(_) => Added::default(),
    }
}

/// Warns when another running sandbox of this user already holds a copy of a sign-in that renews itself. What others'
/// sandboxes hold are others' sign-ins.
///
/// # Errors
/// Those of the engine; when the user's key cannot be read.
pub async fn warn_of_other_copies(
    engine: &Sandboxes,
    name: &str,
    renewing: &[Agent],
    out: &dyn Progress,
) -> Result<()> {
    if renewing.is_empty() {
        return Ok(());
    }
    let key = engine.record_key()?;
    let others = sandbox::list(engine).await?;
    let running = others.iter().filter_map(|(container, record)| {
        let is_other = container.name != name && container.state == ContainerState::Running;
        let is_own = || key.has_signed(&container.labels);
        (is_other && is_own()).then_some((container, &record.record))
    });
    let held = crate::fan_out::in_order(running.map(async |(container, record)| {
        let labelled = || record.credentials.iter().copied().collect();
        let all_known = renewing
            .iter()
            .all(|agent| record.credentials.contains(agent));
        let agents = if all_known {
            labelled()
        } else {
            let read = agents(engine, &container.id, record);
            let read = tokio::time::timeout(BUSY, read).await;
            read.unwrap_or_else(|_| labelled())
        };
        (container.name.as_str(), agents)
    }))
    .await;
    if let Some(warning) = other_copies(renewing, &held) {
        out.warn(&warning);
    }
    Ok(())
}

/// What to warn of: sandboxes, with the agents whose sign-ins they hold, against the sign-ins that
/// are to be copied and renew themselves.
fn other_copies(renewing: &[Agent], held: &[(&str, BTreeSet<Agent>)]) -> Option<String> {
    let holds = |agents: &BTreeSet<Agent>| renewing.iter().any(|agent| agents.contains(agent));
    let holders: Vec<&str> = held
        .iter()
        .filter(|(_, agents)| holds(agents))
        .map(|(name, _)| *name)
        .collect();
    let shared = renewing
        .iter()
        .filter(|agent| held.iter().any(|(_, agents)| agents.contains(agent)))
        .map(|agent| agent.as_str());
    let shared: Vec<&str> = shared.collect();
    let places = match holders[..] {
        [] => return None,
        [one] => one.to_owned(),
        [one, two] => format!("{one} and {two}"),
        [first, ..] => format!("{first} and {} others", holders.len() - 1),
    };
    Some(format!(
        "your sign-in to {} is also in {places}: the first to renew it signs the others out",
        shared.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::UserKey;

    #[test]
    fn a_note_that_a_sandbox_wrote_itself_gives_it_nothing() {
        let key = RecordKey::of(&UserKey::of_bytes([1; 32]), "/nowhere".into());
        let id = SandboxId::from_random([1; 16]);
        let note = Added::sign([Agent::Codex].into(), &id, &key);
        let file = serde_json::to_vec(&note).expect("a file");
        assert_eq!(Added::from_file(&file), note);
        assert!(note.is_signed(&id, &key));
        let signature = &note.signature;
        let forged = format!(r#"{{"agents":["claude","codex"],"signature":"{signature}"}}"#);
        for file in [
            forged.as_str(),
            r#"["claude","codex"]"#,
            r#"{"agents":["claude","codex"]}"#,
        ] {
            let forged = Added::from_file(file.as_bytes());
            assert_eq!(forged.agents, [Agent::Claude, Agent::Codex].into());
            assert!(!forged.is_signed(&id, &key), "{file}");
        }
        assert_eq!(Added::from_file(b"{"), Added::default());
    }

    #[test]
    fn other_copies_are_one_short_line_whatever_there_is() {
        let (claude, codex) = (Agent::Claude, Agent::Codex);
        let held = |names: &[&'static str], agents: &[Agent]| {
            let agents: BTreeSet<Agent> = agents.iter().copied().collect();
            let pair = |name: &&'static str| (*name, agents.clone());
            names.iter().map(pair).collect::<Vec<_>>()
        };
        for (held, told) in [
            (held(&[], &[]), None),
            (held(&["a", "b"], &[Agent::OpenCode]), None),
            (
                held(&["a"], &[claude, Agent::OpenCode]),
                Some(("claude", "a")),
            ),
            (
                held(&["a", "b"], &[claude, codex]),
                Some(("claude, codex", "a and b")),
            ),
            (
                held(&["a", "b", "c"], &[codex]),
                Some(("codex", "a and 2 others")),
            ),
        ] {
            let told = told.map(|(agents, places)| {
                format!(
                    "your sign-in to {agents} is also in {places}: the first to renew it signs the others out"
                )
            });
            assert_eq!(other_copies(&[claude, codex], &held), told);
        }
    }
}

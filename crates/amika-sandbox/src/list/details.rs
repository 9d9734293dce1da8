//! What a list tells of a sandbox only when it is asked: what it holds, what changed in its repository, whether it
//! is at work.
//!
//! The agent's git counts, inside, as the agent; what it says is nobody's word but the agent's. It is no activity.

use std::collections::BTreeMap;

use amika_core::contract::path;
use amika_core::label::{Reading, SandboxRecord};
use amika_core::wire::Activity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use crate::commits::{Inside, Source};
use crate::daemon::{Client, UserKey};
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerState, ContainerSummary};

/// Bytes of an answer of git's: a million of changed files are told as such by far fewer.
const ANSWER: usize = 16 << 20;
/// Bytes of the record of how the repository began.
const RECORD: usize = 8 << 20;

/// What is asked for in addition.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Details {
    /// Bytes that it wrote beside its image and volumes; none when it is lost.
    pub size_bytes: Option<u64>,
    /// Names of its volumes.
    pub volumes: Vec<String>,
    /// Commits of `HEAD` that the repository did not begin with; null without a repository, where it does not run,
    /// and where its git did not say so in time.
    pub commits_ahead: Option<u64>,
    /// Whether anything in its work tree is not committed as it is; null as with `commits_ahead`.
    pub changed: Option<bool>,
    /// Whether anything goes on in it, measured from the first such question on; null when it does not run, and
    /// when that could not be told in time.
    pub activity: Option<Activity>,
    /// Bytes of memory that it uses; null as with `activity`.
    pub memory_bytes: Option<u64>,
}

/// By when all of it must be there, and what the engine measured of all containers.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) sizes: &'a BTreeMap<String, u64>,
    pub(super) until: Instant,
    pub(super) measured_until: Instant,
}

impl Details {
    /// Those of a container; what is not there in time is left out.
    pub(super) async fn of(
        engine: &Sandboxes,
        key: &UserKey,
        container: &ContainerSummary,
        reading: &Reading,
        asked: Asked<'_>,
    ) -> Self {
        let record = &reading.record;
        let is_up = container.state == ContainerState::Running && reading.is_identified();
        let (work, activity, memory) = if is_up {
            let by_then = asked.until;
            let token = key.token(record.id.as_str());
            let (id, warnings) = (&container.id, engine.warnings());
            let client = Client::new(engine, id, &container.ports, &token, warnings).foreign();
            let (work, activity, memory) = futures_util::join!(
                timeout_at(by_then, Work::look(engine, &container.id, record, by_then)),
                timeout_at(by_then, client.activity()),
                timeout_at(asked.measured_until, engine.memory(&container.id)),
            );
            (
                work.unwrap_or_default(),
                activity.ok().and_then(Result::ok),
                memory.ok().and_then(Result::ok).flatten(),
            )
        } else {
            Default::default()
        };
        Self {
            size_bytes: asked.sizes.get(&container.id).copied(),
            volumes: own_volumes(container),
            commits_ahead: work.ahead,
            changed: work.changed,
            activity,
            memory_bytes: memory,
        }
    }
}

/// Its volumes, without the one that holds amikad's program, which is nobody's own.
fn own_volumes(container: &ContainerSummary) -> Vec<String> {
    let mut names: Vec<String> = container
        .volumes
        .iter()
        .filter(|(_, target)| target != path::AMIKAD_DIR)
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}

/// What was done in a repository.
#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    ahead: Option<u64>,
    changed: Option<bool>,
}

/// What of the record of the repository's beginning is of use here. Whoever is root in the sandbox may have written
/// anything.
#[derive(Debug, Default, Deserialize)]
struct Began {
    #[serde(default)]
    commit: Option<String>,
}

impl Work {
    async fn look(
        engine: &Sandboxes,
        container: &str,
        record: &SandboxRecord,
        until: Instant,
    ) -> Self {
        let (Some(_), Some(directory)) = (&record.repository, &record.agent_cwd) else {
            return Self::default();
        };
        let patience = until.saturating_duration_since(Instant::now());
        let inside = Inside::listed(engine, container, record, directory, patience);
        let began = async {
            let file = engine.read_regular_file(container, path::GIT_SNAPSHOT, RECORD);
            let began = serde_json::from_slice(&file.await.ok()??.content);
            began.ok().and_then(|began: Began| began.commit)
        };
        let status = ["status", "--porcelain=v2", "--branch", "-z"];
        let (began, status) = futures_util::join!(began, ask(&inside, &status));
        let Some(status) = status.as_deref().map(Status::read) else {
            return Self::default();
        };
        let changed = Some(status.changed);
        let ahead = match (began.filter(|it| is_oid(it)), status.head) {
            (Some(began), Some(head)) if began == head => Some(0),
            (Some(began), Some(head)) => {
                let count = ["rev-list", "--count", &head, &format!("^{began}"), "--"];
                let told = ask(&inside, &count).await;
                told.and_then(|told| String::from_utf8_lossy(&told).trim().parse().ok())
            }
            _ => None,
        };
        Self { ahead, changed }
    }
}

/// What git says, where it says anything.
async fn ask(inside: &Inside, arguments: &[&str]) -> Option<Vec<u8>> {
    let told = inside.git(arguments, Vec::new(), ANSWER).await.ok()?;
    (told.code == 0).then_some(told.stdout)
}

fn is_oid(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What `git status --porcelain=v2 --branch -z` tells.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    /// The commit; none yet where there is none.
    head: Option<String>,
    changed: bool,
}

impl Status {
    fn read(text: &[u8]) -> Self {
        let mut status = Self {
            head: None,
            changed: false,
        };
        for line in text.split(|byte| *byte == 0).filter(|it| !it.is_empty()) {
            let Some(line) = line.strip_prefix(b"# ") else {
                status.changed = true;
                break;
            };
            if let Some(oid) = line.strip_prefix(b"branch.oid ") {
                let oid = String::from_utf8_lossy(oid).into_owned();
                status.head = Some(oid).filter(|oid| is_oid(oid));
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn what_git_says_of_a_work_tree_is_read_and_nothing_but_object_names_is_asked_about() {
        let of = |text: &str| {
            let status = Status::read(text.replace('|', "\0").as_bytes());
            (status.head, status.changed)
        };
        let commit = Some(COMMIT.to_owned());
        let clean = format!("# branch.oid {COMMIT}|# branch.head main|");
        assert_eq!(of(&clean), (commit.clone(), false));
        assert_eq!(of(&format!("{clean}? new|")), (commit.clone(), true));
        let renamed = format!("{clean}2 R. N... 1 1 1 a b R100 to|# from|");
        assert_eq!(of(&renamed), (commit, true));
        assert_eq!(
            of("# branch.oid (initial)|# branch.head main|"),
            (None, false)
        );
        assert_eq!(of("# branch.oid --output=/etc/passwd|"), (None, false));
        assert_eq!(of(""), (None, false));
    }
}

//! Which sign-ins of agents are copied into a sandbox.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::contract::path;
use crate::mount::{Mount, covering};

#[cfg(feature = "config")]
mod sign_in;
#[cfg(feature = "config")]
mod take;

#[cfg(feature = "config")]
pub use sign_in::{Copy, Newer, SignIn, Tokens, compare_tokens, newer};
#[cfg(feature = "config")]
pub use take::{Left, OtherAccount, Taken, Taking, Untaken, take};

/// The largest file that is copied, in bytes.
pub const MAX_BYTES: u64 = 16 << 20;

/// A coding agent that keeps its sign-in in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Agent {
    /// Claude Code
    Claude,
    /// Codex
    Codex,
    /// OpenCode
    OpenCode,
}

impl Agent {
    /// All agents.
    pub const ALL: [Self; 3] = [Self::Claude, Self::Codex, Self::OpenCode];

    /// Returns the word that flags have for it, which is its program's name too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::OpenCode => "opencode",
        }
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Agent {
    type Err = UnknownAgent;

    fn from_str(text: &str) -> Result<Self, UnknownAgent> {
        let found = Self::ALL.into_iter().find(|agent| agent.as_str() == text);
        found.ok_or_else(|| UnknownAgent {
            text: text.to_owned(),
        })
    }
}

/// A word that names no agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown agent \"{}\": use claude, codex or opencode", .text.escape_debug())]
pub struct UnknownAgent {
    /// What was given.
    pub text: String,
}

/// A file that holds a sign-in, or goes with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CredentialFile {
    /// The agent that it belongs to.
    pub agent: Agent,
    /// The path relative to the home directory, the same on the host and in the sandbox.
    pub path: &'static str,
}

impl CredentialFile {
    /// Returns the path in the sandbox.
    pub fn target(&self) -> String {
        format!("{}/{}", path::HOME, self.path)
    }

    /// Whether the agent renews a sign-in in it. The others hold settings, or a key that stays as it
    /// is.
    pub fn is_sign_in(&self) -> bool {
        matches!(
            self.path,
            ".claude/.credentials.json"
                | ".claude-oauth-credentials.json"
                | ".codex/auth.json"
                | ".local/share/opencode/auth.json"
        )
    }
}

/// Every file that is looked for, and no other.
pub const FILES: [CredentialFile; 7] = [
    CredentialFile {
        agent: Agent::Claude,
        path: ".claude.json.api",
    },
    CredentialFile {
        agent: Agent::Claude,
        path: ".claude.json",
    },
    CredentialFile {
        agent: Agent::Claude,
        path: ".claude/.credentials.json",
    },
    CredentialFile {
        agent: Agent::Claude,
        path: ".claude-oauth-credentials.json",
    },
    CredentialFile {
        agent: Agent::Codex,
        path: ".codex/auth.json",
    },
    CredentialFile {
        agent: Agent::OpenCode,
        path: ".local/share/opencode/auth.json",
    },
    CredentialFile {
        agent: Agent::OpenCode,
        path: ".local/state/opencode/model.json",
    },
];

/// Which agents' files are taken: `--credentials` and `--no-credentials`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(BTreeSet<Agent>);

impl Selection {
    /// Takes those of all agents.
    pub fn all() -> Self {
        Self(Agent::ALL.into())
    }

    /// Takes none.
    pub fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Takes those of these agents.
    pub fn of(agents: impl IntoIterator<Item = Agent>) -> Self {
        Self(agents.into_iter().collect())
    }

    /// Whether an agent's files are taken.
    pub fn contains(&self, agent: Agent) -> bool {
        self.0.contains(&agent)
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::all()
    }
}

/// Reads names of agents with commas between them; a name may stand twice.
impl FromStr for Selection {
    type Err = UnknownAgent;

    fn from_str(text: &str) -> Result<Self, UnknownAgent> {
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Names of agents where `all` and `none` are words too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentNames(pub Selection);

impl fmt::Display for AgentNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.0.iter().map(|agent| agent.as_str()).collect();
        match names.len() {
            0 => f.pad("none"),
            3 => f.pad("all"),
            _ => f.pad(&names.join(",")),
        }
    }
}

impl FromStr for AgentNames {
    type Err = UnknownAgents;

    fn from_str(text: &str) -> Result<Self, UnknownAgents> {
        match text {
            "all" => Ok(Self(Selection::all())),
            "none" => Ok(Self(Selection::none())),
            text => text.parse().map(Self).map_err(UnknownAgents),
        }
    }
}

/// A word that is neither of [`AgentNames`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, with commas between them, or all or none")]
pub struct UnknownAgents(UnknownAgent);

/// What stands at a file's path on the host, symbolic links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A regular file that can be read.
    File {
        /// Its size in bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A pipe, socket or device: reading it could take forever.
    Special,
    /// Something that this user may not read.
    Unreadable,
}

/// What becomes of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialPlan {
    /// Files to copy.
    pub take: Vec<CredentialFile>,
    /// Files that are there and are not copied, with the reason.
    pub skipped: Vec<(CredentialFile, Skipped)>,
}

/// Why a file that is there is not copied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// An explicit mount decides what stands at its place; no cause for a warning.
    #[error("{mount} is in its place")]
    Mounted {
        /// The mount.
        mount: Box<Mount>,
    },
    /// It is more than [`MAX_BYTES`].
    #[error("it has {size} bytes, at most {MAX_BYTES} are copied")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It is a directory.
    #[error("it is a directory")]
    Directory,
    /// It is a pipe, socket or device.
    #[error("it is not a regular file")]
    Special,
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable,
}

impl Skipped {
    /// Whether the user should hear of it.
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::Mounted { .. })
    }
}

/// Decides which files are copied. `look` says what stands at a path relative to the host's home; it
/// is asked only for the files of chosen agents.
pub fn plan(
    selection: &Selection,
    mounts: &[Mount],
    mut look: impl FnMut(&CredentialFile) -> Found,
) -> CredentialPlan {
    let mut plan = CredentialPlan::default();
    for file in FILES
        .into_iter()
        .filter(|file| selection.contains(file.agent))
    {
        let found = look(&file);
        if found == Found::Missing {
            continue;
        }
        let mount = covering(mounts, &file.target()).cloned().map(Box::new);
        let skipped = match (mount, found) {
            (Some(mount), _) => Skipped::Mounted { mount },
            (None, Found::Directory) => Skipped::Directory,
            (None, Found::Special) => Skipped::Special,
            (None, Found::Unreadable) => Skipped::Unreadable,
            (None, Found::File { size }) if size > MAX_BYTES => Skipped::TooLarge { size },
            (None, Found::File { .. } | Found::Missing) => {
                plan.take.push(file);
                continue;
            }
        };
        plan.skipped.push((file, skipped));
    }
    plan
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn paths(plan: &CredentialPlan) -> Vec<&'static str> {
        plan.take.iter().map(|file| file.path).collect()
    }

    #[test]
    fn the_files_are_those_of_the_document() {
        let targets: Vec<String> = FILES.iter().map(CredentialFile::target).collect();
        assert_eq!(
            targets,
            [
                "/home/amika/.claude.json.api",
                "/home/amika/.claude.json",
                "/home/amika/.claude/.credentials.json",
                "/home/amika/.claude-oauth-credentials.json",
                "/home/amika/.codex/auth.json",
                "/home/amika/.local/share/opencode/auth.json",
                "/home/amika/.local/state/opencode/model.json",
            ]
        );
    }

    #[test]
    fn selections_name_agents() {
        let some: Selection = "claude,codex".parse().unwrap();
        assert!(some.contains(Agent::Claude) && some.contains(Agent::Codex));
        assert!(!some.contains(Agent::OpenCode));
        assert_eq!("claude,codex,opencode".parse(), Ok(Selection::default()));
        for text in ["", "claude,", "Claude", "claude codex", "gemini"] {
            assert!(text.parse::<Selection>().is_err(), "{text:?}");
        }
        assert_eq!(
            "gemini".parse::<Selection>().unwrap_err().to_string(),
            "unknown agent \"gemini\": use claude, codex or opencode"
        );
    }

    #[test]
    fn all_and_none_are_names_too() {
        for text in ["all", "none", "codex", "claude,opencode"] {
            assert_eq!(text.parse::<AgentNames>().unwrap().to_string(), text);
        }
        assert_eq!(
            "opencode,codex,claude"
                .parse::<AgentNames>()
                .unwrap()
                .to_string(),
            "all"
        );
        assert_eq!(
            "gemini".parse::<AgentNames>().unwrap_err().to_string(),
            "unknown agent \"gemini\": use claude, codex or opencode, with commas between them, or all or none"
        );
    }

    #[test]
    fn only_files_that_exist_are_taken() {
        let look = |file: &CredentialFile| match file.path {
            ".claude.json" | ".codex/auth.json" => Found::File { size: 10 },
            _ => Found::Missing,
        };
        let taken = plan(&Selection::all(), &[], look);
        assert_eq!(paths(&taken), [".claude.json", ".codex/auth.json"]);
        assert_eq!(taken.skipped, []);
        let codex = plan(&"codex".parse().unwrap(), &[], look);
        assert_eq!(paths(&codex), [".codex/auth.json"]);
        let none = plan(&Selection::none(), &[], |file| {
            panic!("{file:?} was looked at")
        });
        assert_eq!(none, CredentialPlan::default());
    }

    #[test]
    fn what_is_no_plain_file_is_a_warning() {
        let look = |file: &CredentialFile| match file.path {
            ".claude.json.api" => Found::Directory,
            ".claude.json" => Found::Special,
            ".claude/.credentials.json" => Found::Unreadable,
            ".claude-oauth-credentials.json" => Found::File {
                size: MAX_BYTES + 1,
            },
            ".codex/auth.json" => Found::File { size: MAX_BYTES },
            _ => Found::Missing,
        };
        let plan = plan(&Selection::all(), &[], look);
        assert_eq!(paths(&plan), [".codex/auth.json"]);
        let reasons: Vec<String> = plan
            .skipped
            .iter()
            .map(|(_, reason)| reason.to_string())
            .collect();
        assert_eq!(
            reasons,
            [
                "it is a directory",
                "it is not a regular file",
                "it cannot be read",
                "it has 16777217 bytes, at most 16777216 are copied",
            ]
        );
        assert!(plan.skipped.iter().all(|(_, reason)| reason.is_warning()));
    }

    #[test]
    fn an_explicit_mount_wins_at_the_path_and_above_it() {
        let mounts = [
            Mount::Host("x:/home/amika/.claude:ro".parse().unwrap()),
            Mount::Volume("vol:/home/amika/.codex/auth.json".parse().unwrap()),
            Mount::Host("y:/home".parse().unwrap()),
        ];
        let plan = plan(&Selection::all(), &mounts, |_| Found::File { size: 1 });
        assert_eq!(
            paths(&plan),
            [
                ".claude.json.api",
                ".claude.json",
                ".claude-oauth-credentials.json",
                ".local/share/opencode/auth.json",
                ".local/state/opencode/model.json",
            ]
        );
        assert!(plan.skipped.iter().all(|(_, reason)| !reason.is_warning()));
        assert_eq!(
            plan.skipped[0].1.to_string(),
            "--mount x:/home/amika/.claude:ro is in its place"
        );
    }
}

//! Who has the newer sign-ins.

use amika_core::credential::{Agent, FILES, Newer, SignIn, Taken, Taking, Untaken};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::sandbox::{self, Sandbox};
use crate::sandboxes::Sandboxes;
use crate::sign_ins::{self, Pair, Side};

/// A file on this machine and in a sandbox.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PairView {
    /// Path relative to the home directory.
    pub path: &'static str,
    /// The agent that it belongs to.
    pub agent: Agent,
    /// How this machine's stands to the sandbox's.
    pub state: PairState,
    /// Whether a refresh token is in one of them, so that only the newer works.
    pub renews_itself: bool,
    /// Why one side could not be read, or is not taken, or is taken only when the user insists.
    pub reason: Option<String>,
    /// Whether only one of the two still works, since a refresh token serves once.
    #[serde(skip)]
    pub is_spent: bool,
}

/// How two copies stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairState {
    /// Neither side has one.
    Absent,
    /// Only this machine has one.
    OnlyHost,
    /// Only the sandbox has one.
    OnlySandbox,
    /// Both are the same.
    Same,
    /// This machine's is newer.
    HostNewer,
    /// The sandbox's is newer.
    SandboxNewer,
    /// The sandbox's is newer, and nothing of it would be taken; the reason says why.
    SandboxRefused,
    /// A mount decides what the sandbox has.
    Mounted,
    /// One side could not be read.
    Unusable,
}

impl PairState {
    fn of(pair: &Pair, taking: &Taking<'_>) -> Self {
        match (&pair.host, &pair.sandbox) {
            _ if pair.mounted => Self::Mounted,
            (Side::Unusable(_), _) | (_, Side::Unusable(_)) => Self::Unusable,
            (Side::Missing, Side::Missing) => Self::Absent,
            (Side::File(_), Side::Missing) => Self::OnlyHost,
            (Side::Missing, Side::File(_)) => Self::OnlySandbox,
            (Side::File(_), Side::File(_)) => match pair.newer() {
                Some(Newer::Sandbox) if pair.file.is_sign_in() => match pair.taken(taking) {
                    Some(Ok(Taken {
                        content: Some(_), ..
                    })) => Self::SandboxNewer,
                    Some(Err(Untaken::Same)) => Self::Same,
                    _ => Self::SandboxRefused,
                },
                Some(Newer::Sandbox) => Self::SandboxNewer,
                Some(Newer::Host) => Self::HostNewer,
                Some(Newer::Same) | None => Self::Same,
            },
        }
    }
}

impl PairView {
    /// Whether it is a sign-in, and not the settings of an agent.
    pub fn is_sign_in(&self) -> bool {
        let mut files = FILES.into_iter();
        files.any(|file| file.path == self.path && file.is_sign_in())
    }
}

impl Sandboxes {
    /// How the files of a sandbox stand to those of this machine; it may be stopped.
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::error::Kind::NotFound), [`Kind::Conflict`](crate::error::Kind::Conflict) of one that
    /// is dead, and those of the engine.
    pub async fn credentials(&self, name: &str) -> Result<Vec<PairView>> {
        let sandbox = Sandbox::find_whole(self, name).await?;
        let pairs = sign_ins::read_both(self, &sandbox, &self.machine().home_dir()).await?;
        let taking = sign_ins::taking(&pairs, false);
        Ok(pairs.iter().map(|pair| view(pair, &taking)).collect())
    }

    /// The same of all sandboxes, each by its name.
    ///
    /// # Errors
    /// Those of the engine; what one of them failed with is its own.
    pub async fn all_credentials(&self) -> Result<Vec<(String, Result<Vec<PairView>>)>> {
        let list = sandbox::list(self).await?;
        let looks = list.into_iter().map(async |(container, _)| {
            let found = self.credentials(&container.name).await;
            (container.name, found)
        });
        Ok(crate::fan_out::in_order(looks).await)
    }
}

/// Why nothing of a sandbox's sign-in would be taken.
fn refusal(pair: &Pair, taking: &Taking<'_>) -> Option<String> {
    match pair.taken(taking)? {
        Err(why) => Some(why.to_string()),
        Ok(taken) => taken
            .left
            .first()
            .map(|left| format!("{}: {}", left.of, left.why)),
    }
}

/// What is to be known before a sign-in is taken whose account nothing tells.
fn unknown(pair: &Pair, taking: &Taking<'_>) -> Option<String> {
    let is_unknown = pair
        .taken(taking)
        .is_some_and(|taken| taken.is_ok_and(|taken| !taken.unknown.is_empty()));
    is_unknown.then(|| "whose account it is cannot be seen in its tokens: `pull` asks".to_owned())
}

fn view(pair: &Pair, taking: &Taking<'_>) -> PairView {
    let state = PairState::of(pair, taking);
    let contents = [
        pair.host.file().map(|file| &file.content),
        pair.sandbox.file().map(|file| &file.content),
    ];
    let reason = match (&pair.host, &pair.sandbox) {
        (Side::Unusable(why), _) => Some(format!("this machine's: {why}")),
        (_, Side::Unusable(why)) => Some(format!("the sandbox's: {why}")),
        _ if state == PairState::SandboxRefused => refusal(pair, taking),
        _ if state == PairState::SandboxNewer => unknown(pair, taking),
        _ => None,
    };
    PairView {
        path: pair.file.path,
        agent: pair.file.agent,
        state,
        renews_itself: pair.file.is_sign_in()
            && contents
                .into_iter()
                .flatten()
                .any(|content| SignIn::read(content).renews_itself),
        reason,
        is_spent: pair.tokens().is_some_and(|tokens| tokens.differ),
    }
}

//! `amika credentials status`: who has the newer sign-ins.

use amika_core::credential::{Agent, Newer, SignIn};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::credentials::StatusArgs;
use crate::engine::Engine;
use crate::error::Result;
use crate::output::Table;
use crate::sandbox::Sandbox;
use crate::sign_ins::{self, Pair, Side};

/// A file on this machine and in a sandbox.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PairView {
    /// Path relative to the home directory.
    path: &'static str,
    /// The agent that it belongs to.
    agent: Agent,
    /// How this machine's stands to the sandbox's.
    state: PairState,
    /// Whether a refresh token is in one of them, so that only the newer works.
    renews_itself: bool,
    /// Why one side could not be read.
    reason: Option<String>,
}

/// How two copies stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PairState {
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
    /// A mount decides what the sandbox has.
    Mounted,
    /// One side could not be read.
    Unusable,
}

impl PairState {
    fn of(pair: &Pair) -> Self {
        match (&pair.host, &pair.sandbox) {
            _ if pair.mounted => Self::Mounted,
            (Side::Unusable(_), _) | (_, Side::Unusable(_)) => Self::Unusable,
            (Side::Missing, Side::Missing) => Self::Absent,
            (Side::File(_), Side::Missing) => Self::OnlyHost,
            (Side::Missing, Side::File(_)) => Self::OnlySandbox,
            (Side::File(_), Side::File(_)) => match pair.newer() {
                Some(Newer::Sandbox) => Self::SandboxNewer,
                Some(Newer::Host) => Self::HostNewer,
                Some(Newer::Same) | None => Self::Same,
            },
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Absent => "-",
            Self::OnlyHost => "only this machine has one",
            Self::OnlySandbox => "only the sandbox has one",
            Self::Same => "the same",
            Self::HostNewer => "this machine's is newer",
            Self::SandboxNewer => "the sandbox's is newer",
            Self::Mounted => "a mount is in its place",
            Self::Unusable => "cannot be compared",
        }
    }
}

pub(super) async fn run(args: &StatusArgs, app: &App) -> Result<()> {
    let engine = Engine::connect().await?;
    let sandbox = Sandbox::find_whole(&engine, &args.name).await?;
    let pairs = sign_ins::read_both(&engine, &sandbox, &crate::host::home_dir()).await?;
    let views: Vec<PairView> = pairs.iter().map(view).collect();
    app.out.result(&views, |out| {
        if views.iter().all(|view| view.state == PairState::Absent) {
            return writeln!(out, "neither this machine nor the sandbox has a sign-in");
        }
        let mut table = Table::new(["FILE", "AGENT", "STATUS", "NOTE"]);
        for view in views.iter().filter(|view| view.state != PairState::Absent) {
            table.row(vec![
                format!("~/{}", view.path),
                view.agent.to_string(),
                view.state.words().to_owned(),
                view.reason.clone().unwrap_or_default(),
            ]);
        }
        table.write(out)
    })?;
    let name = &sandbox.name;
    // Spent is only what the other side has another token for.
    let any = |state| {
        pairs.iter().any(|pair| {
            PairState::of(pair) == state && pair.tokens().is_some_and(|tokens| tokens.differ)
        })
    };
    if any(PairState::SandboxNewer) {
        app.out.note(&format!(
            "A refresh token serves once: the sandbox renewed, so this machine's copy is spent. `amika \
             credentials pull {name}` takes the newer one."
        ));
    }
    if any(PairState::HostNewer) {
        app.out.note(&format!(
            "A refresh token serves once: this machine renewed, so the sandbox's copy is spent. `amika \
             credentials refresh {name}` copies the newer one in."
        ));
    }
    Ok(())
}

fn view(pair: &Pair) -> PairView {
    let contents = [
        pair.host.file().map(|file| &file.content),
        pair.sandbox.file().map(|file| &file.content),
    ];
    let reason = match (&pair.host, &pair.sandbox) {
        (Side::Unusable(why), _) => Some(format!("this machine's: {why}")),
        (_, Side::Unusable(why)) => Some(format!("the sandbox's: {why}")),
        _ => None,
    };
    PairView {
        path: pair.file.path,
        agent: pair.file.agent,
        state: PairState::of(pair),
        renews_itself: pair.file.is_sign_in()
            && contents
                .into_iter()
                .flatten()
                .any(|content| SignIn::read(content).renews_itself),
        reason,
    }
}

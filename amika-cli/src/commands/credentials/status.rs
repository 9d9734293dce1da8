//! `amika credentials status`: who has the newer sign-ins.

use std::collections::BTreeSet;

use amika_core::credential::{Agent, Newer, SignIn, Taken, Taking, Untaken};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::credentials::StatusArgs;
use crate::engine::looked_at_again;
use crate::error::{Kind, Result};
use crate::output::Table;
use crate::sandbox::{self, Sandbox};
use crate::sandboxes::Sandboxes;
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
    /// Why one side could not be read, or is not taken, or is taken only when the user insists.
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

    /// Its place among those of one agent: the first is told where there is room for one.
    fn rank(self) -> usize {
        let order = [
            Self::Unusable,
            Self::SandboxNewer,
            Self::SandboxRefused,
            Self::HostNewer,
            Self::OnlySandbox,
            Self::OnlyHost,
            Self::Mounted,
            Self::Same,
            Self::Absent,
        ];
        order
            .iter()
            .position(|state| *state == self)
            .unwrap_or(order.len())
    }

    fn words(self) -> &'static str {
        match self {
            Self::Absent => "-",
            Self::OnlyHost => "only this machine has one",
            Self::OnlySandbox => "only the sandbox has one",
            Self::Same => "the same",
            Self::HostNewer => "this machine's is newer",
            Self::SandboxNewer => "the sandbox's is newer",
            Self::SandboxRefused => "the sandbox's is not taken",
            Self::Mounted => "a mount is in its place",
            Self::Unusable => "cannot be compared",
        }
    }
}

/// A sandbox and its files, where all sandboxes are shown.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SandboxView {
    /// The sandbox.
    sandbox: String,
    /// Its files, as they are shown of one alone.
    files: Vec<PairView>,
}

pub(super) async fn run(args: &StatusArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    match &args.name {
        Some(name) => one(&engine, name, app).await,
        None => all(&engine, app).await,
    }
}

async fn one(engine: &Sandboxes, name: &str, app: &App) -> Result<()> {
    let sandbox = Sandbox::find_whole(engine, name).await?;
    let pairs = sign_ins::read_both(engine, &sandbox, &app.machine.home_dir()).await?;
    let taking = sign_ins::taking(&pairs, false);
    let views: Vec<PairView> = pairs.iter().map(|pair| view(pair, &taking)).collect();
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
    say_who_renewed(&sandbox.name, &pairs, app);
    Ok(())
}

/// All sandboxes whose files can be read, with a line for each.
async fn all(engine: &Sandboxes, app: &App) -> Result<()> {
    let home = app.machine.home_dir();
    let home = home.as_path();
    let list = sandbox::list(engine).await?;
    let looks = list.into_iter().map(|(container, _)| async move {
        let read = async {
            let sandbox = Sandbox::find_whole(engine, &container.name).await?;
            sign_ins::read_both(engine, &sandbox, home).await
        };
        match read.await {
            Ok(pairs) => (container.name, Ok(pairs)),
            Err(error) => {
                let error = looked_at_again(&app.user, error, &[&container.name]).await;
                (container.name, Err(error))
            }
        }
    });
    let read: Vec<(String, Result<Vec<Pair>>)> = crate::fan_out::in_order(looks).await;
    let mut found = Vec::new();
    for (name, pairs) in read {
        match pairs {
            Ok(pairs) => found.push((name, pairs)),
            // It was deleted meanwhile: then it has no sign-in.
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) if error.kind == Kind::EngineUnreachable => return Err(error),
            Err(error) => app.out.warn(&format!(
                "sandbox \"{name}\" is left out: {}",
                error.message
            )),
        }
    }
    let views: Vec<SandboxView> = found
        .iter()
        .map(|(name, pairs)| {
            let taking = sign_ins::taking(pairs, false);
            SandboxView {
                sandbox: name.clone(),
                files: pairs.iter().map(|pair| view(pair, &taking)).collect(),
            }
        })
        .collect();
    app.out.result(&views, |out| {
        let mut table = Table::new(["SANDBOX", "CLAUDE", "CODEX", "OPENCODE"]);
        for (name, pairs) in &found {
            let agents = [Agent::Claude, Agent::Codex, Agent::OpenCode];
            let cells = agents.map(|agent| told_first(pairs, agent).words().to_owned());
            table.row(std::iter::once(name.clone()).chain(cells).collect());
        }
        table.write(out)
    })?;
    for (name, pairs) in &found {
        say_who_renewed(name, pairs, app);
    }
    Ok(())
}

/// What of an agent's sign-ins most wants doing something about; settings are none.
fn told_first(pairs: &[Pair], agent: Agent) -> PairState {
    let taking = sign_ins::taking(pairs, false);
    let states = pairs
        .iter()
        .filter(|pair| pair.file.agent == agent && pair.file.is_sign_in())
        .map(|pair| PairState::of(pair, &taking));
    states
        .min_by_key(|state| state.rank())
        .unwrap_or(PairState::Absent)
}

fn say_who_renewed(name: &str, pairs: &[Pair], app: &App) {
    let taking = sign_ins::taking(pairs, false);
    // Spent is only what the other side has another token for.
    let agents = |state| {
        let pairs = pairs.iter().filter(|pair| {
            PairState::of(pair, &taking) == state
                && pair.tokens().is_some_and(|tokens| tokens.differ)
        });
        let agents: BTreeSet<Agent> = pairs.map(|pair| pair.file.agent).collect();
        let agents: Vec<String> = agents.iter().map(ToString::to_string).collect();
        (!agents.is_empty()).then(|| agents.join(","))
    };
    if let Some(agents) = agents(PairState::SandboxNewer) {
        app.out.note(&format!(
            "A refresh token serves once: \"{name}\" renewed {agents}, so this machine's copy is spent. `amika \
             credentials pull {name} --credentials {agents}` takes the newer one."
        ));
    }
    if let Some(agents) = agents(PairState::HostNewer) {
        app.out.note(&format!(
            "A refresh token serves once: this machine renewed {agents}, so the copy of \"{name}\" is spent. `amika \
             credentials refresh {name} --credentials {agents}` copies the newer one in."
        ));
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
    }
}

//! `amika credentials status`: who has the newer sign-ins.

use std::collections::BTreeSet;

use amika_core::credential::Agent;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::credentials::StatusArgs;
use crate::credentials::{PairState, PairView};
use crate::engine::looked_at_again;
use crate::error::{Kind, Result};
use crate::output::Table;
use crate::sandboxes::Sandboxes;

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
    let views = engine.credentials(name).await?;
    app.out.result(&views, |out| {
        if views.iter().all(|view| view.state == PairState::Absent) {
            return writeln!(out, "neither this machine nor the sandbox has a sign-in");
        }
        let mut table = Table::new(["FILE", "AGENT", "STATUS", "NOTE"]);
        for view in views.iter().filter(|view| view.state != PairState::Absent) {
            table.row(vec![
                format!("~/{}", view.path),
                view.agent.to_string(),
                words(view.state).to_owned(),
                view.reason.clone().unwrap_or_default(),
            ]);
        }
        table.write(out)
    })?;
    say_who_renewed(name, &views, app);
    Ok(())
}

/// All sandboxes whose files can be read, with a line for each.
async fn all(engine: &Sandboxes, app: &App) -> Result<()> {
    let mut views = Vec::new();
    for (sandbox, files) in engine.all_credentials().await? {
        let error = match files {
            Ok(files) => {
                views.push(SandboxView { sandbox, files });
                continue;
            }
            Err(error) => looked_at_again(&app.user, error, &[&sandbox]).await,
        };
        match error.kind {
            // It was deleted meanwhile: then it has no sign-in.
            Kind::NotFound => {}
            Kind::EngineUnreachable => return Err(error),
            _ => app.out.warn(&format!(
                "sandbox \"{sandbox}\" is left out: {}",
                error.message
            )),
        }
    }
    app.out.result(&views, |out| {
        let mut table = Table::new(["SANDBOX", "CLAUDE", "CODEX", "OPENCODE"]);
        for view in &views {
            let agents = [Agent::Claude, Agent::Codex, Agent::OpenCode];
            let cells = agents.map(|agent| words(told_first(&view.files, agent)).to_owned());
            table.row(std::iter::once(view.sandbox.clone()).chain(cells).collect());
        }
        table.write(out)
    })?;
    for view in &views {
        say_who_renewed(&view.sandbox, &view.files, app);
    }
    Ok(())
}

/// What of an agent's sign-ins most wants doing something about; settings are none.
fn told_first(files: &[PairView], agent: Agent) -> PairState {
    let states = files
        .iter()
        .filter(|file| file.agent == agent && file.is_sign_in())
        .map(|file| file.state);
    states
        .min_by_key(|state| rank(*state))
        .unwrap_or(PairState::Absent)
}

fn say_who_renewed(name: &str, files: &[PairView], app: &App) {
    // Spent is only what the other side has another token for.
    let agents = |state| {
        let files = files.iter();
        let spent = files.filter(|file| file.state == state && file.is_spent);
        let agents: BTreeSet<Agent> = spent.map(|file| file.agent).collect();
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

/// Its place among those of one agent: the first is told where there is room for one.
fn rank(state: PairState) -> usize {
    let order = [
        PairState::Unusable,
        PairState::SandboxNewer,
        PairState::SandboxRefused,
        PairState::HostNewer,
        PairState::OnlySandbox,
        PairState::OnlyHost,
        PairState::Mounted,
        PairState::Same,
        PairState::Absent,
    ];
    order
        .iter()
        .position(|one| *one == state)
        .unwrap_or(order.len())
}

/// What is shown of it.
fn words(state: PairState) -> &'static str {
    match state {
        PairState::Absent => "-",
        PairState::OnlyHost => "only this machine has one",
        PairState::OnlySandbox => "only the sandbox has one",
        PairState::Same => "the same",
        PairState::HostNewer => "this machine's is newer",
        PairState::SandboxNewer => "the sandbox's is newer",
        PairState::SandboxRefused => "the sandbox's is not taken",
        PairState::Mounted => "a mount is in its place",
        PairState::Unusable => "cannot be compared",
    }
}

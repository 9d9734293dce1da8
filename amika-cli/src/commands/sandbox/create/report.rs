//! What `amika sandbox create` prints when it is done.

use amika_core::contract::service;
use amika_core::credential::Agent;
use amika_core::name::SandboxName;
use amika_core::wire::{Phase, ServiceState, Status};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::create::TakenView;
use crate::error::Result;
use crate::ready::Ready;
use crate::sandbox::{Answer, Sandbox, State};
use crate::sandboxes::Sandboxes;
use crate::view::SandboxView;
use amika_sandbox::progress::Steps;

/// What `create -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands::sandbox) struct CreatedView {
    #[serde(flatten)]
    sandbox: SandboxView,
    /// What of the repository's configuration holds, and why; null without `--git`.
    taken: Option<TakenView>,
    /// Agents whose sign-ins went in.
    sign_ins: Vec<Agent>,
    /// How long each step took, in milliseconds.
    steps: Vec<StepView>,
}

/// A step of `create`.
#[derive(Debug, Serialize, JsonSchema)]
struct StepView {
    /// Its name.
    name: String,
    /// How long it took.
    duration_ms: u64,
}

/// Prints the sandbox and how to get at it; without `ready`, nobody waited for it.
///
/// # Errors
/// Those of the engine.
pub(super) async fn report(
    engine: &Sandboxes,
    name: &SandboxName,
    ready: Option<&Ready>,
    taken: Option<TakenView>,
    steps: &Steps,
    app: &App,
) -> Result<()> {
    let sandbox = Sandbox::find(engine, name.as_str()).await?;
    let name = &sandbox.name;
    let status = match sandbox.client(engine) {
        Ok(client) => client.status().await.ok(),
        Err(_) => None,
    };
    let state = match ready {
        Some(Ready::Running) => State::Running,
        Some(Ready::Finished) => State::Stopped,
        None => {
            // Before amikad answers, it is about to begin with setup.
            let phase = status
                .as_ref()
                .map_or(Phase::Starting, |status| status.phase);
            let answer = Answer::Phase(phase);
            State::tell(sandbox.container.state, &sandbox.record, answer, None)
        }
    };
    let view = CreatedView {
        sandbox: SandboxView {
            opencode_url: opencode_url(&sandbox, status.as_ref()),
            ..SandboxView::of(&sandbox, state)
        },
        taken,
        sign_ins: sandbox.record.credentials.clone(),
        steps: steps
            .timings()
            .iter()
            .map(|(name, duration_ms)| StepView {
                name: name.clone(),
                duration_ms: *duration_ms,
            })
            .collect(),
    };
    app.out.result(&view, |out| writeln!(out, "{name}"))?;
    if !app.out.is_json() {
        if matches!(ready, Some(Ready::Finished)) {
            app.out.note(&format!(
                "CMD ended with 0 already: `amika sandbox logs {name}`"
            ));
        } else {
            for port in &view.sandbox.ports {
                app.out.note(&format!(
                    "  port      {}",
                    port.url.clone().unwrap_or_else(|| port.arrow())
                ));
            }
            if let Some(url) = &view.sandbox.opencode_url {
                app.out.note(&format!(
                    "  OpenCode  {url}  (sign in: `amika sandbox inspect {name}`)"
                ));
            }
            app.out
                .note(&format!("  shell     amika sandbox connect {name}"));
        }
        if !engine.is_local() {
            app.out.note(&format!(
                "  the engine is on another machine: addresses above are that machine's; `amika forward {name} PORT` brings ports here"
            ));
        }
    }
    let is_ready = matches!(ready, Some(Ready::Running));
    if let Some(status) = status.as_ref().filter(|_| is_ready)
        && let Some(warning) = crate::inner_engine::warning(&status.services, name)
    {
        app.out.warn(&warning);
    }
    if is_ready && let Ok(client) = sandbox.client(engine) {
        let published = &sandbox.container.ports;
        for warning in crate::listening::out_of_reach(&client, name, published).await {
            app.out.warn(&warning);
        }
    }
    Ok(())
}

/// Where OpenCode is found, unless it is off.
fn opencode_url(sandbox: &Sandbox, status: Option<&Status>) -> Option<String> {
    let off = status?.services.state(service::OPENCODE) == ServiceState::Off;
    crate::view::opencode_url(&sandbox.container.ports).filter(|_| !off)
}

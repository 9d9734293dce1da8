//! What `amika sandbox create` prints when it is done.

use amika_core::credential::Agent;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::create::{Created, TakenView};
use crate::error::Result;
use crate::ready::Ready;
use crate::sandboxes::Sandboxes;
use crate::view::SandboxView;

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

impl CreatedView {
    fn of(created: &Created) -> Self {
        let steps = created.steps.iter();
        Self {
            sandbox: created.view.clone(),
            taken: created.taken.clone(),
            sign_ins: created.sign_ins.clone(),
            steps: steps
                .map(|(name, duration_ms)| StepView {
                    name: name.clone(),
                    duration_ms: *duration_ms,
                })
                .collect(),
        }
    }
}

/// Prints the sandbox and how to get at it.
///
/// # Errors
/// When standard output cannot be written.
pub(super) async fn report(engine: &Sandboxes, created: &Created, app: &App) -> Result<()> {
    let view = CreatedView::of(created);
    let name = &view.sandbox.name;
    app.out.result(&view, |out| writeln!(out, "{name}"))?;
    if !app.out.is_json() {
        if created.ready == Some(Ready::Finished) {
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
    for warning in created.amiss().await {
        app.out.warn(&warning);
    }
    Ok(())
}

//! The same for several sandboxes at once, with one result a name.

use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::engine::looked_at_again;
use crate::error::{Error, Result};
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;
use amika_engine::ContainerState;

/// What came of one name.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct Done {
    /// The sandbox.
    pub(in crate::commands) name: String,
    /// What was done, in one word; `failed` when it was not.
    pub(in crate::commands) result: String,
    /// Git volumes that stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::commands) kept_volumes: Vec<String>,
    /// Whether those are this machine's own, with which a create can go on.
    #[serde(skip)]
    pub(in crate::commands) are_here: bool,
    /// What was stored on this machine before it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) rescued: Option<crate::rescue::Rescued>,
    /// Ports that are published elsewhere now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::commands) moved_ports: Vec<crate::reassign::Moved>,
    /// Why it failed: the `error` of a failed command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) error: Option<serde_json::Value>,
}

impl Done {
    /// A success.
    pub(in crate::commands) fn new(name: &str, result: &str) -> Self {
        Self {
            name: name.to_owned(),
            result: result.to_owned(),
            kept_volumes: Vec::new(),
            are_here: false,
            rescued: None,
            moved_ports: Vec::new(),
            error: None,
        }
    }
}

/// The names that are meant: those given, or with `all` those of the sandboxes whose container is in
/// a state that `which` takes.
///
/// # Errors
/// Those of the engine.
pub(in crate::commands) async fn names(
    engine: &Sandboxes,
    given: &[String],
    all: bool,
    which: impl Fn(ContainerState) -> bool,
) -> Result<Vec<String>> {
    if !all {
        return Ok(given.to_vec());
    }
    let list = crate::sandbox::list(engine).await?;
    Ok(list
        .into_iter()
        .filter(|(container, _)| which(container.state))
        .map(|(container, _)| container.name)
        .collect())
}

/// Runs `work` for all names, many at once. Each failure is shown; the first one is the command's own.
pub(in crate::commands) async fn run(
    names: &[String],
    app: &App,
    work: impl AsyncFn(&str) -> Result<Done>,
) -> Result<()> {
    let mut unique: Vec<&String> = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    let work = async |name: &str| match work(name).await {
        Err(error) => Err(looked_at_again(&app.user, error, &[name]).await),
        done => done,
    };
    let results: Vec<Result<Done>> =
        crate::fan_out::in_order(unique.iter().map(|name| work(name))).await;
    if let [_] = unique.as_slice() {
        // One name: its error is the command's error, told once.
        let done = results.into_iter().next().transpose()?;
        return show(done.as_slice(), app);
    }
    let mut first_error: Option<Error> = None;
    let mut all = Vec::new();
    for (name, result) in unique.iter().zip(results) {
        match result {
            Ok(done) => all.push(done),
            Err(error) => {
                let json = crate::output::error_json(&error);
                all.push(Done {
                    error: json.get("error").cloned(),
                    ..Done::new(name, "failed")
                });
                if first_error.is_none() {
                    first_error = Some(error);
                } else if !app.out.is_json() {
                    app.out.error(&error);
                }
            }
        }
    }
    match first_error {
        None => show(&all, app),
        Some(error) if app.out.is_json() => {
            Err(error.detail("results", serde_json::to_value(&all).unwrap_or_default()))
        }
        Some(error) => {
            all.retain(|done| done.error.is_none());
            show(&all, app)?;
            Err(error)
        }
    }
}

fn show(all: &[Done], app: &App) -> Result<()> {
    app.out.result(&all, |out| {
        for done in all {
            writeln!(out, "{}", done.name)?;
        }
        Ok(())
    })?;
    if !app.out.is_json() {
        for done in all {
            for volume in &done.kept_volumes {
                let name = shell_quote(volume);
                let next = if done.are_here {
                    format!("`amika sandbox create --from-volume {name}` goes on with it, ")
                } else {
                    String::new()
                };
                app.out.note(&format!(
                    "git volume {volume} stays: {next}`amika volume delete {name}` removes it and the work in it"
                ));
            }
        }
    }
    Ok(())
}

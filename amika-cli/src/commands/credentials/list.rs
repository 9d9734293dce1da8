//! `amika credentials list`: what a new sandbox would get of this machine.

use amika_core::credential::{Agent, FILES, Selection, SignIn};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::credentials::ListArgs;
use crate::create;
use crate::error::Result;
use crate::output::Table;

/// A file that is looked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileView {
    /// Path relative to the home directory, the same in a sandbox.
    path: &'static str,
    /// The agent that it belongs to.
    agent: Agent,
    /// Whether it is copied.
    taken: bool,
    /// Why one that is there is not copied.
    reason: Option<String>,
    /// Whether a refresh token is in it, which serves once.
    renews_itself: bool,
}

pub(super) fn run(args: &ListArgs, app: &App) -> Result<()> {
    let selection = super::selection(args.credentials.as_deref(), Selection::all)?;
    let home = app.machine.home_dir();
    let plan = create::find_credentials(&home, &selection, &[]);
    let mut views = Vec::new();
    for file in FILES
        .into_iter()
        .filter(|file| selection.contains(file.agent))
    {
        let mut reason = plan
            .skipped
            .iter()
            .find(|(skipped, _)| *skipped == file)
            .map(|(_, why)| why.to_string());
        let mut taken = plan.take.contains(&file);
        let mut renews_itself = false;
        if taken {
            match crate::host_file::read_file(&home.join(file.path)) {
                Ok(found) => {
                    renews_itself = file.is_sign_in() && SignIn::read(&found.content).renews_itself;
                }
                Err(error) => {
                    taken = false;
                    reason = Some(error.to_string());
                }
            }
        }
        views.push(FileView {
            path: file.path,
            agent: file.agent,
            taken,
            reason,
            renews_itself,
        });
    }
    app.out.result(&views, |out| {
        let mut table = Table::new(["FILE", "AGENT", "COPIED", "NOTE"]);
        for view in &views {
            let note = match (&view.reason, view.taken, view.renews_itself) {
                (Some(reason), ..) => reason.clone(),
                (None, false, _) => "not there".to_owned(),
                (None, true, true) => "renews itself: of two copies one works".to_owned(),
                (None, true, false) => String::new(),
            };
            table.row(vec![
                format!("~/{}", view.path),
                view.agent.to_string(),
                if view.taken { "yes" } else { "no" }.to_owned(),
                note,
            ]);
        }
        table.write(out)
    })?;
    if cfg!(target_os = "macos")
        && !views
            .iter()
            .any(|view| view.agent == Agent::Claude && view.renews_itself)
    {
        app.out.note(
            "On macOS Claude Code keeps its sign-in in the keychain, where no file is: sign in once inside the \
             sandbox (`claude`, then /login), or set CLAUDE_CODE_OAUTH_TOKEN from `claude setup-token` with `--env`.",
        );
    }
    Ok(())
}

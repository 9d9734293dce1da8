//! `amika credentials list`: what a new sandbox would get of this machine.

use amika_core::credential::{Agent, Selection};

use crate::App;
use crate::args::credentials::ListArgs;
use crate::credentials;
use crate::error::Result;
use crate::output::Table;

pub(super) fn run(args: &ListArgs, app: &App) -> Result<()> {
    let selection = super::selection(args.credentials.as_deref())?.unwrap_or_else(Selection::all);
    let views = credentials::list(&app.machine.home_dir(), &selection);
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

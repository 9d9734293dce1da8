//! `amika sandbox diff --remote`.

use amika_remote::client::Call;
use futures_util::TryStreamExt as _;
use serde::Deserialize;

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::sandbox::DiffArgs;
use crate::commands::sandbox::diff::{DiffView, Shown, show};
use crate::diff::{Change, Form};
use crate::error::Result;

/// What the server answers.
#[derive(Deserialize)]
struct Told {
    since: Option<String>,
    note: Option<String>,
    files: Vec<Change>,
}

pub(super) async fn run(args: &DiffArgs, server: &Server, app: &App) -> Result<()> {
    let path = ["sandboxes", args.name.as_str(), "diff"];
    let paths = args.paths.join("\n");
    let call = Call::get(&path).with("paths", &paths);
    if app.out.is_json() {
        let answer: Told = server.client.ask(call).await.map_err(told)?;
        if let Some(note) = answer.note {
            app.out.note(&note);
        }
        let view = DiffView {
            sandbox: args.name.clone(),
            since: answer.since,
            files: answer.files,
        };
        return app.out.result(&view, |_| Ok(()));
    }
    let shown = Shown::of(args, app);
    let (form, columns) = match shown.form {
        Form::Text => ("text", None),
        Form::Patch => ("patch", None),
        Form::Stat(columns) => ("stat", Some(columns.clamp(20, 1000))),
        Form::Names => ("names", None),
    };
    let call = call
        .with("form", form)
        .with("color", &shown.is_coloured)
        .with_some("columns", columns.as_ref());
    let text = server.client.stream(call).await.map_err(told)?;
    let mut text = Box::pin(text.map_err(told));
    show(&mut text, shown, app).await
}

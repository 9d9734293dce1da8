//! `amika sandbox diff`: what changed in a sandbox's repository since it was made.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pull::named;
use crate::App;
use crate::args::sandbox::DiffArgs;
use crate::diff::{Change, Form};
use crate::error::{Error, Kind, Result};
use crate::output::LogText;
use crate::terminal::{Output, Target};

/// What changed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::commands) struct DiffView {
    /// The sandbox.
    pub(in crate::commands) sandbox: String,
    /// What it is compared with: the commit or the tree that the sandbox began with; null where that is not known, and
    /// with what is checked out it is compared.
    pub(in crate::commands) since: Option<String>,
    /// The files that differ.
    pub(in crate::commands) files: Vec<Change>,
}

/// How it is shown.
#[derive(Clone, Copy)]
pub(in crate::commands) struct Shown {
    on_terminal: bool,
    /// As what it is asked for.
    pub(in crate::commands) form: Form,
    /// Whether in colours.
    pub(in crate::commands) is_coloured: bool,
}

impl Shown {
    /// As the user wants it, and where it goes.
    pub(in crate::commands) fn of(args: &DiffArgs, app: &App) -> Self {
        let on_terminal = crate::output::is_shown();
        let form = if args.stat {
            Form::Stat(crate::terminal::size().map_or(80, |(_, columns)| columns))
        } else if args.name_only {
            Form::Names
        } else if on_terminal {
            Form::Text
        } else {
            Form::Patch
        };
        Self {
            on_terminal,
            form,
            is_coloured: on_terminal && app.machine.variable("NO_COLOR").is_none(),
        }
    }
}

pub(super) async fn run(args: &DiffArgs, app: &App) -> Result<()> {
    let told = tell(args, app).await;
    told.map_err(|error| named(error, &args.name))
}

async fn tell(args: &DiffArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let diff = engine.diff(&args.name).await?;
    if let Some(note) = diff.note() {
        app.out.note(note);
    }
    if app.out.is_json() {
        let since = diff.since().map(str::to_owned);
        let files = diff.files(&args.paths).await;
        diff.end().await;
        let view = DiffView {
            sandbox: args.name.clone(),
            since,
            files: files?,
        };
        return app.out.result(&view, |_| Ok(()));
    }
    let shown = Shown::of(args, app);
    let text = diff.text(shown.form, shown.is_coloured, &args.paths);
    let mut text = text.await?;
    let told = show(&mut text, shown, app).await;
    text.end().await;
    told
}

/// Shows a difference: on a terminal through the pager, and nothing but colours steers the terminal; a file or a pipe
/// gets it as it is.
///
/// # Errors
/// Those of the text, and where it cannot be written.
pub(in crate::commands) async fn show(
    mut text: impl Stream<Item = Result<Bytes>> + Unpin,
    shown: Shown,
    app: &App,
) -> Result<()> {
    let output = if shown.on_terminal {
        Output::to_pager(&app.machine)
    } else {
        Output::start()
    };
    let mut harmless = LogText::default();
    while let Some(bytes) = text.next().await {
        let bytes = bytes?;
        let bytes = if shown.on_terminal {
            harmless.of(&bytes).into()
        } else {
            bytes
        };
        if output.send(Target::Stdout, bytes).await.is_err() {
            break;
        }
    }
    // Nobody reads any more: the end is told by `finish`.
    let _ = output.send(Target::Stdout, harmless.end().into()).await;
    output.finish().await.map_err(|error| {
        Error::new(Kind::Failure, "the difference cannot be written").caused_by(&error)
    })?;
    Ok(())
}

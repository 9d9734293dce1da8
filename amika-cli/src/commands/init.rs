//! `amika init`: looks at a repository's files, and writes its configuration.

use std::collections::BTreeMap;

use amika_core::project::{self, Facts, MAX_BYTES, MAX_DIRECTORIES, NAMES};
use amika_host::beneath::{Beneath, Found};
use schemars::JsonSchema;
use serde::Serialize;

use super::draft::{FileView, Target, show};
use crate::App;
use crate::args::init::InitArgs;
use crate::error::{Error, Kind, Result};

/// What `init -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InitView {
    /// The repository's root.
    repository: String,
    /// What was recognized, a sentence each.
    found: Vec<String>,
    /// The files.
    files: Vec<FileView>,
    /// Whether they were written.
    written: bool,
}

pub(super) async fn run(args: &InitArgs, app: &App) -> Result<()> {
    let target = Target::find(args.path.as_deref())?;
    let facts = facts(&target.files);
    let plan = project::plan(&facts);
    for finding in &plan.findings {
        let text = facts.files.get(&finding.path).and_then(Option::as_deref);
        let text = text.unwrap_or_default();
        app.out.diagnostic(&finding.path, text, &finding.diagnostic);
    }
    let mut view = InitView {
        repository: target.root.display().to_string(),
        found: plan.found,
        files: FileView::all(&plan.draft),
        written: false,
    };
    if args.dry_run {
        return app.out.result(&view, |out| {
            view.found
                .iter()
                .try_for_each(|found| writeln!(out, "{found}"))?;
            show(&view.files, out)
        });
    }
    if !args.force {
        target.check_free(&view.files, "amika init")?;
    }
    if !args.yes {
        agreed(&view, app).await?;
    }
    target.write(&view.files, args.force)?;
    view.written = true;
    app.out.result(&view, |out| {
        view.files
            .iter()
            .try_for_each(|file| writeln!(out, "{}", file.path()))
    })?;
    target.next(app);
    Ok(())
}

/// Asks, or says what would be written to who cannot be asked.
async fn agreed(view: &InitView, app: &App) -> Result<()> {
    let refused = Error::new(Kind::Conflict, "nobody said yes; nothing was written")
        .hint("`amika init --yes` writes without asking");
    if app.out.can_ask() {
        let mut lines = view.found.clone();
        lines.extend(view.files.iter().flat_map(FileView::lines));
        let is_agreed = app.out.confirmed(&lines, "Write this?").await;
        return if is_agreed { Ok(()) } else { Err(refused) };
    }
    if app.out.is_json() {
        let files = serde_json::to_value(&view.files).unwrap_or_default();
        return Err(refused.detail("files", files));
    }
    app.out.result(view, |out| show(&view.files, out))?;
    Err(refused)
}

/// Reads the files that tell something, and nothing else.
fn facts(root: &Beneath) -> Facts {
    let mut files = BTreeMap::new();
    // Of many directories the first are looked at, but those that are never are not among them.
    let below = root.directories("", usize::MAX);
    let below = below
        .into_iter()
        .filter(|name| project::is_looked_into(name));
    let prefixes = below.take(MAX_DIRECTORIES).map(|name| format!("{name}/"));
    for prefix in std::iter::once(String::new()).chain(prefixes) {
        for name in NAMES {
            let path = format!("{prefix}{name}");
            match root.find(&path, MAX_BYTES) {
                Some(Found::Content(bytes)) => {
                    files.insert(path, String::from_utf8(bytes).ok());
                }
                Some(Found::Unread(_)) => {
                    files.insert(path, None);
                }
                None => {}
            }
        }
    }
    Facts { files }
}

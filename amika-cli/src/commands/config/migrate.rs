//! `amika config migrate devcontainer`: a configuration of another tool's, as far as there is an equal.

use std::path::{Path, PathBuf};

use amika_core::devcontainer::{DIRECTORY, MAX_BYTES, Migration, NAME, PATHS, migrate};
use amika_core::text::shell_path;
use amika_host::beneath::{Beneath, Found};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::draft::{FileView, Target, show};
use crate::App;
use crate::args::config::{MigrateArgs, Source as Tool};
use crate::error::{Error, Findings, Kind, Result};

/// Directories of their own that are looked at for further files.
const MAX_DIRECTORIES: usize = 32;

/// What `config migrate -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(in super::super) struct MigrateView {
    /// The repository's root.
    repository: String,
    /// The file that was read.
    from: String,
    /// The files that say the same.
    files: Vec<FileView>,
    /// Whether they were written.
    written: bool,
    /// What is not taken over, in the order of the file.
    not_taken_over: Vec<RestView>,
}

/// Something that is not taken over.
#[derive(Debug, Serialize, JsonSchema)]
struct RestView {
    /// Its key, with those of what it is in.
    key: String,
    /// Why, and what to do instead.
    reason: String,
    /// Its line, counted from 1.
    line: usize,
    /// Its column in characters, counted from 1.
    column: usize,
}

pub(super) fn run(args: &MigrateArgs, app: &App) -> Result<u8> {
    let Tool::Devcontainer = args.source;
    let target = Target::find(args.path.as_deref())?;
    let Source {
        path,
        directory,
        found,
    } = match &args.from {
        Some(path) => read_given(path, &target)?,
        None => find(&target)?,
    };
    let shown = path.display().to_string();
    let text = text(&shown, found)?;
    let Migration { draft, rest } = migrate(&text, directory.as_deref()).map_err(|problem| {
        let title = format!("{shown}: {}", problem.title());
        Error::new(Kind::Invalid, title).findings(Findings {
            path: shown.clone(),
            text: text.clone(),
            problems: vec![*problem],
        })
    })?;
    let mut view = MigrateView {
        repository: target.root.display().to_string(),
        from: shown.clone(),
        files: FileView::all(&draft),
        written: false,
        not_taken_over: Vec::new(),
    };
    if !args.dry_run {
        if !args.force {
            target.check_free(&view.files, "amika config migrate devcontainer")?;
        }
        target.write(&view.files, args.force)?;
        view.written = true;
    }
    for rest in rest {
        app.out.diagnostic(&shown, &text, &rest.diagnostic);
        view.not_taken_over.push(RestView {
            key: rest.key,
            reason: rest.reason,
            line: rest.diagnostic.line,
            column: rest.diagnostic.column,
        });
    }
    app.out.result(&view, |out| {
        if view.written {
            let mut files = view.files.iter();
            files.try_for_each(|file| writeln!(out, "{}", file.path()))
        } else {
            show(&view.files, out)
        }
    })?;
    if view.written {
        target.next(app);
    }
    Ok(0)
}

/// A file that was found.
struct Source {
    /// Its path, as it is told.
    path: PathBuf,
    /// Where it stands, from the repository's root, if it stands in the repository.
    directory: Option<String>,
    found: Found,
}

impl Source {
    /// One by its path from the repository's root.
    fn of_repository(path: &str, found: Found) -> Self {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        Self {
            path: path.into(),
            directory: Some(directory.to_owned()),
            found,
        }
    }
}

/// The one file of the repository, and what is in it.
fn find(target: &Target) -> Result<Source> {
    for path in PATHS {
        if let Some(found) = target.files.find(path, MAX_BYTES) {
            return Ok(Source::of_repository(path, found));
        }
    }
    let several = target.files.directories(DIRECTORY, MAX_DIRECTORIES);
    let mut several: Vec<(String, Found)> = several
        .into_iter()
        .filter_map(|name| {
            let path = format!("{DIRECTORY}/{name}/{NAME}");
            let found = target.files.find(&path, MAX_BYTES)?;
            Some((path, found))
        })
        .collect();
    if several.len() > 1 {
        let message = format!("there are {} files to choose from", several.len());
        let error = Error::new(Kind::Conflict, message);
        return Err(several.iter().fold(error, |error, (path, _)| {
            let path = target.root.join(path).display().to_string();
            let path = shell_path(&path);
            error.hint(format!("`amika config migrate devcontainer --from {path}`"))
        }));
    }
    match several.pop() {
        Some((path, found)) => Ok(Source::of_repository(&path, found)),
        None => Err(Error::new(
            Kind::NotFound,
            format!("{} has no devcontainer.json", target.root.display()),
        )
        .hint("`amika init` looks at the repository's other files")
        .hint("`--from FILE` names one that is elsewhere")),
    }
}

/// Reads a file that the user named: its directory is theirs to choose.
fn read_given(path: &Path, target: &Target) -> Result<Source> {
    let missing = || Error::new(Kind::NotFound, format!("{} does not exist", path.display()));
    let absolute = path
        .canonicalize()
        .map_err(|error| missing().caused_by(&error))?;
    let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(missing());
    };
    let root = target.root.canonicalize().ok();
    let of = root.and_then(|root| directory.strip_prefix(root).ok());
    let beneath = Beneath::open(directory).map_err(|error| missing().caused_by(&error))?;
    let found = name.to_str().and_then(|name| beneath.find(name, MAX_BYTES));
    Ok(Source {
        path: path.to_owned(),
        directory: of.and_then(Path::to_str).map(str::to_owned),
        found: found.ok_or_else(missing)?,
    })
}

fn text(shown: &str, found: Found) -> Result<String> {
    let failed = || Error::new(Kind::Invalid, format!("{shown} cannot be read"));
    match found {
        Found::Unread(why) => Err(failed().cause(why)),
        Found::Content(bytes) => {
            String::from_utf8(bytes).map_err(|error| failed().caused_by(&error))
        }
    }
}

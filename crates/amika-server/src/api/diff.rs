//! What changed in a sandbox's repository since it was made.

use std::sync::Arc;

use amika_sandbox::diff::{Change, Diff, Form, Status};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Path, Query};
use super::sandboxes::find;
use crate::auth::caller::Reader;
use crate::state::App;

/// Columns of a table of files where none are said, and at most.
const COLUMNS: u16 = 80;
const MOST_COLUMNS: u16 = 1000;
/// Bytes of all paths at most.
const PATHS: usize = 64 << 10;

/// As what a difference is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiffForm {
    /// A document of its files.
    #[default]
    Files,
    /// Text to be read: a binary file is named.
    Text,
    /// Text to be applied: with the content of binary files.
    Patch,
    /// Text: which files, and how much in each.
    Stat,
    /// Text: which files.
    Names,
}

/// Which difference, and as what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// Left out: `files`.
    #[serde(default)]
    #[param(inline)]
    form: DiffForm,
    /// Only these paths of the repository, as git reads them, one on each line.
    #[serde(default)]
    paths: String,
    /// Whether text is coloured by escape sequences.
    #[serde(default)]
    color: bool,
    /// Columns for `stat`; left out: 80.
    #[param(minimum = 20, maximum = 1000)]
    columns: Option<u16>,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiffStatus {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its content or mode is another.
    Modified,
    /// It has another path.
    Renamed,
    /// It is a copy of another.
    Copied,
    /// It was a file, a link or a submodule, and is another of these.
    TypeChanged,
}

impl From<Status> for DiffStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Added => Self::Added,
            Status::Deleted => Self::Deleted,
            Status::Modified => Self::Modified,
            Status::Renamed => Self::Renamed,
            Status::Copied => Self::Copied,
            Status::TypeChanged => Self::TypeChanged,
        }
    }
}

/// A file that differs.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiffFile {
    /// Its path in the repository; what steers terminals is escaped.
    path: String,
    /// The path that it had, where it was renamed or copied.
    old_path: Option<String>,
    status: DiffStatus,
    /// Lines that are new; null of a binary file.
    added: Option<u64>,
    /// Lines that are gone; null of a binary file.
    deleted: Option<u64>,
    binary: bool,
}

impl From<Change> for DiffFile {
    fn from(change: Change) -> Self {
        Self {
            path: change.path,
            old_path: change.old_path,
            status: change.status.into(),
            added: change.added,
            deleted: change.deleted,
            binary: change.binary,
        }
    }
}

/// What changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct SandboxDiff {
    /// The sandbox's name.
    sandbox: String,
    /// What it is compared with: the commit or the tree that the sandbox began with; null where that is not known, and
    /// with what is checked out it is compared.
    since: Option<String>,
    /// What is to be known of what it is compared with.
    note: Option<String>,
    files: Vec<DiffFile>,
}

/// What changed in a sandbox's repository since it was made, committed or not, untracked files too. The sandbox's own git
/// tells it, whether it runs or not; what comes out is whatever the sandbox made of it.
#[utoipa::path(get, path = "/sandboxes/{ref}/diff", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), DiffQuery),
    responses((status = 200, content((SandboxDiff = "application/json"), (String = "text/plain; charset=utf-8"))), Failures))]
pub async fn diff(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
    Query(query): Query<DiffQuery>,
) -> Result<Response> {
    let paths = paths(&query.paths)?;
    let columns = columns(query.columns)?;
    let found = find(&app, &caller, &reference).await?;
    let name = found.there()?.to_owned();
    let place = app.streams.take(&caller.user.id)?;
    let engine = app.engines.get().await?;
    let diff = engine.diff(&name).await?;
    let form = match query.form {
        DiffForm::Files => return files(diff, name, &paths).await,
        DiffForm::Text => Form::Text,
        DiffForm::Patch => Form::Patch,
        DiffForm::Stat => Form::Stat(columns),
        DiffForm::Names => Form::Names,
    };
    let text = diff.text(form, query.color, &paths).await?;
    let bytes = text.map(move |piece| {
        // The stream's place is given back with it.
        let _ = &place;
        // The answer has begun: all that is left is to break it off.
        piece.map_err(|error| std::io::Error::other(error.message))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

async fn files(diff: Diff, sandbox: String, paths: &[String]) -> Result<Response> {
    let since = diff.since().map(str::to_owned);
    let note = diff.note().map(str::to_owned);
    let files = diff.files(paths).await;
    diff.end().await;
    let told = SandboxDiff {
        sandbox,
        since,
        note,
        files: files?.into_iter().map(DiffFile::from).collect(),
    };
    Ok(Json(told).into_response())
}

fn paths(text: &str) -> Result<Vec<String>> {
    if text.len() > PATHS || text.contains('\0') {
        return Err(ApiError::field(
            "paths",
            "paths are too long, or name nothing",
        ));
    }
    Ok(text
        .lines()
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect())
}

fn columns(columns: Option<u16>) -> Result<u16> {
    let columns = columns.unwrap_or(COLUMNS);
    if (20..=MOST_COLUMNS).contains(&columns) {
        Ok(columns)
    } else {
        let message = format!("columns is a number from 20 to {MOST_COLUMNS}");
        Err(ApiError::field("columns", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stand_on_lines_of_their_own() {
        assert_eq!(paths("").unwrap(), [""; 0]);
        assert_eq!(paths("a b\n:!c\n").unwrap(), ["a b", ":!c"]);
        assert!(paths("a\0").is_err());
        assert!(paths(&"x".repeat(PATHS + 1)).is_err());
    }

    #[test]
    fn columns_have_bounds() {
        assert_eq!(columns(None).unwrap(), 80);
        assert_eq!(columns(Some(20)).unwrap(), 20);
        assert!(columns(Some(19)).is_err());
        assert!(columns(Some(1001)).is_err());
    }
}

//! Files of a sandbox: out of it and into it, as they are or as a tar archive.

use std::sync::Arc;

use amika_host::archive::Report;
use amika_sandbox::cp::Found;
use amika_sandbox::error::Kind;
use axum::Json;
use axum::body::Body as Stream;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Path, Query};
use super::sandboxes::find;
use super::stream_body::{length, pieces};
use crate::auth::caller::{Reader, Writer};
use crate::state::App;

/// Bytes of a body at most.
const MOST: u64 = 16 << 30;

/// The type of an archive.
const TAR: &str = "application/x-tar";

/// The mode of a file that nobody chose one for.
const MODE: u32 = 0o644;

/// Which file or directory.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// From the agent's directory on where it is relative; `~/` is the agent's home.
    path: String,
}

/// What stands at a path: a file's bytes, or a directory as a tar archive that begins with its name. To who accepts
/// `application/x-tar` alone a file, too, comes as an archive; `X-Amika-Kind` says `file` or `directory`. What comes out is whatever the sandbox made of it: unpack it
/// as something hostile.
#[utoipa::path(get, path = "/sandboxes/{ref}/files", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ReadQuery),
    responses((status = 200, content((String = "application/octet-stream"), (String = "application/x-tar"))), Failures))]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
    Query(query): Query<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let path = checked(&query.path)?;
    let found = find(&app, &caller, &reference).await?;
    let place = app.streams.take(&caller.user.id)?;
    let as_archive = headers
        .get(header::ACCEPT)
        .is_some_and(|kind| is_tar(kind.to_str().unwrap_or_default()));
    let engine = app.engines.get().await?;
    let found = engine.read_path(found.there()?, path, as_archive).await?;
    let what = match found {
        Found::File(_) => "file",
        Found::Directory(_) => "directory",
    };
    let (kind, bytes) = match found {
        Found::File(bytes) if !as_archive => ("application/octet-stream", bytes),
        Found::File(bytes) | Found::Directory(bytes) => (TAR, bytes),
    };
    let bytes = futures_util::StreamExt::map(bytes, move |piece| {
        // The stream's place is given back with it.
        let _ = &place;
        piece
    });
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, "attachment"),
        (HeaderName::from_static("x-amika-kind"), what),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    Ok((headers, Stream::from_stream(bytes)).into_response())
}

fn is_tar(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case(TAR)
}

fn checked(path: &str) -> Result<&str> {
    if path.is_empty() || path.len() > 4096 || path.contains('\0') {
        return Err(ApiError::field("path", "path names nothing"));
    }
    Ok(path)
}

/// Where a file or an archive goes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WriteQuery {
    /// The file, or for an archive the directory, which must be there. From the agent's directory on where it is relative.
    path: String,
    /// The file's permissions as an octal number; left out: 644.
    mode: Option<String>,
}

/// What was written.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilesWritten {
    /// Files.
    files: u64,
    /// Their bytes.
    bytes: u64,
    /// Entries of an archive that were left out.
    skipped_count: u64,
    /// The first hundred of them.
    skipped: Vec<FileSkipped>,
}

/// An entry that was left out.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileSkipped {
    path: String,
    reason: String,
}

impl From<Report> for FilesWritten {
    fn from(report: Report) -> Self {
        let skipped = report.skipped.into_iter();
        let skipped = skipped.map(|it| FileSkipped {
            path: it.path,
            reason: it.reason,
        });
        Self {
            files: report.files,
            bytes: report.bytes,
            skipped_count: report.skipped_count,
            skipped: skipped.collect(),
        }
    }
}

/// Writes a file, or unpacks a tar archive (`Content-Type: application/x-tar`) into a directory, for the sandbox's agent. A
/// file's body says how long it is. No directory makes way for a file, and no file for a directory; what came before a failure
/// stays.
#[utoipa::path(put, path = "/sandboxes/{ref}/files", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), WriteQuery),
    request_body(content((String = "application/octet-stream"), (String = "application/x-tar"))),
    responses((status = 200, body = FilesWritten), (status = 408, body = super::error::ErrorBody),
        (status = 411, body = super::error::ErrorBody), Failures))]
pub async fn write(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Query(query): Query<WriteQuery>,
    request: Request,
) -> Result<Json<FilesWritten>> {
    let path = checked(&query.path)?.to_owned();
    let mode = mode(query.mode.as_deref())?;
    let found = find(&app, &caller, &reference).await?;
    let name = found.there()?.to_owned();
    let _place = app.streams.take(&caller.user.id)?;
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let is_archive = kind.is_some_and(|kind| is_tar(kind.to_str().unwrap_or_default()));
    let size = length(&parts.headers);
    let (pieces, broken) = pieces(&parts.headers, body, MOST)?;
    let engine = app.engines.get().await?;
    let written = if is_archive {
        engine.copy_in(&name, &path, pieces).await
    } else {
        let size = size.ok_or_else(|| {
            let message = "a file's body says how long it is: Content-Length";
            ApiError::new(StatusCode::LENGTH_REQUIRED, "usage", message)
        })?;
        engine.write_file(&name, &path, (mode, size), pieces).await
    };
    match (written, broken.why()) {
        (_, Some(why)) => Err(why),
        (Ok(report), None) => Ok(Json(report.into())),
        // What is no archive is the caller's fault and nobody else's.
        (Err(error), None) if error.kind == Kind::Failure && !error.is_engines => {
            Err(ApiError::usage(ApiError::from(error).message))
        }
        (Err(error), None) => Err(error.into()),
    }
}

fn mode(text: Option<&str>) -> Result<u32> {
    let Some(text) = text else { return Ok(MODE) };
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| *mode <= 0o777)
        .ok_or_else(|| ApiError::field("mode", "mode is an octal number up to 777, such as 644"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_octal_and_lend_no_rights() {
        assert_eq!(mode(None).unwrap(), 0o644);
        assert_eq!(mode(Some("755")).unwrap(), 0o755);
        assert_eq!(mode(Some("0600")).unwrap(), 0o600);
        for bad in ["4755", "9", "", "-1", "0x1"] {
            assert!(mode(Some(bad)).is_err(), "{bad}");
        }
    }
}

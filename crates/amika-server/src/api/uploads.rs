//! Working copies that are sent, for sandboxes to be made of them.
//!
//! What is sent is hostile: it is unpacked beneath a directory of its own, where nothing leads out of, and git
//! directories in it are made inert, so that neither git nor what reads them goes anywhere else.

use std::fs::{DirBuilder, read_dir, remove_dir_all};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path as File, PathBuf};
use std::sync::Arc;

use amika_sandbox::cp::unpack_here;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::Query;
use super::stream_body::pieces;
use crate::auth::caller::{Caller, Writer};
use crate::clock::shown;
use crate::state::App;
use crate::store::{StoreError, Upload};

/// Bytes of a working copy at most.
const MOST: u64 = 8 << 30;

/// Working copies of one user at once.
const OF_ONE: i64 = 10;

/// How long a sandbox can be made of one, in milliseconds.
const LIFE: i64 = 60 * 60 * 1000;

/// How long what is over stays, so that what is being made of it comes to its end, in milliseconds.
const LINGER: i64 = 60 * 60 * 1000;

/// Of what a working copy is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// The repository's name, which its directory in the sandbox has.
    name: String,
}

/// A working copy that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadCreated {
    /// `upload_id` of a sandbox to make.
    id: String,
    name: String,
    files: u64,
    bytes: u64,
    created_at: String,
    /// Until when a sandbox can be made of it.
    expires_at: String,
}

/// Takes a working copy: a tar archive (`application/x-tar`) of a work tree with its git directory at the top. Of git's
/// configuration the layout and the remotes are kept; hooks are not.
#[utoipa::path(post, path = "/uploads", tag = "sandboxes", params(UploadQuery),
    request_body(content((String = "application/x-tar"))),
    responses((status = 201, body = UploadCreated), (status = 408, body = super::error::ErrorBody), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<(StatusCode, Json<UploadCreated>)> {
    let name = checked(&query.name)?;
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind.as_bytes() != b"application/x-tar") {
        let message = "the body must be a tar archive: Content-Type: application/x-tar";
        return Err(ApiError::usage(message));
    }
    let (pieces, broken) = pieces(&parts.headers, body, MOST)?;
    let now = app.clock.now();
    let upload = Upload {
        id: crate::id::new(),
        user_id: caller.user.id.clone(),
        name: name.to_owned(),
        // It did not come whole yet.
        bytes: -1,
        created_at: now,
        expires_at: now + LIFE,
    };
    if !app.store.add_upload(&upload, OF_ONE).await? {
        let message = format!("you have {OF_ONE} working copies here, as many as may be");
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
        return Err(error
            .retry_after(60)
            .hint("each goes an hour after it came"));
    }
    let place = place(&app.config.data, &upload);
    let unpacked = match make(&place) {
        Ok(()) => unpack_here(&place, MOST, pieces).await,
        Err(error) => Err(error),
    };
    let refused = match (unpacked, broken.why()) {
        (_, Some(why)) => why,
        (Ok(report), None) => {
            let bytes = i64::try_from(report.bytes).unwrap_or(i64::MAX);
            app.store.note_upload(&upload.id, bytes).await?;
            let created = UploadCreated {
                id: upload.id,
                name: upload.name,
                files: report.files,
                bytes: report.bytes,
                created_at: shown(upload.created_at),
                expires_at: shown(upload.expires_at),
            };
            return Ok((StatusCode::CREATED, Json(created)));
        }
        (Err(error), None) if error.kind() == std::io::ErrorKind::StorageFull => {
            StoreError::Full.into()
        }
        (Err(error), None) => ApiError::usage(format!("the archive cannot be unpacked: {error}")),
    };
    app.store.remove_upload(&upload.id).await?;
    let place = directory(&app.config.data, &upload.id);
    let removed = tokio::task::spawn_blocking(move || remove_dir_all(place)).await;
    drop(removed);
    Err(refused)
}

/// A name that a directory can have, and that hides nothing.
fn checked(name: &str) -> Result<&str> {
    let is_name = (1..=100).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if is_name {
        return Ok(name);
    }
    Err(ApiError::field(
        "name",
        "name is 1 to 100 of letters, digits, `.`, `_` and `-`, and begins with a letter, a digit or `_`",
    ))
}

/// Where working copies are.
fn all(data: &File) -> PathBuf {
    data.join("uploads")
}

fn directory(data: &File, id: &str) -> PathBuf {
    all(data).join(id)
}

fn place(data: &File, upload: &Upload) -> PathBuf {
    directory(data, &upload.id).join(&upload.name)
}

fn make(place: &File) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(place)
}

/// The work tree of a working copy of the caller's.
///
/// # Errors
/// 400 where there is none.
pub async fn find(app: &App, caller: &Caller, id: &str) -> Result<PathBuf> {
    let upload = app.store.upload(id, app.clock.now()).await?;
    let own = upload.filter(|upload| upload.user_id == caller.user.id);
    let upload = own.ok_or_else(|| {
        let message = "there is no such working copy of yours: it may be older than an hour";
        ApiError::field("/upload_id", message)
    })?;
    Ok(place(&app.config.data, &upload))
}

/// Removes what is too old, and what did not come whole before the server ended.
///
/// # Errors
/// Those of the store.
pub async fn sweep(app: &App) -> crate::store::Result<()> {
    let all = all(&app.config.data);
    // The directories first: one that is made from here on is none of them, and what is in one is in the store already.
    let mut listed = Vec::new();
    for entry in read_dir(&all).into_iter().flatten().flatten() {
        listed.extend(entry.file_name().into_string());
    }
    let over = app
        .store
        .over_uploads(app.clock.now() - LINGER, listed)
        .await?;
    let swept = tokio::task::spawn_blocking(move || {
        for id in over {
            if let Err(error) = remove_dir_all(all.join(id)) {
                tracing::warn!(%error, "a working copy that is over stays");
            }
        }
    });
    drop(swept.await);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_directory() {
        for good in ["app", "my.app-2_x", "_x"] {
            assert_eq!(checked(good).unwrap(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            ".git",
            "a/b",
            "-x",
            "a b",
            "a\0",
            &"x".repeat(101),
        ] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
    }
}

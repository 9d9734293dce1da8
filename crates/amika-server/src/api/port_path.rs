//! Ports of a sandbox below a path of the server's own origin: for programs with a key.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::response::Response;

use super::error::{ApiError, Result};
use super::extract::Path;
use super::tunnel::open_port;
use crate::auth::caller::{From, Peer, Writer};
use crate::ports::door;
use crate::ports::forward::{Forward, forward};
use crate::ports::headers::Door;
use crate::state::App;

/// Paths of it.
pub const ROUTES: [&str; 3] = [
    "/sandboxes/{ref}/ports/{port}",
    "/sandboxes/{ref}/ports/{port}/",
    "/sandboxes/{ref}/ports/{port}/{*path}",
];

/// Asks the port as it was asked, and answers as it does, in a page's sandbox.
pub async fn answer(
    State(app): State<Arc<App>>,
    caller: Writer,
    OriginalUri(uri): OriginalUri,
    Path(parts): Path<Vec<String>>,
    request: Request,
) -> Result<Response> {
    if caller.key_id.is_none() {
        return Err(ApiError::forbidden(
            "this route takes keys alone: a page opens a port at its own origin, with a ticket",
        ));
    }
    let (Some(reference), Some(text)) = (parts.first(), parts.get(1)) else {
        return Err(ApiError::internal());
    };
    let port = text
        .parse()
        .map_err(|_| ApiError::field("port", "port is a number from 1 to 65535"))?;
    let port = open_port(port)?;
    let (prefix, target) = split(&uri.to_string(), text);
    let extensions = request.extensions();
    let ends = extensions.get::<Peer>().zip(extensions.get::<From>());
    let (peer, from) = ends.ok_or_else(ApiError::internal)?;
    let (is_tls, from) = (peer.is_tls, from.0);
    let way = door::way(&app, &caller, reference, port).await?;
    let it = Forward {
        port,
        way: &way,
        door: Door::Path,
        from,
        is_tls,
        target: &target,
        prefix: Some(&prefix),
        user_id: &caller.user.id,
    };
    forward(&app, it, request).await
}

/// What of a path is the server's, and what the inside is asked for: byte by byte as it was sent.
fn split(uri: &str, port: &str) -> (String, String) {
    let mark = format!("/ports/{port}");
    let at = uri.find(&mark).map_or(uri.len(), |at| at + mark.len());
    let (prefix, rest) = uri.split_at(at);
    let target = if rest.starts_with('/') {
        rest.to_owned()
    } else {
        format!("/{rest}")
    };
    (prefix.to_owned(), target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_inside_is_asked_for_is_as_it_was_sent() {
        let prefix = "/api/v0beta1/sandboxes/x/ports/3000";
        for (rest, target) in [
            ("", "/"),
            ("/", "/"),
            ("/a%2Fb/../c?x=%20", "/a%2Fb/../c?x=%20"),
            ("?x=1", "/?x=1"),
            ("/ports/3000/y", "/ports/3000/y"),
        ] {
            let found = split(&format!("{prefix}{rest}"), "3000");
            assert_eq!(found, (prefix.to_owned(), target.to_owned()), "{rest}");
        }
    }
}

//! The document of the API, made of the code, and a page that shows it. Nothing is loaded from elsewhere.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the page may do.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of both; `document` is the JSON.
pub fn routes<S: Clone + Send + Sync + 'static>(document: String) -> axum::Router<S> {
    let document = bytes::Bytes::from(document);
    let file = |kind: &'static str, text: &'static str| get(async move || served(kind, text));
    axum::Router::new()
        .route(
            "/api/openapi.json",
            get(async move || {
                (
                    [(header::CONTENT_TYPE, "application/json")],
                    document.clone(),
                )
                    .into_response()
            }),
        )
        .route(
            "/docs",
            file(
                "text/html; charset=utf-8",
                include_str!("../../docs/index.html"),
            ),
        )
        .route(
            "/docs/page.js",
            file(
                "text/javascript; charset=utf-8",
                include_str!("../../docs/page.js"),
            ),
        )
        .route(
            "/docs/page.css",
            file(
                "text/css; charset=utf-8",
                include_str!("../../docs/page.css"),
            ),
        )
}

fn served(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, CSP),
    ];
    (headers, text).into_response()
}

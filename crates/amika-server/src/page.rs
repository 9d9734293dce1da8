//! The page for browsers: files that the program carries, compressed, and the one document that all its addresses have.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// A file of the page.
struct File {
    path: &'static str,
    brotli: &'static [u8],
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The document.
const INDEX: &str = "index.html";

/// Below it files have a digest of their content in their names.
const HASHED: &str = "assets/";

/// The script within the document, which loads the page again where a part of it did not come.
const LOADING: &str = include_str!("../../../web/loading.js");

/// What the document may do: its component library sets styles by itself, and nothing else is inline, but for `LOADING`, or from
/// elsewhere.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(LOADING.as_bytes()));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// What a program that was built without the page says.
const ABSENT: &str = "This server was built without its page: `make build` builds both.\n\
                      The API is described at /docs.\n";

/// Answers for the page; none where the request is not for it. Addresses that are no file's are the document's, which finds
/// its way by them.
pub fn answer(request: &Request) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path().strip_prefix('/')?;
    if path == "api" || path.starts_with("api/") || path.starts_with("docs/") {
        return None;
    }
    if let Some(file) = file(path).filter(|file| file.path != INDEX) {
        return Some(served(file, request.headers()));
    }
    if path.starts_with(HASHED) || !(path.is_empty() || is_looked_at(request.headers())) {
        return None;
    }
    Some(match file(INDEX) {
        Some(file) => served(file, request.headers()),
        None => (
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            ABSENT,
        )
            .into_response(),
    })
}

fn file(path: &str) -> Option<&'static File> {
    let at = FILES.binary_search_by(|file| file.path.cmp(path)).ok()?;
    FILES.get(at)
}

/// Whether somebody looks, by a browser, and no program that wants an answer of the API's.
fn is_looked_at(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.flat_map(|it| it.to_str().unwrap_or_default().split(','));
    accepted.any(|kind| kind.trim().starts_with("text/html"))
}

fn served(file: &'static File, headers: &HeaderMap) -> Response {
    let common = [
        (header::CONTENT_TYPE, kind(file.path)),
        (header::CACHE_CONTROL, caching(file.path)),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::VARY, "accept-encoding"),
    ];
    // Whoever says nothing takes any; each browser takes gzip.
    let (coding, bytes) = if accepts(headers, "br") {
        ("br", file.brotli)
    } else if accepts(headers, "gzip") || !headers.contains_key(header::ACCEPT_ENCODING) {
        ("gzip", file.gzip)
    } else {
        let text = "the page is there compressed alone: by br or gzip\n";
        return (StatusCode::NOT_ACCEPTABLE, common, text).into_response();
    };
    (common, [(header::CONTENT_ENCODING, coding)], bytes).into_response()
}

fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut all = all.flat_map(|it| it.to_str().unwrap_or_default().split(','));
    all.any(|it| {
        let mut parts = it.split(';').map(str::trim);
        parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(coding))
            && !parts.any(|it| matches!(it, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A hashed name never means anything else; all others are asked for each time.
fn caching(path: &str) -> &'static str {
    if path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, path: &str, all: &[(&str, &str)]) -> Option<Response> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in all {
            request = request.header(*name, *value);
        }
        answer(&request.body(axum::body::Body::empty()).unwrap())
    }

    #[test]
    fn a_browser_is_given_the_document_at_every_address_but_those_of_the_api() {
        let html = ("accept", "text/html,application/xhtml+xml");
        let (get, post) = (&Method::GET, &Method::POST);
        for path in ["/", "/sandboxes", "/sandboxes/fix/terminal"] {
            assert!(of(get, path, &[html]).is_some(), "{path}");
            assert!(of(post, path, &[html]).is_none(), "{path}");
        }
        assert!(of(get, "/", &[]).is_some());
        assert!(of(get, "/sandboxes", &[("accept", "*/*")]).is_none());
        for path in ["/api", "/api/v0beta1/nothing", "/docs/x", "/assets/no.js"] {
            assert!(of(get, path, &[html]).is_none(), "{path}");
        }
    }

    #[test]
    fn a_coding_is_taken_from_those_that_are_accepted() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            (accepts(&headers, "br"), accepts(&headers, "gzip"))
        };
        assert_eq!(of("gzip, deflate, br"), (true, true));
        assert_eq!(of("gzip;q=0.8, br;q=0"), (false, true));
        assert_eq!(of("identity"), (false, false));
    }

    #[test]
    fn names_with_a_digest_are_kept_for_good_and_the_document_is_asked_for() {
        assert!(caching("assets/index-1a2b.js").contains("immutable"));
        assert_eq!(caching(INDEX), "no-cache");
    }

    #[test]
    fn the_script_within_the_document_is_one_that_a_browser_reads_as_it_stands() {
        // A parser makes one line end of two, and its digest would be another.
        assert!(!LOADING.contains('\r') && !LOADING.contains("</script"));
        assert!(POLICY.contains("script-src 'self' 'sha256-"));
    }

    #[test]
    fn files_are_found_by_their_paths() {
        assert!(FILES.is_sorted_by(|a, b| a.path < b.path));
        for file in FILES {
            assert_eq!(super::file(file.path).map(|it| it.path), Some(file.path));
            assert_ne!(kind(file.path), "application/octet-stream", "{}", file.path);
        }
    }
}

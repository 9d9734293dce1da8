//! What handlers are given, with refusals in the one shape of errors.

use std::time::Duration;

use amika_core::nearest::nearest;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::error::{ApiError, Detail, Result};

/// The largest body of a request, in bytes; routes that take files have bounds of their own.
pub const BODY: usize = 1 << 20;

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The body as JSON, of which every member is known.
pub struct Body<T>(pub T);

/// The parameters of the query.
pub struct Query<T>(pub T);

/// The parameters of the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_json = kind.is_none_or(|kind| {
            let kind = kind.to_str().unwrap_or_default().split(';').next();
            kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        });
        if !is_json {
            return Err(ApiError::usage(
                "the body must be JSON: Content-Type: application/json",
            ));
        }
        let bytes = bytes(request, BODY).await?;
        members(&bytes, &known::<T>()).map(Self)
    }
}

/// All of a body that is not larger than that.
pub async fn bytes(request: Request, most: usize) -> Result<Bytes> {
    let too_large = || {
        let message = format!("the body is larger than {most} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let body = http_body_util::Limited::new(request.into_body(), most);
    let read = http_body_util::BodyExt::collect(body);
    match tokio::time::timeout(BODY_TIME, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::usage("the body did not come to its end")),
        Err(_) => Err(ApiError::usage("the body did not come within 30 s")),
    }
}

/// Members that a type has, with those of what is flattened into it.
fn known<T: ToSchema>() -> Vec<String> {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let mut found = Vec::new();
    members_of(&T::schema(), &named, &mut found);
    found
}

fn members_of(schema: &RefOr<Schema>, named: &[(String, RefOr<Schema>)], found: &mut Vec<String>) {
    match schema {
        RefOr::T(Schema::Object(object)) => found.extend(object.properties.keys().cloned()),
        RefOr::T(Schema::AllOf(all)) => {
            for part in &all.items {
                members_of(part, named, found);
            }
        }
        RefOr::T(_) => {}
        RefOr::Ref(to) => {
            let name = to.ref_location.rsplit('/').next().unwrap_or_default();
            if let Some((_, schema)) = named.iter().find(|(it, _)| it == name) {
                members_of(schema, named, found);
            }
        }
    }
}

/// Reads a JSON object of which all members are known.
fn members<T: DeserializeOwned>(bytes: &[u8], known: &[String]) -> Result<T> {
    // A POST of nothing but defaults needs no body.
    let bytes = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        bytes
    };
    let read: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::usage(format!("the body is no JSON object: {error}")))?;
    let unknown = read.keys().filter(|name| !known.contains(name));
    let unknown: Vec<Detail> = unknown.map(|name| unknown_member(name, known)).collect();
    if let Some(first) = unknown.first() {
        let mut error = ApiError::usage(first.message.clone());
        error.details = unknown;
        return Err(error);
    }
    let mut track = serde_path_to_error::Track::new();
    let value = Value::Object(read);
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    T::deserialize(deserializer).map_err(|error| {
        let pointer = pointer(&track.path());
        let message = match pointer.as_str() {
            "" => error.to_string(),
            pointer => format!("{pointer}: {error}"),
        };
        ApiError::field(pointer, message)
    })
}

fn unknown_member(name: &str, known: &[String]) -> Detail {
    let shown: String = name.chars().take(60).collect();
    let shown = shown.escape_debug();
    let message = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("unknown member \"{shown}\": did you mean {near}?"),
        None => format!("unknown member \"{shown}\""),
    };
    Detail {
        field: format!("/{}", escaped(name)),
        message,
    }
}

/// A place as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let parts = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { variant } => format!("/{}", escaped(variant)),
        Segment::Unknown => String::new(),
    });
    parts.collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let read = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        let query =
            read.map_err(|error| ApiError::usage(format!("the query: {}", inner(&error))))?;
        Ok(Self(query.0))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        let path = read.map_err(|error| match error {
            PathRejection::FailedToDeserializePathParams(_) => {
                ApiError::usage("the path cannot be read: a part of it is not UTF-8, or no number where one belongs")
            }
            _ => ApiError::internal(),
        })?;
        Ok(Self(path.0))
    }
}

/// The innermost reason.
fn inner(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use serde::Deserialize;
    use utoipa::ToSchema;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, ToSchema)]
    struct Thing {
        name: Option<String>,
        #[serde(default)]
        ports: Vec<u16>,
    }

    fn read(text: &str) -> Result<Thing, Vec<(String, String)>> {
        members(text.as_bytes(), &known::<Thing>()).map_err(|error: ApiError| {
            let details = error.details.into_iter().map(|it| (it.field, it.message));
            let mut details: Vec<_> = details.collect();
            if details.is_empty() {
                details.push((String::new(), error.message));
            }
            details
        })
    }

    #[test]
    fn every_member_is_known_or_the_nearest_is_named() {
        let thing = read("{\"name\": \"x\", \"ports\": [1]}").unwrap();
        assert_eq!(thing.ports, [1]);
        assert!(read("  ").is_ok());
        let found = read("{\"nam\": 1, \"zzzzzz\": 2, \"a/b\": 3}").unwrap_err();
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(
            found,
            [
                ("/a~1b", "unknown member \"a/b\""),
                ("/nam", "unknown member \"nam\": did you mean name?"),
                ("/zzzzzz", "unknown member \"zzzzzz\""),
            ]
        );
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place() {
        let found = read("{\"ports\": [1, 99999]}").unwrap_err();
        assert_eq!(found[0].0, "/ports/1");
        assert!(
            found[0].1.starts_with("/ports/1: invalid value"),
            "{}",
            found[0].1
        );
        for text in ["[]", "{", "1", "{\"name\": }", "\u{0}"] {
            assert!(
                read(text).unwrap_err()[0]
                    .1
                    .starts_with("the body is no JSON object")
            );
        }
    }
}

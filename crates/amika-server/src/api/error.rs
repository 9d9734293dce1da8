//! What a request that failed is answered.

use std::collections::BTreeMap;

use amika_sandbox::error::{Error, Kind};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{self, RefOr};

use crate::store::StoreError;

/// An answer to a request that failed. The outermost layer writes it, with the trace id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// The stable word.
    pub code: &'static str,
    /// What was wrong: one sentence.
    pub message: String,
    /// Where in the request.
    pub details: Vec<Detail>,
    /// What to do next.
    pub hints: Vec<String>,
    /// Seconds to wait.
    pub retry_after: Option<u64>,
}

/// A place in the request, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Detail {
    /// A JSON pointer into the body, or the name of a parameter.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// The body of an answer to a request that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// Always `error`.
    pub r#type: &'static str,
    /// The stable word.
    pub code: String,
    /// The same.
    pub error_code: String,
    /// What was wrong: one sentence.
    pub message: String,
    /// Where in the request.
    pub details: Vec<Detail>,
    /// What to do next.
    pub hints: Vec<String>,
    /// Finds the request in the server's log.
    pub trace_id: String,
}

/// What a handler returns.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    /// One with a sentence and nothing else.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Vec::new(),
            hints: Vec::new(),
            retry_after: None,
        }
    }

    /// 400: a value that cannot be.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "usage", message)
    }

    /// 400: the value of one member or parameter.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let mut error = Self::usage(message.clone());
        error.details.push(Detail {
            field: field.into(),
            message,
        });
        error
    }

    /// 401.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 400, of a port that is asked for and a service's.
    fn port_conflict(message: String) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "port_conflict", message.clone());
        error.details.push(Detail {
            field: "/ports".to_owned(),
            message,
        });
        error.hint("leave the port out of ports, or remove it from the service")
    }

    /// 429, with the seconds to wait.
    pub fn rate_limited(message: impl Into<String>, seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).retry_after(seconds)
    }

    /// 501.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", message)
    }

    /// 500, of which no more is told than that.
    pub fn internal() -> Self {
        let message = "something went wrong in the server; its log has more under the trace id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the seconds to wait.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body.
    pub fn body(&self, trace_id: &str) -> ErrorBody {
        ErrorBody {
            r#type: "error",
            code: self.code.to_owned(),
            error_code: self.code.to_owned(),
            message: self.message.clone(),
            details: self.details.clone(),
            hints: self.hints.clone(),
            trace_id: trace_id.to_owned(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken => Self::conflict("the name is taken"),
            StoreError::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "failure",
                "the disk of the server's data directory is full; nothing was changed",
            ),
            StoreError::Other(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
                Self::internal()
            }
        }
    }
}

/// The status for each kind of failure of an operation.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict | Kind::Canceled => StatusCode::CONFLICT,
        Kind::EngineUnreachable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::NotReady => StatusCode::GATEWAY_TIMEOUT,
        Kind::Image
        | Kind::Repository
        | Kind::SetupFailed
        | Kind::ExecFailed
        | Kind::CmdExited
        | Kind::AgentRefused => StatusCode::BAD_GATEWAY,
        Kind::Failure | Kind::RightMissing | Kind::NotSignedIn => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let of_both = |name: &str| error.details.get(name).and_then(|it| it.as_str());
        if let (Some(container), Some(port), Some(service)) = (
            of_both("container_port"),
            of_both("port"),
            of_both("service"),
        ) {
            let port = port.trim_start_matches("--port ");
            return Self::port_conflict(format!(
                "container port {container} is published by \"{port}\" of ports and by {service}"
            ));
        }
        let mut answer = Self::new(status(error.kind), error.kind.word(), &error.message);
        if let Some(cause) = error.causes.first() {
            answer.message = format!("{}: {cause}", error.message);
        }
        // What the command line is told to type is of no use here.
        let is_command = |hint: &String| hint.contains("amika ") || hint.contains("--");
        answer.hints = error
            .hints
            .into_iter()
            .filter(|hint| !is_command(hint))
            .collect();
        answer
    }
}

/// What every route may answer but what it is asked for; `utoipa` takes it.
pub struct Failures;

/// Each of them: status, name in the document, meaning.
const FAILURES: [(&str, &str, &str); 11] = [
    (
        "400",
        "Usage",
        "A value, member or parameter that cannot be.",
    ),
    (
        "401",
        "Unauthorized",
        "No key or session, or one that does not hold.",
    ),
    (
        "403",
        "Forbidden",
        "Not allowed to this caller, or with this key.",
    ),
    (
        "404",
        "NotFound",
        "There is no such thing, or it is not the caller's to see.",
    ),
    ("409", "Conflict", "A name, a port or work is in the way."),
    ("413", "TooLarge", "The body is too large."),
    ("421", "Misdirected", "`Host` is no name of this server."),
    (
        "429",
        "RateLimited",
        "Too many; `Retry-After` says how long to wait.",
    ),
    ("500", "Internal", "The server's fault."),
    ("503", "Engine", "The container engine does not answer."),
    ("507", "Full", "The disk is full: reads go on."),
];

impl utoipa::IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let all = FAILURES.iter().map(|(status, name, _)| {
            let named = openapi::Ref::from_response_name(*name);
            ((*status).to_owned(), RefOr::Ref(named))
        });
        all.collect()
    }
}

impl Failures {
    /// What the references lead to.
    pub fn components() -> impl Iterator<Item = (String, RefOr<openapi::Response>)> {
        FAILURES.iter().map(|(_, name, meaning)| {
            let schema = openapi::Ref::from_schema_name("ErrorBody");
            let content = openapi::ContentBuilder::new().schema(Some(schema)).build();
            let response = openapi::ResponseBuilder::new()
                .description(*meaning)
                .content("application/json", content)
                .build();
            ((*name).to_owned(), RefOr::T(response))
        })
    }
}

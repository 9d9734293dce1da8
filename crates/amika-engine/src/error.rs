//! What the engine answers when it refuses, sorted by what a caller can do about it.

/// A refused or failed engine call.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing answers at the endpoint, or not this user.
    #[error("the container engine at {endpoint} cannot be reached")]
    Unreachable {
        /// The endpoint that was tried.
        endpoint: String,
        /// Why, in the system's words.
        reason: String,
    },
    /// The endpoint, context or TLS files are not usable as they stand.
    #[error("{0}")]
    Endpoint(String),
    /// The engine is too old.
    #[error("the container engine speaks API {found}; amika needs at least {needed}")]
    TooOld {
        /// The engine's API version.
        found: String,
        /// The oldest that works.
        needed: String,
    },
    /// HTTP 404.
    #[error("{0}")]
    NotFound(String),
    /// HTTP 409: the name is taken, or the state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// A published port is taken on the host.
    #[error("{message}")]
    PortTaken {
        /// The engine's message.
        message: String,
        /// The host port, where the message tells it.
        port: Option<u16>,
    },
    /// Any other refusal.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's message.
        message: String,
    },
    /// The connection broke or the answer made no sense.
    #[error("the connection to the container engine failed: {0}")]
    Broken(String),
}

impl EngineError {
    /// Sorts an error of the client library. Port conflicts are told apart by their text alone:
    /// the engine answers them with 500.
    pub(super) fn from_bollard(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => Self::from_answer(status_code, message),
            Error::DockerStreamError { error } => Self::Refused {
                status: 200,
                message: error,
            },
            other => Self::Broken(without_layers(&chain(&other)).to_owned()),
        }
    }

    /// Sorts an answer by its status, and by its words where engines answer 500 to what is a state.
    pub(super) fn from_answer(status: u16, message: String) -> Self {
        if let Some(port) = port_conflict(&message) {
            return Self::PortTaken { message, port };
        }
        match status {
            500 if is_stopped(&message) => Self::Conflict(message),
            // Podman's answer to a name that is taken.
            500 if message.contains("that name is already in use") => Self::Conflict(message),
            404 => Self::NotFound(message),
            409 => Self::Conflict(message),
            _ => Self::Refused { status, message },
        }
    }

    /// Whether the engine said that the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }
}

/// Recognises the engines' words for a host port that is taken; the inner value is the port where
/// the message names it.
#[expect(
    clippy::option_option,
    reason = "no conflict, and a conflict whose port is not named, are two answers"
)]
fn port_conflict(message: &str) -> Option<Option<u16>> {
    // Engine 20.10: `Bind for 127.0.0.1:3000 failed: port is already allocated` (another container)
    // and `listen tcp4 127.0.0.1:3000: bind: address already in use` (a process). Docker Desktop:
    // `Ports are not available: exposing port TCP 127.0.0.1:3000 -> 0.0.0.0:0`. A port below 1024
    // on a rootless engine: `cannot expose privileged port 80`, or `bind: permission denied`.
    const PATTERNS: [&str; 6] = [
        "port is already allocated",
        "address already in use",
        "ports are not available",
        "cannot expose privileged port",
        "bind: permission denied",
        "cannot assign requested address",
    ];
    let lower = message.to_ascii_lowercase();
    PATTERNS
        .iter()
        .any(|pattern| lower.contains(pattern))
        .then(|| {
            message
                .split_whitespace()
                .filter_map(|word| word.trim_end_matches(':').rsplit_once(':'))
                // An address stands before the port: `127.0.0.1:80`, `[::1]:80`.
                .filter(|(host, _)| host.ends_with(']') || host.contains('.'))
                .find_map(|(_, port)| port.parse().ok())
                .or_else(|| {
                    lower
                        .split_once("privileged port ")
                        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next())
                        .and_then(|port| port.parse().ok())
                })
        })
}

/// Recognises the engines' words for a container that ended between two calls: the start of a process
/// that was made while it ran is answered with 500 by engine 20.10, and by the runtime in its own words.
fn is_stopped(message: &str) -> bool {
    const PATTERNS: [&str; 5] = [
        "is not running",
        // Podman's, for all that a state does not allow.
        "container state improper",
        "container not running",
        "cannot exec in a stopped",
        "cannot exec a container that has stopped",
    ];
    PATTERNS.iter().any(|pattern| message.contains(pattern))
}

/// An error's words without the client library's own layers, which are named first and tell a reader
/// nothing.
pub(super) fn without_layers(chain: &str) -> &str {
    let Some(rest) = chain.strip_prefix("Error in the hyper legacy client: ") else {
        return chain;
    };
    match rest.split_once("): ") {
        Some((layer, reason)) if layer.starts_with("client error (") => reason,
        _ => rest,
    }
}

/// An error and its sources in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_layers_are_not_shown() {
        for (chain, shown) in [
            (
                "Error in the hyper legacy client: client error (SendRequest): connection closed before message completed",
                "connection closed before message completed",
            ),
            (
                "Error in the hyper legacy client: client error (Connect): No such file (os error 2)",
                "No such file (os error 2)",
            ),
            ("Error in the hyper legacy client: x", "x"),
            ("Timeout error", "Timeout error"),
        ] {
            assert_eq!(without_layers(chain), shown);
        }
    }

    #[test]
    fn a_container_that_ended_meanwhile_is_a_conflict_whatever_the_status() {
        for (status, message) in [
            (409, "Container 5c is not running"),
            (
                500,
                "Container 5c is not running: Exited (143) Less than a second ago",
            ),
            (
                500,
                "OCI runtime exec failed: exec failed: cannot exec in a stopped container: unknown",
            ),
            (
                500,
                "can only create exec sessions on running containers: container state improper",
            ),
            (
                500,
                "OCI runtime exec failed: exec failed: unable to start container process: container not running",
            ),
        ] {
            let error = EngineError::from_answer(status, message.to_owned());
            assert!(matches!(error, EngineError::Conflict(_)), "{error:?}");
        }
        let other = EngineError::from_answer(500, "no space left on device".to_owned());
        assert!(
            matches!(other, EngineError::Refused { status: 500, .. }),
            "{other:?}"
        );
    }

    #[test]
    fn port_conflicts_are_told_by_their_text() {
        let cases = [
            (
                "driver failed programming external connectivity on endpoint x (abc): Bind for 127.0.0.1:3000 failed: port is already allocated",
                Some(Some(3000)),
            ),
            (
                "driver failed: Error starting userland proxy: listen tcp4 127.0.0.1:4838: bind: address already in use",
                Some(Some(4838)),
            ),
            (
                "listen udp4 0.0.0.0:53: bind: address already in use",
                Some(Some(53)),
            ),
            (
                "listen tcp6 [::1]:8080: bind: address already in use",
                Some(Some(8080)),
            ),
            (
                "error while calling PortManager.AddPort(): cannot expose privileged port 80, you can add …",
                Some(Some(80)),
            ),
            ("No such container: x", None),
        ];
        for (message, expected) in cases {
            assert_eq!(port_conflict(message), expected, "{message}");
        }
    }
}

//! Routes of the hosted product that this server has not: 501, never 404.

use super::error::ApiError;

/// Where they are.
pub const ROUTES: [&str; 16] = [
    "/sandboxes/{ref}/ssh",
    "/sandboxes/{ref}/ssh/{*rest}",
    "/ssh-sessions",
    "/ssh-sessions/{*rest}",
    "/secrets/ssh-public-keys",
    "/secrets/ssh-public-keys/{*rest}",
    "/sandbox-snapshots",
    "/sandbox-snapshots/{*rest}",
    "/storage",
    "/storage/{*rest}",
    "/workflows",
    "/workflows/{*rest}",
    "/slack",
    "/slack/{*rest}",
    "/integrations",
    "/integrations/{*rest}",
];

/// What they answer.
pub async fn answer() -> ApiError {
    ApiError::not_implemented("this server does not have what the route is for")
}

//! The OpenCode web server.
//!
//! While it starts it may accept a connection and stay silent for seconds, and with a password set
//! it answers any other path with HTML and 200: only JSON in time counts.

use std::time::Duration;

use amika_core::contract::{OPENCODE_PORT, env, path, service};

use super::{Endpoint, Probe, Request, RunAs, Scope, Spec, Stop, TIMEOUT, base64};
use crate::environment::Environment;
use crate::lifecycle::Course;
use crate::say::say_unkept;
use crate::secrets::Secrets;

pub(super) const SPEC: Spec = Spec {
    name: service::OPENCODE,
    title: "OpenCode",
    program: "opencode",
    arguments: &["web", "--port", PORT, "--hostname", "0.0.0.0"],
    user: RunAs::Agent,
    is_agent: true,
    port: Some(OPENCODE_PORT),
    is_enabled,
    prepare,
    add_variables,
    log: path::OPENCODE_LOG,
    directory: "",
    variables: &[],
    held_ports: &[],
    probe: Probe::Answers(Request {
        at: Endpoint::Port(OPENCODE_PORT),
        path: "/global/health",
        authorization: Some(authorization),
        is_up,
        interval: Duration::from_secs(1),
        timeout: TIMEOUT,
        goes_on: true,
    }),
    course: Course::OWN,
    stop: Stop {
        term: Scope::Tree,
        grace: 3_000,
    },
    awaited: None,
};

/// [`OPENCODE_PORT`] as a word.
const PORT: &str = "60998";

fn is_enabled(environment: &Environment) -> bool {
    environment
        .get(env::OPENCODE_WEB)
        .is_none_or(|value| value != "0")
}

/// Tells where it is found; who does not find that out can ask amikad.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other services may have to be refused"
)]
fn prepare() -> Result<(), String> {
    if let Err(error) = std::fs::write(path::OPENCODE_PORT_FILE, PORT) {
        say_unkept(format!(
            "cannot write {}: {error}",
            path::OPENCODE_PORT_FILE
        ));
    }
    Ok(())
}

/// The password, which nobody else gets.
fn add_variables(environment: &mut Environment, secrets: &Secrets) {
    environment.set(env::OPENCODE_PASSWORD, secrets.opencode_password());
    // `opencode web` opens a browser; there is none here, and a desktop's must not be asked.
    environment.set("BROWSER", "true");
}

fn authorization(secrets: &Secrets) -> String {
    let pair = format!("{}:{}", secrets.opencode_user, secrets.opencode_password());
    format!("Basic {}", base64(pair.as_bytes()))
}

fn is_up(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|document| {
        document.is_object() && document.get("healthy") != Some(&false.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_port_is_written_as_the_contract_has_it() {
        assert_eq!(PORT, OPENCODE_PORT.to_string());
    }

    #[test]
    fn only_an_object_that_does_not_deny_it_says_that_it_is_up() {
        assert!(is_up(br#"{"healthy":true,"version":"1"}"#) && is_up(b"{}"));
        for body in ["", "<html>", "[]", "true", r#"{"healthy":false}"#] {
            assert!(!is_up(body.as_bytes()), "{body}");
        }
    }
}

//! The OpenCode web server.
//!
//! While it starts it may accept a connection and stay silent for seconds, and with a password set
//! it answers any other path with HTML and 200: only JSON in time counts.

use std::ffi::OsStr;
use std::time::Duration;

use amika_core::contract::{OPENCODE_INNER_PORT, OPENCODE_PORT, env, path, service};
use amika_core::opencode::OpenCodeStart;

use super::{Endpoint, Held, Probe, Request, RunAs, Scope, Spec, Stop, TIMEOUT, base64};
use crate::environment::Environment;
use crate::lifecycle::{Course, Starts};
use crate::say::say_unkept;
use crate::secrets::Secrets;

/// Up by itself once setup is done with: it takes seconds of a processor to start, which setup has better use for.
pub(super) static SPEC: Spec = spec(
    OPENCODE_PORT,
    &["web", "--port", PORT, "--hostname", "0.0.0.0"],
    Starts::AfterSetup,
    Held::No,
);

/// Started when somebody connects to its port, which amikad has as long as there is a sandbox: a browser that comes
/// while it starts waits for it, and is not refused.
static ON_DEMAND: Spec = spec(
    OPENCODE_INNER_PORT,
    &["web", "--port", INNER_PORT, "--hostname", "127.0.0.1"],
    Starts::OnDemand,
    Held::Always {
        outer: OPENCODE_PORT,
        inner: OPENCODE_INNER_PORT,
    },
);

/// [`OPENCODE_PORT`] and [`OPENCODE_INNER_PORT`] as words.
const PORT: &str = "60998";
const INNER_PORT: &str = "60997";

const fn spec(at: u16, arguments: &'static [&'static str], starts: Starts, held: Held) -> Spec {
    Spec {
        name: service::OPENCODE,
        title: "OpenCode",
        program: "opencode",
        arguments,
        user: RunAs::Agent,
        is_agent: true,
        port: Some(OPENCODE_PORT),
        is_enabled,
        prepare: || Ok(()),
        add_variables,
        log: path::OPENCODE_LOG,
        directory: "",
        variables: &[],
        held,
        announce,
        probe: Probe::Answers(Request {
            at: Endpoint::Port(at),
            path: "/global/health",
            authorization: Some(authorization),
            is_up,
            interval: Duration::from_secs(1),
            timeout: TIMEOUT,
            goes_on: true,
        }),
        course: Course::own(starts),
        stop: Stop {
            term: Scope::Tree,
            grace: 3_000,
        },
        awaited: None,
    }
}

/// What it is to be in this environment.
pub(super) fn chosen(environment: &Environment) -> &'static Spec {
    match start(environment) {
        OpenCodeStart::OnDemand => &ON_DEMAND,
        OpenCodeStart::Auto | OpenCodeStart::Off => &SPEC,
    }
}

fn is_enabled(environment: &Environment) -> bool {
    start(environment) != OpenCodeStart::Off
}

fn start(environment: &Environment) -> OpenCodeStart {
    let value = environment.get(env::OPENCODE_WEB).and_then(OsStr::to_str);
    OpenCodeStart::of_variable(value)
}

/// Tells where it is found; who does not find that out can ask amikad.
fn announce() {
    if let Err(error) = std::fs::write(path::OPENCODE_PORT_FILE, PORT) {
        say_unkept(format!(
            "cannot write {}: {error}",
            path::OPENCODE_PORT_FILE
        ));
    }
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
        assert_eq!(INNER_PORT, OPENCODE_INNER_PORT.to_string());
    }

    #[test]
    fn only_an_object_that_does_not_deny_it_says_that_it_is_up() {
        assert!(is_up(br#"{"healthy":true,"version":"1"}"#) && is_up(b"{}"));
        for body in ["", "<html>", "[]", "true", r#"{"healthy":false}"#] {
            assert!(!is_up(body.as_bytes()), "{body}");
        }
    }
}

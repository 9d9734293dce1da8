//! Whether OpenCode says that an agent's turn runs in one of its sessions.
//!
//! Its server knows that for each directory by itself, so the directories come first. The first question costs it
//! nothing; the others make it load a directory, so they are put only where a session was at work in this boot.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use amika_core::contract::service::OPENCODE;

use super::health_check;
use crate::ordered;
use crate::publish::Shared;
use crate::service::ServiceId;

/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// So many directories are asked for at most.
const DIRECTORIES: usize = 16;
/// By so much the wall clock may have been set back since the boot.
const CLOCK_MARGIN: Duration = Duration::from_mins(5);

/// Whether a turn runs; no where the server does not answer.
pub(crate) async fn is_busy(shared: &Shared) -> bool {
    tokio::time::timeout(TIMEOUT, find_busy(shared)).await == Ok(Some(true))
}

async fn find_busy(shared: &Shared) -> Option<bool> {
    let id = ServiceId::of_name(OPENCODE)?;
    let pid = shared.status().services.get(OPENCODE)?.pid?;
    if !health_check::is_asked_itself(id, id.spec().request()?, pid).await {
        return None;
    }
    let any = ask(shared, "/api/session?limit=1&order=desc").await?;
    if any
        .get("data")
        .is_some_and(|list| list == &Value::Array(Vec::new()))
    {
        return Some(false);
    }
    let boot = SystemTime::now()
        .checked_sub(shared.started.elapsed() + CLOCK_MARGIN)
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let since = u64::try_from(boot.as_millis()).unwrap_or(0);
    let target = format!("/experimental/session?start={since}&limit=50");
    let found = directories(&ask(shared, &target).await?, since);
    for directory in found.iter().take(DIRECTORIES) {
        let target = format!("/session/status?directory={}", encode(directory));
        if ask(shared, &target)
            .await
            .is_some_and(|document| says_busy(&document))
        {
            return Some(true);
        }
    }
    Some(false)
}

/// What its server answers to a GET, as JSON.
async fn ask(shared: &Shared, target: &str) -> Option<Value> {
    let asked = ServiceId::of_name(OPENCODE)?.spec().request()?;
    let answer = health_check::ask(asked, target, shared).await?;
    serde_json::from_slice(&answer).ok()
}

/// Where sessions were at work since then, in milliseconds since the Unix epoch.
fn directories(sessions: &Value, since: u64) -> BTreeSet<String> {
    let list = sessions.as_array().into_iter().flatten();
    let at_work = list.filter(|session| {
        let updated = session.pointer("/time/updated").and_then(Value::as_u64);
        updated.is_none_or(|updated| updated >= since)
    });
    ordered::set(at_work.filter_map(|session| Some(session.get("directory")?.as_str()?.to_owned())))
}

/// Whether any session's state is another than `idle`: `busy`, or `retry` while it waits for its model.
fn says_busy(states: &Value) -> bool {
    let mut states = states.as_object().into_iter().flatten();
    states.any(|(_, state)| {
        let word = state.get("type").and_then(Value::as_str);
        word.is_some_and(|word| word != "idle")
    })
}

/// A value for a query, percent-encoded but for what never needs it (RFC 3986, unreserved).
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_is_busy_unless_it_says_idle() {
        for (states, busy) in [
            (json!({}), false),
            (json!({"ses_1": {"type": "idle"}}), false),
            (
                json!({"ses_1": {"type": "idle"}, "ses_2": {"type": "busy"}}),
                true,
            ),
            (json!({"ses_1": {"type": "retry", "attempt": 3}}), true),
            (json!({"ses_1": {}}), false),
            (json!([{"type": "busy"}]), false),
            (json!(null), false),
        ] {
            assert_eq!(says_busy(&states), busy, "{states}");
        }
    }

    #[test]
    fn only_directories_of_this_boot_are_asked_for() {
        let sessions = json!([
            {"directory": "/a", "time": {"updated": 20}},
            {"directory": "/a", "time": {"updated": 21}},
            {"directory": "/old", "time": {"updated": 9}},
            {"directory": 7},
        ]);
        assert_eq!(
            directories(&sessions, 10),
            BTreeSet::from(["/a".to_owned()])
        );
        assert!(directories(&json!({"error": 1}), 0).is_empty());
    }

    #[test]
    fn a_directory_stays_one_value() {
        assert_eq!(encode("/home/a b/ü&x=1#"), "/home/a%20b/%C3%BC%26x%3D1%23");
    }
}

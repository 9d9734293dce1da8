//! What a sign-in file says of its age, which of two copies is the newer, and what may be taken out of
//! a copy that comes from a sandbox.
//!
//! Agents renew their sign-ins by themselves, and a refresh token serves once: of two copies, the one
//! that was renewed last is the one that still works.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Agent, CredentialFile};

/// Objects are looked through this deep.
const DEPTH: usize = 8;

/// What a file's JSON says of the sign-in in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignIn {
    /// When it was last renewed or when it runs out, whichever the agent writes down, in milliseconds
    /// since the Unix epoch: of two copies the later one is the newer.
    pub freshness: Option<u64>,
    /// Whether it holds a refresh token, which serves once.
    pub renews_itself: bool,
}

impl SignIn {
    /// Reads a file; one that is no JSON object says nothing.
    pub fn read(content: &[u8]) -> Self {
        match serde_json::from_slice(content) {
            Ok(Value::Object(object)) => Self::of(&object),
            _ => Self::default(),
        }
    }

    fn of(object: &Map<String, Value>) -> Self {
        let mut found = Self::default();
        found.look_through(object, DEPTH);
        found
    }

    fn look_through(&mut self, object: &Map<String, Value>, depth: usize) {
        for (key, value) in object {
            match (key.as_str(), value) {
                // Claude Code and OpenCode: when the access token runs out, in milliseconds.
                ("expiresAt" | "expires_at" | "expires", Value::Number(number)) => {
                    self.note(number.as_u64().map(to_millis));
                }
                // Codex: when it was last renewed, as RFC 3339.
                ("last_refresh", Value::String(text)) => self.note(rfc3339_millis(text)),
                ("refreshToken" | "refresh_token" | "refresh", Value::String(token)) => {
                    self.renews_itself |= !token.is_empty();
                }
                (_, Value::Object(inner)) if depth > 0 => self.look_through(inner, depth - 1),
                _ => {}
            }
        }
    }

    fn note(&mut self, time: Option<u64>) {
        self.freshness = self.freshness.max(time);
    }
}

/// Seconds are told from milliseconds by their size: no token runs out before 1973 or after 5138.
fn to_millis(number: u64) -> u64 {
    if number < 100_000_000_000 {
        number * 1000
    } else {
        number
    }
}

/// Reads `2026-11-22T08:32:09.123456Z` to the millisecond; other offsets than Z are not written by any
/// agent.
fn rfc3339_millis(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let in_range = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !in_range {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let days = crate::volume::days_from_civil(year, month, day);
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(&thousandths)?)
}

/// One of two copies of a file.
#[derive(Clone, Copy, Debug)]
pub struct Copy<'c> {
    /// Its content.
    pub content: &'c [u8],
    /// When it was last written, in seconds since the Unix epoch.
    pub modified: u64,
}

/// Which of two copies is the newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Newer {
    /// Neither: they are the same.
    Same,
    /// The host's.
    Host,
    /// The sandbox's.
    Sandbox,
}

/// Compares the copies of a file. Of a sign-in only what signs in counts: `pull` writes the same
/// tokens in another order, and settings beside them renew nothing. What the copies say of
/// themselves counts more than when they were written, since a copy is written later than what it
/// is a copy of.
pub fn newer(file: &CredentialFile, host: Copy<'_>, sandbox: Copy<'_>) -> Newer {
    if host.content == sandbox.content {
        return Newer::Same;
    }
    let parts = (
        signing_in(file, host.content),
        signing_in(file, sandbox.content),
    );
    let (Some(ours), Some(theirs)) = &parts else {
        return by_age(
            SignIn::read(host.content),
            SignIn::read(sandbox.content),
            host,
            sandbox,
        );
    };
    if ours == theirs {
        return Newer::Same;
    }
    if file.agent == Agent::OpenCode {
        // Each provider has an age of its own: the sandbox's is newer where there is one to take.
        let has_newer = |of: &Map<String, Value>, than: &Map<String, Value>| {
            of.iter()
                .any(|(key, value)| signs_in(file.agent, key, value, than.get(key)))
        };
        if has_newer(theirs, ours) {
            return Newer::Sandbox;
        }
        if has_newer(ours, theirs) {
            return Newer::Host;
        }
    }
    by_age(SignIn::of(ours), SignIn::of(theirs), host, sandbox)
}

fn by_age(ours: SignIn, theirs: SignIn, host: Copy<'_>, sandbox: Copy<'_>) -> Newer {
    let sandbox_is_newer = match (ours.freshness, theirs.freshness) {
        (Some(host), Some(sandbox)) if host != sandbox => sandbox > host,
        _ => sandbox.modified > host.modified,
    };
    if sandbox_is_newer {
        Newer::Sandbox
    } else {
        Newer::Host
    }
}

/// How the refresh tokens of one copy stand to those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// For the same sign-in they differ: one of the two was renewed, and the other's is spent.
    pub differ: bool,
    /// The second has one that the first has not: it would be lost by overwriting.
    pub only_second: bool,
}

/// Compares the refresh tokens of two copies of a file.
pub fn compare_tokens(file: &CredentialFile, first: &[u8], second: &[u8]) -> Tokens {
    let (first, second) = (refresh_tokens(file, first), refresh_tokens(file, second));
    let differs =
        |(place, token): (&String, &String)| first.get(place).is_some_and(|other| other != token);
    Tokens {
        differ: second.iter().any(differs),
        only_second: second
            .values()
            .any(|token| !first.values().any(|other| other == token)),
    }
}

/// The refresh tokens of what signs in, by the keys that lead to them.
fn refresh_tokens(file: &CredentialFile, content: &[u8]) -> BTreeMap<String, String> {
    fn look(
        object: &Map<String, Value>,
        at: &str,
        depth: usize,
        found: &mut BTreeMap<String, String>,
    ) {
        for (key, value) in object {
            match (key.as_str(), value) {
                ("refreshToken" | "refresh_token" | "refresh", Value::String(token))
                    if !token.is_empty() =>
                {
                    found.insert(at.to_owned(), token.clone());
                }
                (_, Value::Object(inner)) if depth > 0 => {
                    look(inner, &format!("{at}\0{key}"), depth - 1, found);
                }
                _ => {}
            }
        }
    }
    let mut found = BTreeMap::new();
    if let Some(part) = signing_in(file, content) {
        look(&part, "", DEPTH, &mut found);
    }
    found
}

/// What of a sign-in file signs in; nothing for settings, what is no JSON object, and what has no
/// sign-in in it.
fn signing_in(file: &CredentialFile, content: &[u8]) -> Option<Map<String, Value>> {
    if !file.is_sign_in() {
        return None;
    }
    let Ok(Value::Object(object)) = serde_json::from_slice(content) else {
        return None;
    };
    let part: Map<String, Value> = object
        .into_iter()
        // An API key of OpenCode's signs in as well, though it is never taken from a sandbox.
        .filter(|(key, value)| {
            file.agent == Agent::OpenCode || signs_in(file.agent, key, value, None)
        })
        .collect();
    (!part.is_empty()).then_some(part)
}

/// A file of a sandbox from which nothing is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASignIn {
    /// It holds settings: those can name programs, which would then run on the host.
    #[error("it holds settings, not a sign-in")]
    Settings,
    /// It is no JSON object.
    #[error("it is no JSON object")]
    NoObject,
    /// It holds nothing that signs in.
    #[error("no sign-in is in it")]
    Empty,
}

/// Puts the sign-in of a sandbox's file into the host's: returns the new content of the host's file.
///
/// Only what is known to sign in is taken. All else stays the host's: a program in the sandbox may have
/// written anything, and OpenCode, for one, takes settings from a server that an entry of type
/// `wellknown` names.
///
/// # Errors
/// When there is nothing to take.
pub fn merge(
    file: &CredentialFile,
    host: Option<&[u8]>,
    sandbox: &[u8],
) -> Result<Vec<u8>, NotASignIn> {
    if !file.is_sign_in() {
        return Err(NotASignIn::Settings);
    }
    let Ok(Value::Object(theirs)) = serde_json::from_slice(sandbox) else {
        return Err(NotASignIn::NoObject);
    };
    let mut ours = match host.map(serde_json::from_slice) {
        Some(Ok(Value::Object(ours))) => ours,
        _ => Map::new(),
    };
    let mut taken = false;
    for (key, value) in theirs {
        if signs_in(file.agent, &key, &value, ours.get(&key)) {
            taken = true;
            ours.insert(key, value);
        }
    }
    if !taken {
        return Err(NotASignIn::Empty);
    }
    // A map with string keys always serialises.
    Ok(serde_json::to_vec_pretty(&ours).unwrap_or_default())
}

fn signs_in(agent: Agent, key: &str, theirs: &Value, ours: Option<&Value>) -> bool {
    match agent {
        Agent::Claude => matches!(
            key,
            "claudeAiOauth"
                | "accessToken"
                | "refreshToken"
                | "expiresAt"
                | "scopes"
                | "subscriptionType"
        ),
        Agent::Codex => matches!(
            key,
            "OPENAI_API_KEY" | "tokens" | "last_refresh" | "auth_mode"
        ),
        // One entry for each provider; each has an age of its own.
        Agent::OpenCode => {
            let expires = |entry: &Value| entry.get("expires").and_then(Value::as_u64);
            let is_oauth = |entry: &Value| entry.get("type").is_some_and(|kind| kind == "oauth");
            is_oauth(theirs)
                && ours.is_none_or(|ours| is_oauth(ours) && expires(theirs) > expires(ours))
        }
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;
    use crate::credential::FILES;

    fn file(path: &str) -> CredentialFile {
        FILES.into_iter().find(|file| file.path == path).unwrap()
    }

    fn merged(path: &str, host: Option<&str>, sandbox: &str) -> Result<Value, NotASignIn> {
        merge(&file(path), host.map(str::as_bytes), sandbox.as_bytes())
            .map(|json| serde_json::from_slice(&json).unwrap())
    }

    #[test]
    fn each_agent_s_own_words_for_age_are_understood() {
        for (content, freshness, renews_itself) in [
            (
                r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1795336329000}}"#,
                Some(1_795_336_329_000),
                true,
            ),
            (
                r#"{"OPENAI_API_KEY":null,"tokens":{"refresh_token":"r"},"last_refresh":"2026-11-22T08:32:09.123456Z"}"#,
                Some(1_795_336_329_123),
                true,
            ),
            (
                r#"{"anthropic":{"type":"oauth","refresh":"r","access":"a","expires":7000000000000},"x":{"type":"api","key":"k"}}"#,
                Some(7_000_000_000_000),
                true,
            ),
            (
                r#"{"expires_at":1795336329}"#,
                Some(1_795_336_329_000),
                false,
            ),
            (r#"{"refreshToken":"","expiresAt":"soon"}"#, None, false),
            (r#"{"last_refresh":"2026-13-01T00:00:00Z"}"#, None, false),
            ("[1]", None, false),
            ("sk-ant-key", None, false),
        ] {
            assert_eq!(
                SignIn::read(content.as_bytes()),
                SignIn {
                    freshness,
                    renews_itself
                },
                "{content}"
            );
        }
    }

    #[test]
    fn the_copy_that_was_renewed_last_is_the_newer() {
        let copy = |content: &'static str, modified| Copy {
            content: content.as_bytes(),
            modified,
        };
        let (old, new) = (
            r#"{"expiresAt":1795336329000}"#,
            r#"{"expiresAt":1795336330000}"#,
        );
        let newer = |host, sandbox| newer(&file(".claude/.credentials.json"), host, sandbox);
        assert_eq!(newer(copy(old, 9), copy(old, 1)), Newer::Same);
        assert_eq!(newer(copy(old, 9), copy(new, 1)), Newer::Sandbox);
        assert_eq!(newer(copy(new, 1), copy(old, 9)), Newer::Host);
        // Nothing is said, so the clock decides; a copy that was never written to has time 0.
        assert_eq!(newer(copy("a", 9), copy("b", 0)), Newer::Host);
        assert_eq!(newer(copy("a", 9), copy("b", 10)), Newer::Sandbox);
    }

    #[test]
    fn what_does_not_sign_in_makes_no_copy_newer() {
        let compared = |path: &str, host: &str, sandbox: &str| {
            let copy = |content, modified| Copy { content, modified };
            let (host, sandbox) = (host.as_bytes(), sandbox.as_bytes());
            newer(&file(path), copy(host, 1), copy(sandbox, 9))
        };
        let (claude, codex, opencode) = (
            ".claude/.credentials.json",
            ".codex/auth.json",
            ".local/share/opencode/auth.json",
        );
        for (path, host, sandbox, expected) in [
            // The same in another order, and another key beside it.
            (
                claude,
                r#"{"claudeAiOauth":{"refreshToken":"r","expiresAt":7}, "mcpOAuth":{"expiresAt":1}}"#,
                r#"{"mcpOAuth":{"expiresAt":9},"claudeAiOauth":{"expiresAt":7,"refreshToken":"r"}}"#,
                Newer::Same,
            ),
            (
                codex,
                r#"{"tokens":{"a":1},"x":1}"#,
                r#"{"tokens":{"a":1}}"#,
                Newer::Same,
            ),
            (
                codex,
                r#"{"tokens":{"a":1}}"#,
                r#"{"tokens":{"a":2}}"#,
                Newer::Sandbox,
            ),
            // OpenCode's have an age each.
            (
                opencode,
                r#"{"a":{"type":"oauth","expires":6},"b":{"type":"oauth","expires":5}}"#,
                r#"{"a":{"type":"oauth","expires":6}}"#,
                Newer::Host,
            ),
            (
                opencode,
                r#"{"a":{"type":"oauth","expires":9},"b":{"type":"oauth","expires":5}}"#,
                r#"{"a":{"type":"oauth","expires":8},"b":{"type":"oauth","expires":6}}"#,
                Newer::Sandbox,
            ),
            // An API key has no age, so the clock decides.
            (
                opencode,
                r#"{"a":{"type":"api","key":"1"}}"#,
                r#"{"a":{"type":"api","key":"2"}}"#,
                Newer::Sandbox,
            ),
        ] {
            assert_eq!(compared(path, host, sandbox), expected, "{host} {sandbox}");
        }
    }

    #[test]
    fn a_token_is_spent_where_the_other_copy_has_another_for_the_same_sign_in() {
        let compared = |host: &str, sandbox: &str| {
            let file = file(".local/share/opencode/auth.json");
            let tokens = compare_tokens(&file, host.as_bytes(), sandbox.as_bytes());
            (tokens.differ, tokens.only_second)
        };
        let one = r#"{"a":{"type":"oauth","refresh":"r1","expires":1}}"#;
        assert_eq!(compared(one, &one.replace(":1}", ":2}")), (false, false));
        assert_eq!(compared(one, &one.replace("r1", "r2")), (true, true));
        assert_eq!(
            compared(one, &one.replace("\"a\"", "\"b\"")),
            (false, false)
        );
        assert_eq!(compared("{}", one), (false, true));
        assert_eq!(compared(one, "nonsense"), (false, false));
        let claude = file(".claude/.credentials.json");
        let beside = |token| format!(r#"{{"mcpOAuth":{{"refreshToken":"{token}"}}}}"#);
        let tokens = compare_tokens(&claude, beside("1").as_bytes(), beside("2").as_bytes());
        assert!(!tokens.differ && !tokens.only_second);
    }

    #[test]
    fn only_what_signs_in_is_taken_from_a_sandbox() {
        assert_eq!(
            merged(
                ".claude/.credentials.json",
                Some(r#"{"claudeAiOauth":{"accessToken":"old"},"mcpOAuth":{"mine":1}}"#),
                r#"{"claudeAiOauth":{"accessToken":"new"},"mcpOAuth":{"evil":1},"hooks":{}}"#,
            ),
            Ok(serde_json::json!({"claudeAiOauth":{"accessToken":"new"},"mcpOAuth":{"mine":1}}))
        );
        assert_eq!(
            merged(
                ".codex/auth.json",
                None,
                r#"{"tokens":{"access_token":"a"},"last_refresh":"x","notify":["sh"]}"#,
            ),
            Ok(serde_json::json!({"tokens":{"access_token":"a"},"last_refresh":"x"}))
        );
        assert_eq!(
            merged(
                ".local/share/opencode/auth.json",
                Some(
                    r#"{"a":{"type":"oauth","expires":5},"b":{"type":"oauth","expires":5},"d":{"type":"api","key":"mine"}}"#
                ),
                r#"{"a":{"type":"oauth","expires":6},"b":{"type":"oauth","expires":4},
                    "c":{"type":"oauth","expires":1},"d":{"type":"oauth","expires":9},
                    "https://evil.example":{"type":"wellknown","key":"LD_PRELOAD","token":"x"}}"#,
            ),
            Ok(serde_json::json!({
                "a":{"type":"oauth","expires":6},"b":{"type":"oauth","expires":5},
                "c":{"type":"oauth","expires":1},"d":{"type":"api","key":"mine"}
            }))
        );
    }

    #[test]
    fn settings_and_nonsense_are_never_taken() {
        let settings = r#"{"mcpServers":{"x":{"command":"sh"}},"claudeAiOauth":{}}"#;
        assert_eq!(
            merged(".claude.json", None, settings),
            Err(NotASignIn::Settings)
        );
        let model = ".local/state/opencode/model.json";
        assert_eq!(merged(model, None, "{}"), Err(NotASignIn::Settings));
        for nonsense in ["", "[]", "\"x\"", "{"] {
            assert_eq!(
                merged(".codex/auth.json", None, nonsense),
                Err(NotASignIn::NoObject)
            );
        }
        assert_eq!(
            merged(".codex/auth.json", None, "{\"x\":1}"),
            Err(NotASignIn::Empty)
        );
    }

    proptest! {
        #[test]
        fn no_content_makes_it_panic(content in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,30}") {
            SignIn::read(&content);
            rfc3339_millis(&text);
            for file in FILES {
                let _ = merge(&file, Some(&content), text.as_bytes());
            }
        }

        #[test]
        fn times_are_read_as_the_calendar_has_them(seconds in 0u64..4_000_000_000) {
            let stamp = crate::volume::Stamp::new(seconds, 0).to_string();
            let text = format!(
                "{}-{}-{}T{}:{}:{}Z",
                &stamp[..4], &stamp[4..6], &stamp[6..8], &stamp[8..10], &stamp[10..12], &stamp[12..14]
            );
            prop_assert_eq!(rfc3339_millis(&text), Some(seconds * 1000));
        }
    }
}

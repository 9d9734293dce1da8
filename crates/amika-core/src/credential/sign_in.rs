//! What a sign-in file says of its age, and which of two copies is the newer.
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
pub(super) fn rfc3339_millis(text: &str) -> Option<u64> {
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
mod tests;

//! An MCP server in an agent's settings: kept where a sandbox can start or reach it, without what may be a secret.

use serde_json::{Map, Value};

use super::rule::{below, is_place};

/// Members that say nothing of this machine and hold no secret, in the words of all three agents. `env_vars` and
/// `bearer_token_env_var` are names of variables.
const MEMBERS: [&str; 13] = [
    "args",
    "bearer_token_env_var",
    "command",
    "disabled",
    "disabled_tools",
    "enabled",
    "enabled_tools",
    "env_vars",
    "startup_timeout_sec",
    "timeout",
    "tool_timeout_sec",
    "type",
    "url",
];

/// Parts of names that secrets have.
const SECRETS: [&str; 7] = [
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "auth",
    "credential",
];

pub(super) fn keep(
    members: Map<String, Value>,
    at: &str,
    home: &str,
    left: &mut Vec<String>,
) -> Option<Value> {
    if !is_of_use(&members, home) {
        left.push(at.to_owned());
        return None;
    }
    let mut kept = Map::new();
    for (key, value) in members {
        if MEMBERS.contains(&key.as_str()) {
            kept.insert(key, value);
        } else {
            left.push(below(at, &key));
        }
    }
    Some(Value::Object(kept))
}

/// Whether a sandbox can start it or reach it, and nothing that it is started with may be a secret.
fn is_of_use(members: &Map<String, Value>, home: &str) -> bool {
    let command = words(members.get("command"));
    let args = words(members.get("args"));
    let (Some(command), Some(args)) = (command, args) else {
        return false;
    };
    let url = match members.get("url") {
        None => None,
        Some(Value::String(url)) => Some(url.as_str()),
        Some(_) => return false,
    };
    if command.is_empty() && url.is_none() {
        return false;
    }
    let is_program = command
        .first()
        .is_none_or(|program| !program.contains(['/', '\\']));
    let mut words = command.iter().skip(1).chain(&args);
    let is_plain = !words
        .any(|word| word.starts_with(['/', '~']) || is_place(word, home) || may_be_secret(word));
    is_program && is_plain && url.is_none_or(is_public)
}

/// The words of a string or of a list of strings; of nothing there are none.
fn words(value: Option<&Value>) -> Option<Vec<&str>> {
    match value {
        None => Some(Vec::new()),
        Some(Value::String(word)) => Some(vec![word]),
        Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}

/// Whether a word of a command line may be a secret, or is followed by one.
fn may_be_secret(word: &str) -> bool {
    let name = word
        .split('=')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_named = word.starts_with('-') || word.contains('=');
    (is_named && SECRETS.iter().any(|part| name.contains(part)))
        || word.to_ascii_lowercase().contains("bearer ")
}

/// Whether a URL is one that means the same from a sandbox, and has nothing in it that may be a secret.
fn is_public(url: &str) -> bool {
    let Some(rest) = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
    else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let is_here = host == "localhost"
        || host.ends_with(".localhost")
        || host.starts_with("127.")
        || host == "[::1]"
        || host == "0.0.0.0";
    !authority.is_empty() && !authority.contains('@') && !is_here && !rest.contains('?')
}

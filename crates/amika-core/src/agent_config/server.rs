//! An MCP server in an agent's settings: kept where a sandbox can start or reach it, without what may be a secret.

use serde_json::{Map, Value};

use super::rule::{below, is_place};
use super::secret::may_be_secret;

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
    // A command that is one string is a line of words.
    let mut words = command.iter().flat_map(|word| word.split_whitespace());
    let program = words.next();
    if program.is_none() && url.is_none() {
        return false;
    }
    let is_program = program.is_none_or(|program| !program.contains(['/', '\\', '=']));
    let mut words = words.chain(args);
    let is_plain = !words.any(|word| leads_elsewhere(word, home) || may_be_secret(word));
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

/// Whether an argument is a path that means something else, or nothing, in a sandbox.
fn leads_elsewhere(word: &str, home: &str) -> bool {
    let is_path = |part: &str| part.starts_with(['/', '~', '$']) || part.starts_with("..");
    let is_url = word.contains("://");
    is_place(word, home) || is_path(word) || (!is_url && word.split(['=', ':', ',']).any(is_path))
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
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_here = ["::1", "::", "0.0.0.0", "host.docker.internal"].contains(&&*host)
        || ["localhost", "local"].contains(&host.rsplit('.').next().unwrap_or_default())
        || host.starts_with("127.");
    !host.is_empty() && !is_here && !rest.contains(['?', '#', '@']) && !may_be_secret(url)
}

//! What of settings is kept: a rule for each place in them.

use serde_json::{Map, Value};

use super::server;

/// What is kept of a value.
#[derive(Debug)]
pub enum Rule {
    /// The value, where it names no place of this machine. Of a list such entries alone are left out.
    Plain,
    /// Of an object these keys, each by its rule.
    Keys(&'static [(&'static str, Rule)]),
    /// Of an object this key; all others are passed over unnamed.
    Only(&'static str, &'static Rule),
    /// Of an object each entry, by one rule.
    Each(&'static Rule),
    /// An MCP server.
    Server,
}

/// Keeps of a value what a rule lets through; names in `left` what is left out. `at` is the key of the value.
pub(super) fn keep_by(
    rule: &Rule,
    value: Value,
    at: &str,
    home: &str,
    left: &mut Vec<String>,
) -> Option<Value> {
    match (rule, value) {
        (Rule::Plain, value) => plain(value, at, home, left),
        (Rule::Server, Value::Object(members)) => server::keep(members, at, home, left),
        (Rule::Keys(keys), Value::Object(members)) => {
            object(members, at, home, left, |key, value, at, left| {
                let Some((_, rule)) = keys.iter().find(|(known, _)| *known == key) else {
                    left.push(at.to_owned());
                    return None;
                };
                keep_by(rule, value, at, home, left)
            })
        }
        (Rule::Only(only, rule), Value::Object(members)) => {
            object(members, at, home, left, |key, value, at, left| {
                (key == *only)
                    .then(|| keep_by(rule, value, at, home, left))
                    .flatten()
            })
        }
        (Rule::Each(rule), Value::Object(members)) => {
            object(members, at, home, left, |_, value, at, left| {
                keep_by(rule, value, at, home, left)
            })
        }
        (_, _) => {
            left.push(at.to_owned());
            None
        }
    }
}

/// An object of what is kept of another's members; none where nothing is.
fn object(
    members: Map<String, Value>,
    at: &str,
    home: &str,
    left: &mut Vec<String>,
    mut keep: impl FnMut(&str, Value, &str, &mut Vec<String>) -> Option<Value>,
) -> Option<Value> {
    let mut kept = Map::new();
    for (key, value) in members {
        let path = below(at, &key);
        if is_place(&key, home) {
            left.push(path);
        } else if let Some(value) = keep(&key, value, &path, left) {
            kept.insert(key, value);
        }
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}

pub(super) fn below(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

fn plain(value: Value, at: &str, home: &str, left: &mut Vec<String>) -> Option<Value> {
    match value {
        Value::Array(items) => {
            let all = items.len();
            let items: Vec<Value> = items
                .into_iter()
                .filter(|item| !names_a_place(item, home))
                .collect();
            if items.len() < all {
                left.push(at.to_owned());
            }
            (all == 0 || !items.is_empty()).then_some(Value::Array(items))
        }
        Value::Null => None,
        value if names_a_place(&value, home) => {
            left.push(at.to_owned());
            None
        }
        value => Some(value),
    }
}

/// Whether anything in a value names a place of this machine.
fn names_a_place(value: &Value, home: &str) -> bool {
    match value {
        Value::String(text) => is_place(text, home),
        Value::Array(items) => items.iter().any(|item| names_a_place(item, home)),
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| is_place(key, home) || names_a_place(value, home)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What homes are below, beside root's own.
const HOMES: [&str; 5] = ["/home/", "/Users/", "/root/", "/mnt/c/", "/opt/homebrew/"];

/// Whether a text names a place of this machine: the user's home, anybody's home but the sandbox's, or a file by its URL.
pub(super) fn is_place(text: &str, home: &str) -> bool {
    let own = crate::contract::path::HOME;
    let of_other = |homes: &str| {
        let mut found = text.match_indices(homes);
        found.any(|(at, _)| !(text[at..].starts_with(own) && home != own))
    };
    (home.len() > 1 && text.contains(home))
        || text.contains("file:/")
        || HOMES.into_iter().any(of_other)
}

//! What of settings is kept: a rule for each place in them.

use serde_json::{Map, Value};

use super::secret::{is_token, may_be_secret};
use super::server;

/// What is kept of a value.
#[derive(Debug)]
pub enum Rule {
    /// The value, where it names no place of this machine and holds nothing that may be a secret. Of lists and objects such entries
    /// alone are left out.
    Plain,
    /// The value where it is one of these.
    OneOf(&'static [Choice]),
    /// Of an object these keys, each by its rule.
    Keys(&'static [(&'static str, Rule)]),
    /// Of an object this key; all others are passed over unnamed.
    Only(&'static str, &'static Rule),
    /// Of an object each entry, by one rule.
    Each(&'static Rule),
    /// An MCP server.
    Server,
}

/// A value that may be kept.
#[derive(Debug)]
pub enum Choice {
    /// `false`
    No,
    /// A word.
    Word(&'static str),
}

impl Choice {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::No => *value == Value::Bool(false),
            Self::Word(word) => value.as_str() == Some(word),
        }
    }
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
        (Rule::OneOf(choices), value) if choices.iter().any(|it| it.is(&value)) => Some(value),
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
    let stays = |text: &str| is_place(text, home) || leads_out(text) || may_be_secret(text);
    match value {
        Value::Array(items) => {
            let all = items.len();
            let mut inner = Vec::new();
            let items = items.into_iter();
            let items: Vec<Value> = items
                .filter_map(|it| plain(it, at, home, &mut inner))
                .collect();
            if items.len() < all || !inner.is_empty() {
                left.push(at.to_owned());
            }
            (all == 0 || !items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(members) if members.is_empty() => Some(Value::Object(members)),
        Value::Object(members) => object(members, at, home, left, |key, value, at, left| {
            if stays(key) {
                left.push(at.to_owned());
                return None;
            }
            plain(value, at, home, left)
        }),
        Value::Null => None,
        // Prose may speak of keys and paths: only what is plainly a secret or of this machine stays.
        Value::String(text) if text.contains('\n') => {
            let stays = is_place(&text, home) || text.split_whitespace().any(is_token);
            if stays {
                left.push(at.to_owned());
            }
            (!stays).then_some(Value::String(text))
        }
        Value::String(text) if stays(&text) => {
            left.push(at.to_owned());
            None
        }
        value => Some(value),
    }
}

/// Whether a text names a path that means something else in a sandbox, as permissions and lists of files do.
fn leads_out(text: &str) -> bool {
    let begins =
        |part: &str| part.starts_with("~/") || part.starts_with("//") || part.starts_with("$HOME");
    text.split(['(', ' ', '=', ',']).any(begins)
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
        || text.contains("file:")
        || HOMES.into_iter().any(of_other)
}

//! JSON as people write it: with comments, and a comma behind the last entry. Each value knows its place.
//!
//! `devcontainer.json` and its like are read by editors that take both, so files have them. A text may be
//! hostile: it is read without recursion beyond [`MAX_DEPTH`], and every mistake is one finding with its place.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Severity};

/// So deep may lists and objects stand in each other.
pub const MAX_DEPTH: usize = 64;

/// A value with its place, in bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub span: Range<usize>,
}

/// What a text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` and `false`
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Node>),
    /// An object, in the order of the text.
    Object(Vec<Member>),
}

/// An entry of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub key_span: Range<usize>,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The entry of an object with this name: the last where there are several, as in all parsers of JSON.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.members()
            .iter()
            .rev()
            .find(|member| member.key == key)
            .map(|member| &member.node)
    }

    /// The entries of an object; of anything else none.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The entries of a list; of anything else none.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// The string that it is.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}

/// Reads a text.
///
/// # Errors
/// Returns the first mistake, with its place.
pub fn parse(text: &str) -> Result<Node, Box<Diagnostic>> {
    let mut reader = Reader { text, at: 0 };
    // Editors of one system put it before a text.
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    let read = reader.value(0).and_then(|node| {
        reader.blanks()?;
        match reader.peek() {
            None => Ok(node),
            Some(found) => Err(reader.here(format!("{} behind the end", shown(found)))),
        }
    });
    read.map_err(|Mistake { message, span }| {
        let message = format!("invalid JSON: {message}");
        Box::new(Diagnostic::new(Severity::Error, message, text, span))
    })
}

struct Mistake {
    message: String,
    span: Range<usize>,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// A character in a message, inert.
fn shown(found: char) -> String {
    format!("\"{}\"", found.escape_debug())
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn here(&self, message: impl Into<String>) -> Mistake {
        let end = self.at + self.peek().map_or(0, char::len_utf8);
        Mistake {
            message: message.into(),
            span: self.at..end,
        }
    }

    /// What stands here in place of something else.
    fn expected(&self, what: &str) -> Mistake {
        match self.peek() {
            Some(found) => self.here(format!("expected {what}, found {}", shown(found))),
            None => self.here(format!("expected {what}, found the end of the file")),
        }
    }

    fn takes(&mut self, what: char) -> bool {
        let is_there = self.peek() == Some(what);
        if is_there {
            self.at += what.len_utf8();
        }
        is_there
    }

    /// Skips white space and comments.
    fn blanks(&mut self) -> Result<(), Mistake> {
        loop {
            let rest = self.rest();
            let blank = |found: char| matches!(found, ' ' | '\t' | '\r' | '\n');
            self.at += rest.len() - rest.trim_start_matches(blank).len();
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let Some(end) = rest.find("*/") else {
                    return Err(Mistake {
                        message: "this comment has no end".to_owned(),
                        span: self.at..self.at + 2,
                    });
                };
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Mistake> {
        self.blanks()?;
        let start = self.at;
        let value = match self.peek() {
            Some('{' | '[') if depth == MAX_DEPTH => {
                return Err(self.here(format!("more than {MAX_DEPTH} levels in each other")));
            }
            Some('{') => self.object(depth)?,
            Some('[') => self.array(depth)?,
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => Value::Number(self.number()?),
            Some(found) if found.is_ascii_alphabetic() => self.word()?,
            _ => return Err(self.expected("a value")),
        };
        Ok(Node {
            value,
            span: start..self.at,
        })
    }

    fn object(&mut self, depth: usize) -> Result<Value, Mistake> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.blanks()?;
            if self.takes('}') {
                return Ok(Value::Object(members));
            }
            let start = self.at;
            if self.peek() != Some('"') {
                return Err(self.expected("a name in quotes or \"}\""));
            }
            let key = self.string()?;
            let key_span = start..self.at;
            self.blanks()?;
            if !self.takes(':') {
                return Err(self.expected("\":\""));
            }
            let node = self.value(depth + 1)?;
            members.push(Member {
                key,
                key_span,
                node,
            });
            self.blanks()?;
            if !self.takes(',') && self.peek() != Some('}') {
                return Err(self.expected("\",\" or \"}\""));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Mistake> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.blanks()?;
            if self.takes(']') {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.blanks()?;
            if !self.takes(',') && self.peek() != Some(']') {
                return Err(self.expected("\",\" or \"]\""));
            }
        }
    }

    fn word(&mut self) -> Result<Value, Mistake> {
        let rest = self.rest();
        let end = rest
            .find(|found: char| !found.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let value = match &rest[..end] {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => return Err(self.expected("a value")),
        };
        self.at += end;
        Ok(value)
    }

    fn number(&mut self) -> Result<String, Mistake> {
        let rest = self.rest();
        let is_part = |found: char| found.is_ascii_alphanumeric() || "+-.".contains(found);
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let number = rest[..end].to_owned();
        // What a number is the crate for plain JSON knows.
        if serde_json::from_str::<serde_json::Value>(&number).is_err() {
            let span = self.at..self.at + end;
            let message = "this is no number".to_owned();
            return Err(Mistake { message, span });
        }
        self.at += end;
        Ok(number)
    }

    fn string(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(b'\n') | None => {
                    return Err(Mistake {
                        message: "this string has no end on its line".to_owned(),
                        span: start..start + 1,
                    });
                }
                Some(_) => end += 1,
            }
        }
        end += 1;
        let quoted = &self.text[start..end];
        self.at = end;
        serde_json::from_str(quoted).map_err(|error| {
            // Columns of the crate's are of the string alone.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            Mistake {
                message: message.to_owned(),
                span: start..end,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;

    /// A value as plain JSON.
    fn plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap(),
            Value::String(text) => text.clone().into(),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(members) => members
                .iter()
                .map(|member| (member.key.clone(), plain(&member.node)))
                .collect(),
        }
    }

    #[test]
    fn comments_and_commas_behind_the_last_entry_are_read() {
        let text = "\u{feff}// first\n{ /* a */ \"a\": [1, -2.5e3, ], // \"b\": 1\n \"c\\u00e9\": {\"d\": null,},\n \"e\": \"// no */ comment\", \"f\": true }\n// last";
        let node = parse(text).unwrap();
        let expected = serde_json::json!({
            "a": [1, -2500.0], "cé": {"d": null}, "e": "// no */ comment", "f": true
        });
        assert_eq!(plain(&node), expected);
        let e = node.get("e").unwrap();
        assert_eq!(&text[e.span.clone()], "\"// no */ comment\"");
        assert_eq!(&text[node.members()[0].key_span.clone()], "\"a\"");
        assert_eq!(
            parse("{\"a\":1,\"a\":2}").unwrap().get("a"),
            parse("{\"a\":1,\"a\":2}").unwrap().get("a")
        );
    }

    #[test]
    fn every_mistake_has_its_place() {
        for (text, line, column, words) in [
            ("", 1, 1, "expected a value, found the end of the file"),
            ("{\n  \"a\" 1}", 2, 7, "expected \":\", found \"1\""),
            (
                "{\n  \"a\": 1\n  \"b\": 2}",
                3,
                3,
                "expected \",\" or \"}\", found \"\\\"\"",
            ),
            (
                "{,}",
                1,
                2,
                "expected a name in quotes or \"}\", found \",\"",
            ),
            ("[1,,2]", 1, 4, "expected a value, found \",\""),
            ("[1] x", 1, 5, "\"x\" behind the end"),
            ("{\"a\": yes}", 1, 7, "expected a value, found \"y\""),
            ("[01]", 1, 2, "this is no number"),
            ("[\"a\n\"]", 1, 2, "this string has no end on its line"),
            ("[\"\\q\"]", 1, 2, "invalid escape"),
            ("[1 /* ]", 1, 4, "this comment has no end"),
            (
                "{\"a\": \u{1b}}",
                1,
                7,
                "expected a value, found \"\\u{1b}\"",
            ),
            ("'a'", 1, 1, "expected a value, found \"\\'\""),
        ] {
            let found = parse(text).unwrap_err();
            assert_eq!(
                (found.line, found.column),
                (line, column),
                "{text:?}: {}",
                found.message
            );
            assert_eq!(found.message, format!("invalid JSON: {words}"), "{text:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).unwrap_err().message.contains("64 levels"));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn plain_json_means_what_it_means_elsewhere(value in json()) {
            let compact = value.to_string();
            let spread = format!("{value:#}");
            prop_assert_eq!(plain(&parse(&compact).unwrap()), value.clone());
            prop_assert_eq!(plain(&parse(&spread).unwrap()), value);
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), json in "[\\[\\]{}:,\"\\\\/*a1\n -]{0,40}") {
            for text in [text, json] {
                if let Err(found) = parse(&text) {
                    prop_assert!(found.span.end <= text.len(), "{:?}", found);
                }
            }
        }
    }
}

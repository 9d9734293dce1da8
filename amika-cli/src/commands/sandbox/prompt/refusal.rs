//! Whether an agent was refused something, by what it writes.
//!
//! The agents end with 0 then: to them, a refusal is an answer like any other. Each tells of it in its own
//! place: Claude Code in its JSON, OpenCode and Codex in their lines on standard error, and both in their
//! JSON where the user asks for that.

use bytes::Bytes;
use serde_json::Value;

use crate::terminal::{Target, Watch};

/// How much is kept of one line, and of Claude's one document. What is longer is passed on unread.
const LONGEST: usize = 16 * 1024 * 1024;

/// How Codex's own sandbox, and what it starts that with, say that they did not let a program do something.
const DENIED: [&str; 6] = [
    "bwrap:",
    "read-only file system",
    "operation not permitted",
    "permission denied",
    "landlock",
    "seccomp",
];

/// Reads along, and keeps the first refusal.
#[derive(Debug, Default)]
pub(in crate::commands) struct Refusals {
    /// Whether standard output is one document of Claude's, of which the answer is passed on.
    unwrap: bool,
    document: Vec<u8>,
    out: Line,
    err: Line,
    /// Whether the lines are those of a command of Codex that failed.
    failed_command: bool,
    found: Option<String>,
}

#[derive(Debug, Default)]
struct Line(Vec<u8>);

impl Refusals {
    /// With `unwrap`, Claude's answer is taken out of its JSON.
    pub(in crate::commands) fn new(unwrap: bool) -> Self {
        Self {
            unwrap,
            ..Self::default()
        }
    }

    /// What was refused, in a word or a line of the agent's; it is text of the sandbox.
    pub(in crate::commands) fn found(self) -> Option<String> {
        self.found
    }

    fn line(&mut self, line: &str) {
        let told = if line.starts_with('{') {
            serde_json::from_str(line)
                .ok()
                .and_then(|event| in_event(&event))
        } else {
            self.in_words(line)
        };
        if self.found.is_none() {
            self.found = told;
        }
    }

    /// A line that is meant for people.
    fn in_words(&mut self, line: &str) -> Option<String> {
        let plain = anstream::adapter::strip_str(line).to_string();
        let plain = plain.trim_end();
        let words = plain.trim_start_matches(['!', ' ']);
        // OpenCode.
        if let Some(asked) = words.strip_prefix("permission requested: ")
            && let Some(what) = asked.strip_suffix("; auto-rejecting")
        {
            return Some(what.to_owned());
        }
        if words.starts_with("Error: The user has specified a rule which prevents you from using") {
            return Some("a rule of the configuration".to_owned());
        }
        // Codex: ` exited 1 in 0ms:`, the output, and an empty line.
        if plain.starts_with(" exited ") && plain.ends_with(':') {
            self.failed_command = true;
        } else if plain.is_empty() || plain == "codex" {
            self.failed_command = false;
        } else if plain.starts_with(" declined in ") || (self.failed_command && is_denial(plain)) {
            return Some(plain.trim().to_owned());
        }
        None
    }
}

/// A line of JSON: of Claude's `json` and `stream-json`, of Codex's `--json`, of OpenCode's `--format json`.
fn in_event(event: &Value) -> Option<String> {
    let denied = event["permission_denials"].as_array();
    if let Some(first) = denied.and_then(|denied| denied.first()) {
        return Some(first["tool_name"].as_str().unwrap_or("a tool").to_owned());
    }
    let item = &event["item"];
    if event["type"] == "item.completed" {
        let output = item["aggregated_output"].as_str().unwrap_or_default();
        let refused = item["status"] == "declined"
            || (item["status"] == "failed"
                && item["type"] == "command_execution"
                && output.lines().any(is_denial));
        return refused.then(|| item["command"].as_str().unwrap_or("a tool").to_owned());
    }
    let error = event["part"]["state"]["error"].as_str()?;
    let refused = error.starts_with("The user rejected permission")
        || error.starts_with("The user has specified a rule which prevents");
    refused.then(|| {
        event["part"]["tool"]
            .as_str()
            .unwrap_or("a tool")
            .to_owned()
    })
}

fn is_denial(line: &str) -> bool {
    let line = line.to_lowercase();
    DENIED.iter().any(|word| line.contains(word))
}

/// The answer as Claude prints it without JSON.
fn answer(document: &[u8]) -> Option<(Value, Bytes)> {
    let event: Value = serde_json::from_slice(document).ok()?;
    let mut text = event["result"].as_str()?.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Some((event, text.into()))
}

impl Watch for Refusals {
    fn piece(&mut self, target: Target, bytes: Bytes) -> Bytes {
        if self.unwrap && target == Target::Stdout {
            self.document.extend_from_slice(&bytes);
            if self.document.len() <= LONGEST {
                return Bytes::new();
            }
            self.unwrap = false;
            return std::mem::take(&mut self.document).into();
        }
        for &byte in &bytes {
            let line = match target {
                Target::Stdout => &mut self.out.0,
                Target::Stderr => &mut self.err.0,
            };
            if byte != b'\n' {
                if line.len() < LONGEST {
                    line.push(byte);
                }
                continue;
            }
            let line = std::mem::take(line);
            self.line(&String::from_utf8_lossy(&line));
        }
        bytes
    }

    fn end(&mut self) -> Bytes {
        for line in [
            std::mem::take(&mut self.out.0),
            std::mem::take(&mut self.err.0),
        ] {
            if !line.is_empty() {
                self.line(&String::from_utf8_lossy(&line));
            }
        }
        let document = std::mem::take(&mut self.document);
        match answer(&document) {
            Some((event, text)) => {
                let told = in_event(&event);
                if self.found.is_none() {
                    self.found = told;
                }
                text
            }
            // An error in plain words, or a program that is not Claude Code.
            None => document.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed on of standard output, and what was refused.
    fn read(unwrap: bool, pieces: &[(Target, &str)]) -> (String, Option<String>) {
        let mut refusals = Refusals::new(unwrap);
        let mut out = Vec::new();
        for (target, text) in pieces {
            let passed = refusals.piece(*target, Bytes::copy_from_slice(text.as_bytes()));
            if *target == Target::Stdout {
                out.extend_from_slice(&passed);
            }
        }
        out.extend_from_slice(&refusals.end());
        (String::from_utf8(out).unwrap(), refusals.found())
    }

    #[test]
    fn claudes_answer_is_printed_as_without_json_and_its_denials_count() {
        let pieces = [
            (Target::Stdout, r#"{"result":"Done.","permission_den"#),
            (Target::Stdout, "ials\":[]}\n"),
        ];
        assert_eq!(read(true, &pieces), ("Done.\n".to_owned(), None));
        let refused = r#"{"result":"I may not.\n","permission_denials":[{"tool_name":"Write"}]}"#;
        assert_eq!(
            read(true, &[(Target::Stdout, refused)]),
            ("I may not.\n".to_owned(), Some("Write".to_owned()))
        );
        // The user asked for the JSON himself: it stays.
        let (shown, found) = read(false, &[(Target::Stdout, refused)]);
        assert_eq!((shown.as_str(), found.as_deref()), (refused, Some("Write")));
        let plain = "Invalid API key";
        assert_eq!(
            read(true, &[(Target::Stdout, plain)]),
            (plain.to_owned(), None)
        );
    }

    #[test]
    fn opencodes_rejections_count_in_words_and_in_json() {
        let words =
            "\u{1b}[93m\u{1b}[1m! \u{1b}[0mpermission requested: edit (w/f); auto-rejecting\n";
        let (_, found) = read(
            false,
            &[
                (Target::Stderr, &words[..20]),
                (Target::Stderr, &words[20..]),
            ],
        );
        assert_eq!(found.as_deref(), Some("edit (w/f)"));
        let json = r#"{"type":"tool_use","part":{"tool":"write","state":{"status":"error","error":"The user rejected permission to use this specific tool call."}}}"#;
        assert_eq!(
            read(false, &[(Target::Stdout, json)]).1.as_deref(),
            Some("write")
        );
        let failed = r#"{"type":"tool_use","part":{"tool":"read","state":{"status":"error","error":"File not found"}}}"#;
        assert_eq!(read(false, &[(Target::Stdout, failed)]).1, None);
    }

    #[test]
    fn what_codexs_sandbox_stopped_counts_and_a_command_that_failed_does_not() {
        let stopped = "exec\n/usr/bin/zsh -lc 'echo > f' in /w\n exited 1 in 0ms:\nbwrap: No permissions to create a new namespace\n\ncodex\n";
        let (_, found) = read(false, &[(Target::Stderr, stopped)]);
        assert!(found.unwrap().starts_with("bwrap:"));
        let failed = "exec\n/usr/bin/zsh -lc 'cargo test' in /w\n exited 101 in 5s:\ntest it ... FAILED\n\ncodex\nthe file system is a read-only file system\n";
        assert_eq!(read(false, &[(Target::Stderr, failed)]).1, None);
        let fine = " succeeded in 0ms:\nls: Permission denied\n";
        assert_eq!(read(false, &[(Target::Stderr, fine)]).1, None);
        let json = r#"{"type":"item.completed","item":{"type":"command_execution","command":"touch f","aggregated_output":"touch: Read-only file system\n","exit_code":1,"status":"failed"}}"#;
        assert_eq!(
            read(false, &[(Target::Stdout, json)]).1.as_deref(),
            Some("touch f")
        );
    }
}

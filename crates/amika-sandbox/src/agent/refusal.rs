//! What an agent was refused, by what it writes.
//!
//! The agents end with 0 then: to them, a refusal is an answer like any other. Each tells of it in its own
//! place: Claude Code in its JSON, OpenCode and Codex in their lines on standard error, and both in their
//! JSON where the user asks for that.

use serde_json::Value;

/// How Codex's own sandbox, and what it starts that with, say that they did not let a program do something.
const DENIED: [&str; 6] = [
    "bwrap:",
    "read-only file system",
    "operation not permitted",
    "permission denied",
    "landlock",
    "seccomp",
];

/// Reads what an agent writes line by line, and keeps the first refusal.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Whether the lines are those of a command of Codex that failed.
    failed_command: bool,
    found: Option<String>,
}

impl Refusals {
    /// What was refused, in a word or a line of the agent's; it is text of the sandbox.
    pub fn found(self) -> Option<String> {
        self.found
    }

    /// Takes a line, without its end.
    pub fn line(&mut self, line: &str) {
        if !line.starts_with('{') {
            let told = self.in_words(line);
            self.keep(told);
        } else if let Ok(event) = serde_json::from_str(line) {
            self.event(&event);
        }
    }

    /// Takes a line of JSON: of Claude's `json` and `stream-json`, of Codex's `--json`, of OpenCode's `--format json`.
    pub fn event(&mut self, event: &Value) {
        self.keep(in_event(event));
    }

    fn keep(&mut self, told: Option<String>) {
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

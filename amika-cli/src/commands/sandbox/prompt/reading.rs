//! Reads along what an agent writes, for what it was refused, and takes Claude's answer out of its JSON.

use amika_sandbox::agent::Refusals;
use bytes::Bytes;
use serde_json::Value;

use crate::terminal::{Target, Watch};

/// How much is kept of one line, and of Claude's one document. What is longer is passed on unread.
const LONGEST: usize = 16 * 1024 * 1024;

/// Reads along, and keeps the first refusal.
#[derive(Debug, Default)]
pub(in crate::commands) struct Reading {
    /// Whether standard output is one document of Claude's, of which the answer is passed on.
    unwrap: bool,
    document: Vec<u8>,
    out: Vec<u8>,
    err: Vec<u8>,
    refusals: Refusals,
}

impl Reading {
    /// With `unwrap`, Claude's answer is taken out of its JSON.
    pub(in crate::commands) fn new(unwrap: bool) -> Self {
        Self {
            unwrap,
            ..Self::default()
        }
    }

    /// What was refused, in a word or a line of the agent's; it is text of the sandbox.
    pub(in crate::commands) fn found(self) -> Option<String> {
        self.refusals.found()
    }
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

impl Watch for Reading {
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
                Target::Stdout => &mut self.out,
                Target::Stderr => &mut self.err,
            };
            if byte != b'\n' {
                if line.len() < LONGEST {
                    line.push(byte);
                }
                continue;
            }
            let line = std::mem::take(line);
            self.refusals.line(&String::from_utf8_lossy(&line));
        }
        bytes
    }

    fn end(&mut self) -> Bytes {
        for line in [std::mem::take(&mut self.out), std::mem::take(&mut self.err)] {
            if !line.is_empty() {
                self.refusals.line(&String::from_utf8_lossy(&line));
            }
        }
        let document = std::mem::take(&mut self.document);
        match answer(&document) {
            Some((event, text)) => {
                self.refusals.event(&event);
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
        let mut reading = Reading::new(unwrap);
        let mut out = Vec::new();
        for (target, text) in pieces {
            let passed = reading.piece(*target, Bytes::copy_from_slice(text.as_bytes()));
            if *target == Target::Stdout {
                out.extend_from_slice(&passed);
            }
        }
        out.extend_from_slice(&reading.end());
        (String::from_utf8(out).unwrap(), reading.found())
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

//! The commands of a container's life: text for a shell, a list of words, or several with names.

use super::Work;
use super::variables::{Piece, pieces};
use crate::draft::{Step, shell_word};
use crate::jsonc::{Node, Value};

impl Work<'_> {
    /// Plans setup: what runs once, in the order in which it runs.
    pub(super) fn setup(&mut self) {
        for key in [
            "onCreateCommand",
            "updateContentCommand",
            "postCreateCommand",
        ] {
            if let Some(node) = self.root.get(key) {
                let steps = self.command(key, node);
                self.draft.setup.extend(steps);
            }
        }
    }

    /// The steps of a command; what cannot be taken over is named.
    pub(super) fn command(&mut self, key: &str, node: &Node) -> Vec<Step> {
        let Value::Object(members) = &node.value else {
            return self.single(key, node).into_iter().collect();
        };
        // In a devcontainer these run beside each other, of which one after the other is a case.
        let steps: Vec<Option<Step>> = members
            .iter()
            .map(|member| self.single(&format!("{key}.{}", member.key), &member.node))
            .collect();
        steps.into_iter().flatten().collect()
    }

    fn single(&mut self, key: &str, node: &Node) -> Option<Step> {
        let text = match &node.value {
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => word(text).map(|word| format!("sh -c {word}")),
            Value::Array(items) if items.is_empty() => return None,
            Value::Array(items) => {
                let words = items.iter().map(|item| match item.as_str() {
                    Some(text) => word(text),
                    None => Err(format!(
                        "its words must be strings, and one is {}",
                        item.kind()
                    )),
                });
                // No word of a list is a shell's own: `exec` takes programs alone.
                words
                    .collect::<Result<Vec<String>, String>>()
                    .map(|words| format!("(exec {})", words.join(" ")))
            }
            _ => Err(format!(
                "it must be a string, a list or an object, and is {}",
                node.kind()
            )),
        };
        match text {
            Ok(text) => Some(Step {
                why: key.to_owned(),
                text,
                needs_tool: false,
            }),
            Err(reason) => {
                self.rest(key, node.span.clone(), &reason);
                None
            }
        }
    }
}

/// A word of the script, in which a shell puts what is meant in the place of variables.
fn word(text: &str) -> Result<String, String> {
    let mut word = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => {
                word.push_str(&shell_word(text).ok_or("it has a NUL in it")?);
            }
            Piece::Variable(variable) => word.push_str(&variable.in_shell()?),
        }
    }
    Ok(if word.is_empty() {
        "''".to_owned()
    } else {
        word
    })
}

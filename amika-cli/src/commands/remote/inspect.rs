//! `amika sandbox inspect --remote`: all that the server says of a sandbox.

use amika_core::untrusted::Untrusted;
use serde_json::Value;

use super::Server;
use crate::App;
use crate::args::sandbox::InspectArgs;
use crate::error::Result;
use crate::output::Page;

/// Characters of a value that are shown.
const VALUE: usize = 4096;

pub(super) async fn run(args: &InspectArgs, server: &Server, app: &App) -> Result<()> {
    let (_, whole) = server.sandbox(&args.name).await?;
    app.out.result(&whole, |out| write(&whole, out))
}

pub(super) fn write(whole: &Value, out: &mut Page<'_>) -> std::io::Result<()> {
    for (key, value) in whole.as_object().into_iter().flatten() {
        for line in lines(value) {
            writeln!(
                out,
                "{:<26}{}",
                title(key),
                Untrusted::new(&line).within(VALUE)
            )?;
        }
    }
    Ok(())
}

/// What is shown of a value, a line each; nothing of what is not there.
fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(lines).collect(),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            let members = members.map(|(key, value)| match value {
                Value::String(text) => format!("{key} {text}"),
                value => format!("{key} {value}"),
            });
            let line = members.collect::<Vec<_>>().join(", ");
            if line.is_empty() {
                Vec::new()
            } else {
                vec![line]
            }
        }
        value => vec![value.to_string()],
    }
}

/// `Setup status` of `setup_status`.
fn title(key: &str) -> String {
    let words = key.replace('_', " ");
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_is_shown_and_nothing_else() {
        assert_eq!(lines(&json!(null)), [""; 0]);
        assert_eq!(lines(&json!([])), [""; 0]);
        assert_eq!(lines(&json!("a")), ["a"]);
        assert_eq!(lines(&json!(30)), ["30"]);
        assert_eq!(
            lines(&json!([{ "name": "web", "url": null, "port": 1 }])),
            ["name web, port 1"]
        );
        assert_eq!(title("setup_status"), "Setup status");
    }
}

//! The page of the documentation that has every route: made of the document of the API, which is made of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

/// What stands before the routes.
const BEGIN: &str = "# The server's API\n\n\
    Written by `amika generate api docs`, of the document that a server has at `/api/openapi.json` and shows at `/docs`. [server.md](server.md) \
    says what it means.\n\n\
    `/api/…` is the same as `/api/v0beta1/…`. Every route but those that say so wants `Authorization: Bearer KEY`. A member with `?` may be \
    left out. What fails answers with an `ErrorBody`: 400, 401, 403, 404, 409, 413, 421, 429, 500, 503 and 507 on any route; other statuses \
    are told.\n";

/// Statuses that any route may answer with.
const ANYWHERE: [&str; 11] = [
    "400", "401", "403", "404", "409", "413", "421", "429", "500", "503", "507",
];

/// The page.
pub fn page() -> String {
    let document: Value = serde_json::from_str(&super::document()).unwrap_or_default();
    let mut by_tag: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let tag = operation["tags"][0].as_str().unwrap_or("server");
            by_tag
                .entry(tag)
                .or_default()
                .push(route(path, method, operation));
        }
    }
    let mut page = BEGIN.to_owned();
    for (tag, routes) in by_tag {
        let _ = write!(
            page,
            "\n## {tag}\n\n| route | takes | answers | |\n|---|---|---|---|\n{}",
            routes.concat()
        );
    }
    page.push_str("\n## Bodies\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        page.push_str(&body(name, schema));
    }
    page
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = value.as_object().into_iter().flatten();
    all.map(|(name, value)| (name.as_str(), value))
}

/// A text of the code, as a cell of a table.
fn cell(text: &str) -> String {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.replace('|', "\\|").replace('<', "&lt;")
}

fn route(path: &str, method: &str, operation: &Value) -> String {
    let shown = path.strip_prefix(super::PREFIX).unwrap_or(path);
    let mut takes: Vec<String> = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" {
            let mark = if parameter["required"] == true {
                ""
            } else {
                "?"
            };
            takes.push(format!("`{}{mark}`", text(&parameter["name"])));
        }
    }
    for (kind, content) in members(&operation["requestBody"]["content"]) {
        takes.push(content_of(kind, content));
    }
    let mut answers = Vec::new();
    for (status, answer) in members(&operation["responses"]) {
        if ANYWHERE.contains(&status) && answer.get("$ref").is_some() {
            continue;
        }
        let bodies: BTreeSet<String> = members(&answer["content"])
            .map(|(kind, content)| content_of(kind, content))
            .collect();
        let bodies: Vec<String> = bodies.into_iter().collect();
        answers.push(format!("{status} {}", bodies.join(", ")).trim().to_owned());
    }
    let mut meaning = cell(text(&operation["summary"]));
    let security = operation["security"].as_array();
    if security.is_some_and(|all| all.iter().all(|it| it == &serde_json::json!({}))) {
        meaning.push_str(" Open.");
    }
    format!(
        "| `{} {shown}` | {} | {} | {meaning} |\n",
        method.to_uppercase(),
        takes.join(", "),
        answers.join("; ")
    )
}

/// What is sent: JSON by its schema, anything else by its type.
fn content_of(kind: &str, content: &Value) -> String {
    if kind == "application/json" {
        kind_of(&content["schema"])
    } else {
        format!("`{kind}`")
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The words for a schema.
fn kind_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_ascii_lowercase());
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(all) = schema[several].as_array() {
            let all: Vec<String> = all.iter().map(kind_of).collect();
            return all.join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .map(|word| format!("`{}`", text(word)))
            .collect();
        return words.join(", ");
    }
    if let Some(types) = schema["type"].as_array() {
        let types: Vec<&str> = types.iter().map(text).collect();
        return types.join(" or ");
    }
    match text(&schema["type"]) {
        "array" => format!("array of {}", kind_of(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("object of {}", kind_of(&schema["additionalProperties"]))
        }
        "" => "anything".to_owned(),
        simple => simple.to_owned(),
    }
}

fn body(name: &str, schema: &Value) -> String {
    let mut out = format!("\n### {name}\n");
    if let Some(meaning) = schema["description"].as_str() {
        let _ = writeln!(out, "\n{}", cell(meaning));
    }
    if schema["properties"].is_object() {
        out.push_str("\n| member | | |\n|---|---|---|\n");
        let required = schema["required"].as_array();
        for (member, schema) in members(&schema["properties"]) {
            let is_required = required.is_some_and(|all| all.iter().any(|it| it == member));
            let mark = if is_required { "" } else { "?" };
            let meaning = cell(text(&schema["description"]));
            let _ = writeln!(
                out,
                "| `{member}{mark}` | {} | {meaning} |",
                kind_of(schema)
            );
        }
    } else {
        let _ = writeln!(out, "\n{}", kind_of(schema));
    }
    out
}

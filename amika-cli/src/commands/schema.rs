//! What each command prints with `-o json`: the table from which `docs/schema` is made.
//!
//! Each noun lists its verbs beside where they are run; a command that is missing here, or a type
//! that changed without its schema, fails a test.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::{
    auth, completion, config, credentials, doctor, events, generate, image, init, sandbox, secret,
    server, service, system, volume,
};
use crate::output::ErrorDocument;

/// Name of the file that says which command prints what.
const INDEX: &str = "index.json";

/// Name of the document of the server's API.
const SERVER: &str = "openapi.json";

/// What a command prints on standard output when it is asked for JSON and succeeds.
pub(super) enum Output {
    /// One document.
    Document(Schema),
    /// One document a line, without an end; where the command can also end by itself, one document
    /// of another type then.
    Lines {
        line: Schema,
        document: Option<Schema>,
    },
    /// Something of its own, such as a program's output; in these words. Failures of `amika`
    /// itself are one document here too, and where it can also not wait for the program, there is one then.
    Stream {
        what: &'static str,
        document: Option<Schema>,
    },
}

/// One document of this type.
pub(super) fn document<T: JsonSchema>() -> Output {
    Output::Document(schema_of::<T>())
}

/// Documents of this type, one a line.
pub(super) fn lines<T: JsonSchema>() -> Output {
    Output::Lines {
        line: schema_of::<T>(),
        document: None,
    }
}

/// One document of the first type, or documents of the second, one a line.
pub(super) fn document_or_lines<D: JsonSchema, L: JsonSchema>() -> Output {
    Output::Lines {
        line: schema_of::<L>(),
        document: Some(schema_of::<D>()),
    }
}

/// Something of its own, in these words.
pub(super) fn stream(what: &'static str) -> Output {
    Output::Stream {
        what,
        document: None,
    }
}

/// Something of its own, in these words, or one document of this type.
pub(super) fn stream_or_document<T: JsonSchema>(what: &'static str) -> Output {
    Output::Stream {
        what,
        document: Some(schema_of::<T>()),
    }
}

/// One document of either type.
pub(super) fn either<A: JsonSchema, B: JsonSchema>() -> Output {
    let mut generator = generator();
    let any = [
        generator.subschema_for::<A>(),
        generator.subschema_for::<B>(),
    ];
    Output::Document(json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "anyOf": any,
        "$defs": generator.take_definitions(true),
    }))
}

/// All commands, by what is typed.
fn outputs() -> BTreeMap<String, Output> {
    let nouns = [
        ("sandbox ", sandbox::outputs()),
        ("service ", service::outputs()),
        ("volume ", volume::outputs()),
        ("credentials ", credentials::outputs()),
        ("config ", config::outputs()),
        ("image ", image::outputs()),
        ("system ", system::outputs()),
        ("auth ", auth::outputs()),
        ("secret ", secret::outputs()),
    ];
    let mut all: BTreeMap<String, Output> = nouns
        .into_iter()
        .flat_map(|(noun, verbs)| {
            verbs
                .into_iter()
                .map(move |(verb, output)| (format!("{noun}{verb}"), output))
        })
        .collect();
    all.extend(
        server::outputs()
            .into_iter()
            .map(|(verb, output)| (verb.to_owned(), output)),
    );
    all.insert("init".into(), document::<init::InitView>());
    all.insert("events".into(), lines::<events::EventView>());
    all.insert("forward".into(), sandbox::forward_output());
    all.insert("ls".into(), sandbox::list_output());
    all.insert("rm".into(), sandbox::delete_output());
    all.insert("doctor".into(), document::<doctor::Report>());
    all.insert(
        "completion".into(),
        document::<completion::CompletionView>(),
    );
    for what in ["generate api", "generate man", "generate schema"] {
        all.insert(what.into(), document::<generate::GeneratedView>());
    }
    all
}

/// The files of `docs/schema`.
pub(super) fn files() -> Vec<(String, String)> {
    let mut index = serde_json::Map::new();
    let mut files = vec![text("error.json", &schema_of::<ErrorDocument>().to_value())];
    for (command, output) in outputs() {
        let entry = match output {
            Output::Document(schema) => {
                let name = format!("{}.json", command.replace(' ', "-"));
                files.push(text(&name, &schema.to_value()));
                json!({ "document": name })
            }
            Output::Lines { line, document } => {
                let base = command.replace(' ', "-");
                let mut entry = json!({ "lines": format!("{base}-line.json") });
                files.push(text(&format!("{base}-line.json"), &line.to_value()));
                if let Some(document) = document {
                    let name = format!("{base}.json");
                    files.push(text(&name, &document.to_value()));
                    entry["document"] = name.into();
                }
                entry
            }
            Output::Stream { what, document } => {
                let mut entry = json!({ "stream": what });
                if let Some(document) = document {
                    let name = format!("{}.json", command.replace(' ', "-"));
                    files.push(text(&name, &document.to_value()));
                    entry["document"] = name.into();
                }
                entry
            }
        };
        index.insert(command, entry);
    }
    let server: serde_json::Value =
        serde_json::from_str(&amika_server::document()).unwrap_or_default();
    files.push(text(SERVER, &server));
    files.push(text(
        INDEX,
        &json!({ "success": index, "failure": "error.json" }),
    ));
    files
}

fn text(name: &str, json: &serde_json::Value) -> (String, String) {
    (name.to_owned(), format!("{json:#}\n"))
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
}

fn schema_of<T: JsonSchema>() -> Schema {
    generator().into_root_schema_for::<T>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::CommandFactory as _;
    use pretty_assertions::assert_eq;

    use super::*;

    fn verbs(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
        let mut subcommands = command
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
            .peekable();
        // What does something by itself, whether there are verbs below it or not.
        if subcommands.peek().is_none() || !command.is_subcommand_required_set() {
            found.insert(path.to_owned());
        }
        for subcommand in subcommands {
            let path = format!("{path} {}", subcommand.get_name());
            verbs(subcommand, path.trim_start(), found);
        }
    }

    #[test]
    fn every_command_says_what_it_prints() {
        let mut typed = BTreeSet::new();
        verbs(&crate::args::Cli::command(), "", &mut typed);
        let described: BTreeSet<String> = outputs().into_keys().collect();
        assert_eq!(typed, described);
    }

    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
        let mut committed = BTreeMap::new();
        for entry in std::fs::read_dir(&dir).expect("docs/schema") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("a text");
            committed.insert(name.into_owned(), text);
        }
        let generated: BTreeMap<String, String> = files().into_iter().collect();
        assert_eq!(
            committed, generated,
            "what a command prints changed: if that is meant, run `make schema` and say so in the \
             changelog"
        );
    }
}

//! `amika generate`: files that are made from the program's own definitions.

use std::path::Path;

use clap::CommandFactory as _;
use clap::builder::Resettable;
use schemars::JsonSchema;
use serde::Serialize;

use super::schema;
use crate::App;
use crate::args::Cli;
use crate::args::completion::GenerateCommand;
use crate::error::{Error, Kind, Result};

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GeneratedView {
    /// Names of the files.
    files: Vec<String>,
}

pub(super) fn run(command: &GenerateCommand, app: &App) -> Result<()> {
    let (dir, files) = match command {
        GenerateCommand::Api(args) => (&args.dir, Ok(vec![api()])),
        GenerateCommand::Man(args) => (&args.dir, manual_pages()),
        GenerateCommand::Schema(args) => (&args.dir, Ok(schema::files())),
    };
    let files = files
        .and_then(|files| {
            write(dir, &files)?;
            Ok(files)
        })
        .map_err(|error| {
            Error::new(
                Kind::Failure,
                format!("{} cannot be written", dir.display()),
            )
            .caused_by(&error)
        })?;
    let view = GeneratedView {
        files: files.into_iter().map(|(name, _)| name).collect(),
    };
    app.out.result(&view, |out| {
        for file in &view.files {
            writeln!(out, "{file}")?;
        }
        Ok(())
    })
}

fn write(dir: &Path, files: &[(String, String)]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, content) in files {
        std::fs::write(dir.join(name), content)?;
    }
    Ok(())
}

/// The reference of the server's API.
fn api() -> (String, String) {
    let page = amika_server::reference();
    ("server-api.md".to_owned(), page)
}

fn manual_pages() -> std::io::Result<Vec<(String, String)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    manual_page(&command, &mut pages)?;
    Ok(pages)
}

fn manual_page(command: &clap::Command, pages: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let manual = clap_mangen::Man::new(command.clone()).manual("Amika");
    let mut page = Vec::new();
    let bare = command.clone().after_help(Resettable::Reset);
    clap_mangen::Man::new(bare)
        .manual("Amika")
        .render(&mut page)?;
    let mut page = String::from_utf8_lossy(&page).into_owned();
    if let Some(text) = command.get_after_help() {
        let at = page.find(".SH VERSION").unwrap_or(page.len());
        page.insert_str(at, &after_help(&text.to_string()));
    }
    pages.push((manual.get_filename(), page));
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| manual_page(command, pages))
}

/// The text below a command's options: its examples line by line, as they are typed, and the rest in
/// paragraphs.
fn after_help(text: &str) -> String {
    let literal = |text: &str| text.lines().map(literal).collect::<Vec<_>>().join("\n");
    let mut examples = String::new();
    let mut notes = String::new();
    for paragraph in text.split("\n\n") {
        let lines = paragraph.strip_prefix("Examples:\n");
        let lines = lines.or_else(|| paragraph.strip_prefix("Example:\n"));
        match lines {
            Some(lines) => examples.extend([".nf\n", &literal(lines), "\n.fi\n"]),
            None => notes.extend([".PP\n", &literal(paragraph), "\n"]),
        }
    }
    let mut page = String::new();
    for (name, text) in [("EXAMPLES", examples), ("NOTES", notes)] {
        if !text.is_empty() {
            page.extend([".SH ", name, "\n", &text]);
        }
    }
    page
}

/// A line that shows what it says: no request, no escape, no hyphen for a minus, no curly quote.
fn literal(line: &str) -> String {
    let line = line.strip_prefix("  ").unwrap_or(line);
    let escaped = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
        .replace('`', "\\(ga");
    format!("\\&{escaped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_the_api_is_what_the_code_says() {
        let (name, page) = api();
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let committed = std::fs::read_to_string(docs.join(name)).expect("it is there");
        assert_eq!(committed, page, "`make schema` writes it");
    }

    #[test]
    fn every_command_has_a_manual_page() {
        let pages = manual_pages().expect("a vector takes everything");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["amika.1", "amika-sandbox.1", "amika-sandbox-create.1"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("generate")));
        let (_, create) = pages
            .iter()
            .find(|(name, _)| name == "amika-sandbox-create.1")
            .expect("found above");
        assert!(create.contains("setup\\-script"), "{create}");
    }

    #[test]
    fn examples_stand_line_by_line_as_they_are_typed() {
        let pages = manual_pages().expect("a vector takes everything");
        let page = |name: &str| {
            let found = pages.iter().find(|(page, _)| page == name);
            found.map(|(_, page)| page.clone()).expect(name)
        };
        let (wait, cp) = (page("amika-sandbox-wait.1"), page("amika-sandbox-cp.1"));
        let example = "\\&amika sandbox wait teal\\-tokyo \\-\\-for port:3000 \\-\\-timeout 2m\n";
        let (_, examples) = wait.split_once(".SH EXAMPLES\n.nf\n").expect("a section");
        let (examples, rest) = examples.split_once("\n.fi\n").expect("its end");
        assert!(examples.contains(example), "{examples}");
        assert!(
            rest.starts_with(".SH NOTES\n.PP\n\\&Exit codes: "),
            "{rest}"
        );
        assert!(cp.contains("tar \\-c src | amika sandbox cp \\- "), "{cp}");
        for (name, page) in &pages {
            assert!(!page.contains(".SH EXTRA"), "{name}: {page}");
        }
    }
}

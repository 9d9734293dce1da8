//! `amika generate`: files that are made from the program's own definitions.

use std::path::Path;

use clap::CommandFactory as _;
use schemars::JsonSchema;
use serde::Serialize;

use super::schema;
use crate::App;
use crate::args::Cli;
use crate::args::completion::GenerateCommand;
use crate::error::{CommandError, ExitCode, Result};

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GeneratedView {
    /// Names of the files.
    files: Vec<String>,
}

pub(super) fn run(command: &GenerateCommand, app: &App) -> Result<()> {
    let (dir, files) = match command {
        GenerateCommand::Man(args) => (&args.dir, manual_pages()),
        GenerateCommand::Schema(args) => (&args.dir, Ok(schema::files())),
    };
    let files = files
        .and_then(|files| {
            write(dir, &files)?;
            Ok(files)
        })
        .map_err(|error| {
            CommandError::new(
                ExitCode::Failure,
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
    manual.render(&mut page)?;
    let page = String::from_utf8_lossy(&page).into_owned();
    pages.push((manual.get_filename(), page));
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| manual_page(command, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

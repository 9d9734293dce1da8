//! `amika sandbox adopt`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use amika_core::credential::Agent;
use amika_core::label::SetupScript;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::AdoptArgs;
use crate::commands::interruptible;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::trust::Trust;
use crate::view;

/// What came of one sandbox.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Adopted {
    /// The sandbox.
    name: String,
    /// What was done.
    result: Outcome,
    /// What its record says, which is trusted now.
    trusts: Claims,
}

/// What was done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It is trusted from now on.
    Adopted,
    /// It was trusted before: nothing was to be done.
    AlreadyYours,
}

/// What a record says of this machine.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Claims {
    /// The script of this machine that is read, and run in the sandbox as root, at each start.
    setup_script: Option<String>,
    /// Single files of this machine that were copied in: place in the sandbox to path.
    copied_files: BTreeMap<String, String>,
    /// Paths of this machine that the engine mounts: place in the sandbox to path.
    binds: BTreeMap<String, String>,
    /// Where its repository came from.
    repository: Option<String>,
    /// Agents whose sign-ins `credentials refresh` copies in anew.
    credentials: Vec<Agent>,
    /// Why labels of it cannot be read.
    unreadable_labels: Vec<String>,
}

impl Claims {
    fn of(sandbox: &Sandbox) -> Self {
        let record = &sandbox.record;
        let binds = sandbox.container.mounts.iter();
        Self {
            setup_script: match &record.setup_script {
                Some(SetupScript::Host(path)) => Some(path.clone()),
                Some(SetupScript::Repository(_)) | None => None,
            },
            copied_files: record.copied_files.clone(),
            binds: binds
                .filter(|mount| mount.kind == "bind")
                .map(|mount| (mount.target.clone(), mount.source.clone()))
                .collect(),
            repository: record.repository.as_ref().map(|repository| {
                let source = repository.source.as_ref();
                source.map_or_else(|| repository.name.clone(), ToString::to_string)
            }),
            credentials: record.credentials.clone(),
            unreadable_labels: sandbox.problems.iter().map(ToString::to_string).collect(),
        }
    }

    /// What is to be read before it is trusted, a line each.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |what: &str, text: String| lines.push(format!("  {what:<14}{text}"));
        if let Some(path) = &self.setup_script {
            let text = format!("{}, read at each start and run as root in it", shown(path));
            line("setup script", text);
        }
        for (target, source) in &self.copied_files {
            line("copy of", format!("{} -> {}", shown(source), shown(target)));
        }
        for (target, source) in &self.binds {
            line(
                "mount of",
                format!("{} -> {}", shown(source), shown(target)),
            );
        }
        if let Some(source) = &self.repository {
            line("repository", shown(source));
        }
        if !self.credentials.is_empty() {
            let names: Vec<&str> = self
                .credentials
                .iter()
                .map(|agent| agent.as_str())
                .collect();
            line("sign-ins of", names.join(", "));
        }
        for problem in &self.unreadable_labels {
            line("unreadable", problem.clone());
        }
        if lines.is_empty() {
            lines.push("  nothing of this machine".to_owned());
        }
        lines
    }
}

pub(super) async fn run(args: &AdoptArgs, app: &App) -> Result<()> {
    let mut names: Vec<&String> = Vec::new();
    for name in &args.names {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let key = app.user.record_key()?;
    // All are looked at before one is adopted.
    let found: Vec<(Sandbox, Trust)> = interruptible(app, async {
        let engine = crate::engine::connect(&app.user).await?;
        let mut found = Vec::new();
        for name in names {
            let sandbox = Sandbox::find_whole(&engine, name).await?;
            let trust = key.trust(&sandbox.container);
            found.push((sandbox, trust));
        }
        Ok(found)
    })
    .await?;
    let foreign: Vec<&Sandbox> = found
        .iter()
        .filter(|(_, trust)| *trust == Trust::Foreign)
        .map(|(sandbox, _)| sandbox)
        .collect();
    if !foreign.is_empty() && !args.force {
        let can_ask = !app.out.is_json() && std::io::stdin().is_terminal();
        if !(can_ask && interruptible(app, confirmed(&foreign, app)).await?) {
            return Err(refused(&foreign, can_ask));
        }
    }
    for sandbox in &foreign {
        key.adopt(&sandbox.container)?;
    }
    let done: Vec<Adopted> = found
        .iter()
        .map(|(sandbox, trust)| Adopted {
            name: sandbox.name.clone(),
            result: match trust {
                Trust::Foreign => Outcome::Adopted,
                Trust::Signed | Trust::Adopted => Outcome::AlreadyYours,
            },
            trusts: Claims::of(sandbox),
        })
        .collect();
    app.out.result(&done, |out| {
        for done in &done {
            writeln!(out, "{}", done.name)?;
        }
        Ok(())
    })?;
    if !app.out.is_json() {
        for done in &done {
            app.out.note(&match done.result {
                Outcome::Adopted => format!("\"{}\" is trusted as your own now", done.name),
                Outcome::AlreadyYours => format!("\"{}\" is yours already", done.name),
            });
        }
    }
    Ok(())
}

/// Shows what is to be trusted, and asks.
async fn confirmed(sandboxes: &[&Sandbox], app: &App) -> Result<bool> {
    let mut lines = Vec::new();
    for sandbox in sandboxes {
        let name = &sandbox.name;
        lines.push(format!(
            "The record of \"{name}\" is not signed with your key. It says:"
        ));
        lines.extend(Claims::of(sandbox).lines());
    }
    Ok(app.out.confirmed(&lines, "Trust that as your own?").await)
}

fn refused(foreign: &[&Sandbox], was_asked: bool) -> Error {
    let names: Vec<&str> = foreign
        .iter()
        .map(|sandbox| sandbox.name.as_str())
        .collect();
    let mut error = Error::new(Kind::Conflict, "nothing was adopted");
    if !was_asked {
        error =
            error.cause("nobody can be asked: standard input is no terminal, or JSON is wanted");
        for sandbox in foreign {
            let says = Claims::of(sandbox).lines();
            let says: Vec<&str> = says.iter().map(|line| line.trim()).collect();
            error = error.cause(format!("\"{}\" says: {}", sandbox.name, says.join("; ")));
        }
    }
    error
        .hint(format!(
            "`amika sandbox adopt --force {}` trusts what their records say",
            names.join(" ")
        ))
        .detail("sandboxes", names)
}

/// A text that anybody may have written, escaped and cut.
fn shown(text: &str) -> String {
    view::foreign_text(text)
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn what_is_trusted_is_shown_whatever_it_is() {
        let claims = Claims {
            setup_script: Some("/home/ada/bin/deploy\u{1b}[2J".to_owned()),
            copied_files: [("/data/x".to_owned(), "/src/x".to_owned())].into(),
            binds: [("/mnt".to_owned(), "/home/ada".to_owned())].into(),
            repository: Some("/src/app".to_owned()),
            credentials: vec![Agent::Claude, Agent::Codex],
            unreadable_labels: vec!["label x".to_owned()],
        };
        assert_eq!(
            claims.lines(),
            [
                "  setup script  /home/ada/bin/deploy\\u{1b}[2J, read at each start and run as root in it",
                "  copy of       /src/x -> /data/x",
                "  mount of      /home/ada -> /mnt",
                "  repository    /src/app",
                "  sign-ins of   claude, codex",
                "  unreadable    label x",
            ]
        );
        assert_eq!(Claims::default().lines(), ["  nothing of this machine"]);
    }
}

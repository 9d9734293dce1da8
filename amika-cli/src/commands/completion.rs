//! `amika completion`: the script for a shell, and the answers to what the script asks.
//!
//! The script asks `amika` itself at each Tab, so it never is older than the program, and sandbox
//! names come from the engine.

use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::Cli;
use crate::args::completion::CompletionArgs;
use crate::engine::Engine;
use crate::error::{CommandError, ExitCode, Result};
use crate::sandbox;

/// Holds the shell's name while the script asks for words.
const VARIABLE: &str = "AMIKA_COMPLETE";
/// A person who pressed Tab does not wait longer for an engine.
const ENGINE_TIMEOUT: Duration = Duration::from_millis(800);

/// What `completion -o json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CompletionView {
    /// The shell that the script is for.
    shell: &'static str,
    /// The script.
    script: String,
}

pub(super) fn run(args: &CompletionArgs, app: &App) -> Result<()> {
    let shell = args.shell.word();
    let failed = |error: &dyn std::error::Error| {
        CommandError::new(ExitCode::Failure, "the script cannot be made").caused_by(error)
    };
    let mut script = Vec::new();
    if let Some(completer) = Shells::builtins().completer(shell) {
        completer
            .write_registration(VARIABLE, "amika", "amika", "amika", &mut script)
            .map_err(|error| failed(&error))?;
    }
    let script = String::from_utf8(script).map_err(|error| failed(&error))?;
    let view = CompletionView { shell, script };
    app.out
        .result(&view, |out| out.write_all(view.script.as_bytes()))
}

/// Answers a shell that asks for words; false when none does.
pub(crate) fn complete_a_word() -> bool {
    let cwd = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), cwd.as_deref())
        // A word that cannot be completed is no words.
        .unwrap_or(true)
}

/// The commands, with sandbox names to choose from wherever one is wanted.
fn command() -> clap::Command {
    with_names(Cli::command())
}

fn with_names(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| {
            let positional = arg.is_positional();
            match arg.get_id().as_str() {
                "name" | "names" | "sandbox" if positional => suggest_names(arg),
                "sandbox_name" => suggest_names(arg),
                _ => arg,
            }
        })
        .mut_subcommands(with_names)
}

fn suggest_names(arg: clap::Arg) -> clap::Arg {
    arg.add(ArgValueCandidates::new(sandbox_names))
}

fn sandbox_names() -> Vec<CompletionCandidate> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let asked = async {
        let engine = Engine::connect().await?;
        sandbox::list(&engine).await
    };
    let answer = runtime.block_on(async { tokio::time::timeout(ENGINE_TIMEOUT, asked).await });
    match answer {
        Ok(Ok(list)) => list
            .into_iter()
            .map(|(container, _)| CompletionCandidate::new(container.name))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggesting_names_leaves_the_commands_as_they_are() {
        // Whoever moves an argument changes what is typed in which order.
        command().debug_assert();
    }
}

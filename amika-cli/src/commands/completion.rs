//! `amika completion`: the script for a shell, and the answers to what the script asks.
//!
//! The script asks `amika` itself at each Tab, so it never is older than the program, and names of
//! sandboxes and volumes come from the engine.

use std::ffi::OsStr;
use std::time::Duration;

use amika_core::label::key;
use clap::CommandFactory as _;
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};
use clap_complete::env::{CompleteEnv, Shells};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::Cli;
use crate::args::completion::CompletionArgs;
use crate::engine::Engine;
use crate::error::{CommandError, ExitCode, Result};
use crate::preset::Preset;
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

/// The commands, with words to choose from wherever the definitions do not list them.
fn command() -> clap::Command {
    Cli::command().mut_subcommands(|noun| {
        let names = if noun.get_name() == "volume" {
            volume_names
        } else {
            sandbox_names
        };
        with_words(noun, names)
    })
}

/// A function that finds words.
type Words = fn() -> Vec<CompletionCandidate>;

fn with_words(command: clap::Command, names: Words) -> clap::Command {
    command
        .mut_args(|arg| {
            let positional = arg.is_positional();
            match arg.get_id().as_str() {
                "name" | "names" | "sandbox" if positional => suggest(arg, names),
                "sandbox_name" => suggest(arg, sandbox_names),
                "source" | "destination" if positional => {
                    arg.add(ArgValueCompleter::new(places_to_copy))
                }
                "condition" => suggest(arg, conditions),
                "preset" => suggest(arg, presets),
                _ => arg,
            }
        })
        .mut_subcommands(|verb| with_words(verb, names))
}

fn suggest(arg: clap::Arg, words: Words) -> clap::Arg {
    arg.add(ArgValueCandidates::new(words))
}

fn conditions() -> Vec<CompletionCandidate> {
    ["ready", "stopped", "port:"]
        .map(CompletionCandidate::new)
        .into()
}

fn presets() -> Vec<CompletionCandidate> {
    let names = Preset::ALL.iter().map(|preset| preset.name());
    names.map(CompletionCandidate::new).collect()
}

/// Files of this machine, and sandboxes with the colon that their paths follow.
fn places_to_copy(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut words = PathCompleter::any().complete(typed);
    let typed = typed.to_string_lossy();
    // Only names are known of what is in sandboxes.
    if !typed.contains([':', '/', '.']) {
        let names = answered(async |engine| sandbox::list(&engine).await);
        let places = names
            .into_iter()
            .flatten()
            .map(|(container, _)| format!("{}:", container.name))
            .filter(|place| place.starts_with(&*typed));
        words.extend(places.map(CompletionCandidate::new));
    }
    words
}

fn sandbox_names() -> Vec<CompletionCandidate> {
    let list = answered(async |engine| sandbox::list(&engine).await);
    let names = list.into_iter().flatten();
    names
        .map(|(container, _)| CompletionCandidate::new(container.name))
        .collect()
}

fn volume_names() -> Vec<CompletionCandidate> {
    let list = answered(async |engine| Ok(engine.list_volumes(key::ID).await?));
    let volumes = list.into_iter().flatten();
    volumes
        .map(|volume| CompletionCandidate::new(volume.name))
        .collect()
}

/// What the engine says to a question, if it does so in time.
fn answered<T>(question: impl AsyncFnOnce(Engine) -> Result<T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let asked = async { question(Engine::connect().await?).await };
    let answer = runtime.block_on(async { tokio::time::timeout(ENGINE_TIMEOUT, asked).await });
    answer.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn suggesting_words_leaves_the_commands_as_they_are() {
        // Whoever moves an argument changes what is typed in which order.
        command().debug_assert();
    }

    #[test]
    fn words_that_no_engine_is_asked_for_are_offered() {
        for (line, expected) in [
            (
                "amika sandbox wait teal-tokyo --for ",
                &["ready", "stopped", "port:"][..],
            ),
            ("amika sandbox wait teal-tokyo --for s", &["stopped"]),
            ("amika sandbox create --preset ", &["coder", "coder-dind"]),
            ("amika image build coder-", &["coder-dind"]),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let last = words.len() - 1;
            let offered =
                clap_complete::engine::complete(&mut command(), words, last, None).unwrap();
            let offered: Vec<&str> = offered
                .iter()
                .map(|word| word.get_value().to_str().unwrap())
                .collect();
            for word in expected {
                assert!(offered.contains(word), "{line}: {offered:?}");
            }
            let flags = offered.iter().filter(|word| word.starts_with('-')).count();
            assert_eq!(offered.len() - flags, expected.len(), "{line}: {offered:?}");
        }
    }
}

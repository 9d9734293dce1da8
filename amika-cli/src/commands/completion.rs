//! `amika completion`: the script for a shell, and the answers to what the script asks.
//!
//! The script asks `amika` itself at each Tab, so it never is older than the program, and names of
//! sandboxes and volumes come from the engine.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use amika_core::capability::Capability;
use amika_core::label::{Kind, key};
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
use crate::error::{self, Error, Result};
use crate::output::Printer;
use crate::preset::Preset;
use crate::sandbox;
use crate::sandboxes::Sandboxes;
use crate::sandboxes::User;
use amika_host::machine::Machine;
use std::sync::Arc;

/// Holds the shell's name while the script asks for words.
const VARIABLE: &str = "AMIKA_COMPLETE";
/// As a file of zsh's `fpath` the script is the function `_amika`, which zsh runs at the first Tab: that one
/// too wants words, and not their function alone.
const FIRST_TAB: &str =
    "\nif [[ $funcstack[1] == _amika ]]; then\n    _clap_dynamic_completer_amika \"$@\"\nfi\n";
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
        Error::new(error::Kind::Failure, "the script cannot be made").caused_by(error)
    };
    let mut script = Vec::new();
    if let Some(completer) = Shells::builtins().completer(shell) {
        completer
            .write_registration(VARIABLE, "amika", "amika", "amika", &mut script)
            .map_err(|error| failed(&error))?;
    }
    let mut script = String::from_utf8(script).map_err(|error| failed(&error))?;
    if shell == "zsh" {
        script.push_str(FIRST_TAB);
    }
    let view = CompletionView { shell, script };
    app.out.result(&view, |out| {
        let mut lines = view.script.lines();
        lines.try_for_each(|line| writeln!(out, "{line}"))
    })
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
        let name = noun.get_name().to_owned();
        with_words(noun, &name)
    })
}

/// What a command's names are names of.
fn names(noun: &str, verb: &str) -> Words {
    match (noun, verb) {
        ("volume", _) => volume_names,
        ("rm", _) | ("sandbox", "delete") => sandbox_names_and_lost,
        _ => sandbox_names,
    }
}

/// A function that finds words.
type Words = fn() -> Vec<CompletionCandidate>;

fn with_words(command: clap::Command, noun: &str) -> clap::Command {
    let verb = command.get_name().to_owned();
    command
        .mut_args(|arg| {
            let positional = arg.is_positional();
            match arg.get_id().as_str() {
                "name" | "names" | "sandbox" if positional => suggest(arg, names(noun, &verb)),
                "sandbox_name" if verb == "prune" => suggest(arg, names_of_gone),
                "sandbox_name" => suggest(arg, sandbox_names),
                "git" => arg.add(ArgValueCompleter::new(PathCompleter::dir())),
                "mount" => arg.add(ArgValueCompleter::new(PathCompleter::any())),
                "source" | "destination" if positional => {
                    arg.add(ArgValueCompleter::new(places_to_copy))
                }
                "condition" => suggest(arg, conditions),
                "preset" => suggest(arg, presets),
                "cap_add" => suggest(arg, capabilities),
                "network" => suggest(arg, networks),
                _ => arg,
            }
        })
        .mut_subcommands(|verb| with_words(verb, noun))
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

fn capabilities() -> Vec<CompletionCandidate> {
    Capability::names().map(CompletionCandidate::new).collect()
}

/// Amika's own words for networks, and the engine's networks.
fn networks() -> Vec<CompletionCandidate> {
    let names = answered(async |engine| Ok(engine.network_names().await?));
    let words = ["internal".to_owned()];
    words
        .into_iter()
        .chain(names.unwrap_or_default())
        .map(CompletionCandidate::new)
        .collect()
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

/// Also those of which volumes are all there is: `delete` takes them.
fn sandbox_names_and_lost() -> Vec<CompletionCandidate> {
    let lost = answered(async |engine| crate::lost::list(&engine).await);
    let lost = lost.into_iter().flatten();
    let lost: BTreeSet<String> = lost.map(|lost| lost.name).collect();
    let mut names = sandbox_names();
    names.extend(lost.into_iter().map(CompletionCandidate::new));
    names
}

/// Names of sandboxes that are gone, and of which git volumes are left.
fn names_of_gone() -> Vec<CompletionCandidate> {
    let found = answered(async |engine| {
        let volumes = engine
            .list_volumes(&format!("{}={}", key::KIND, Kind::Git))
            .await?;
        Ok((volumes, sandbox::list(&engine).await?))
    });
    let Some((volumes, sandboxes)) = found else {
        return Vec::new();
    };
    let ids: BTreeSet<&String> = sandboxes
        .iter()
        .filter_map(|(container, _)| container.labels.get(key::ID))
        .collect();
    let gone: BTreeSet<&String> = volumes
        .iter()
        .filter(|volume| {
            volume
                .labels
                .get(key::ID)
                .is_none_or(|id| !ids.contains(id))
        })
        .filter_map(|volume| volume.labels.get(key::SANDBOX))
        .collect();
    gone.into_iter().map(CompletionCandidate::new).collect()
}

fn volume_names() -> Vec<CompletionCandidate> {
    let list = answered(async |engine| Ok(engine.list_volumes(key::ID).await?));
    let volumes = list.into_iter().flatten();
    volumes
        .map(|volume| CompletionCandidate::new(volume.name))
        .collect()
}

/// What the engine says to a question, if it does so in time.
fn answered<T>(question: impl AsyncFnOnce(Sandboxes) -> Result<T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let machine = Machine::of_process();
    let user = Arc::new(User::new(machine, Arc::new(Printer::new(false, true))));
    let asked = async { question(crate::engine::connect(&user).await?).await };
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
            ("amika sandbox create --cap-add NET_R", &["NET_RAW"]),
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

//! What may be typed: clap structures only, one file for each noun. Doc comments are the help text.

pub mod agent;
pub mod auth;
pub mod completion;
pub mod config;
pub mod credentials;
pub mod events;
pub mod filter;
pub mod forward;
pub mod image;
pub mod init;
pub mod moment;
pub mod place;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod service;
pub mod system;
pub mod volume;

use std::ffi::OsString;

use clap::{Parser, Subcommand, ValueEnum};

use place::{Placed, Verbs};

/// Heading of the options that every command has, apart from a command's own.
const EVERYWHERE: &str = "Global options";

/// Sandboxes for coding agents on a Docker engine.
///
/// Each sandbox is a container with your repository in it, set up as the repository says, the
/// agents signed in, and ports reachable. Of the host it changes what you hand it: directories
/// mounted `rw`, and the sign-ins and commits that you `pull`.
#[derive(Debug, Parser)]
#[command(
    name = "amika",
    version,
    propagate_version = true,
    after_help = "Examples:\n  amika sandbox create --git                  a sandbox with this repository\n  amika sandbox connect teal-tokyo            a shell in it\n  amika sandbox exec teal-tokyo -- cargo test\n  amika sandbox delete teal-tokyo\n  amika doctor                                what is missing on this machine"
)]
pub struct Cli {
    /// How results are printed on standard output.
    #[arg(
        short = 'o',
        long = "output",
        global = true,
        value_enum,
        default_value_t = Format::Text,
        help_heading = EVERYWHERE
    )]
    pub output: Format,
    /// Say less: no progress, no hints; warnings and errors stay.
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub quiet: bool,
    /// Say what is asked of the engine (on standard error).
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub debug: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Formats of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document, on failure too.
    Json,
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make, use and remove sandboxes.
    #[command(alias = "sb")]
    Sandbox(Verbs<sandbox::Command>),
    /// List the services that sandboxes publish.
    Service(Verbs<service::Command>),
    /// Write a repository's `.amika/config.toml`, after a look at its files.
    Init(init::InitArgs),
    /// Check a repository's `.amika/config.toml`; show and change your own settings.
    #[command(subcommand)]
    Config(config::Command),
    /// Build, list and remove the images that sandboxes are made from.
    #[command(subcommand)]
    Image(image::Command),
    /// See, renew and take back the agents' sign-ins that sandboxes have copies of.
    #[command(subcommand)]
    Credentials(credentials::Command),
    /// List and remove the volumes that hold repositories and homes.
    Volume(Verbs<volume::Command>),
    /// Bring ports of a sandbox to this machine: short for `amika sandbox forward`.
    Forward(Placed<forward::ForwardArgs>),
    /// Show what happens to sandboxes, as it happens.
    Events(Placed<events::EventsArgs>),
    /// Sign in to a server (`amika server`), for `--remote`.
    #[command(subcommand)]
    Auth(auth::Command),
    /// Keep secrets on the server, for its sandboxes.
    Secret(Verbs<secret::Command>),
    /// Serve sandboxes, saved settings and secrets over HTTP, to several people.
    Server(Box<server::ServerArgs>),
    /// Show what Amika takes on the engine.
    #[command(subcommand)]
    System(system::Command),
    /// List sandboxes: short for `amika sandbox list`.
    #[command(visible_alias = "ps")]
    Ls(Placed<sandbox::ListArgs>),
    /// Delete sandboxes: short for `amika sandbox delete`.
    Rm(Placed<sandbox::DeleteArgs>),
    /// Check the engine, images, disk and leftovers, and say what to do.
    Doctor(DoctorArgs),
    /// Print a script that completes words as you type.
    Completion(completion::CompletionArgs),
    /// Write what is made from the program's own definitions.
    #[command(subcommand, hide = true)]
    Generate(completion::GenerateCommand),
}

/// `amika doctor`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika doctor\n  amika doctor --fix\n  amika -o json doctor | jq '.checks[] | select(.result != \"ok\")'"
)]
pub struct DoctorArgs {
    /// Remove what interrupted commands left behind.
    ///
    /// Containers that were never finished and home, state and copy volumes without their container
    /// go, unless there is work in them. A git volume that holds anything stays.
    #[arg(long)]
    pub fix: bool,
    /// With `--fix`, remove also what others left.
    ///
    /// A create of another user, host or container cannot be seen from here, so what it left is kept. With this, what
    /// was made 24 hours ago and more and never started goes, too.
    #[arg(long, requires = "fix")]
    pub others: bool,
}

/// Whether JSON was asked for, told from arguments that cannot be parsed as a whole.
pub fn asks_for_json(args: impl IntoIterator<Item = OsString>) -> bool {
    let mut before_is_output = false;
    for arg in args {
        // What follows is a program's.
        if arg == "--" {
            return false;
        }
        if before_is_output && arg == "json" {
            return true;
        }
        let text = arg.to_string_lossy();
        let short = text
            .strip_prefix('-')
            .filter(|rest| !rest.starts_with('-'))
            .map(|rest| rest.trim_start_matches('q'));
        let value = text
            .strip_prefix("--output=")
            .or_else(|| Some(short?.strip_prefix('o')?.trim_start_matches('=')));
        if value == Some("json") {
            return true;
        }
        before_is_output = text == "--output" || short == Some("o");
    }
    false
}

/// Whether hints are unwanted, told from arguments that cannot be parsed as a whole.
pub fn asks_for_quiet(args: impl IntoIterator<Item = OsString>) -> bool {
    args.into_iter()
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--quiet" || arg.to_string_lossy().starts_with("-q"))
}

/// The words that may name a command, told from arguments that cannot be parsed as a whole.
pub fn words(args: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let mut words = Vec::new();
    let mut before_is_output = false;
    for arg in args {
        let text = arg.to_string_lossy().into_owned();
        let is_value = std::mem::replace(&mut before_is_output, text == "-o" || text == "--output");
        if !text.starts_with('-') && !is_value {
            words.push(text);
        }
    }
    words
}

/// Whether the command is one whose exit code is a program's, told from arguments that cannot be
/// parsed as a whole.
pub fn ends_with_a_programs_code(args: impl IntoIterator<Item = OsString>) -> bool {
    let words = words(args);
    match words.iter().map(String::as_str).take(2).collect::<Vec<_>>()[..] {
        ["sandbox" | "sb", verb] => matches!(verb, "exec" | "connect" | "prompt"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_wherever_it_is_asked_for() {
        let cases = [
            ("-o json sandbox lost", true),
            ("sandbox list --bad -o json", true),
            ("-ojson x", true),
            ("-o=json x", true),
            ("--output=json x", true),
            ("--output json x", true),
            ("-qojson x", true),
            ("-qo json x", true),
            ("x -o text", false),
            ("x json -o", false),
            ("sandbox exec --bad x -- kubectl get -o json", false),
            ("x --no json", false),
        ];
        for (line, expected) in cases {
            let args = line.split(' ').map(OsString::from);
            assert_eq!(asks_for_json(args), expected, "{line}");
        }
    }

    #[test]
    fn quiet_is_told_from_its_flags_alone() {
        for (line, expected) in [
            ("-q sandbox lost", true),
            ("sandbox lost --quiet", true),
            ("-qo json x", true),
            ("-o json x", false),
            ("sandbox exec --bad x -- grep -q y", false),
        ] {
            let args = line.split(' ').map(OsString::from);
            assert_eq!(asks_for_quiet(args), expected, "{line}");
        }
    }

    #[test]
    fn commands_that_pass_a_programs_code_on_are_known_by_their_words() {
        for (line, expected) in [
            ("sandbox exec --bad x", true),
            ("-o json sb --quiet connect", true),
            ("sandbox prompt", true),
            ("sandbox list exec", false),
            ("-o sandbox exec x", false),
            ("sandbox", false),
        ] {
            let args = line.split(' ').map(OsString::from);
            assert_eq!(ends_with_a_programs_code(args), expected, "{line}");
        }
    }

    #[test]
    fn every_commands_help_has_examples() {
        use clap::CommandFactory as _;
        fn look(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
            if !command.has_subcommands() {
                let help = command.get_after_help().map(ToString::to_string);
                let help = help.unwrap_or_default();
                assert!(help.contains("Example"), "{path}: {help:?}");
                assert!(help.contains(&path[1..]), "{path}: {help:?}");
            }
            verbs.for_each(|verb| look(verb, &path));
        }
        look(&Cli::command(), "");
    }

    #[test]
    fn the_definitions_hold_together() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}

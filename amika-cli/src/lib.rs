//! `amika`: makes and keeps sandboxes for coding agents on a Docker engine.
//!
//! Data walks one way: `args` (what was typed) → `commands` (one file a verb) → `create`, `ready`,
//! `delete` (what is done) → `engine` and `daemon` (who is asked) → `output` (what is shown).

#![allow(
    unreachable_pub,
    reason = "the program's modules are private as a whole; `pub` marks what one offers the others"
)]
#![allow(
    clippy::large_futures,
    reason = "a command's future is made once a run: its size costs nothing worth a box"
)]

mod amikad;
mod args;
mod bridge;
mod browser;
mod certificates;
mod commands;
mod cp;
mod create;
mod creator;
mod daemon;
mod delete;
mod engine;
mod error;
pub mod git;
mod host;
mod inject;
mod interrupt;
mod leftovers;
mod lock;
mod lost;
mod output;
mod ports;
mod preset;
mod proxy;
mod pull;
mod ready;
mod reassign;
mod registry;
mod sandbox;
mod scratch;
mod sign_ins;
mod terminal;
mod view;

use std::process::ExitCode;

use clap::Parser as _;

use crate::error::CommandError;
use crate::interrupt::Interrupt;
use crate::output::Printer;

/// Environment variable that marks all that is made with the label `dev.amika.test`.
const TEST_RUN: &str = "AMIKA_TEST_RUN";

/// What every command is given.
struct App {
    out: Printer,
    interrupt: Interrupt,
}

/// Runs the program.
pub fn run() -> ExitCode {
    if commands::complete_a_word() {
        return ExitCode::SUCCESS;
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    let out = Printer::new(cli.output == args::Format::Json, cli.quiet);
    if cli.debug {
        start_tracing();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error =
                CommandError::new(error::ExitCode::Failure, "the runtime cannot be started")
                    .caused_by(&error);
            return finish(&out, Err(error));
        }
    };
    let result = runtime.block_on(async {
        let interrupt = Interrupt::install().map_err(|error| {
            CommandError::new(error::ExitCode::Failure, "signals cannot be caught")
                .caused_by(&error)
        })?;
        commands::run(
            cli.command,
            App {
                out: out.clone(),
                interrupt,
            },
        )
        .await
    });
    // A thread that waits for standard input may never return.
    runtime.shutdown_background();
    finish(&out, result)
}

fn finish(out: &Printer, result: error::Result<u8>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            out.error(&error);
            ExitCode::from(error.code as u8)
        }
    }
}

/// Help and version are no errors; the rest is, also in JSON.
fn not_parsed(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe has nobody left to read it.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // There every other code is a program's.
    let code = if args::ends_with_a_programs_code(std::env::args_os().skip(1)) {
        error::ExitCode::Remote
    } else {
        error::ExitCode::Usage
    } as u8;
    if args::asks_for_json(std::env::args_os().skip(1)) {
        let command_error = usage_error(error).detail("exit_code", code);
        Printer::new(true, true).error(&command_error);
    } else {
        let _ = error.print();
    }
    ExitCode::from(code)
}

/// What clap says as one message and its hints, without the layout that is made for a terminal.
fn usage_error(error: &clap::Error) -> CommandError {
    use clap::error::ErrorKind;
    let no_command = matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    );
    if no_command {
        return CommandError::new(error::ExitCode::Usage, "no command was given")
            .hint("`amika --help` lists them");
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (message, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let usage_error = CommandError::new(error::ExitCode::Usage, message);
    rest.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .fold(usage_error, |error, line| {
            error.hint(line.strip_prefix("tip: ").unwrap_or(line))
        })
}

fn start_tracing() {
    use tracing_subscriber::filter::LevelFilter;
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_writer(std::io::stderr)
        .with_target(true)
        .init();
}

/// Name of the test run that this process belongs to.
fn test_run() -> Option<String> {
    std::env::var(TEST_RUN).ok().filter(|name| !name.is_empty())
}

/// Label of the test run that this process belongs to.
fn test_run_label() -> Option<(String, String)> {
    test_run().map(|name| (amika_core::label::key::TEST.to_owned(), name))
}

/// Whether what bears these labels is this process's to tidy away: a test run tidies up after itself
/// alone, so that runs go on side by side.
fn may_tidy(labels: &std::collections::BTreeMap<String, String>) -> bool {
    test_run().is_none_or(|run| labels.get(amika_core::label::key::TEST) == Some(&run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clap_says_becomes_a_message_and_hints() {
        let of = |words: &[&str]| {
            let words = std::iter::once(&"amika").chain(words);
            usage_error(&args::Cli::try_parse_from(words).unwrap_err())
        };
        let typo = of(&["sandbox", "create", "--replac"]);
        assert_eq!(typo.message, "unexpected argument '--replac' found");
        assert_eq!(typo.hints[0], "a similar argument exists: '--replace'");
        assert!(typo.hints.last().unwrap().starts_with("Usage: amika"));
        let both = of(&["sandbox", "create", "--no-wait", "--connect"]);
        assert!(both.message.contains("cannot be used with"));
        for none in [&[][..], &["sandbox"]] {
            assert_eq!(of(none).message, "no command was given");
        }
        // All arguments that are missing, in one line.
        let missing = of(&["sandbox", "exec"]);
        assert!(missing.message.contains("<NAME>") && !missing.message.contains('\n'));
    }
}

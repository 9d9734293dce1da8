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
mod commits;
mod cp;
mod create;
mod creator;
mod daemon;
mod delete;
mod deliver;
mod engine;
mod environment;
mod error;
mod forward;
mod git_error;
mod host;
mod host_path;
mod image_labels;
mod inject;
mod interrupt;
mod leftovers;
mod listening;
mod lock;
mod lost;
mod networks;
mod output;
mod overlay;
mod ports;
mod preset;
mod proxy;
mod pull;
mod ready;
mod reassign;
mod registry;
mod sandbox;
mod seccomp;
mod setid;
mod sign_ins;
mod terminal;
mod trust;
mod unreported;
mod unsaved;
mod usage;
mod user_config;
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
        Err(error) => return usage::not_parsed(error),
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
        let overdue = {
            let out = out.clone();
            move || end_at_once(&out)
        };
        let interrupt = Interrupt::install(overdue).map_err(|error| {
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
    amika_git::end_all();
    amika_host::scratch::end();
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

/// Ends a command that was told to end and does not: what it waits for does not answer.
fn end_at_once(out: &Printer) {
    let error = CommandError::new(
        error::ExitCode::Interrupted,
        "ended by SIGTERM before all was tidied up: something that it waits for does not answer",
    )
    .hint("`amika doctor --fix` removes what is left");
    out.error(&error);
    std::process::exit(i32::from(error.code as u8));
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

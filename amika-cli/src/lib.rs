//! `amika`: makes and keeps sandboxes for coding agents on a Docker engine.
//!
//! Data walks one way: `args` (what was typed) → `commands` (one file a verb) → `create`, `ready`,
//! `delete` (what is done) → `engine` and `daemon` (who is asked) → `output` (what is shown).

#![allow(
    unreachable_pub,
    reason = "the program's modules are private as a whole; `pub` marks what one offers the others"
)]
#![warn(clippy::print_stdout, clippy::print_stderr)]
#![allow(
    clippy::large_futures,
    reason = "a command's future is made once a run: its size costs nothing worth a box"
)]

mod args;
mod browser;
mod commands;
mod engine;
mod environment;
mod interrupt;
mod output;
mod terminal;
mod usage;

use amika_sandbox::{
    belongings, broken_off, commits, cp, create, credentials, daemon, delete, diff, disk, doctor,
    error, events, exec_as, fan_out, forward, git_helper, host_file, host_path, images, inspect,
    list, listening, logs, lost, networks, overlay, own_services, ports, preset, ready, reassign,
    rescue, sandbox, sandboxes, sign_ins, standing, start, stats, trust, user_config, view,
    volumes, wait,
};
use std::process::ExitCode;
use std::sync::Arc;

use amika_host::machine::Machine;
use clap::Parser as _;

use crate::error::Error;
use crate::interrupt::{Hangup, Interrupt};
use crate::output::Printer;
use crate::sandboxes::User;

/// What every command is given.
struct App {
    out: Printer,
    interrupt: Interrupt,
    machine: Machine,
    user: Arc<User>,
}

/// The command line as it is parsed; tests hold the documentation against it.
pub fn command() -> clap::Command {
    <args::Cli as clap::CommandFactory>::command()
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
    let serves = matches!(&cli.command, args::Command::Server(args) if args.command.is_none());
    if serves && !cli.debug {
        start_log();
    }
    // Requests are answered beside each other; every other command waits for others nearly all of its time.
    let mut runtime = if serves {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error =
                Error::new(error::Kind::Failure, "the runtime cannot be started").caused_by(&error);
            return finish(&out, Err(error));
        }
    };
    let machine = Machine::of_process();
    let scratches = machine.scratches().clone();
    let result = runtime.block_on(async {
        let overdue = {
            let out = out.clone();
            move || end_at_once(&out)
        };
        let hangup = if serves {
            Hangup::IsAnothers
        } else {
            Hangup::Ends
        };
        let interrupt = Interrupt::install(hangup, overdue).map_err(|error| {
            Error::new(error::Kind::Failure, "signals cannot be caught").caused_by(&error)
        })?;
        let user = User::new(machine.clone(), Arc::new(out.clone()));
        commands::run(
            cli.command,
            App {
                out: out.clone(),
                interrupt,
                machine,
                user: Arc::new(user),
            },
        )
        .await
    });
    // A thread that waits for standard input may never return.
    runtime.shutdown_background();
    amika_git::end_all();
    scratches.end();
    finish(&out, result)
}

fn finish(out: &Printer, result: error::Result<u8>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            out.error(&error);
            ExitCode::from(output::exit_code(error.kind))
        }
    }
}

/// Ends a command that was told to end and does not: what it waits for does not answer.
fn end_at_once(out: &Printer) {
    let error = Error::new(
        error::Kind::Canceled,
        "ended by SIGTERM before all was tidied up: something that it waits for does not answer",
    )
    .hint("`amika doctor --fix` removes what is left");
    out.error(&error);
    std::process::exit(i32::from(output::exit_code(error.kind)));
}

/// The server's log, on standard error.
fn start_log() {
    use tracing_subscriber::filter::LevelFilter;
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(|| output::Traces)
        .with_ansi(false)
        .init();
}

fn start_tracing() {
    use tracing_subscriber::filter::LevelFilter;
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_writer(|| output::Traces)
        .with_target(true)
        .init();
}

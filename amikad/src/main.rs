//! amikad: PID 1 of an Amika sandbox.
//!
//! Follow a boot: `boot` prepares the container, `supervisor` turns what happens into events for
//! `lifecycle`, which decides, and carries out what it says; `http` shows all of it to the host.
#![cfg_attr(not(any(test, fuzzing)), no_main)]

mod activity;
mod args;
mod beginning;
mod boot;
mod cgroup;
mod dotfiles;
mod environment;
mod exec_as;
mod exec_note;
mod file_rights;
mod files;
mod given;
mod handover;
mod head;
mod http;
mod jobs;
mod lifecycle;
mod limits;
mod listening;
mod logs;
mod look;
mod mapping;
mod mounts;
mod ordered;
mod out_of_memory;
mod places;
mod ports;
mod probe;
mod process_tree;
#[cfg(any(test, fuzzing))]
pub mod promises;
mod publish;
mod pump;
mod reach;
mod record;
mod relay;
mod say;
mod secrets;
mod service;
mod setup;
mod spawn;
mod status;
mod supervisor;
mod sys;
mod task;
mod terminal;
mod times;
mod unpack;
mod users;
mod walk;

use std::io::Write;

use args::Command;

/// Does what the arguments ask for; returns the exit code.
fn run() -> i32 {
    // First of all: what comes to a PID 1 that neither blocks nor handles it is dropped by the kernel.
    let is_init = nix::unistd::getpid().as_raw() == 1;
    let mask = is_init.then(sys::block_all_signals);
    sys::fill_standard_descriptors();
    say::listen();
    let command = args::parse(std::env::args_os().skip(1));
    if !matches!(command, Ok(Command::Run { .. }))
        && let Some(mask) = &mask
    {
        sys::take_signals(mask);
    }
    let code = match command {
        Ok(Command::Run { place, cmd }) => supervisor::run(&place, cmd, mask),
        Ok(Command::Health { ready }) => probe::health(ready),
        Ok(Command::Listening { port, udp }) => listening::listening(port, udp),
        Ok(Command::Unpack(what)) => unpack::unpack(&what),
        Ok(Command::Times(directory)) => times::times(&directory),
        Ok(Command::Dotfiles(wanted)) => dotfiles::then_setup(&wanted),
        Ok(Command::Install) => dotfiles::install(),
        Ok(Command::Reach(wanted)) => reach::reach(&wanted),
        Ok(Command::Relay) => relay::relay(),
        Ok(Command::ExecAs(exec)) => exec_as::exec_as(&exec),
        Ok(Command::Kill { id, signo }) => exec_as::kill(&id, signo),
        Ok(Command::Version) => print(concat!("amikad ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Help) => print(args::HELP),
        Err(problem) => {
            say::say(format!("{problem}; see `amikad --help`"));
            2
        }
    };
    say::finish();
    code
}

/// Prints `text`; a reader that left early is no failure.
fn print(text: &str) -> i32 {
    let mut stdout = std::io::stdout();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => 1,
        _ => 0,
    }
}

#[cfg(test)]
fn main() {
    std::process::exit(run());
}

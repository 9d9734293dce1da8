//! `amika forward`.

use std::str::FromStr as _;

use amika_core::port::Forward;
use clap::builder::NonEmptyStringValueParser;

/// `amika forward`, `amika sandbox forward`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "amika forward [OPTIONS] <NAME> <[LOCAL:]PORT[/udp]>...\n       amika forward [OPTIONS] <NAME> --all",
    after_help = "Examples:\n  amika forward teal-tokyo 3000               http://localhost:3000 is the sandbox's port 3000\n  amika forward teal-tokyo 8080:80 5353:53/udp\n  amika forward teal-tokyo --all              whatever begins to listen, until it ceases\n\nAny port inside is reached, published or not, also one that only the sandbox's own loopback has, on networks\n`none` and `internal` too, and wherever the engine is. It goes through the sandbox's amikad, survives a stop and\nstart of the sandbox, and ends when the sandbox is deleted, or with Ctrl-C.\n\nExit codes: 0 the sandbox was deleted, 2 bad or reserved port, 3 no such sandbox, 4 it does not run, or a port of\nthis machine is taken, 130 interrupted.\n\n`amika sandbox forward` is the same."
)]
pub struct ForwardArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Ports of the sandbox, each with the port of this machine before it where that is another one.
    #[arg(
        value_name = "[LOCAL:]PORT[/udp]",
        value_parser = Forward::from_str,
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub ports: Vec<Forward>,
    /// All that listens in the sandbox, as it begins and ceases, each by its own number.
    #[arg(short, long)]
    pub all: bool,
    /// Where a port of this machine is taken, take the next one that is free.
    #[arg(long)]
    pub any: bool,
}

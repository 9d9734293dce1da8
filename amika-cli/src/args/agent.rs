//! `amika sandbox prompt` and `amika sandbox open`: talking to the agent in a sandbox.
#![allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag that is there or not: what a command line is"
)]

use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;

/// `amika sandbox prompt`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox prompt teal-tokyo \"run the tests and mend what fails\"\n  amika sandbox prompt teal-tokyo --agent codex - < task.md\n  amika sandbox prompt teal-tokyo \"explain it\" --ask\n  amika sandbox prompt teal-tokyo --continue \"and now the documentation\"\n  amika sandbox prompt teal-tokyo -d \"mend the build\"          prints the id of a job\n  amika sandbox prompt teal-tokyo --events \"mend it\" | jq -c .type\n\nThe sandbox is the boundary: in it the agent may do anything, unless --ask is given.\nThe exit code is the agent's, but 1 when it was refused something; 125 when amika failed itself, 127 when the agent is not installed."
)]
pub struct PromptArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// What the agent is to do; `-` reads it from standard input.
    #[arg(allow_hyphen_values = true)]
    pub prompt: String,
    /// The agent [default: the first one whose sign-in was copied in, else claude].
    #[arg(long, value_enum)]
    pub agent: Option<Agent>,
    /// Let the agent do only what its own settings allow unasked; what it would ask for is refused.
    #[arg(long)]
    pub ask: bool,
    /// Go on with the agent's last session in its directory.
    #[arg(long = "continue")]
    pub goes_on: bool,
    /// Print what the agent does as JSON lines, in the agent's own words, in place of its answer.
    #[arg(long)]
    pub events: bool,
    /// Have the agent work as a job: print its id, and do not wait for it (`amika sandbox logs NAME --job ID`,
    /// `amika sandbox wait NAME --for job:ID`). It works on until the sandbox stops, and counts as work of it.
    #[arg(short, long)]
    pub detach: bool,
    /// Further arguments of the agent; what they say of permissions holds.
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Agents that take a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Agent {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// OpenCode.
    #[value(name = "opencode")]
    OpenCode,
}

/// `amika sandbox open`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The address works once and only in the browser that used it first; the password stays in amika.\nThe browser is led there by a page that only you can read, since command lines are everybody's to read: it is\nremoved after its use, or 10 s. A browser that may not read it, as one from a snap, takes the printed address.\nIt ends with Ctrl-C, or with the sandbox.\n\nExamples:\n  amika sandbox open teal-tokyo\n  amika sandbox open teal-tokyo --print-url"
)]
pub struct OpenArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Print the address and open no browser.
    #[arg(long)]
    pub print_url: bool,
}

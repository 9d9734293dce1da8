//! What may be typed for the verbs that are about what goes on inside: logs, exec, jobs, connect.

use std::str::FromStr;

use clap::builder::NonEmptyStringValueParser;

use crate::args::moment::Moment;

/// `amika sandbox logs`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox logs -f teal-tokyo\n  amika sandbox logs teal-tokyo --setup --tail 50\n  amika sandbox logs -f teal-tokyo --job 9f86d081884c7d65"
)]
pub struct LogsArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Output of the setup script, also of a stopped sandbox.
    #[arg(long, group = "which")]
    pub setup: bool,
    /// Output of the OpenCode web server.
    #[arg(long, group = "which")]
    pub opencode: bool,
    /// Output of the Docker Engine inside (preset `coder-dind`).
    #[arg(long, group = "which")]
    pub dockerd: bool,
    /// The daemon's own log.
    #[arg(long, group = "which")]
    pub amikad: bool,
    /// What a job wrote (`amika sandbox jobs`).
    #[arg(long, value_name = "ID", group = "which")]
    pub job: Option<String>,
    /// How it is shown.
    #[command(flatten)]
    pub show: ShowLog,
    /// Only what was written in the last while, such as `10m`, or since a time (RFC 3339, a date, Unix seconds);
    /// not for --setup, --opencode, --dockerd, --amikad, --job.
    #[arg(long, value_name = "TIME", value_parser = Moment::from_str, conflicts_with = "which")]
    pub since: Option<Moment>,
}

/// How a log is shown.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ShowLog {
    /// Go on as more is written.
    #[arg(short, long)]
    pub follow: bool,
    /// Pass the log on byte by byte to a terminal too, with whatever steers it.
    #[arg(long)]
    pub raw: bool,
    /// Only the last lines.
    #[arg(short = 'n', long, value_name = "LINES|all", value_parser = Tail::from_str)]
    pub tail: Option<Tail>,
}

impl ShowLog {
    /// How many lines are asked for; none are all.
    pub fn lines(&self) -> Option<usize> {
        self.tail.and_then(|Tail(lines)| lines)
    }
}

/// How many of the last lines; none are all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail(pub Option<usize>);

impl FromStr for Tail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(lines) => Ok(Self(Some(lines))),
            Err(_) if text == "all" => Ok(Self(None)),
            Err(_) => Err("use a number of lines, or all".into()),
        }
    }
}

/// `amika sandbox exec`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox exec teal-tokyo -- git status\n  tar c . | amika sandbox exec teal-tokyo -- tar x\n  amika sandbox exec -d teal-tokyo -- cargo test\n\nWith -d it prints the id of a job, for `amika sandbox logs NAME --job ID` and `amika sandbox wait NAME --for job:ID`.\n\nThe exit code is the program's; 125 when amika failed itself, 126 not executable, 127 not found."
)]
pub struct ExecArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// User to run as [default: the agent].
    #[arg(short, long)]
    pub user: Option<String>,
    /// Directory to start in [default: the agent's].
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Environment variable; without a value, the one of this shell. Repeatable.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<String>,
    /// Give the program a terminal.
    #[arg(short, long)]
    pub tty: bool,
    /// Pass standard input on, which is done in any case.
    #[arg(short, long)]
    pub interactive: bool,
    /// Start the program as a job, print its id, and do not wait for it. It reads nothing, and ends with the sandbox.
    #[arg(short, long, conflicts_with_all = ["tty", "interactive"])]
    pub detach: bool,
    /// Program and arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    pub command: Vec<String>,
}

/// `amika sandbox jobs`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox jobs teal-tokyo\n  amika sandbox jobs teal-tokyo --stop 9f86d081884c7d65\n  amika sandbox jobs teal-tokyo --stop 9f86d081884c7d65 --signal INT\n  amika -o json sandbox jobs teal-tokyo | jq -r '.[] | select(.state == \"running\").id'\n\nJobs are started by `amika sandbox exec -d` and `amika sandbox prompt -d`. They end with the sandbox, and the\nlast 32 that ended are kept until then."
)]
pub struct JobsArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// End this job, and wait until it ended: SIGTERM to all its processes, SIGKILL after a grace. Repeatable.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub stop: Vec<String>,
    /// Send this signal in place of SIGTERM, and wait for nothing.
    #[arg(long, value_name = "SIGNAL", requires = "stop", value_parser = NonEmptyStringValueParser::new())]
    pub signal: Option<String>,
}

/// `amika sandbox connect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox connect teal-tokyo\n  amika sandbox connect teal-tokyo --root\n  amika sandbox connect teal-tokyo --session work    stays when the connection is lost\n  amika sandbox connect teal-tokyo --rescue     its setup script fails: look inside\n\nThe exit code is the shell's; 125 when amika failed itself."
)]
pub struct ConnectArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Start a stopped sandbox without its setup script and without CMD, to mend it; it is stopped
    /// again when the shell ends.
    #[arg(long)]
    pub rescue: bool,
    /// As root.
    #[arg(long)]
    pub root: bool,
    /// A shell that stays when this terminal or the connection goes away, until it ends by itself or with the sandbox:
    /// the same name finds it again, with what it showed last.
    #[arg(long, value_name = "SESSION", value_parser = session, conflicts_with_all = ["rescue", "root"])]
    pub session: Option<String>,
}

fn session(text: &str) -> Result<String, &'static str> {
    if amika_core::wire::is_terminal_name(text) {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 64 of letters, digits, - and _")
    }
}

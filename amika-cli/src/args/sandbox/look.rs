//! What may be typed for the verbs that show: list, inspect, url, port.

use std::str::FromStr;

use amika_core::port::{ContainerPort, InvalidContainerPort};
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;

use crate::args::filter::Filter;

/// `amika sandbox list`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox list\n  amika sandbox list -l                       with changes, idle time, memory, image, size, volumes\n  amika sandbox list --filter state=running --filter repo=app\n  amika sandbox list -q                       the names alone, one a line\n  amika sandbox list --watch                  anew as something changes, until Ctrl-C\n  amika -o json sandbox list | jq -r '.[] | select(.state == \"running\").name'\n\n`amika ls` and `amika ps` are the same. BRANCH is where the repository is now, of one that is\nstopped the branch that it began with. CHANGES counts commits since the beginning, and has `*`\nwhere something is not committed; `?` was not told within a second. On a terminal too narrow for\nall of it, PORTS of what has a URL are the ports inside, and REPO and BRANCH are cut. With\n`-o json --watch` each change is a line."
)]
pub struct ListArgs {
    /// Show changes, idle time, memory, image, size and volumes too. The engine measures what sandboxes wrote: it takes
    /// longer.
    #[arg(short, long)]
    pub long: bool,
    /// All of them, which is what is listed in any case: also those that are stopped or lost.
    #[arg(short, long)]
    pub all: bool,
    /// Only those of which it is true; keys are `name`, `state`, `repo` and `branch`. Repeatable: of one key any value
    /// will do, different keys must all hold.
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = Filter::from_str)]
    pub filter: Vec<Filter>,
    /// Show them anew as something happens to them, until Ctrl-C.
    #[arg(short, long)]
    pub watch: bool,
}

/// `amika sandbox inspect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox inspect teal-tokyo\n  amika -o json sandbox inspect --show-secrets teal-tokyo | jq -r .opencode.password"
)]
pub struct InspectArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Show the password of OpenCode too.
    #[arg(long)]
    pub show_secrets: bool,
}

/// `amika sandbox url`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox url teal-tokyo                those of all services, one a line\n  curl \"$(amika sandbox url teal-tokyo web)\"\n\nOf OpenCode it is `amika sandbox url NAME opencode`; `amika sandbox open` signs a browser in.\n\nExit codes: 3 no such sandbox or service, or none with a URL, 4 the sandbox does not run."
)]
pub struct UrlArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Name of the service [default: all].
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub service: Option<String>,
}

/// `amika sandbox port`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox port teal-tokyo               3000/tcp -> 127.0.0.1:49153\n  amika sandbox port teal-tokyo 3000          127.0.0.1:49153\n  amika sandbox port teal-tokyo 53/udp\n\nThese are the published ports, as `docker port` prints them; `amika service list --all` has those\nthat programs listen on, and `amika forward` brings one here that is not published.\n\nExit codes: 3 no such sandbox, or the port is not published, 4 the sandbox does not run."
)]
pub struct PortArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Port in the sandbox [default: all].
    #[arg(value_name = "PORT[/udp]", value_parser = port)]
    pub port: Option<ContainerPort>,
}

/// An editor that can work in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Editor {
    /// Visual Studio Code.
    Code,
    /// Cursor.
    Cursor,
}

impl Editor {
    /// All there are, the one that is looked for first at the front.
    pub const ALL: [Self; 2] = [Self::Code, Self::Cursor];

    /// Its command.
    pub fn program(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Cursor => "cursor",
        }
    }
}

/// `amika sandbox code`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox code teal-tokyo\n  amika sandbox code teal-tokyo --editor cursor\n\nThe editor attaches to the container, in the sandbox's directory and as the agent. Its extension\nfor containers (Dev Containers) and docker's command are to be there. Where the editor is not on\nPATH, the command that opens the sandbox is printed.\n\nExit codes: 3 no such sandbox, 4 it does not run."
)]
pub struct CodeArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// The editor [default: the first of these that is there].
    #[arg(long)]
    pub editor: Option<Editor>,
}

/// A port as docker reads it: TCP goes without saying.
fn port(text: &str) -> Result<ContainerPort, InvalidContainerPort> {
    if text.contains('/') {
        text.parse()
    } else {
        format!("{text}/tcp").parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_read_as_docker_reads_it() {
        for (text, read) in [
            ("3000", "3000/tcp"),
            ("53/udp", "53/udp"),
            ("80/tcp", "80/tcp"),
        ] {
            assert_eq!(port(text).unwrap().to_string(), read);
        }
        for text in ["", "0", "70000", "80/sctp", "/tcp", "web"] {
            assert!(port(text).is_err(), "{text}");
        }
    }
}

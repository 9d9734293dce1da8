//! What amikad was asked to do: reads the argument list.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::climbs;
use crate::reach::Reach;

/// Text of `--help`.
pub(crate) const HELP: &str = "\
amikad: PID 1 of an Amika sandbox

Runs setup.sh, starts CMD if that succeeded, keeps the OpenCode web server up,
and answers the host on port 60999.

Usage:
  amikad [run] [--user USER] [--workdir DIR] [--] [CMD [ARG...]]
      The container's entrypoint. Without CMD, stays up until told to stop.
  amikad health [--ready]
      Exits 0 if the daemon answers (with --ready: if CMD runs), else 1.
  amikad listening PORT[/udp]
      Exits 0 if a program in the container listens there, else 1.
  amikad reach HOST PORT SECONDS [PATH]
      Exits 0 once HOST takes connections at PORT (with PATH: answers its GET), 1 if it does not within SECONDS.
  amikad relay
      Connects standard input and output with the daemon's API.
  amikad exec-as [--user USER] [--workdir DIR] [--id ID] [--env KEY=VALUE]... -- CMD [ARG...]
      Runs CMD as the agent user, or as USER (name, uid, or uid:gid).
  amikad shell [--user USER] [--workdir DIR] [--id ID] [--env KEY=VALUE]...
      Runs that user's login shell.
  amikad kill --id ID SIGNAL
      Signals what `exec-as --id ID` started; exits 3 if it is gone.
  amikad unpack PIPE BOOT_ID DIR
      Unpacks the tar archive that the host writes into PIPE; exits 3 if the host is another kernel.
  amikad dotfiles [--user USER] [SETUP]
      Has the agent install its dotfiles, and becomes the setup script; with --install, installs them.
  amikad times DIR
      Gives files beneath DIR the times that standard input tells: SECONDS PATH, each ended by a zero byte.
  amikad --version | --help
";

/// One invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Be the container's entrypoint.
    Run {
        /// User and directory of CMD.
        place: Place,
        /// CMD with its arguments; empty for none.
        cmd: Vec<OsString>,
    },
    /// Probe the daemon from inside.
    Health {
        /// Ask for readiness rather than liveness.
        ready: bool,
    },
    /// Tell whether somebody listens on a port.
    Listening {
        /// The port.
        port: u16,
        /// UDP rather than TCP.
        udp: bool,
    },
    /// Connect stdio with the API.
    Relay,
    /// Run a command as the agent.
    ExecAs(ExecAs),
    /// Signal what [`Command::ExecAs`] started.
    Kill {
        /// The id given then.
        id: String,
        /// Number of the signal.
        signo: i32,
    },
    /// Unpack an archive.
    Unpack(Unpack),
    /// Wait until a service beside the sandbox takes connections.
    Reach(Reach),
    /// Have dotfiles installed in front of setup.
    Dotfiles(InstallDotfiles),
    /// Install them, as whoever this is.
    Install,
    /// Give files beneath a directory their times.
    Times(PathBuf),
    /// Print the version.
    Version,
    /// Print [`HELP`].
    Help,
}

/// As whom and where to run something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// `--user`.
    pub(crate) user: Option<String>,
    /// `--workdir`.
    pub(crate) workdir: Option<OsString>,
}

/// Arguments of `exec-as` and `shell`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExecAs {
    /// User and directory.
    pub(crate) place: Place,
    /// `--id`, under which `kill` finds it.
    pub(crate) id: Option<String>,
    /// `--env`, in order.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// The command; none for the login shell.
    pub(crate) cmd: Option<Vec<OsString>>,
}

/// Arguments of `dotfiles`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InstallDotfiles {
    /// `--user`, whose they are.
    pub(crate) user: Option<String>,
    /// The setup script that follows; none where there is none.
    pub(crate) script: Option<OsString>,
}

/// Arguments of `unpack`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpack {
    /// The named pipe that the archive comes through.
    pub(crate) pipe: PathBuf,
    /// The boot id of the kernel that the writer runs on.
    pub(crate) boot_id: OsString,
    /// The directory that is filled.
    pub(crate) directory: PathBuf,
}

/// Reads the arguments after the program's name; the error is a sentence.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut args: Cursor = Cursor(args.into_iter().collect::<Vec<_>>().into_iter().peekable());
    let Some(verb) = args.0.next() else {
        return Ok(Command::Run {
            place: Place::default(),
            cmd: Vec::new(),
        });
    };
    match verb.to_str() {
        Some("run") => parse_run(args),
        Some("--version" | "-V") => Ok(Command::Version),
        Some("--help" | "-h" | "help") => Ok(Command::Help),
        Some("unpack") => parse_unpack(args),
        Some("dotfiles") => parse_dotfiles(args),
        Some("times") => {
            let directory = args.0.next().ok_or("`times` needs DIR")?;
            args.end().map(|()| Command::Times(directory.into()))
        }
        Some("reach") => parse_reach(args),
        Some("relay") => args.end().map(|()| Command::Relay),
        Some("listening") => parse_listening(args),
        Some("health") => {
            let ready = args.0.next_if(|arg| arg == "--ready").is_some();
            args.end().map(|()| Command::Health { ready })
        }
        Some("kill") => parse_kill(args),
        Some("exec-as") => {
            let mut exec = parse_exec_options(&mut args)?;
            let cmd = args.rest();
            if cmd.is_empty() {
                return Err("`exec-as` needs a command after `--`".to_owned());
            }
            exec.cmd = Some(cmd);
            Ok(Command::ExecAs(exec))
        }
        Some("shell") => {
            let exec = parse_exec_options(&mut args)?;
            args.end().map(|()| Command::ExecAs(exec))
        }
        // Options of `run`, or `--` right away.
        Some(option) if option.starts_with("--") => {
            let rest = args.0.collect::<Vec<_>>();
            let all = std::iter::once(verb).chain(rest).collect::<Vec<_>>();
            parse_run(Cursor(all.into_iter().peekable()))
        }
        _ => Err(format!("unknown command `{}`", verb.display())),
    }
}

/// The arguments not read yet.
struct Cursor(std::iter::Peekable<std::vec::IntoIter<OsString>>);

impl Cursor {
    /// The value of option `name`, if it stands next, as `--name VALUE` or `--name=VALUE`.
    fn option(&mut self, name: &str) -> Result<Option<OsString>, String> {
        let Some(arg) = self.0.peek() else {
            return Ok(None);
        };
        let joined = arg.as_bytes().strip_prefix(name.as_bytes());
        let joined = joined.and_then(|rest| rest.strip_prefix(b"="));
        if let Some(value) = joined {
            let value = OsStr::from_bytes(value).to_owned();
            self.0.next();
            return Ok(Some(value));
        }
        if arg != name {
            return Ok(None);
        }
        self.0.next();
        self.0
            .next()
            .map(Some)
            .ok_or_else(|| format!("`{name}` needs a value"))
    }

    /// `--user` and `--workdir`; whether one stood next.
    fn place(&mut self, place: &mut Place) -> Result<bool, String> {
        if let Some(user) = self.option("--user")? {
            place.user = Some(utf8("--user", user)?);
            return Ok(true);
        }
        if let Some(workdir) = self.option("--workdir")? {
            place.workdir = Some(workdir);
            return Ok(true);
        }
        Ok(false)
    }

    /// All that is left, without a leading `--`.
    fn rest(&mut self) -> Vec<OsString> {
        self.0.next_if(|arg| arg == "--");
        self.0.by_ref().collect()
    }

    /// Refuses anything that is left.
    fn end(mut self) -> Result<(), String> {
        match self.0.next() {
            None => Ok(()),
            Some(extra) => Err(format!("unexpected argument `{}`", extra.display())),
        }
    }

    /// Refuses an unknown option where a command may follow.
    fn no_option(&mut self) -> Result<(), String> {
        match self.0.peek() {
            Some(arg) if arg != "--" && arg.as_bytes().starts_with(b"-") => {
                Err(format!("unknown option `{}`", arg.display()))
            }
            _ => Ok(()),
        }
    }
}

fn parse_listening(mut args: Cursor) -> Result<Command, String> {
    let Some(text) = args.0.next() else {
        return Err("`listening` needs a port".to_owned());
    };
    args.end()?;
    let text = utf8("listening", text)?;
    let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    match (number.parse(), protocol) {
        (Ok(port @ 1..), "tcp" | "udp") => Ok(Command::Listening {
            port,
            udp: protocol == "udp",
        }),
        _ => Err(format!("`{text}` is no port")),
    }
}

fn parse_dotfiles(mut args: Cursor) -> Result<Command, String> {
    if args.0.next_if(|arg| arg == "--install").is_some() {
        return args.end().map(|()| Command::Install);
    }
    let user = args.option("--user")?;
    let user = user.map(|user| utf8("--user", user)).transpose()?;
    let script = args.0.next();
    args.end()
        .map(|()| Command::Dotfiles(InstallDotfiles { user, script }))
}

fn parse_reach(mut args: Cursor) -> Result<Command, String> {
    const NEEDS: &str = "`reach` needs HOST PORT SECONDS";
    let mut next = || {
        let word = args.0.next().ok_or(NEEDS)?;
        utf8("reach", word)
    };
    let (host, port, seconds) = (next()?, next()?, next()?);
    let path = args.0.next().map(|path| utf8("PATH", path)).transpose()?;
    let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    let within = seconds.parse().map(Duration::from_secs);
    let within = within.map_err(|_| format!("`{seconds}` is no number of seconds"))?;
    args.end().map(|()| {
        Command::Reach(Reach {
            host,
            port,
            path,
            within,
        })
    })
}

fn parse_unpack(mut args: Cursor) -> Result<Command, String> {
    let mut next = || args.0.next().ok_or("`unpack` needs PIPE BOOT_ID DIR");
    let unpack = Unpack {
        pipe: next()?.into(),
        boot_id: next()?,
        directory: next()?.into(),
    };
    args.end().map(|()| Command::Unpack(unpack))
}

fn parse_run(mut args: Cursor) -> Result<Command, String> {
    let mut place = Place::default();
    while args.place(&mut place)? {}
    args.no_option()?;
    if let Some(workdir) = &place.workdir
        && climbs(Path::new(workdir))
    {
        let workdir = workdir.display();
        return Err(format!(
            "`--workdir {workdir}`: a path without `..` is needed"
        ));
    }
    Ok(Command::Run {
        place,
        cmd: args.rest(),
    })
}

fn parse_exec_options(args: &mut Cursor) -> Result<ExecAs, String> {
    let mut exec = ExecAs::default();
    loop {
        if args.place(&mut exec.place)? {
            continue;
        }
        if let Some(id) = args.option("--id")? {
            exec.id = Some(parse_id(id)?);
        } else if let Some(pair) = args.option("--env")? {
            let bytes = pair.as_bytes();
            let cut = bytes
                .iter()
                .position(|byte| *byte == b'=')
                .filter(|cut| *cut > 0);
            let cut = cut.ok_or_else(|| format!("`--env {}` is not KEY=VALUE", pair.display()))?;
            let half = |bytes| OsStr::from_bytes(bytes).to_owned();
            exec.env
                .push((half(&bytes[..cut]), half(&bytes[cut + 1..])));
        } else {
            args.no_option()?;
            return Ok(exec);
        }
    }
}

fn parse_kill(mut args: Cursor) -> Result<Command, String> {
    let id = args.option("--id")?.ok_or("`kill` needs `--id ID`")?;
    let signal = utf8("SIGNAL", args.0.next().ok_or("`kill` needs a signal")?)?;
    let signo = parse_signal(&signal).ok_or_else(|| format!("unknown signal `{signal}`"))?;
    let id = parse_id(id)?;
    args.end().map(|()| Command::Kill { id, signo })
}

/// An id becomes a file name, so it may hold letters, digits, `-` and `_` only.
fn parse_id(id: OsString) -> Result<String, String> {
    let id = utf8("--id", id)?;
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if id.is_empty() || id.len() > 64 || !plain {
        return Err(format!(
            "`--id {id}`: 1 to 64 of letters, digits, `-` and `_`"
        ));
    }
    Ok(id)
}

/// `TERM`, `SIGTERM`, `15`, `RTMIN+3`: the number, 0 (which only asks) included.
pub(crate) fn parse_signal(text: &str) -> Option<i32> {
    const RTMIN: i32 = 34;
    if let Ok(number) = text.parse() {
        return (0..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let offset: i32 = if rest.is_empty() {
            0
        } else {
            rest.strip_prefix('+')?.parse().ok()?
        };
        return (0..=30).contains(&offset).then_some(RTMIN + offset);
    }
    let full = format!("SIG{name}");
    (1..32).find(|signo| signal_hook::low_level::signal_name(*signo) == Some(full.as_str()))
}

fn utf8(what: &str, value: OsString) -> Result<String, String> {
    value
        .into_string()
        .map_err(|value| format!("{what} `{}` is not UTF-8", value.display()))
}

#[cfg(test)]
mod tests;

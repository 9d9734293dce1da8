//! An engine behind ssh, as docker's own command reaches it: the system's `ssh` runs
//! `docker system dial-stdio` there, once for each connection, all over one signed-in session.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Until the session is there; a person may have to type a passphrase.
const SESSION_TIMEOUT: Duration = Duration::from_mins(1);
/// Between looks whether it is.
const PAUSE: Duration = Duration::from_millis(20);
/// Of ssh's words, no more is shown.
const WORDS_LIMIT: u64 = 4096;

/// What `ssh` needs to know of who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whether somebody is there to type a passphrase; else `ssh` asks nothing (`BatchMode`).
    pub can_answer: bool,
    /// Where a directory for the session may be made, for as long as the connection is wanted.
    pub temporary: PathBuf,
}

/// A socket of this process's own, whose connections lead to the engine.
pub(super) struct Bridge {
    dir: tempfile::TempDir,
    _session: Child,
    serving: JoinHandle<()>,
}

impl Bridge {
    /// Signs in, and listens. The error is ssh's own words.
    pub(super) async fn open(host: &str, caller: &Caller) -> Result<Self, String> {
        let target = Target::parse(host)?;
        let told = |error: std::io::Error| error.to_string();
        // Directories of this kind are the user's alone.
        let dir = tempfile::Builder::new()
            .prefix("amika-ssh-")
            .tempdir_in(&caller.temporary)
            .map_err(told)?;
        let asks = caller.can_answer;
        let mut session = target
            .ssh(&dir, asks, &["-M", "-N", "-o", "ControlPersist=no"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("ssh cannot be run: {error}"))?;
        let socket = dir.path().join("session");
        let ready = until_ready(&mut session, &socket);
        tokio::time::timeout(SESSION_TIMEOUT, ready)
            .await
            .map_err(|_| format!("no session within {} s", SESSION_TIMEOUT.as_secs()))??;
        let listener = UnixListener::bind(dir.path().join("engine")).map_err(told)?;
        let dial = move |dir: &tempfile::TempDir| {
            let mut command = target.ssh(dir, asks, &["-o", "ControlMaster=no"]);
            command.args(["docker", "system", "dial-stdio"]);
            command
        };
        // The tasks need the directory's name only; it goes with the bridge.
        let template = dial(&dir);
        let arguments: Vec<_> = template
            .as_std()
            .get_args()
            .map(ToOwned::to_owned)
            .collect();
        let serving = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let mut command = Command::new("ssh");
                        command.args(&arguments);
                        tokio::spawn(pass(stream, command));
                    }
                    // Such as too many open files, which passes.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Ok(Self {
            dir,
            _session: session,
            serving,
        })
    }

    /// Where it listens, as a `DOCKER_HOST`.
    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("engine").display())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Returns once ssh has made its socket; its words where it ends instead.
async fn until_ready(session: &mut Child, socket: &std::path::Path) -> Result<(), String> {
    loop {
        if socket.exists() {
            return Ok(());
        }
        if session
            .try_wait()
            .map_err(|error| error.to_string())?
            .is_some()
        {
            let mut words = String::new();
            if let Some(errors) = session.stderr.take() {
                // What can be read of it is enough.
                let _ = errors.take(WORDS_LIMIT).read_to_string(&mut words).await;
            }
            return Err(words.trim().to_owned());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One connection: its bytes are those of one `dial-stdio`.
async fn pass(stream: UnixStream, mut command: Command) {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut child) = child else { return };
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return;
    };
    let (mut from_us, mut to_us) = stream.into_split();
    let upwards = async move {
        let _ = tokio::io::copy(&mut from_us, &mut input).await;
        drop(input);
    };
    let downwards = async move {
        let _ = tokio::io::copy(&mut output, &mut to_us).await;
    };
    tokio::join!(upwards, downwards);
}

/// Where to sign in.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// Host, with the user before it where one was named.
    address: String,
    port: Option<u16>,
}

impl Target {
    fn parse(host: &str) -> Result<Self, String> {
        let rest = host.strip_prefix("ssh://").unwrap_or(host);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(format!(
                "{host}: a path is not known there; the host's own DOCKER_HOST says which socket"
            ));
        }
        let (user, host_port) = match authority.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, authority),
        };
        let (name, port) = match host_port
            .strip_prefix('[')
            .and_then(|it| it.split_once(']'))
        {
            Some((name, rest)) => (name, rest.strip_prefix(':')),
            None => host_port
                .split_once(':')
                .map_or((host_port, None), |(name, port)| (name, Some(port))),
        };
        let port = port
            .map(|port| {
                port.parse()
                    .map_err(|_| format!("{host}: {port} is no port"))
            })
            .transpose()?;
        // What begins with a dash would be an option of ssh.
        let is_plain = |text: &str| !text.is_empty() && !text.starts_with('-');
        if !is_plain(name) || !user.is_none_or(is_plain) {
            return Err(format!("{host} names no host"));
        }
        Ok(Self {
            address: user.map_or_else(|| name.to_owned(), |user| format!("{user}@{name}")),
            port,
        })
    }

    /// `ssh` to it, over the session in a directory.
    fn ssh(&self, dir: &tempfile::TempDir, asks: bool, options: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.kill_on_drop(true).stdin(Stdio::null());
        command.arg("-S").arg(dir.path().join("session"));
        command.args(["-T", "-o", "ConnectTimeout=30"]);
        command.args(options);
        if !asks {
            command.args(["-o", "BatchMode=yes"]);
        }
        if let Some(port) = self.port {
            command.arg("-p").arg(port.to_string());
        }
        command.arg("--").arg(&self.address);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_dockers_form_and_never_an_option() {
        for (host, address, port) in [
            ("ssh://far", "far", None),
            ("ssh://me@far:22/", "me@far", Some(22)),
            ("ssh://me@[fe80::1]:2222", "me@fe80::1", Some(2222)),
        ] {
            let expected = Target {
                address: address.into(),
                port,
            };
            assert_eq!(Target::parse(host), Ok(expected));
        }
        for host in [
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://-x@far",
            "ssh://far:port",
            "ssh://far/var/run/docker.sock",
        ] {
            assert!(Target::parse(host).is_err(), "{host}");
        }
    }
}

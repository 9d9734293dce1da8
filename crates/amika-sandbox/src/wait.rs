//! Waiting for a sandbox: until it is ready, has ended, or a program in it listens.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amika_core::contract::path;
use amika_core::port::{Port, Protocol};
use amika_core::wire::{Job, Outcome, Phase, TaskState};

use crate::broken_off::interruptible;
use crate::cancel::Cancel;
use crate::create::tell_of_dotfiles;
use crate::daemon::read_boot_record;
use crate::error::{Error, Kind, Result};
use crate::progress::{Progress, Steps};
use crate::ready;
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::Sandboxes;
use amika_core::text::{human_duration, shell_quote};
use amika_engine::{ContainerState, EngineError, ExecSpec};

/// First pause between two looks; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LAST_PAUSE: Duration = Duration::from_millis(400);
/// How long the amikad of a sandbox that runs may not answer.
const SILENCE: Duration = Duration::from_secs(5);
/// What the first look may take, however short the time to wait is.
const ONE_LOOK: Duration = Duration::from_secs(10);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Setup succeeded and CMD runs.
    Ready,
    /// The container does not run.
    Stopped,
    /// A program in the sandbox listens there.
    Port(Port, Protocol),
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Stopped => f.write_str("stopped"),
            Self::Port(port, protocol) => write!(f, "port:{}/{protocol}", port.get()),
        }
    }
}

impl std::str::FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = match text {
            "ready" => return Ok(Self::Ready),
            "stopped" => return Ok(Self::Stopped),
            other => other.strip_prefix("port:"),
        };
        let Some(port) = port else {
            return Err("use ready, stopped, or port:PORT such as port:3000 or port:53/udp".into());
        };
        let (number, protocol) = match port.split_once('/') {
            None | Some((_, "tcp")) => (port.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((number, "udp")) => (number, Protocol::Udp),
            Some((_, other)) => return Err(format!("\"{other}\" is neither tcp nor udp")),
        };
        number
            .parse::<u16>()
            .ok()
            .and_then(Port::new)
            .map(|port| Self::Port(port, protocol))
            .ok_or_else(|| format!("\"{number}\" is no port: use 1 to 65535"))
    }
}

/// A wait: for whom, for what, and how long at most from when.
struct Waiting<'a> {
    name: &'a str,
    /// What is said of it where it does not come true.
    failing: String,
    /// What to look at then.
    hint: String,
    timeout: Option<Duration>,
    begun: Instant,
}

impl Sandboxes {
    /// Waits until a condition is true of a sandbox, no longer than `timeout`. Returns the container's exit code, if it
    /// does not run any more and that was looked at.
    ///
    /// # Errors
    /// [`Kind::NotReady`] once the time is up, [`Kind::SetupFailed`], [`Kind::CmdExited`], [`Kind::NotFound`],
    /// [`Kind::Canceled`], and those of the engine.
    pub async fn wait(
        &self,
        name: &str,
        condition: Condition,
        timeout: Option<Duration>,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<Option<i64>> {
        let waiting = Waiting {
            name,
            failing: format!("{condition} did not come true"),
            hint: format!(
                "`amika sandbox inspect {name}` and `amika sandbox logs {name}` show what it does"
            ),
            timeout,
            begun: Instant::now(),
        };
        let wait = async {
            match condition {
                Condition::Ready => {
                    let ready = wait_ready(self, &waiting, Arc::clone(&progress), cancel).await?;
                    // Of a create that did not wait, nobody heard yet how they went.
                    tell_of_dotfiles(self, name, &*progress).await;
                    Ok(ready)
                }
                Condition::Stopped => interruptible(cancel, wait_stopped(self, &waiting))
                    .await
                    .map(Some),
                Condition::Port(port, protocol) => {
                    let look = || Box::pin(listens(self, name, port, protocol));
                    interruptible(cancel, until(&waiting, look)).await?;
                    Ok(None)
                }
            }
        };
        // Large as it is, it is not to be a part of whatever its caller does.
        Box::pin(wait).await
    }

    /// Waits until a job of a sandbox ended, no longer than `timeout`.
    ///
    /// # Errors
    /// [`Kind::NotReady`] once the time is up; [`Kind::NotFound`], also for a job that is forgotten; [`Kind::Conflict`]
    /// where the sandbox does not run, or not any more; [`Kind::Canceled`]; those of the engine.
    pub async fn wait_for_job(
        &self,
        name: &str,
        id: &str,
        timeout: Option<Duration>,
        cancel: &Cancel,
    ) -> Result<Job> {
        let waiting = Waiting {
            name,
            failing: format!("job {} did not end", id.escape_debug()),
            hint: format!(
                "`amika sandbox logs {name} --job {}` shows what it does",
                shell_quote(id)
            ),
            timeout,
            begun: Instant::now(),
        };
        let silent = Cell::new(None);
        let look = || Box::pin(ended(self, name, id, &silent));
        Box::pin(interruptible(cancel, until(&waiting, look))).await
    }
}

async fn wait_ready(
    engine: &Sandboxes,
    args: &Waiting<'_>,
    progress: Arc<dyn Progress>,
    cancel: &Cancel,
) -> Result<Option<i64>> {
    let look = || Box::pin(made(engine, args.name));
    let sandbox = interruptible(cancel, until(args, look)).await?;
    if !sandbox.is_running() {
        let boot = read_boot_record(engine, &sandbox.container.id).await?;
        let code = sandbox.container.exit_code;
        return match boot.as_ref().map(|boot| (boot, boot.status.outcome)) {
            Some((boot, Some(Outcome::SetupFailed))) => {
                Err(ready::setup_failed(args.name, boot, u64::MAX))
            }
            // A CMD that already did its work was ready to.
            Some((_, Some(Outcome::CmdExited))) if code == 0 => Ok(Some(code)),
            Some((boot, Some(Outcome::CmdExited))) => Err(ready::cmd_exited(args.name, boot, code)),
            _ => sandbox.must_run().map(|()| None),
        };
    }
    // What setup wrote before the wait began is no news of a sandbox that is ready.
    let status = async { Ok(sandbox.client(engine)?.status().await.ok()) };
    let status = interruptible(cancel, first_look(args, Box::pin(status))).await?;
    let runs = status.filter(|status| status.phase == Phase::Running);
    if let Some(status) = &runs
        && ready::is_settled(
            status,
            &sandbox.container.cmd,
            amika_host::clock::now_millis(),
        )
    {
        return Ok(None);
    }
    let left = args
        .timeout
        .map(|timeout| timeout.saturating_sub(args.begun.elapsed()));
    let mut steps = Steps::new(progress);
    let until = ready::Until {
        timeout: left,
        services: false,
    };
    let ready = ready::wait(engine, args.name, runs.is_none(), until, &mut steps, cancel);
    match Box::pin(ready).await? {
        ready::Ready::Running => Ok(None),
        ready::Ready::Finished => Ok(Some(0)),
    }
}

/// The sandbox, once no other process is making it.
///
/// # Errors
/// As [`Sandbox::must_be_made`] when nobody makes it to the end any more.
async fn made(engine: &Sandboxes, name: &str) -> Result<Option<Sandbox>> {
    let sandbox = Sandbox::find_whole(engine, name).await?;
    if sandbox.state_of_making() == Some(State::Creating) {
        return Ok(None);
    }
    sandbox.must_be_made()?;
    Ok(Some(sandbox))
}

async fn wait_stopped(engine: &Sandboxes, args: &Waiting<'_>) -> Result<i64> {
    let mut sandbox = first_look(args, Box::pin(Sandbox::find(engine, args.name))).await?;
    if sandbox.container.state == ContainerState::Created {
        // The engine would say at once that it does not run.
        sandbox = until(args, || Box::pin(made(engine, args.name))).await?;
    }
    if matches!(
        sandbox.container.state,
        ContainerState::Exited | ContainerState::Dead
    ) {
        return Ok(sandbox.container.exit_code);
    }
    let ended = async { Ok(engine.wait_container(&sandbox.container.id).await?) };
    limited(args, args.timeout, ended).await
}

/// The job once it ended. `silent` is since when its amikad does not answer: one that stops does so before its container
/// is known to have stopped.
async fn ended(
    engine: &Sandboxes,
    name: &str,
    id: &str,
    silent: &Cell<Option<Instant>>,
) -> Result<Option<Job>> {
    match engine.job(name, id).await {
        Ok(job) => {
            silent.set(None);
            Ok((job.task.state == TaskState::Ended).then_some(job))
        }
        Err(error) if error.kind == Kind::Failure => {
            let since = silent.get().unwrap_or_else(Instant::now);
            silent.set(Some(since));
            if since.elapsed() < SILENCE {
                Ok(None)
            } else {
                Err(error)
            }
        }
        Err(error) => Err(error),
    }
}

/// Asks the daemon's own program inside: a published port would answer before anybody listens, and
/// one that is not published not at all.
async fn listens(
    engine: &Sandboxes,
    name: &str,
    port: Port,
    protocol: Protocol,
) -> Result<Option<()>> {
    let spec = ExecSpec {
        command: vec![
            path::AMIKAD.to_owned(),
            "listening".to_owned(),
            format!("{}/{protocol}", port.get()),
        ],
        user: Some("0".to_owned()),
        ..ExecSpec::default()
    };
    let sandbox = Sandbox::find_whole(engine, name).await?;
    sandbox.must_run()?;
    match engine.run_exec(&sandbox.container.id, &spec).await {
        Ok(0) => Ok(Some(())),
        // What a shell says of a bad argument, and of a program that is not there.
        Ok(code @ (2 | 127)) => Err(Error::new(
            Kind::Failure,
            format!("sandbox \"{name}\" cannot tell who listens (exit code {code})"),
        )
        .hint("its amikad is of another version than this amika: `amika sandbox exec` can look for the port")),
        // Nobody yet; or the sandbox ended, before the call or under its hands: the next look
        // tells.
        Ok(_) | Err(EngineError::Conflict(_) | EngineError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Looks until there is something to be seen. The first look is had however short the time: what is
/// true already takes none.
async fn until<T, F: Future<Output = Result<Option<T>>>>(
    args: &Waiting<'_>,
    look: impl Fn() -> F,
) -> Result<T> {
    if let Some(seen) = first_look(args, look()).await? {
        return Ok(seen);
    }
    let looks = async {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    };
    limited(args, args.timeout, looks).await
}

/// One look, which an engine that answers has time for.
async fn first_look<T>(args: &Waiting<'_>, look: impl Future<Output = Result<T>>) -> Result<T> {
    let timeout = args.timeout.map(|timeout| timeout.max(ONE_LOOK));
    limited(args, timeout, look).await
}

/// Ends a wait that takes too long.
async fn limited<T>(
    args: &Waiting<'_>,
    timeout: Option<Duration>,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(timeout) = timeout else {
        return wait.await;
    };
    let deadline = tokio::time::Instant::from_std(args.begun) + timeout;
    tokio::time::timeout_at(deadline, wait)
        .await
        .unwrap_or_else(|_| {
            let waited = human_duration(args.begun.elapsed());
            let message = format!("sandbox \"{}\": {} in {waited}", args.name, args.failing);
            Err(Error::new(Kind::NotReady, message).hint(args.hint.clone()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_shown() {
        for text in ["ready", "stopped", "port:3000/tcp", "port:53/udp"] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        assert_eq!(
            "port:3000".parse::<Condition>().unwrap().to_string(),
            "port:3000/tcp"
        );
        for text in [
            "",
            "port:",
            "port:0",
            "port:70000",
            "port:1/sctp",
            "running",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}

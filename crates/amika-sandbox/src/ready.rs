//! Waiting until a started sandbox is ready, with setup's output as it comes.

mod failed;
mod lines;

use std::time::{Duration, Instant};

use amika_core::contract::path;
use amika_core::label::SandboxRecord;
use amika_core::service::sidecars;
use amika_core::wire::{Outcome, Phase, ServiceState, SetupState, Status};
use amika_host::clock::now_millis;
use futures_util::StreamExt as _;

use crate::cancel::Cancel;
use crate::daemon::{Client, ClientError, LogPart, read_boot_record};
use crate::error::{Error, Kind, Result};
use crate::own_services::{Standing, not_up, standing};
use crate::progress::Steps;
use crate::sandbox::{Sandbox, deleted_meanwhile};
use crate::sandboxes::Sandboxes;
use amika_engine::ContainerState;

pub use failed::{cmd_exited, setup_failed};
use lines::Lines;

/// What is waited for besides setup, when the user gives no time.
const REST: Duration = Duration::from_mins(1);
/// First pause between two looks; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// More than amikad keeps of setup's output, in bytes; a sandbox could put anything in its place.
const LOG_LIMIT: usize = 32 * 1024 * 1024;

/// A CMD that ends sooner after its start did not come up.
const SETTLING: Duration = Duration::from_millis(300);
/// A script of the image's own that says nothing and takes no longer than this is not told of: the presets have one that
/// does nothing, and to say that it succeeded makes people think of one of theirs.
const UNTOLD: Duration = Duration::from_secs(1);
/// Programs that, called by their name alone, read commands for as long as there is somebody to give them.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "zsh", "fish", "ksh"];

/// Pauses between two looks, each twice as long as the one before, up to a limit.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let next = (self.0 * 2).min(LAST_PAUSE);
        std::mem::replace(&mut self.0, next)
    }

    /// Something new came: the next look is not far.
    fn begin_anew(&mut self) {
        *self = Self::default();
    }
}

/// How the wait ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// CMD runs.
    Running,
    /// CMD already ended with 0: a success too.
    Finished,
}

/// How far a sandbox is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// No longer than this; without it, as long as setup takes and a while for the rest.
    pub timeout: Option<Duration>,
    /// Whether its services are waited for too that say how they are up.
    pub services: bool,
}

/// Waits until CMD runs, or ended with 0. Of a sandbox that is not `anew` started, what setup wrote
/// before is no news once it is over.
///
/// # Errors
/// [`Kind::SetupFailed`], [`Kind::NotReady`], [`Kind::Canceled`], and
/// [`Kind::Failure`] when CMD ended with another code.
pub async fn wait(
    engine: &Sandboxes,
    name: &str,
    anew: bool,
    until: Until,
    steps: &mut Steps,
    cancel: &Cancel,
) -> Result<Ready> {
    let begun = Instant::now();
    let mut waiting = Waiting {
        engine,
        name,
        steps,
        anew,
        is_images: false,
        told: Told::Nothing,
        setup_read: 0,
        lines: Lines::default(),
        setup_log_ended: false,
        services: None,
        beside: None,
    };
    tokio::select! {
        result = waiting.run(begun, until) => result,
        () = cancel.requested() => {
            Err(Error::new(Kind::Canceled, format!("interrupted; sandbox \"{name}\" goes on by itself")))
        }
    }
}

/// What was told of setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// That it runs, and its output.
    Beginning,
    /// How it went.
    End,
}

/// How a service last ended, as amikad tells it.
fn last_exit(status: &Status, service: &str) -> Option<String> {
    status.services.get(service)?.last_exit.clone()
}

struct Waiting<'a> {
    engine: &'a Sandboxes,
    name: &'a str,
    steps: &'a mut Steps,
    anew: bool,
    /// Whether the script, if there is one, is the image's own.
    is_images: bool,
    told: Told,
    /// Bytes of setup's output that were shown.
    setup_read: u64,
    /// The line of it that is not whole yet: what follows may come on another connection.
    lines: Lines,
    /// Whether setup's output is complete: what may follow is the hand-over to the agent.
    setup_log_ended: bool,
    /// The services that are waited for, since that was told.
    services: Option<String>,
    /// The same of those beside the sandbox, until they are up.
    beside: Option<String>,
}

impl Waiting<'_> {
    async fn run(&mut self, begun: Instant, until: Until) -> Result<Ready> {
        let timeout = until.timeout;
        let mut pauses = Pauses::default();
        // Time that setup takes does not count towards the rest's.
        let mut rest_begun = begun;
        let mut running_since = None;
        let mut sandbox = match Sandbox::find(self.engine, self.name).await {
            // It was there when it was started.
            Err(error) if error.kind == Kind::NotFound => {
                return Err(deleted_meanwhile(self.name));
            }
            found => found?,
        };
        self.is_images = sandbox.record.setup_script.is_none();
        let client = sandbox.client(self.engine)?.patient();
        loop {
            if let Ok(status) = client.status().await {
                if status.phase != Phase::Starting {
                    self.has_others(&client, &sandbox.record, &status).await?;
                }
                match status.phase {
                    Phase::Running => {
                        // Once: the rest of its output is not asked for again.
                        if self.told == Told::Beginning || (self.anew && self.told == Told::Nothing)
                        {
                            self.show_rest(&client, &status).await;
                            self.finish_setup(&status);
                        }
                        let since = *running_since.get_or_insert_with(Instant::now);
                        let no_time = timeout.is_some_and(|timeout| begun.elapsed() >= timeout);
                        if no_time
                            || since.elapsed() >= SETTLING
                            || is_settled(&status, &sandbox.container.cmd, now_millis())
                        {
                            let wanted = until.services.then_some(&sandbox.record);
                            if self.is_served(&client, wanted, &status).await? {
                                return Ok(Ready::Running);
                            }
                            // How long each may take is its own to say, and amikad's to see to.
                            rest_begun = Instant::now();
                        }
                    }
                    Phase::Setup if !self.setup_log_ended => {
                        if self.follow_setup(&client, begun, timeout).await? {
                            pauses.begin_anew();
                        }
                        rest_begun = Instant::now();
                    }
                    Phase::Setup => rest_begun = Instant::now(),
                    Phase::Starting => {
                        if self
                            .waits_for_others(&client, &sandbox.record, &status, until.services)
                            .await?
                        {
                            // As long as they may take.
                            rest_begun = Instant::now();
                        }
                    }
                    Phase::Stopping | Phase::Exited => {}
                }
            } else {
                sandbox = self.look_again(&sandbox).await?;
                if !sandbox.is_running() {
                    return self.ended(&sandbox).await;
                }
            }
            let limit_reached = match timeout {
                Some(timeout) => begun.elapsed() >= timeout,
                None => rest_begun.elapsed() >= REST,
            };
            if limit_reached {
                return Err(self.not_ready(begun.elapsed()));
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    /// Whether amikad waits for services beside the sandbox before it runs setup; where they are wanted, who looks on sees it,
    /// and one that is over is an error.
    async fn waits_for_others(
        &mut self,
        client: &Client,
        record: &SandboxRecord,
        status: &Status,
        is_wanted: bool,
    ) -> Result<bool> {
        let starting = |name: &str| status.services.state(name) == ServiceState::Starting;
        let beside = sidecars(&record.services).map(|(name, _)| name);
        let names: Vec<&str> = beside.filter(|name| starting(name)).collect();
        if names.is_empty() || !is_wanted {
            return Ok(!names.is_empty());
        }
        if self.beside.is_none() {
            self.beside = Some(names.join(", "));
            self.steps.begin("services");
        }
        // One that is over takes no connections however long it is asked for them.
        for (service, stands) in self.engine.sidecars(record).await? {
            if stands.is_over() && names.contains(&service.as_str()) {
                self.steps.fail("failed");
                return Err(self
                    .not_up(client, record, &service, stands.last_exit())
                    .await);
            }
        }
        Ok(true)
    }

    /// Ends the wait for services beside the sandbox: setup has them, or goes on without one that is not up.
    async fn has_others(
        &mut self,
        client: &Client,
        record: &SandboxRecord,
        status: &Status,
    ) -> Result<()> {
        let Some(names) = self.beside.take() else {
            return Ok(());
        };
        // One that still starts was waited for as long as it may take.
        let is_not_up = |state| matches!(state, ServiceState::Failed | ServiceState::Starting);
        let failed = |name: &str| is_not_up(status.services.state(name));
        let Some((service, _)) = sidecars(&record.services).find(|(name, _)| failed(name)) else {
            self.steps.finish(&names);
            return Ok(());
        };
        self.steps.fail("failed");
        let why = last_exit(status, service);
        Err(self.not_up(client, record, service, why).await)
    }

    /// Whether its services are up, as far as they are waited for.
    async fn is_served(
        &mut self,
        client: &Client,
        wanted: Option<&SandboxRecord>,
        status: &Status,
    ) -> Result<bool> {
        let Some(record) = wanted else {
            return Ok(true);
        };
        match standing(&record.services, &status.services) {
            Standing::Up => {
                self.refuse_ended(client, record).await?;
                if let Some(names) = &self.services {
                    self.steps.finish(names);
                }
                Ok(true)
            }
            Standing::Waiting(names) => {
                if self.services.is_none() {
                    self.services = Some(names.join(", "));
                    self.steps.begin("services");
                }
                Ok(false)
            }
            Standing::Failed(service) => {
                if self.services.is_some() {
                    self.steps.fail("failed");
                }
                let why = last_exit(status, &service);
                Err(self.not_up(client, record, &service, why).await)
            }
        }
    }

    /// The error for one of its services that is not up.
    async fn not_up(
        &self,
        client: &Client,
        record: &SandboxRecord,
        service: &str,
        why: Option<String>,
    ) -> Error {
        not_up(self.engine, client, (self.name, record), service, why).await
    }

    /// Refuses services beside the sandbox that tell nobody how they are up, and came to a bad end.
    async fn refuse_ended(&self, client: &Client, record: &SandboxRecord) -> Result<()> {
        let mut all = sidecars(&record.services);
        if all.all(|(_, sidecar)| sidecar.ready.is_some()) {
            return Ok(());
        }
        for (service, stands) in self.engine.sidecars(record).await? {
            if stands.is_over() && stands.exit_code != Some(0) {
                return Err(self
                    .not_up(client, record, &service, stands.last_exit())
                    .await);
            }
        }
        Ok(())
    }

    /// The sandbox as it is now; it may have been removed or renamed.
    async fn look_again(&self, before: &Sandbox) -> Result<Sandbox> {
        match Sandbox::find(self.engine, self.name).await {
            Err(error) if error.kind == Kind::NotFound => {
                match self.engine.inspect_container(&before.container.id).await {
                    Ok(now) => Err(Error::new(
                        Kind::NotFound,
                        format!("sandbox \"{}\" was renamed meanwhile", self.name),
                    )
                    .hint(format!(
                        "`amika sandbox wait {}` waits until it is ready",
                        now.name
                    ))),
                    Err(_) => Err(deleted_meanwhile(self.name)),
                }
            }
            Ok(sandbox) if sandbox.container.state == ContainerState::Removing => {
                Err(deleted_meanwhile(self.name))
            }
            found => found,
        }
    }

    /// Shows setup's output until it ends or the connection does; whether anything came, or it ended.
    async fn follow_setup(
        &mut self,
        client: &Client,
        begun: Instant,
        timeout: Option<Duration>,
    ) -> Result<bool> {
        if !self.is_images {
            self.begin_setup();
        }
        let told_by = tokio::time::Instant::now() + UNTOLD;
        let deadline = timeout.map(|timeout| begun + timeout);
        let log = match client
            .log("setup", true, LogPart::Since(self.setup_read))
            .await
        {
            Ok(log) => log,
            // What was to come next is no longer kept: the end of setup is still told by the status.
            Err(ClientError::Refused { .. }) => {
                self.setup_log_ended = true;
                return Ok(true);
            }
            Err(_) => return Ok(false),
        };
        let mut log = std::pin::pin!(log);
        let before = self.setup_read;
        loop {
            let item = tokio::select! {
                biased;
                () = past(deadline) => return Err(self.not_ready(begun.elapsed())),
                item = log.next() => item,
                () = tokio::time::sleep_until(told_by), if self.told == Told::Nothing => {
                    self.begin_setup();
                    continue;
                }
            };
            let bytes = match item {
                Some(Ok(bytes)) => bytes,
                Some(Err(_)) => break,
                None => {
                    self.setup_log_ended = true;
                    break;
                }
            };
            self.show(&bytes);
        }
        Ok(self.setup_log_ended || self.setup_read > before)
    }

    /// Shows what a script wrote that was over before it was looked at.
    async fn show_rest(&mut self, client: &Client, status: &Status) {
        let missing = status.setup.log_bytes > self.setup_read && !self.setup_log_ended;
        if !missing || status.setup.state != SetupState::Succeeded {
            return;
        }
        // Without it the sandbox is as ready as with it.
        let Ok(log) = client
            .log("setup", false, LogPart::Since(self.setup_read))
            .await
        else {
            return;
        };
        let mut log = std::pin::pin!(log);
        while let Some(Ok(bytes)) = log.next().await {
            self.show(&bytes);
        }
    }

    /// Shows what is not shown of what setup wrote, as the ended container has it: one that ends as soon as its script
    /// may be gone before it was asked, or take the connection with it.
    async fn show_stored(&mut self, container: &str, status: &Status) {
        let unshown = status.setup.log_bytes.saturating_sub(self.setup_read);
        if unshown == 0 || !self.steps.are_shown() {
            return;
        }
        // Without it, the error has its last lines, and `logs --setup` all of it.
        let Ok(Some(log)) = self
            .engine
            .read_file(container, path::SETUP_LOG, LOG_LIMIT)
            .await
        else {
            return;
        };
        // Of a long one its middle is not kept.
        let from = usize::try_from(unshown).map_or(0, |unshown| log.len().saturating_sub(unshown));
        self.show(&log[from..]);
        self.setup_read = status.setup.log_bytes;
    }

    fn begin_setup(&mut self) {
        if self.told == Told::Nothing {
            self.told = Told::Beginning;
            self.steps.begin("setup");
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        self.begin_setup();
        self.setup_read += bytes.len() as u64;
        self.lines.push(bytes, |line| self.steps.line(line));
    }

    fn end_line(&mut self) {
        self.lines.end(|line| self.steps.line(line));
    }

    fn finish_setup(&mut self, status: &Status) {
        self.end_line();
        let took = Duration::from_millis(status.setup.duration_ms.unwrap_or_default());
        let is_untold = self.is_images && took < UNTOLD && self.told == Told::Nothing;
        if self.told == Told::End || is_untold {
            return;
        }
        let begun = std::mem::replace(&mut self.told, Told::End) == Told::Beginning;
        match status.setup.state {
            SetupState::Succeeded => {
                if !begun {
                    self.steps.begin("setup");
                }
                self.steps.finish_after("succeeded", took);
            }
            _ if begun => self.steps.finish(""),
            _ => {}
        }
    }

    /// The container does not run any more: tells why.
    async fn ended(&mut self, sandbox: &Sandbox) -> Result<Ready> {
        let name = self.name;
        // Nobody reaches them now.
        crate::sidecars::after_failure(self.engine, sandbox).await;
        let boot = read_boot_record(self.engine, &sandbox.container.id).await?;
        // Who comes later is told its last words, where it failed.
        if let Some(boot) = &boot
            && (self.anew || self.told != Told::Nothing)
        {
            self.show_stored(&sandbox.container.id, &boot.status).await;
        }
        self.end_line();
        if let Some(boot) = &boot
            && boot.status.outcome == Some(Outcome::SetupFailed)
        {
            self.begin_setup();
            self.steps.fail("failed");
            return Err(setup_failed(name, boot, self.unshown(&boot.status)));
        }
        if let Some(boot) = &boot
            && boot.status.setup.state == SetupState::Succeeded
            && (self.anew || self.told != Told::Nothing)
        {
            self.finish_setup(&boot.status);
        }
        let code = sandbox.container.exit_code;
        if sandbox.container.state == ContainerState::Exited && code == 0 {
            return Ok(Ready::Finished);
        }
        let mut error = match &boot {
            Some(boot) if boot.status.outcome == Some(Outcome::CmdExited) => {
                cmd_exited(name, boot, code)
            }
            _ => Error::new(
                Kind::Failure,
                format!("sandbox \"{name}\" ended with exit code {code} before it was ready"),
            )
            .hint(format!("`amika sandbox logs {name}` shows what it said")),
        };
        if sandbox.container.oom_killed {
            error = error.cause("the kernel ended it for want of memory");
        }
        if !sandbox.container.error.is_empty() {
            error = error.cause(sandbox.container.error.clone());
        }
        Err(error)
    }

    /// How many bytes of setup's output nobody saw on this terminal.
    fn unshown(&self, status: &Status) -> u64 {
        if self.steps.are_shown() {
            status.setup.log_bytes.saturating_sub(self.setup_read)
        } else {
            u64::MAX
        }
    }

    fn not_ready(&mut self, waited: Duration) -> Error {
        self.end_line();
        self.steps.fail("");
        let name = self.name;
        Error::new(
            Kind::NotReady,
            format!("sandbox \"{name}\" is not ready after {}", amika_core::text::human_duration(waited)),
        )
        .hint(format!("it stays and goes on by itself: `amika sandbox logs -f {name}`, `amika sandbox inspect {name}`"))
    }
}

/// Ends at a moment; without one never.
async fn past(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Whether CMD runs for long enough to have come up, or there is none that could fail to: `now` as the times in
/// `status`. The usual CMD of an image is a shell, for which nobody has to wait.
pub fn is_settled(status: &Status, cmd: &[String], now: u64) -> bool {
    if let [program] = cmd {
        let name = program.rsplit('/').next().unwrap_or_default();
        if SHELLS.contains(&name) {
            return true;
        }
    }
    let started = status.cmd.pid.and(status.cmd.started_at);
    // Of clocks that differ, one is another machine's: who looks waits for a while by his own.
    started.is_none_or(|started| u128::from(now.saturating_sub(started)) >= SETTLING.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brings_nothing_new_is_looked_at_ever_less_often() {
        let mut pauses = Pauses::default();
        let first: Vec<Duration> = (0..7).map(|_| pauses.next()).collect();
        assert!(first.is_sorted(), "{first:?}");
        assert_eq!((first[0], first[6]), (FIRST_PAUSE, LAST_PAUSE));
        assert_eq!(pauses.next(), LAST_PAUSE);
        pauses.begin_anew();
        assert_eq!(pauses.next(), FIRST_PAUSE);
    }
}

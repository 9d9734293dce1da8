//! The loop that owns all processes: the only code that forks and the only code that waits.
//!
//! One thread, woken by signals, by requests from the HTTP side, and by the state machine's own
//! deadlines. Nothing in it may block for long, and nothing in it may end it: once something was
//! started, failures are said and survived.

mod settle;
mod signal;
mod start;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amika_core::contract::path;
use amika_core::wire::{BootRecord, Phase};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::args::Place;
use crate::boot::Boot;
use crate::lifecycle::{Action, Event, Millis, Plan, ServiceAction, ServiceEvent, State};
use crate::publish::{Command, Mailbox, Shared, Snapshot};
use crate::pump::Settler;
use crate::say::{note, say};
use crate::secrets::{Secrets, hex, random_bytes};
use crate::setup::Tracer;
use crate::status::{Facts, changes, snapshot};
use crate::{http, opencode, record, sys};

const SIGPIPE: i32 = 13;
const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// How long setup's last output may take to be written out before the boot goes on without it.
const SETTLE_LIMIT: Millis = 2_000;
/// How often the end looks whether anybody is left, where no SIGCHLD would tell.
const SOLITUDE_INTERVAL: Millis = 20;

/// Is the container's entrypoint; returns its exit code.
pub(crate) fn run(place: &Place, cmd: Vec<OsString>) -> i32 {
    let started = Instant::now();
    // Before anything else: from here on no signal is lost, and no thread can take one.
    let mask = sys::block_all_signals();
    let signals = match SignalFd::with_flags(
        &SigSet::all(),
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    ) {
        Ok(signals) => signals,
        Err(error) => {
            say(format!("cannot receive signals: {error}"));
            return 70;
        }
    };
    let boot = match Boot::prepare(place, cmd, mask) {
        Ok(boot) => boot,
        Err(problem) => {
            say(problem);
            return 70;
        }
    };
    if !boot.is_init {
        sys::become_subreaper();
    }
    let wake = match EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK) {
        Ok(wake) => Arc::new(wake),
        Err(error) => {
            say(format!("cannot be woken: {error}"));
            return 70;
        }
    };
    Supervisor::new(boot, signals, wake, started).run()
}

struct Supervisor {
    boot: Boot,
    state: State,
    facts: Facts,
    shared: Arc<Shared>,
    published: Snapshot,
    signals: SignalFd,
    wake: Arc<EventFd>,
    commands: mpsc::Receiver<Command>,
    queue: VecDeque<Event>,
    setup_pid: Option<i32>,
    cmd_pid: Option<i32>,
    opencode_pid: Option<i32>,
    pump: Option<Settler>,
    output_done: bool,
    tracer: Option<Tracer>,
    /// When to go on although setup's output was not written out.
    settle_by: Option<Millis>,
    succeeded: bool,
    setup_tail: Vec<String>,
    http_started: bool,
    exit: Option<i32>,
}

impl Supervisor {
    fn new(boot: Boot, signals: SignalFd, wake: Arc<EventFd>, started: Instant) -> Self {
        let random = random_bytes();
        let mut seed = [0; 8];
        seed.copy_from_slice(&random[..8]);
        let plan = Plan {
            setup: boot.script.is_some(),
            cmd: !boot.cmd.is_empty(),
            opencode: opencode::is_enabled(&boot.environment),
            seed: u64::from_ne_bytes(seed),
        };
        let state = State::new(plan);
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let facts = Facts {
            epoch: u64::try_from(epoch.as_millis()).unwrap_or(u64::MAX),
            boot_id: hex(&random[16..]),
            argv0: boot
                .cmd
                .first()
                .map(|name| name.to_string_lossy().into_owned()),
            failed_line: None,
            setup_message: None,
            orphans: 0,
        };
        let (mailbox, commands) = Mailbox::new(wake.clone());
        let secrets = Secrets::from_environment(&boot.environment);
        let published = snapshot(&state, &facts);
        let shared = Arc::new(Shared::new(published.clone(), mailbox, secrets, started));
        Self {
            boot,
            state,
            facts,
            shared,
            published,
            signals,
            wake,
            commands,
            queue: VecDeque::from([Event::Boot]),
            setup_pid: None,
            cmd_pid: None,
            opencode_pid: None,
            pump: None,
            output_done: false,
            tracer: None,
            settle_by: None,
            succeeded: false,
            setup_tail: Vec::new(),
            http_started: false,
            exit: None,
        }
    }

    fn run(mut self) -> i32 {
        loop {
            // A bug must cost one step and not the container.
            let turned = catch_unwind(AssertUnwindSafe(|| self.turn()));
            if turned.is_err() {
                say("a step of the supervisor failed; going on");
            }
            if let Some(code) = self.exit {
                self.close();
                return code;
            }
            if !self.http_started {
                // After CMD or setup was started: neither waits for it.
                self.http_started = true;
                self.start_http();
            }
            self.wait();
        }
    }

    /// Takes in all that happened, and acts until nothing is left to do.
    fn turn(&mut self) {
        // Signals before ends: a stop that came before setup ended must find setup.
        self.receive_signals();
        // The counter only wakes.
        let _ = self.wake.read();
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        self.reap();
        let now = self.shared.now();
        if self.settle_by.is_some_and(|by| by <= now) {
            self.output_settled();
        }
        if self.state.deadline().is_some_and(|at| at <= now) {
            self.queue.push_back(Event::Tick);
        }
        if self.state.awaits_solitude() && self.is_alone() {
            self.queue.push_back(Event::Alone);
        }
        while let Some(event) = self.queue.pop_front() {
            if event == Event::SetupSettled {
                // The very hand-over: what came until now still keeps CMD from starting.
                self.receive_signals();
                while let Some(position) = self
                    .queue
                    .iter()
                    .position(|event| matches!(event, Event::Signal(_)))
                    && let Some(signal) = self.queue.remove(position)
                {
                    self.step(signal);
                }
            }
            self.step(event);
        }
        self.publish();
    }

    fn step(&mut self, event: Event) {
        let now = self.shared.now();
        for action in self.state.step(event, now) {
            self.act(action);
        }
    }

    fn wait(&mut self) {
        let now = self.shared.now();
        let solitude = self
            .state
            .awaits_solitude()
            .then_some(now + SOLITUDE_INTERVAL);
        let deadlines = [self.state.deadline(), self.settle_by, solitude];
        let timeout = match deadlines.into_iter().flatten().min() {
            None => PollTimeout::NONE,
            // One more, since the clock is cut to whole milliseconds.
            Some(at) => {
                PollTimeout::try_from(at.saturating_sub(now) + 1).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
        ];
        // An error here (ENOMEM) shows as an early wake-up, which does no harm.
        let _ = poll(&mut fds, timeout);
    }

    fn receive_signals(&mut self) {
        let own = u32::try_from(nix::unistd::getpid().as_raw()).unwrap_or(1);
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signo = i32::try_from(info.ssi_signo).unwrap_or(0);
            match signo {
                // 4 to 8, 11 and 31: faults sent from outside, which CMD did not commit.
                SIGCHLD | SIGTTIN | SIGTTOU | 4..=8 | 11 | 31 => {}
                // From our own writes to a pipe without a reader.
                SIGPIPE if info.ssi_pid == own => {}
                signo => self.queue.push_back(Event::Signal(signo)),
            }
        }
    }

    fn reap(&mut self) {
        while let Some((pid, end)) = sys::reap() {
            let role = Some(pid);
            if role == self.setup_pid {
                self.setup_pid = None;
                self.queue.push_back(Event::SetupEnded(end));
            } else if role == self.cmd_pid {
                self.cmd_pid = None;
                self.queue.push_back(Event::CmdEnded(end));
            } else if role == self.opencode_pid {
                self.opencode_pid = None;
                note(format!("OpenCode ended: {end}"));
                self.queue
                    .push_back(Event::OpenCode(ServiceEvent::Ended(end)));
                Self::sweep(pid);
            } else {
                self.facts.orphans += 1;
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            // Whoever asked may have gone.
            Command::Ping(answer) => drop(answer.send(())),
            Command::RestartOpenCode => {
                self.queue
                    .push_back(Event::OpenCode(ServiceEvent::RestartAsked));
            }
            Command::Probed { pid, healthy } if self.opencode_pid == Some(pid) => {
                self.queue
                    .push_back(Event::OpenCode(ServiceEvent::Healthy(healthy)));
            }
            Command::Probed { .. } => {}
            Command::OutputSettled => {
                // It may come before the end of the script that closed its output.
                self.output_done = true;
                self.output_settled();
            }
            Command::HandedOver => self.queue.push_back(Event::SetupSettled),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::StartSetup => self.start_setup(),
            Action::SettleSetup { succeeded } => {
                self.succeeded = succeeded;
                self.settle_by = Some(self.shared.now() + SETTLE_LIMIT);
                match &self.pump {
                    Some(pump) if !self.output_done => pump.settle(),
                    _ => self.output_settled(),
                }
            }
            Action::StartCmd => self.start_cmd(),
            Action::SignalSetup(signo) => Self::signal_group(self.setup_pid, signo),
            Action::SignalCmd(signo) => {
                if let Some(pid) = self.cmd_pid {
                    // Gone but not yet reaped: nobody is left to tell.
                    let _ = sys::kill(pid, signo);
                }
            }
            Action::OpenCode(ServiceAction::Start) => self.start_opencode(),
            Action::OpenCode(ServiceAction::Signal(signo)) => self.signal_opencode(signo),
            Action::OpenCode(ServiceAction::Sweep) => {}
            Action::SignalAll(signo) => self.signal_all(signo),
            Action::Record => self.record(),
            Action::Exit(code) => self.exit = Some(code),
        }
    }

    fn record(&mut self) {
        let mut status = snapshot(&self.state, &self.facts).status;
        status.uptime_ms = self.shared.now();
        if let Some(log) = self.shared.logs().setup {
            status.setup.log_bytes = log.total();
            status.setup.log_truncated = log.truncated();
        }
        let record = BootRecord {
            status,
            container_exit_code: self.state.exit_code,
            setup_tail: self.setup_tail.clone(),
        };
        if let Err(error) = record::write(&record) {
            note(format!("cannot write {}: {error}", path::BOOT_RECORD));
        }
    }

    fn publish(&mut self) {
        let new = snapshot(&self.state, &self.facts);
        if new == self.published {
            return;
        }
        let at = self.facts.epoch + self.shared.now();
        let changes = changes(&self.published.status, &new.status, at);
        for change in &changes {
            note(format!("{:?}: {:?}", change.changed, new.status.phase));
        }
        self.shared.publish(new.clone(), changes);
        self.published = new;
    }

    fn start_http(&mut self) {
        let log = crate::say::open_log();
        self.shared.set_logs(|logs| logs.amikad = Some(log));
        if self.boot.script.is_none() && self.state.phase == Phase::Running {
            say("no setup script to run");
        }
        http::start(&self.shared);
    }

    /// The daemon's last act: whoever follows a log gets its end.
    fn close(&self) {
        let logs = self.shared.logs();
        for log in [logs.setup, logs.opencode, logs.amikad]
            .into_iter()
            .flatten()
        {
            log.finish();
        }
        self.shared.closing.send_replace(true);
        http::drain(&self.shared);
    }
}

//! The loop that owns all processes: the only code that forks and the only code that waits.
//!
//! One thread, woken by signals, by requests from the HTTP side, and by the state machine's own
//! deadlines. Nothing in it may block for long, and nothing in it may end it: once something was
//! started, failures are said and survived.

mod intake;
mod services;
mod settle;
mod show;
mod signal;
mod start;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amika_core::contract::env;
use amika_core::hex::hex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::args::Place;
use crate::boot::Boot;
use crate::http::Listeners;
use crate::lifecycle::{Action, Event, Millis, Plan, ServiceAction, ServiceEvent, State};
use crate::publish::{Command, Mailbox, Shared, Snapshot};
use crate::pump::Settler;
use crate::say::say;
use crate::secrets::{Secrets, random_bytes};
use crate::setup::Tracer;
use crate::status::{Facts, snapshot};
use crate::{service, sys};

const SIGCONT: i32 = 18;

/// How long setup's last output may take to be written out before the boot goes on without it.
const SETTLE_LIMIT: Millis = 2_000;
/// How often the end looks whether anybody is left, where no SIGCHLD would tell.
const SOLITUDE_INTERVAL: Millis = 20;

/// A turn that failed is taken up again after this: at once for a person, no busy loop for a machine.
const RETRY_PAUSE: Millis = 10;

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
    service_pids: [Option<i32>; service::COUNT],
    pump: Option<Settler>,
    output_done: bool,
    tracer: Option<Tracer>,
    /// When to go on although setup's output was not written out.
    settle_by: Option<Millis>,
    succeeded: bool,
    setup_tail: Vec<String>,
    http_started: bool,
    /// What the API is asked on, until its thread has it.
    listeners: Option<Listeners>,
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
            services: service::plans(&boot.environment),
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
        // Before the first child, which could have the port otherwise. Who finds it finds the token.
        secrets.prepare_token();
        let listeners = Listeners::bind();
        let shared = Arc::new(Shared::new(published.clone(), mailbox, secrets, started));
        if boot
            .environment
            .get(env::ACTIVITY)
            .is_some_and(|value| value == "1")
        {
            shared.activity.ask();
        }
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
            service_pids: [None; service::COUNT],
            pump: None,
            output_done: false,
            tracer: None,
            settle_by: None,
            succeeded: false,
            setup_tail: Vec::new(),
            http_started: false,
            listeners: Some(listeners),
            exit: None,
        }
    }

    fn run(mut self) -> i32 {
        loop {
            let whole = self.survive(Self::turn).is_some();
            if let Some(code) = self.exit {
                self.survive(|this| this.close());
                return code;
            }
            if !self.http_started {
                // After CMD or setup was started: neither waits for it.
                self.http_started = true;
                self.survive(Self::start_http);
            }
            self.wait(whole);
        }
    }

    /// Does `step`; a bug must cost that step and not the container. None if it panicked.
    fn survive<T>(&mut self, step: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(|| step(self)));
        if done.is_err() {
            say("a step of the supervisor failed; going on");
        }
        done.ok()
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
            self.settle_output();
        }
        if self.state.deadline().is_some_and(|at| at <= now) {
            self.queue.push_back(Event::Tick);
        }
        if self.state.awaits_solitude() && self.survive(|this| this.is_alone()) == Some(true) {
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
            // One by one: what comes after, an exit perhaps, must not be lost with a failed one.
            if self.survive(|this| this.act(action)).is_none() {
                self.queue.extend(self.answer_to_failed(action));
            }
        }
    }

    /// Sleeps until something happens; after a turn that failed half-way (`whole` is false), what
    /// it left undone is due soon.
    fn wait(&mut self, whole: bool) {
        let now = self.shared.now();
        let solitude = self
            .state
            .awaits_solitude()
            .then_some(now + SOLITUDE_INTERVAL);
        let unfinished = (!whole).then_some(now + RETRY_PAUSE);
        let deadlines = [self.state.deadline(), self.settle_by, solitude, unfinished];
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

    fn act(&mut self, action: Action) {
        match action {
            Action::StartSetup => self.start_setup(),
            Action::SettleSetup { succeeded } => {
                self.succeeded = succeeded;
                self.settle_by = Some(self.shared.now() + SETTLE_LIMIT);
                match &self.pump {
                    Some(pump) if !self.output_done => pump.settle(),
                    _ => self.settle_output(),
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
            Action::Service(id, ServiceAction::Start) => self.start_service(id),
            Action::Service(id, ServiceAction::Signal(signo)) => self.signal_service(id, signo),
            Action::Service(_, ServiceAction::Sweep) => {}
            Action::SignalAll(signo) => self.signal_all(signo),
            Action::Record => self.record(),
            Action::Exit(code) => self.exit = Some(code),
        }
    }

    /// What the state machine is told where an action that it waits for panicked.
    fn answer_to_failed(&self, action: Action) -> Option<Event> {
        match (action, self.setup_pid, self.cmd_pid) {
            (Action::StartSetup, Some(pid), _) => Some(Event::SetupStarted { pid }),
            (Action::StartSetup, None, _) => Some(Event::SetupRefused {
                code: 70,
                message: "amikad failed to start setup.sh; this is a bug".to_owned(),
            }),
            (Action::SettleSetup { .. }, ..) => Some(Event::SetupSettled),
            (Action::StartCmd, _, Some(pid)) => Some(Event::CmdStarted { pid }),
            (Action::StartCmd, _, None) => Some(Event::CmdRefused { code: 70 }),
            (Action::Service(id, ServiceAction::Start), ..) => {
                let answer = match self.service_pids[id.index()] {
                    Some(pid) => ServiceEvent::Started { pid },
                    None => {
                        ServiceEvent::Refused("amikad failed to start it; this is a bug".into())
                    }
                };
                Some(Event::Service(id, answer))
            }
            _ => None,
        }
    }
}

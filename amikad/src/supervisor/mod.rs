//! The loop that owns all processes: the only code that forks and the only code that waits.
//!
//! One thread, woken by signals, by children whose program begins, by requests from the HTTP side, and by
//! the state machine's own deadlines. Nothing in it may block: what looks at places of the agent, copies logs or
//! walks a home does so on a thread beside it or in the child, and answers later. And nothing in it may end it: once
//! something was started, failures are said and survived.

mod beside;
mod children;
mod intake;
mod only;
mod services;
mod settle;
mod show;
mod start;
mod tasks;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amika_core::contract::env;
use amika_core::hex::hex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::args::Place;
use crate::boot::{self, Boot};
use crate::environment::Environment;
use crate::http::Listeners;
use crate::lifecycle::{
    Action, Event, Millis, Plan, ServiceAction, ServiceEvent, State, TaskAction, TaskEvent,
};
use crate::publish::{Command, Mailbox, Shared, Snapshot};
use crate::pump::Settler;
use crate::say::{go_on, has_more_to_say, open_log, say, say_once};
use crate::secrets::{Secrets, random_bytes};
use crate::service::{self, ServiceId};
use crate::setup::Tracer;
use crate::status::{Facts, Stamps, snapshot};
use crate::sys;
use children::{Children, Role};
use tasks::Tasks;

const SIGCONT: i32 = 18;

/// How long setup's last output may take to be written out before the boot goes on without it.
const OUTPUT_LIMIT: Millis = 2_000;
/// How often the end looks whether anybody is left, where no SIGCHLD would tell.
const SOLITUDE_INTERVAL: Millis = 20;

/// A turn that failed is taken up again after this: at once for a person, no busy loop for a machine.
const RETRY_PAUSE: Millis = 10;

/// How long the preparation may take before the API is served without waiting for it.
const PREPARE_PATIENCE: Millis = 100;

/// Is the container's entrypoint; returns its exit code. `mask` is what the container was given, where signals are
/// blocked already.
pub(crate) fn run(place: &Place, cmd: Vec<OsString>, mask: Option<SigSet>) -> i32 {
    let started = Instant::now();
    // From here on no signal is lost, and no thread can take one.
    let mask = mask.unwrap_or_else(sys::block_all_signals);
    sys::hear_of_children();
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
    let wake = match EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK) {
        Ok(wake) => Arc::new(wake),
        Err(error) => {
            say(format!("cannot be woken: {error}"));
            return 70;
        }
    };
    // Held until the end.
    let _alone = match only::claim() {
        Ok(claim) => claim,
        Err(problem) => {
            say(problem);
            return 70;
        }
    };
    let is_init = nix::unistd::getpid().as_raw() == 1;
    if !is_init {
        sys::become_subreaper();
    }
    boot::make_own_directories();
    let log = open_log();
    let mut supervisor = Supervisor::new(&cmd, is_init, signals, wake, started);
    supervisor.shared.set_logs(|logs| logs.amikad = Some(log));
    supervisor.prepare(place.clone(), cmd, mask);
    supervisor.run()
}

struct Supervisor {
    /// What the boot starts from, once it is prepared.
    boot: Option<Boot>,
    state: State,
    facts: Facts,
    shared: Arc<Shared>,
    published: Snapshot,
    /// Whether something happened since that may have changed it.
    is_stale: bool,
    own_pid: u32,
    signals: SignalFd,
    wake: Arc<EventFd>,
    /// Whether `wake` has to be emptied.
    is_woken: bool,
    commands: mpsc::Receiver<Command>,
    queue: VecDeque<Event>,
    children: Children,
    seed: u64,
    pump: Option<Settler>,
    output_done: bool,
    tracer: Option<Tracer>,
    /// The services' programs, as far as they were found when they were last looked for.
    programs: Vec<Option<PathBuf>>,
    /// Move their output.
    service_pumps: BTreeMap<ServiceId, Settler>,
    /// What runs beside CMD because somebody asked for it.
    tasks: Tasks,
    /// When to go on although setup's output was not written out.
    settle_by: Option<Millis>,
    setup_tail: Vec<String>,
    /// What the API is asked on, until its thread has it.
    listeners: Option<Listeners>,
    exit: Option<i32>,
}

impl Supervisor {
    fn new(
        cmd: &[OsString],
        is_init: bool,
        signals: SignalFd,
        wake: Arc<EventFd>,
        started: Instant,
    ) -> Self {
        let environment = Environment::of_process();
        service::choose(&environment);
        let random = random_bytes();
        let mut seed = [0; 8];
        seed.copy_from_slice(&random[..8]);
        let seed = u64::from_ne_bytes(seed);
        let state = State::new(Plan {
            setup: false,
            cmd: !cmd.is_empty(),
            services: service::plans(&environment),
            seed,
        });
        let facts = Facts {
            stamps: Stamps::new(wall_clock()),
            boot_id: hex(&random[16..]),
            argv0: cmd.first().map(|name| name.to_string_lossy().into_owned()),
            failed_line: None,
            setup_message: None,
        };
        let (mailbox, commands) = Mailbox::new(wake.clone());
        let secrets = Secrets::from_environment(&environment);
        let published = snapshot(&state, &facts);
        // Before the first child, which could have the port otherwise. Who finds it finds the token.
        secrets.prepare_token();
        let listeners = Listeners::bind();
        let shared = Arc::new(Shared::new(published.clone(), mailbox, secrets, started));
        if environment
            .get(env::ACTIVITY)
            .is_some_and(|value| value == "1")
        {
            shared.activity.ask();
        }
        Self {
            boot: None,
            state,
            facts,
            shared,
            published,
            is_stale: false,
            own_pid: std::process::id(),
            signals,
            wake,
            is_woken: true,
            commands,
            queue: VecDeque::new(),
            children: Children::new(is_init),
            seed,
            pump: None,
            output_done: false,
            tracer: None,
            programs: Vec::new(),
            service_pumps: BTreeMap::new(),
            tasks: Tasks::default(),
            settle_by: None,
            setup_tail: Vec::new(),
            listeners: Some(listeners),
            exit: None,
        }
    }

    /// Prepares the boot beside the loop: the home may be large, and what is looked at may hang.
    fn prepare(&mut self, place: Place, cmd: Vec<OsString>, mask: SigSet) {
        let mailbox = self.shared.mailbox.clone();
        beside::answer(
            "prepare",
            move || Box::new(Boot::prepare(&place, cmd, mask)),
            || Box::new(Err("preparing the sandbox failed; this is a bug".to_owned())),
            move |prepared| mailbox.send(Command::Prepared(prepared)),
        );
    }

    fn run(mut self) -> i32 {
        loop {
            let whole = self.survive(Self::turn).is_some();
            if let Some(code) = self.exit {
                self.survive(|this| this.close());
                return code;
            }
            let is_due = self.boot.is_some() || self.shared.now() >= PREPARE_PATIENCE;
            if self.listeners.is_some() && is_due {
                // After CMD or setup was started: neither waits for it.
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
        if std::mem::take(&mut self.is_woken) {
            // The counter only wakes.
            let _ = self.wake.read();
        }
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        self.take_news();
        let now = self.shared.now();
        if self.settle_by.is_some_and(|by| by <= now) {
            self.settle_output();
        }
        if self.state.deadline().is_some_and(|at| at <= now) {
            self.queue.push_back(Event::Tick);
        }
        if self.state.awaits_solitude()
            && self.survive(|this| this.children.is_alone()) == Some(true)
        {
            self.queue.push_back(Event::Alone);
        }
        while let Some(event) = self.queue.pop_front() {
            self.step(event);
        }
        self.forget_tasks();
        if self.is_stale {
            self.publish();
            self.is_stale = false;
        }
        go_on();
    }

    /// Gives `event` to the state machine and carries out what it says. What an action comes to is given to it before
    /// any other event, so that it never decides on a world of before.
    fn step(&mut self, event: Event) {
        let mut todo = VecDeque::from(self.decide(event));
        while let Some(action) = todo.pop_front() {
            if action == Action::StartCmd {
                // The very hand-over: what came until now still keeps CMD from starting.
                self.receive_signals();
                while let Some(signal) = self.take_signal() {
                    todo.extend(self.decide(signal));
                }
                if !self.state.wants_cmd() {
                    continue;
                }
            }
            // One by one: what comes after, an exit perhaps, must not be lost with a failed one.
            let answer = match self.survive(|this| this.act(action)) {
                Some(answer) => answer,
                None => self.answer_to_failed(action),
            };
            if let Some(answer) = answer {
                todo.extend(self.decide(answer));
            }
        }
    }

    /// What the state machine says to `event`. One on which it fails is not lost: it may have been CMD's end.
    fn decide(&mut self, event: Event) -> Vec<Action> {
        self.is_stale = true;
        let now = self.shared.now();
        let again = event.clone();
        let actions = self
            .survive(|this| this.state.step(event, now))
            .or_else(|| self.survive(|this| this.state.step(again, now)));
        self.facts.stamps.observe(&self.state, wall_clock());
        actions.unwrap_or_default()
    }

    fn take_signal(&mut self) -> Option<Event> {
        let is_signal = |event: &Event| matches!(event, Event::Signal(_));
        let position = self.queue.iter().position(is_signal)?;
        self.queue.remove(position)
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
        let serve = self.listeners.is_some().then_some(PREPARE_PATIENCE);
        let deadlines = [
            self.state.deadline(),
            self.settle_by,
            solitude,
            unfinished,
            serve,
        ];
        let timeout = match deadlines.into_iter().flatten().min() {
            None => PollTimeout::NONE,
            // One more, since the clock is cut to whole milliseconds.
            Some(at) => {
                PollTimeout::try_from(at.saturating_sub(now) + 1).unwrap_or(PollTimeout::MAX)
            }
        };
        let own = [self.signals.as_fd(), self.wake.as_fd()];
        let mut fds: Vec<PollFd<'_>> = own
            .into_iter()
            .chain(self.children.reports())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        let stderr = std::io::stderr();
        if has_more_to_say() {
            fds.push(PollFd::new(stderr.as_fd(), PollFlags::POLLOUT));
        }
        // An error here (ENOMEM) shows as an early wake-up, which does no harm.
        let is_told = poll(&mut fds, timeout).is_ok();
        self.is_woken = !is_told || fds[1].any() != Some(false);
    }

    /// Carries out `action`; what it comes to, if that is known at once.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::StartSetup => return Some(self.start_setup()),
            Action::SettleSetup => {
                self.settle_by = Some(self.shared.now() + OUTPUT_LIMIT);
                match &self.pump {
                    Some(pump) if !self.output_done => pump.settle(),
                    _ => self.settle_output(),
                }
            }
            Action::StartCmd => return Some(self.start_cmd()),
            Action::SignalSetup(signo) => self.children.signal_setup(signo),
            Action::SignalCmd(signo) => {
                // Gone but not yet reaped: nobody is left to tell.
                if let Err(error) = self.children.signal_cmd(signo)
                    && error.raw_os_error() == Some(nix::libc::EPERM)
                {
                    say_once("not permitted to signal CMD (CAP_KILL is missing)");
                }
            }
            Action::Service(id, ServiceAction::Start) => {
                return Some(Event::Service(id, self.start_service(id)));
            }
            Action::Service(id, ServiceAction::Hold) => {
                let is_there = id.is_declared() || self.program(id).is_some();
                let answer = if is_there {
                    ServiceEvent::Held
                } else {
                    ServiceEvent::Missing
                };
                return Some(Event::Service(id, answer));
            }
            Action::Service(id, ServiceAction::Signal(signo)) => {
                self.children.signal_service(id, signo);
            }
            Action::Service(id, ServiceAction::Sweep) => self.children.sweep_service(id),
            Action::Task(id, TaskAction::Start) => {
                return Some(Event::Task(id, self.start_task(id)));
            }
            Action::Task(id, action) => self.act_on_task(id, action),
            Action::SignalAll(signo) => {
                return (!self.children.signal_all(signo)).then_some(Event::Alone);
            }
            Action::Record => self.record(),
            Action::Exit(code) => self.exit = Some(code),
        }
        None
    }

    /// What the state machine is told where an action that it waits for panicked.
    fn answer_to_failed(&self, action: Action) -> Option<Event> {
        let bug = |what: &str| format!("amikad failed to start {what}; this is a bug");
        match action {
            Action::StartSetup => Some(match self.children.pid(Role::Setup) {
                Some(pid) => Event::SetupStarted { pid },
                None => Event::SetupRefused {
                    code: 70,
                    message: bug("setup.sh"),
                },
            }),
            Action::SettleSetup => Some(Event::SetupSettled),
            Action::StartCmd => Some(match self.children.pid(Role::Cmd) {
                Some(pid) => Event::CmdStarted { pid },
                None => Event::CmdRefused { code: 70 },
            }),
            Action::Service(id, ServiceAction::Start) => {
                let answer = match self.children.pid(Role::Service(id)) {
                    Some(pid) => ServiceEvent::Started { pid },
                    None => ServiceEvent::Refused(bug(id.spec().title)),
                };
                Some(Event::Service(id, answer))
            }
            Action::Task(id, TaskAction::Start) => {
                let answer = match self.children.pid(Role::Task(id)) {
                    Some(_) => TaskEvent::Started,
                    None => TaskEvent::Refused,
                };
                Some(Event::Task(id, answer))
            }
            _ => None,
        }
    }
}

/// Milliseconds since the Unix epoch, by the clock on the wall.
fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}

//! The loop that owns all processes: the only code that forks and the only code that waits.
//!
//! One thread, woken by signals, by requests from the HTTP side, and by the state machine's own
//! deadlines. Nothing in it may block for long, and nothing in it may end it: once something was
//! started, failures are said and survived.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amika_core::contract::{OPENCODE_PORT, env, path};
use amika_core::wire::{BootRecord, Phase, SetupState};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::args::Place;
use crate::boot::{Boot, nearest_directory};
use crate::lifecycle::{Action, Event, Millis, Plan, ServiceAction, ServiceEvent, State};
use crate::logs::{Bounds, Log};
use crate::mounts::Mounts;
use crate::publish::{Command, Mailbox, Shared};
use crate::pump::Settler;
use crate::say::{note, say};
use crate::secrets::{Secrets, hex, random_bytes};
use crate::setup::Tracer;
use crate::spawn::{Launch, explain};
use crate::status::{Facts, changes, snapshot};
use crate::sys::{self, End, Group, Stdio, Step};
use crate::{handover, http, opencode, record, setup};

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
    signals: SignalFd,
    wake: Arc<EventFd>,
    commands: mpsc::Receiver<Command>,
    queue: VecDeque<Event>,
    setup_pid: Option<i32>,
    cmd_pid: Option<i32>,
    opencode_pid: Option<i32>,
    opencode_gone: Arc<AtomicBool>,
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
        let shared = Arc::new(Shared::new(
            snapshot(&state, &facts),
            mailbox,
            secrets,
            started,
        ));
        Self {
            boot,
            state,
            facts,
            shared,
            signals,
            wake,
            commands,
            queue: VecDeque::from([Event::Boot]),
            setup_pid: None,
            cmd_pid: None,
            opencode_pid: None,
            opencode_gone: Arc::default(),
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
                self.opencode_gone.store(true, Ordering::Release);
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

    fn start_setup(&mut self) {
        let Some(script) = self.boot.script.clone() else {
            self.queue.push_front(Event::SetupSettled);
            return;
        };
        let file = Path::new(path::SETUP_SCRIPT);
        let bounds = Bounds {
            head: 1 << 20,
            ring: 4 << 20,
        };
        let log = Arc::new(Log::create(Path::new(path::SETUP_LOG), bounds));
        self.shared.set_logs(|logs| logs.setup = Some(log.clone()));
        let mut environment = self.boot.children.clone();
        let own_bash_env = environment.get("BASH_ENV").map(ToOwned::to_owned);
        if let Some((tracer, bash_env)) = Tracer::prepare(&script, file, own_bash_env.as_deref()) {
            environment.set("BASH_ENV", bash_env);
            self.tracer = Some(tracer);
        }
        let mailbox = self.shared.mailbox.clone();
        let settled = move || mailbox.send(Command::OutputSettled);
        let captured = crate::pump::pipe().and_then(|(reader, writer)| {
            let pump = crate::pump::start(reader, log.clone(), true, settled)?;
            Ok((pump, writer))
        });
        let (pump, writer) = match captured {
            Ok((pump, writer)) => (Some(pump), Some(writer)),
            Err(error) => {
                say(format!("cannot keep setup's output: {error}"));
                (None, None)
            }
        };
        self.pump = pump;
        let stdout = std::io::stdout();
        let output = writer
            .as_ref()
            .map_or(stdout.as_raw_fd(), AsRawFd::as_raw_fd);
        let argv = [OsString::from(path::SETUP_SCRIPT)];
        let cwd = nearest_directory(&self.boot.agent_cwd, &environment);
        let launch = Launch {
            candidates: vec![file.to_owned()],
            argv: &argv,
            env: &environment,
            cwd: Some(&cwd),
            identity: None,
            stdio: Stdio::Captured(output),
            group: Group::Own,
            mask: self.boot.mask,
        };
        let event = match launch.spawn() {
            Ok(pid) => {
                self.setup_pid = Some(pid);
                Event::SetupStarted { pid }
            }
            Err(error) => {
                let (code, message) = match error.step {
                    Step::Exec => script.explain_refusal(file, &error.source),
                    _ => explain(file.as_os_str(), Some(&cwd), &[], &error),
                };
                Event::SetupRefused { code, message }
            }
        };
        self.queue.push_front(event);
    }

    /// Setup ended and its output is written out, as far as that could be waited for.
    fn output_settled(&mut self) {
        if self.settle_by.take().is_none() {
            return;
        }
        let file = Path::new(path::SETUP_SCRIPT);
        if let Some(log) = self.shared.logs().setup {
            if self.state.setup.state == SetupState::Failed {
                self.setup_tail = log.tail(20, 8 << 10);
            }
            log.finish();
        }
        match self.state.setup.state {
            SetupState::Failed => self.explain_setup_failure(file),
            SetupState::Succeeded if self.succeeded => {
                if let Err(error) = self.remember_success(file) {
                    note(format!("cannot write {}: {error}", path::SETUP_DONE));
                }
                self.hand_over();
                return;
            }
            _ => {}
        }
        self.queue.push_back(Event::SetupSettled);
    }

    fn explain_setup_failure(&mut self, file: &Path) {
        let end = self.state.setup.end.unwrap_or(End::Code(1));
        let refused = self.state.setup.message.clone();
        if refused.is_none() {
            self.facts.failed_line = self
                .tracer
                .as_ref()
                .and_then(|tracer| tracer.failed_line(&self.setup_tail));
        }
        let hint = self
            .boot
            .script
            .as_ref()
            .and_then(|script| script.hint(file, end.exit_code()));
        let why = refused.unwrap_or_else(|| {
            let line = self
                .facts
                .failed_line
                .map(|line| format!(" at line {line}"));
            let hint = hint.map(|hint| format!(": {hint}"));
            let how = match end {
                End::Code(code) => format!("exited with {code}"),
                End::Signal(signo) => match signal_hook::low_level::signal_name(signo) {
                    Some(name) => format!("was killed by {name}"),
                    None => format!("was killed by signal {signo}"),
                },
            };
            let (line, hint) = (line.unwrap_or_default(), hint.unwrap_or_default());
            format!("setup.sh {how}{line}{hint}")
        });
        let message = format!("setup failed: {why}; CMD was not started");
        say(&message);
        record::write_termination_log(&message);
        self.facts.setup_message = Some(why);
    }

    fn remember_success(&self, file: &Path) -> std::io::Result<()> {
        if self
            .boot
            .environment
            .get(env::SETUP_ONCE)
            .is_some_and(|value| value == "1")
        {
            let hash = setup::hash(file)?;
            record::write_atomically(Path::new(path::SETUP_DONE), hash.as_bytes())?;
        }
        Ok(())
    }

    /// Gives the agent what setup made, beside the loop: it may be a lot.
    fn hand_over(&mut self) {
        let noop = self
            .boot
            .script
            .as_ref()
            .is_some_and(setup::Script::is_noop);
        let Some(identity) = self.boot.agent_identity().filter(|_| !noop).cloned() else {
            self.queue.push_back(Event::SetupSettled);
            return;
        };
        let agent_cwd = self.boot.agent_cwd.clone();
        let mailbox = self.shared.mailbox.clone();
        let work = move || {
            let walk = || {
                let home = Path::new(path::HOME);
                let mut roots = vec![home];
                let mounts = Mounts::read();
                // Beneath the home and no mount: the first walk meets it.
                if !agent_cwd.starts_with(home) || mounts.has(&agent_cwd) {
                    roots.push(&agent_cwd);
                }
                handover::hand_over(&roots, &identity, &mounts)
            };
            if let Ok(handed) = catch_unwind(AssertUnwindSafe(walk)) {
                note(format!("gave {} files to the agent", handed.changed));
                if handed.failed > 0 {
                    say(format!(
                        "{} files could not be given to the agent",
                        handed.failed
                    ));
                }
            }
            mailbox.send(Command::HandedOver);
        };
        if let Err(error) = std::thread::Builder::new()
            .name("handover".into())
            .spawn(work)
        {
            say(format!("cannot give setup's files to the agent: {error}"));
            self.queue.push_back(Event::SetupSettled);
        }
    }

    fn start_cmd(&mut self) {
        let environment = self.boot.agent_environment();
        let Some(name) = self.boot.cmd.first().cloned() else {
            return;
        };
        let cwd = nearest_directory(&self.boot.cmd_cwd, &environment);
        let candidates = environment.candidates(&name);
        let (cmd, mask) = (self.boot.cmd.clone(), self.boot.mask);
        let spawn = |identity| {
            let launch = Launch {
                candidates: candidates.iter().map(|path| cwd.join(path)).collect(),
                argv: &cmd,
                env: &environment,
                cwd: Some(&cwd),
                identity,
                stdio: Stdio::Inherit,
                group: Group::Foreground,
                mask,
            };
            launch.spawn()
        };
        let identity = self.boot.agent_identity().cloned();
        let mut spawned = spawn(identity.as_ref());
        if matches!(&spawned, Err(error) if error.step == Step::Identity)
            && !self.boot.agent_was_named
        {
            say("not permitted to become the agent user; CMD runs as root");
            self.boot.changes_user = false;
            spawned = spawn(None);
        }
        let event = match spawned {
            Ok(pid) => {
                self.cmd_pid = Some(pid);
                Event::CmdStarted { pid }
            }
            Err(error) => {
                let resolved: Vec<_> = candidates.iter().map(|path| cwd.join(path)).collect();
                let (code, message) = explain(&name, Some(&cwd), &resolved, &error);
                say(&message);
                record::write_termination_log(&message);
                Event::CmdRefused { code }
            }
        };
        self.queue.push_front(event);
    }

    fn start_opencode(&mut self) {
        let agent = self.boot.agent_environment();
        let Some(program) = opencode::find(&agent) else {
            self.queue.push_back(Event::OpenCode(ServiceEvent::Missing));
            return;
        };
        let log = self.shared.logs().opencode.unwrap_or_else(|| {
            let bounds = Bounds {
                head: 0,
                ring: 4 << 20,
            };
            let log = Arc::new(Log::create(Path::new(path::OPENCODE_LOG), bounds));
            self.shared
                .set_logs(|logs| logs.opencode = Some(log.clone()));
            log
        });
        let environment = opencode::environment(&agent, self.shared.secrets.opencode_password());
        let port = OPENCODE_PORT.to_string();
        if let Err(error) = std::fs::write(path::OPENCODE_PORT_FILE, &port) {
            say(format!(
                "cannot write {}: {error}",
                path::OPENCODE_PORT_FILE
            ));
        }
        let argv = opencode::command_line(&program);
        let cwd = nearest_directory(&self.boot.agent_cwd, &environment);
        let started = crate::pump::pipe()
            .map_err(|error| error.to_string())
            .and_then(|(reader, writer)| {
                let launch = Launch {
                    candidates: vec![program.clone()],
                    argv: &argv,
                    env: &environment,
                    cwd: Some(&cwd),
                    identity: self.boot.agent_identity(),
                    stdio: Stdio::Captured(writer.as_raw_fd()),
                    group: Group::Session,
                    mask: self.boot.mask,
                };
                let pid = launch.spawn().map_err(|error| {
                    explain(
                        program.as_os_str(),
                        Some(&cwd),
                        std::slice::from_ref(&program),
                        &error,
                    )
                    .1
                })?;
                if let Err(error) = crate::pump::start(reader, log, false, || ()) {
                    say(format!("cannot keep OpenCode's output: {error}"));
                }
                Ok(pid)
            });
        let event = match started {
            Ok(pid) => {
                self.opencode_pid = Some(pid);
                self.opencode_gone = Arc::default();
                ServiceEvent::Started { pid }
            }
            Err(message) => {
                say(format!("OpenCode: {message}"));
                ServiceEvent::Refused(message)
            }
        };
        self.queue.push_back(Event::OpenCode(event));
    }

    /// Sends a signal to a group; to its leader where the group is not there yet.
    fn signal_group(leader: Option<i32>, signo: i32) {
        if let Some(pid) = leader
            && sys::kill(-pid, signo).is_err()
        {
            // Gone: nobody is left to tell.
            let _ = sys::kill(pid, signo);
        }
    }

    fn signal_opencode(&self, signo: i32) {
        let Some(leader) = self.opencode_pid else {
            return;
        };
        for pid in opencode::tree(leader) {
            // Those that end on their own meanwhile need no signal.
            let _ = sys::kill(pid, signo);
        }
    }

    /// Kills what a dead OpenCode server left of its session.
    fn sweep(leader: i32) {
        for pid in opencode::tree(leader) {
            if pid != leader {
                // As above.
                let _ = sys::kill(pid, 9);
            }
        }
    }

    fn signal_all(&mut self, signo: i32) {
        let wake = |pid| {
            // A stopped process acts on nothing but KILL.
            if signo != 9 {
                let _ = sys::kill(pid, SIGCONT);
            }
        };
        if self.boot.is_init {
            if sys::kill(-1, signo).is_err() {
                self.queue.push_back(Event::Alone);
            } else {
                wake(-1);
            }
            return;
        }
        let left = opencode::descendants(nix::unistd::getpid().as_raw());
        if left.is_empty() {
            self.queue.push_back(Event::Alone);
        }
        for pid in left {
            // Those that end on their own meanwhile need no signal.
            let _ = sys::kill(pid, signo);
            wake(pid);
        }
    }

    fn is_alone(&self) -> bool {
        if self.boot.is_init {
            sys::kill(-1, 0).is_err()
        } else {
            opencode::descendants(nix::unistd::getpid().as_raw()).is_empty()
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
        let old = self.shared.status();
        let at = self.facts.epoch + self.shared.now();
        let changes = changes(&old, &new.status, at);
        for change in &changes {
            note(format!("{:?}: {:?}", change.changed, new.status.phase));
        }
        self.shared.publish(new, changes);
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

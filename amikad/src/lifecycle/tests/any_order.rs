//! What must hold whatever comes, in any order.

use proptest::prelude::*;

use super::*;

/// Which process an event is about, if it is about one.
fn about(event: &Event) -> u8 {
    match event {
        Event::SetupStarted { .. } | Event::SetupRefused { .. } | Event::SetupEnded(_) => 1,
        Event::CmdStarted { .. }
        | Event::CmdBegan
        | Event::CmdRefused { .. }
        | Event::CmdEnded(_) => 2,
        Event::SetupSettled => 3,
        Event::Boot => 4,
        Event::Signal(_) | Event::Alone | Event::Tick => 5,
        Event::Task(id, _) => 6 + u8::try_from(id.number).unwrap(),
        Event::Service(id, _) => 100 + u8::try_from(id.index()).unwrap(),
    }
}

fn place(id: TaskId) -> usize {
    TASKS.iter().position(|task| *task == id).unwrap()
}

/// Which processes live.
#[derive(Clone, Copy, Debug)]
struct World {
    setup: bool,
    cmd: bool,
    services: [bool; COUNT],
    tasks: [bool; TASKS.len()],
}

/// A boot in a world that answers late, in any order, or never.
struct Run {
    state: State,
    now: u64,
    /// Processes that live.
    lives: World,
    /// Answers that were not given yet.
    pending: Vec<Event>,
    setup_ok: bool,
    stopped_before_cmd: bool,
    told_to_end: bool,
    cmd_starts: u32,
    exit: Option<i32>,
}

impl Run {
    fn new(plan: Plan) -> Self {
        let setup_ok = !plan.setup;
        Self {
            state: State::new(plan),
            now: 0,
            lives: World {
                setup: false,
                cmd: false,
                services: [false; COUNT],
                tasks: [false; TASKS.len()],
            },
            pending: vec![Event::Boot],
            setup_ok,
            stopped_before_cmd: false,
            told_to_end: false,
            cmd_starts: 0,
            exit: None,
        }
    }

    /// Gives the machine one event and notes what comes of its actions: processes live at once, what is said of them
    /// comes whenever.
    fn feed(&mut self, event: Event) {
        if self.exit.is_some() {
            return;
        }
        if let Event::Signal(signo) = event
            && crate::lifecycle::ending::asks_to_stop(signo)
            && self.cmd_starts == 0
        {
            self.stopped_before_cmd = true;
        }
        if matches!(event, Event::Signal(TERM)) {
            self.told_to_end = true;
        }
        for action in self.state.step(event, self.now) {
            match action {
                Action::StartSetup => {
                    self.lives.setup = true;
                    self.pending.push(Event::SetupStarted { pid: 10 });
                }
                Action::SettleSetup => self.pending.push(Event::SetupSettled),
                Action::StartCmd => {
                    // As the supervisor asks, which reads signals at this very moment.
                    if !self.state.wants_cmd() {
                        continue;
                    }
                    assert!(self.setup_ok, "CMD started without a good setup");
                    assert!(!self.stopped_before_cmd, "CMD started after a stop");
                    self.cmd_starts += 1;
                    self.lives.cmd = true;
                    self.pending.push(Event::CmdStarted { pid: 20 });
                    self.pending.push(Event::CmdBegan);
                }
                Action::SignalSetup(9) if self.lives.setup => {
                    self.lives.setup = false;
                    self.pending.push(Event::SetupEnded(End::Signal(9)));
                }
                Action::SignalCmd(9) if self.lives.cmd => {
                    self.lives.cmd = false;
                    self.pending.push(Event::CmdEnded(End::Signal(9)));
                }
                Action::Service(id, ServiceAction::Start) => {
                    let lives = &mut self.lives.services[id.index()];
                    assert!(!*lives, "two servers");
                    let answer = match self.now / 10 % 6 {
                        0 => ServiceEvent::Missing,
                        1 => ServiceEvent::Refused("no".to_owned()),
                        2 => ServiceEvent::Unable("never".to_owned()),
                        _ => {
                            *lives = true;
                            ServiceEvent::Started { pid: 30 }
                        }
                    };
                    self.pending.push(Event::Service(id, answer));
                }
                Action::Service(id, ServiceAction::Signal(9))
                    if self.lives.services[id.index()] =>
                {
                    self.lives.services[id.index()] = false;
                    let ended = ServiceEvent::Ended(End::Signal(9));
                    self.pending.push(Event::Service(id, ended));
                }
                Action::Task(id, TaskAction::Start) => {
                    assert!(!self.told_to_end, "a task was started at the end");
                    let lives = &mut self.lives.tasks[place(id)];
                    assert!(!*lives, "two of one task");
                    *lives = !self.now.is_multiple_of(70);
                    let answer = [TaskEvent::Refused, TaskEvent::Started][usize::from(*lives)];
                    self.pending.push(Event::Task(id, answer));
                }
                Action::Task(id, TaskAction::Kill) if self.lives.tasks[place(id)] => {
                    self.lives.tasks[place(id)] = false;
                    self.pending.push(Event::Task(id, TaskEvent::Ended));
                }
                Action::SignalAll(9) => {
                    self.lives = World {
                        setup: false,
                        cmd: false,
                        services: [false; COUNT],
                        tasks: [false; TASKS.len()],
                    };
                    self.pending.push(Event::Alone);
                }
                Action::Exit(code) => {
                    assert!(!self.lives.cmd, "left while CMD ran");
                    self.exit = Some(code);
                }
                _ => {}
            }
        }
    }

    fn act(&mut self, choice: u8) {
        self.now += u64::from(choice) * 10;
        let high = usize::from(choice / 13);
        let id = nth(high % COUNT);
        let task = TASKS[high % TASKS.len()];
        match choice % 13 {
            0..=3 if !self.pending.is_empty() => {
                let about = about(&self.pending[high % self.pending.len()]);
                // In any order, but nobody ends before it is there.
                let first = self
                    .pending
                    .iter()
                    .position(|event| self::about(event) == about);
                let event = self.pending.remove(first.unwrap());
                self.feed(event);
            }
            4 if self.lives.setup => {
                self.lives.setup = false;
                let code = i32::from(choice / 13 % 2);
                self.setup_ok = code == 0;
                self.pending.push(Event::SetupEnded(End::Code(code)));
            }
            5 if self.lives.cmd => {
                self.lives.cmd = false;
                self.pending.push(Event::CmdEnded(End::Code(5)));
            }
            6 if self.lives.services[id.index()] => {
                self.lives.services[id.index()] = false;
                let ended = ServiceEvent::Ended(End::Code(1));
                self.pending.push(Event::Service(id, ended));
            }
            7 => self.feed(Event::Signal([TERM, 2, 10, 28][high % 4])),
            8 => {
                let asked = [
                    ServiceEvent::RestartAsked,
                    ServiceEvent::StopAsked,
                    ServiceEvent::Wanted,
                ];
                let asked = asked[usize::from(choice / 26) % 3].clone();
                self.feed(Event::Service(id, asked));
            }
            9 => {
                let healthy = ServiceEvent::Healthy(choice > 100);
                self.feed(Event::Service(id, healthy));
            }
            10 if !self.lives.tasks[place(task)] && !self.awaits(task) => {
                self.feed(Event::Task(task, TaskEvent::StartAsked));
            }
            11 if self.lives.tasks[place(task)] && high % 4 < 2 => {
                self.lives.tasks[place(task)] = false;
                self.pending.push(Event::Task(task, TaskEvent::Ended));
            }
            11 => self.feed(Event::Task(task, TaskEvent::EndAsked)),
            _ => self.feed(Event::Tick),
        }
    }

    /// Whether something is still to be told of a task.
    fn awaits(&self, task: TaskId) -> bool {
        let about = |event: &Event| matches!(event, Event::Task(id, _) if *id == task);
        self.pending.iter().any(about) || self.state.tasks.has(task)
    }

    /// Whether the end has begun, or a stop was asked for while no CMD runs, which has no deadline but the engine's.
    fn must_end(&self) -> bool {
        let begun = self.state.ending != crate::lifecycle::Ending::No;
        let cmd_runs = self.state.cmd.state == CmdState::Running && self.state.cmd.pid.is_some();
        begun || (self.state.stop_signal.is_some() && !cmd_runs)
    }

    /// Lets nothing but time pass, with no answer and no end of any process told.
    fn only_time(&self) -> Option<i32> {
        let (mut state, mut now) = (self.state.clone(), self.now);
        for _ in 0..50 {
            now = now.max(state.deadline()?);
            let actions = state.step(Event::Tick, now);
            if let Some(Action::Exit(code)) = actions.last() {
                return Some(*code);
            }
        }
        None
    }
}

/// Every kind of service.
const KINDS: [ServicePlan; 6] = [OFF, ON, AWAITED, DECLARED, ON_DEMAND, DECLARED];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn cmd_never_starts_after_failure_or_stop_and_time_alone_leads_from_every_end_to_exit(
        setup: bool,
        cmd: bool,
        kinds in [0..6_usize, 0..6_usize],
        choices in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut run = Run::new(Plan {
            setup,
            cmd,
            services: services(&[
                KINDS[kinds[0]],
                if kinds[1] % 2 == 1 {
                    depending(KINDS[kinds[1]])
                } else {
                    KINDS[kinds[1]]
                },
            ]),
            seed: 3,
        });
        let mut phase = run.state.phase;
        for choice in choices {
            run.act(choice);
            prop_assert!(run.state.phase >= phase, "a phase went back");
            phase = run.state.phase;
            if run.exit.is_none() && run.must_end() {
                prop_assert!(run.only_time().is_some(), "waits for ever: {:?}", run.state);
            }
        }
        prop_assert!(run.cmd_starts <= 1);
        // A stop at any moment: with a CMD that obeys, it ends.
        run.feed(Event::Signal(TERM));
        let is_end = |event: &Event| matches!(event, Event::CmdEnded(_));
        let told = run.pending.iter().find(|event| is_end(event)).cloned();
        if run.lives.cmd || told.is_some() {
            run.lives.cmd = false;
            run.feed(told.unwrap_or(Event::CmdEnded(End::Signal(TERM))));
        }
        prop_assert!(run.exit.is_some() || run.only_time().is_some(), "still up: {:?}", run.state);
    }
}

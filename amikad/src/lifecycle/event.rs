//! What happens to a boot, and what is to be done about it.

use amika_core::service::Restart;

use super::{Millis, ServiceAction, ServiceEvent, TaskAction, TaskEvent};
use crate::service::ServiceId;
use crate::sys::End;
use crate::task::TaskId;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The daemon is up.
    Boot,
    /// The setup script's process is there.
    SetupStarted {
        /// Its process id.
        pid: i32,
    },
    /// The setup script could not be run; its process, if there was one, is gone.
    SetupRefused {
        /// Exit code that says so.
        code: i32,
        /// A sentence that says why.
        message: String,
    },
    /// The setup script ended.
    SetupEnded(End),
    /// Its output was written out and, after success, its files were handed to the agent.
    SetupSettled,
    /// CMD's process is there; its program does not run yet.
    CmdStarted {
        /// Its process id.
        pid: i32,
    },
    /// CMD's program runs.
    CmdBegan,
    /// CMD could not be run; its process, if there was one, is gone.
    CmdRefused {
        /// Exit code that says so.
        code: i32,
    },
    /// CMD ended.
    CmdEnded(End),
    /// Something about a service.
    Service(ServiceId, ServiceEvent),
    /// Something about a task.
    Task(TaskId, TaskEvent),
    /// A signal came for the container.
    Signal(i32),
    /// No process but amikad is left.
    Alone,
    /// Time passed.
    Tick,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start the setup script; answered by `SetupStarted` or `SetupRefused`. The latter may follow the former.
    StartSetup,
    /// Write out setup's output and, after success, hand its files to the agent; answered by
    /// `SetupSettled`.
    SettleSetup,
    /// Start CMD; answered by `CmdStarted` or `CmdRefused`. `CmdBegan` or the latter follow the former.
    StartCmd,
    /// Send a signal to setup's process group.
    SignalSetup(i32),
    /// Send a signal to CMD.
    SignalCmd(i32),
    /// Do something about a service.
    Service(ServiceId, ServiceAction),
    /// Do something about a task.
    Task(TaskId, TaskAction),
    /// Send a signal to every process that is left; answered by `Alone` when there is none.
    SignalAll(i32),
    /// Write the boot record.
    Record,
    /// Exit with this code.
    Exit(i32),
}

/// What this boot is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Run the setup script.
    pub(crate) setup: bool,
    /// There is a CMD; without one the sandbox stays up.
    pub(crate) cmd: bool,
    /// What is to be known of each service.
    pub(crate) services: Vec<ServicePlan>,
    /// Seed of the jitter.
    pub(crate) seed: u64,
}

/// What the state machine knows of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServicePlan {
    /// It may be started.
    pub(crate) is_enabled: bool,
    /// For how long setup and CMD wait for it at most; none for those that they do not need.
    pub(crate) awaited: Option<Millis>,
    /// From TERM to KILL.
    pub(crate) grace: Millis,
    /// From its start to its end.
    pub(crate) course: Course,
}

/// When a service is started, and what comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    /// When its time has come.
    pub(crate) starts: Starts,
    /// What follows its end.
    pub(crate) restart: Restart,
    /// How long it may take to be up, where it may not take for ever.
    pub(crate) ready_within: Option<Millis>,
    /// Those that have to be up before it is started.
    pub(crate) depends_on: &'static [ServiceId],
}

impl Course {
    /// That of amikad's own: kept up from then on, however long each start takes.
    pub(crate) const fn own(starts: Starts) -> Self {
        Self {
            starts,
            restart: Restart::Always,
            ready_within: None,
            depends_on: &[],
        }
    }
}

/// When a service's time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starts {
    /// With setup, which may install it.
    WithSetup,
    /// Once setup succeeded.
    AfterSetup,
    /// When somebody connects to it after that.
    OnDemand,
}

//! Jobs: programs that run without anybody who waits for them; their output is kept, bounded, and outlives them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amika_core::contract::path;
use amika_core::hex::hex;
use amika_core::wire;

use crate::logs::{Bounds, Log};
use crate::pump::{self, Settler, Whose};
use crate::secrets::random_bytes;
use crate::task::{Full, Keeps, Kept, Kind, Progress, TaskId};

/// So many run at a time.
const RUNNING: usize = 32;
/// So many that ended are kept.
const ENDED: usize = 32;
/// What is kept of a job's output.
const BOUNDS: Bounds = Bounds {
    head: 256 << 10,
    ring: 1 << 20,
};

/// The jobs of this boot.
#[derive(Debug)]
pub(crate) struct Jobs(Kept<Job>);

impl Default for Jobs {
    fn default() -> Self {
        Self(Kept::new(RUNNING, ENDED))
    }
}

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    id: String,
    /// What it is to the supervisor.
    pub(crate) task: TaskId,
    command: String,
    /// How it fares.
    pub(crate) progress: Arc<Progress>,
    /// Its output.
    pub(crate) log: Arc<Log>,
    file: PathBuf,
    /// Moves its output to the log.
    pub(crate) pump: Settler,
}

impl Jobs {
    /// Makes place for one more, and what it writes to; the error is inner where it may be another time. Looks at the
    /// disk: not for a thread that others wait for.
    pub(crate) fn add(&self, command: String) -> io::Result<Result<(Arc<Job>, OwnedFd), Full>> {
        let id = hex(&random_bytes()[..8]);
        let directory = Path::new(path::JOB_LOG_DIR);
        // Where it cannot be made, logs are in memory.
        let _ = fs::DirBuilder::new().mode(0o700).create(directory);
        let file = directory.join(format!("{id}.log"));
        let log = Arc::new(Log::create(&file, BOUNDS));
        let (reader, writer) = pump::pipe()?;
        let finished = log.clone();
        let pump = pump::start(reader, log.clone(), Whose::Job, move || finished.finish())?;
        let job = Arc::new(Job {
            id,
            task: TaskId {
                kind: Kind::Job,
                number: self.0.next_number(),
            },
            command,
            progress: Arc::default(),
            log,
            file,
            pump,
        });
        // Those whose place it takes go here, with their files.
        Ok(self.0.add(job.clone()).map(|_| (job, writer)))
    }

    /// Takes one out that came to nothing.
    pub(crate) fn remove(&self, job: &Arc<Job>) {
        self.0.remove(job);
    }

    /// The one with this id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.0.find(id)
    }

    /// Those that were started, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        let mut all = self.0.all();
        all.retain(|job| job.progress.now().started_at.is_some());
        all
    }

    /// Whether one runs.
    pub(crate) fn any_running(&self) -> bool {
        self.all().iter().any(|job| !job.has_ended())
    }
}

impl Job {
    /// What is told of it; `kills` is what the kernel ended for want of memory so far.
    pub(crate) fn record(&self, kills: u64) -> wire::Job {
        wire::Job {
            id: self.id.clone(),
            // First: what was written before the end is counted with it.
            task: self.progress.record(&self.command, kills),
            log_bytes: self.log.total(),
            log_truncated: self.log.truncated(),
        }
    }
}

impl Keeps for Job {
    fn name(&self) -> &str {
        &self.id
    }

    fn has_ended(&self) -> bool {
        self.progress.now().ended.is_some()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.pump.end();
        // Gone already, or never there; who still reads it has it open.
        let _ = fs::remove_file(&self.file);
    }
}

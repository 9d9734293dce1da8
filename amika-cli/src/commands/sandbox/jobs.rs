//! `amika sandbox jobs`: what runs in a sandbox without anybody who waits for it; and what is told of a job wherever one is
//! started or ended.

use std::time::Duration;

use amika_core::text::{human_age, human_duration};
use amika_core::wire::{Job, TaskState};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::JobsArgs;
use crate::error::Result;
use crate::output::Table;

/// Added to a signal's number, as shells do.
const SIGNALLED: i32 = 128;

/// A job, as programs are told of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct JobView {
    /// The sandbox.
    sandbox: String,
    /// How long it ran, or runs by now.
    took_ms: u64,
    /// All that is known of it.
    #[serde(flatten)]
    job: Job,
}

impl JobView {
    pub(in crate::commands) fn of(sandbox: &str, job: Job) -> Self {
        let now = amika_host::clock::now_millis();
        let until = job.task.ended_at.unwrap_or(now);
        Self {
            sandbox: sandbox.to_owned(),
            took_ms: until.saturating_sub(job.task.started_at),
            job,
        }
    }

    /// Prints the id of one that was just started.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(in crate::commands) fn tell(sandbox: &str, job: Job, app: &App) -> Result<()> {
        let view = Self::of(sandbox, job);
        app.out
            .result(&view, |out| writeln!(out, "{}", view.job.id))
    }

    fn cells(&self, now: u64) -> Vec<String> {
        let task = &self.job.task;
        let state = match ended_with(&self.job) {
            Some(code) => format!("ended ({code})"),
            None => "running".to_owned(),
        };
        let age = Duration::from_millis(now.saturating_sub(task.started_at));
        vec![
            self.job.id.clone(),
            state,
            task.command.clone(),
            human_age(age) + " ago",
            human_duration(Duration::from_millis(self.took_ms)),
        ]
    }
}

/// What a job ended with: its exit code, or 128 and the number of the signal that ended it; none while it runs.
pub(in crate::commands) fn ended_with(job: &Job) -> Option<i32> {
    let task = &job.task;
    let signalled = || task.signal.map(|signal| SIGNALLED + signal);
    (task.state == TaskState::Ended).then(|| task.exit_code.or_else(signalled).unwrap_or(SIGNALLED))
}

pub(super) async fn run(args: &JobsArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let name = &args.name;
    if args.stop.is_empty() {
        return list(name, engine.jobs(name).await?, app);
    }
    let mut stopped = Vec::new();
    for id in &args.stop {
        stopped.push(if let Some(signal) = &args.signal {
            engine.signal_job(name, id, signal).await?
        } else {
            engine.end_job(name, id).await?;
            let cancel = app.interrupt.cancel();
            engine.wait_for_job(name, id, None, cancel).await?
        });
    }
    ids(name, stopped, app)
}

/// Prints jobs as a table.
///
/// # Errors
/// When standard output cannot be written.
pub(in crate::commands) fn list(sandbox: &str, jobs: Vec<Job>, app: &App) -> Result<()> {
    let views = views(sandbox, jobs);
    app.out.result(&views, |out| {
        let mut table = Table::new(["ID", "STATE", "COMMAND", "STARTED", "TOOK"]);
        let now = amika_host::clock::now_millis();
        for view in &views {
            table.row(view.cells(now));
        }
        table.write(out)
    })
}

/// Prints the ids of jobs to which something was done.
///
/// # Errors
/// When standard output cannot be written.
pub(in crate::commands) fn ids(sandbox: &str, jobs: Vec<Job>, app: &App) -> Result<()> {
    let views = views(sandbox, jobs);
    app.out.result(&views, |out| {
        let mut ids = views.iter().map(|view| &view.job.id);
        ids.try_for_each(|id| writeln!(out, "{id}"))
    })
}

fn views(sandbox: &str, jobs: Vec<Job>) -> Vec<JobView> {
    let views = jobs.into_iter().map(|job| JobView::of(sandbox, job));
    views.collect()
}

#[cfg(test)]
mod tests {
    use amika_core::wire::Task;

    use super::*;

    fn job(state: TaskState, exit_code: Option<i32>, signal: Option<i32>) -> Job {
        Job {
            id: "a".to_owned(),
            task: Task {
                state,
                command: "make".to_owned(),
                pid: None,
                exit_code,
                signal,
                started_at: 1_000,
                ended_at: (state == TaskState::Ended).then_some(4_500),
                out_of_memory_kills: 0,
            },
            log_bytes: 0,
            log_truncated: false,
        }
    }

    #[test]
    fn a_job_is_told_with_how_it_ended_and_how_long_it_took() {
        for (job, state) in [
            (job(TaskState::Ended, Some(7), None), "ended (7)"),
            (job(TaskState::Ended, None, Some(15)), "ended (143)"),
        ] {
            let cells = JobView::of("box", job).cells(65_000);
            assert_eq!(cells, ["a", state, "make", "1m 04s ago", "3.5 s"]);
        }
        let running = job(TaskState::Running, None, None);
        assert_eq!(ended_with(&running), None);
        assert_eq!(JobView::of("box", running).cells(1_000)[1], "running");
    }
}

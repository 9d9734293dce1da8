//! Jobs of sandboxes of a server's: `amika sandbox jobs --remote`, and what starts and awaits them.

use std::time::Duration;

use amika_core::wire;
use amika_remote::client::Call;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::sandbox::JobsArgs;
use crate::commands::sandbox::jobs::{ended_with, ids, list};
use crate::error::Result;

/// Between two looks at a job that is awaited.
const LOOK: Duration = Duration::from_millis(300);

/// A job, as the server tells of it.
#[derive(Deserialize)]
struct Job {
    id: String,
    state: wire::TaskState,
    command: String,
    pid: Option<i32>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    started_at: String,
    ended_at: Option<String>,
    log_bytes: u64,
    log_truncated: bool,
    out_of_memory_kills: u64,
}

impl From<Job> for wire::Job {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            task: wire::Task {
                state: job.state,
                command: job.command,
                pid: job.pid,
                exit_code: job.exit_code,
                signal: job.signal,
                started_at: millis(&job.started_at),
                ended_at: job.ended_at.as_deref().map(millis),
                out_of_memory_kills: job.out_of_memory_kills,
            },
            log_bytes: job.log_bytes,
            log_truncated: job.log_truncated,
        }
    }
}

/// A moment in milliseconds since the Unix epoch; 0 for what is none.
fn millis(at: &str) -> u64 {
    let at = at.parse::<jiff::Timestamp>().unwrap_or_default();
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}

pub(super) async fn run(args: &JobsArgs, server: &Server, app: &App) -> Result<()> {
    let name = &args.name;
    if args.stop.is_empty() {
        return list(name, server.jobs(name).await?, app);
    }
    let mut stopped = Vec::new();
    for id in &args.stop {
        stopped.push(if let Some(signal) = &args.signal {
            server.signal_job(name, id, signal).await?
        } else {
            server.end_job(name, id).await?;
            server.ended_job(name, id).await?
        });
    }
    ids(name, stopped, app)
}

impl Server {
    async fn jobs(&self, name: &str) -> Result<Vec<wire::Job>> {
        #[derive(Deserialize)]
        struct Jobs {
            items: Vec<Job>,
        }
        let path = ["sandboxes", name, "jobs"];
        let Jobs { items } = self.client.ask(Call::get(&path)).await.map_err(told)?;
        Ok(items.into_iter().map(Into::into).collect())
    }

    /// Starts one: a body of `POST /sandboxes/{ref}/jobs`.
    pub(super) async fn start_job(&self, name: &str, body: &Value) -> Result<wire::Job> {
        let path = ["sandboxes", name, "jobs"];
        let made = self.client.send::<Job>(Call::post(&path), body).await;
        made.map(Into::into).map_err(told)
    }

    async fn end_job(&self, name: &str, id: &str) -> Result<()> {
        let path = ["sandboxes", name, "jobs", id];
        let ended: Job = self.client.ask(Call::delete(&path)).await.map_err(told)?;
        drop(ended);
        Ok(())
    }

    async fn signal_job(&self, name: &str, id: &str, signal: &str) -> Result<wire::Job> {
        let path = ["sandboxes", name, "jobs", id, "signal"];
        let body = json!({ "signal": signal });
        let job = self.client.send::<Job>(Call::post(&path), &body).await;
        job.map(Into::into).map_err(told)
    }

    /// One, once it ended.
    pub(super) async fn ended_job(&self, name: &str, id: &str) -> Result<wire::Job> {
        let path = ["sandboxes", name, "jobs", id];
        loop {
            let job: Job = self.client.ask(Call::get(&path)).await.map_err(told)?;
            let job = wire::Job::from(job);
            if ended_with(&job).is_some() {
                return Ok(job);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

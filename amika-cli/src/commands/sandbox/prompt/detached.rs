//! `amika sandbox prompt --detach`: the agent works as a job of its sandbox.

use amika_core::wire::{JOB_BODY, JobRequest};

use super::{STDIN, agent, launch, manner, nothing_to_do, of_sign_in};
use crate::App;
use crate::args::agent::PromptArgs;
use crate::commands::sandbox::jobs::JobView;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::terminal;

/// Starts the job and prints its id.
///
/// # Errors
/// As those of a prompt that is waited for; [`Kind::Invalid`] for one that no job takes.
pub(super) async fn start(args: &PromptArgs, app: &App) -> Result<u8> {
    let engine = crate::engine::connect(&app.user).await?;
    let sandbox = Sandbox::find_whole(&engine, &args.name).await?;
    sandbox.must_run()?;
    let agent = agent(args, &engine, &sandbox).await?;
    let launch = launch(of_sign_in(agent), manner(args));
    let job = JobRequest {
        cmd: Some(launch.command),
        env: launch.env.into_iter().collect(),
        input: Some(prompt(args).await?),
        ..JobRequest::default()
    };
    let job = engine.start_job(&args.name, job).await?;
    JobView::tell(&args.name, job, app)?;
    Ok(0)
}

/// All that the agent is told.
///
/// # Errors
/// [`Kind::Invalid`] where standard input has nothing to say.
pub(in crate::commands) async fn prompt(args: &PromptArgs) -> Result<String> {
    if args.prompt != STDIN {
        return Ok(args.prompt.clone());
    }
    // One more than is taken: what is too much is told by who takes it.
    let most = u64::try_from(JOB_BODY).unwrap_or(u64::MAX);
    let text = terminal::all_of_stdin(most.saturating_add(1)).await;
    let text = text.map_err(|error| {
        Error::new(Kind::Invalid, "the prompt on standard input cannot be read").caused_by(&error)
    })?;
    if text.trim().is_empty() {
        return Err(nothing_to_do("the prompt on standard input is empty"));
    }
    Ok(text)
}

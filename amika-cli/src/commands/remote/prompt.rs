//! `amika sandbox prompt --remote`: a prompt for the agent in a sandbox of a server's, which answers and ends.

use amika_core::contract;
use amika_core::credential::Agent;
use serde_json::json;

use super::Server;
use super::program::{attend, own_failure};
use crate::App;
use crate::args::agent::PromptArgs;
use crate::commands::interruptible;
use crate::commands::sandbox::exec::{install_signals, interrupted};
use crate::commands::sandbox::jobs::JobView;
use crate::commands::sandbox::prompt::detached::prompt;
use crate::commands::sandbox::prompt::{Reading, check, ended, input, launch, manner, of_sign_in};
use crate::error::{Error, Kind, Result};

pub(super) async fn run(args: &PromptArgs, server: &Server, app: &App) -> Result<u8> {
    own_failure(app, attempt(args, server, app).await)
}

async fn attempt(args: &PromptArgs, server: &Server, app: &App) -> Result<u8> {
    check(args)?;
    if args.detach {
        return interruptible(app, detached(args, server, app)).await;
    }
    let mut signals = install_signals(app)?;
    let (_, whole) = tokio::select! {
        found = server.sandbox(&args.name) => found?,
        () = interrupted(&mut signals) => return Err(Error::new(Kind::Canceled, "interrupted")),
    };
    let agent = args.agent.map_or_else(|| signed_in(&whole), of_sign_in);
    let launch = launch(agent, manner(args));
    let input = input(&args.prompt, &mut signals).await?;
    // A turn, however quiet it is, keeps the sandbox at work.
    let turn = (contract::env::EXEC_TURN.to_owned(), "1".to_owned());
    let env: serde_json::Map<_, _> = launch
        .env
        .into_iter()
        .chain([turn])
        .map(|(name, value)| (name, value.into()))
        .collect();
    let start = json!({ "cmd": launch.command, "env": env });
    let mut reading = Reading::new(launch.unwrap);
    let code = attend(
        server,
        &args.name,
        start,
        false,
        || Ok(input),
        &mut reading,
        &mut signals,
    )
    .await?;
    Ok(ended(args, code, &launch.command[0], reading, app))
}

/// Has the agent work as a job of its sandbox, and prints the job's id.
async fn detached(args: &PromptArgs, server: &Server, app: &App) -> Result<u8> {
    let (_, whole) = server.sandbox(&args.name).await?;
    let agent = args.agent.map_or_else(|| signed_in(&whole), of_sign_in);
    let launch = launch(agent, manner(args));
    let env: serde_json::Map<_, _> = launch
        .env
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let input = prompt(args).await?;
    let job = json!({ "cmd": launch.command, "env": env, "input": input });
    let job = server.start_job(&args.name, &job).await?;
    JobView::tell(&args.name, job, app).map(|()| 0)
}

/// The first agent that the sandbox was given a sign-in of.
fn signed_in(sandbox: &serde_json::Value) -> Agent {
    let resolved = sandbox["resolved_agent_credentials"]
        .as_array()
        .into_iter()
        .flatten();
    let mut resolved = resolved.filter(|it| it["outcome"] == "resolved");
    match resolved.next().and_then(|it| it["kind"].as_str()) {
        Some("codex") => Agent::Codex,
        Some("opencode") => Agent::OpenCode,
        _ => Agent::Claude,
    }
}

//! `amika sandbox prompt --remote`: a prompt for the agent in a sandbox of a server's, which answers and ends.

use amika_core::contract;
use amika_core::credential::Agent;
use amika_core::text::shell_quote;
use amika_remote::client::Call;
use amika_sandbox::agent::signed_out::{LIMIT, NOTHING, question};
use serde_json::{Value, json};

use super::Server;
use super::program::{attend, own_failure};
use crate::App;
use crate::args::agent::PromptArgs;
use crate::commands::interruptible;
use crate::commands::sandbox::exec::{install_signals, interrupted};
use crate::commands::sandbox::jobs::JobView;
use crate::commands::sandbox::prompt::detached::prompt;
use crate::commands::sandbox::prompt::{
    Reading, check, ended, input, launch, manner, of_sign_in, ways,
};
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
    let agent = tokio::select! {
        agent = asked(args, server, &whole) => agent?,
        () = interrupted(&mut signals) => return Err(Error::new(Kind::Canceled, "interrupted")),
    };
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
    let agent = asked(args, server, &whole).await?;
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

/// The agent that is asked: the one that is named, else the first that the sandbox was given a sign-in of.
///
/// # Errors
/// [`Kind::NotSignedIn`] where it cannot have a model.
async fn asked(args: &PromptArgs, server: &Server, sandbox: &Value) -> Result<Agent> {
    let signed_in = signed_in(sandbox);
    let agent = args.agent.map(of_sign_in);
    let agent = agent.unwrap_or_else(|| signed_in.first().copied().unwrap_or(Agent::Claude));
    // What it was made with need not be looked for.
    if signed_in.contains(&agent) {
        return Ok(agent);
    }
    let Some(script) = question(agent, &args.args) else {
        return Ok(agent);
    };
    let path = ["sandboxes", args.name.as_str(), "exec"];
    let exec = json!({ "cmd": ["sh", "-c", script] });
    let look = server.client.send(Call::post(&path), &exec);
    // Whatever keeps it from being known, the agent itself finds out.
    let looked: Value = match tokio::time::timeout(LIMIT, look).await {
        Ok(Ok(looked)) => looked,
        _ => return Ok(agent),
    };
    if looked["exit_code"].as_i64() != Some(NOTHING) {
        return Ok(agent);
    }
    Err(signed_out(&args.name, agent))
}

/// The agents that the sandbox was given a sign-in of.
fn signed_in(sandbox: &Value) -> Vec<Agent> {
    let resolved = sandbox["resolved_agent_credentials"]
        .as_array()
        .into_iter()
        .flatten();
    let resolved = resolved.filter(|it| it["outcome"] == "resolved");
    let kinds = resolved.filter_map(|it| it["kind"].as_str()?.parse().ok());
    kinds.collect()
}

/// The error for an agent that nothing is there for by which it could have a model.
fn signed_out(name: &str, agent: Agent) -> Error {
    let (inside, key) = ways(agent);
    let quoted = shell_quote(name);
    Error::new(
        Kind::NotSignedIn,
        format!("{agent} in sandbox \"{name}\" is not signed in, and was given no key"),
    )
    .hint(format!(
        "`amika secret push` keeps this machine's sign-ins on the server, for sandboxes that are made with `--credentials {agent}`"
    ))
    .hint(format!(
        "`amika sandbox exec --remote -it {quoted} -- {inside}` signs in inside it"
    ))
    .hint(format!(
        "`amika sandbox create --remote --env {key}` makes a sandbox with the key of this shell; `--agent` names another agent"
    ))
}

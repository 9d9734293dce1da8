//! `amika secret push`: this machine's sign-ins of agents, kept on the server.

use amika_core::credential::{Agent, FILES, Selection};
use amika_core::text::human_size;
use amika_remote::client::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::App;
use crate::args::secret::PushArgs;
use crate::commands::remote::{Server, told};
use crate::error::{Error, Kind, Result};

/// A sign-in that the server keeps now.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Pushed {
    /// The agent.
    agent: Agent,
    /// The name that it is kept under.
    name: String,
    /// The file of this machine, from the home on.
    path: &'static str,
}

/// Bytes of a sign-in that a server takes.
const LARGEST: usize = 64 << 10;

#[derive(Deserialize)]
struct Kept {
    id: String,
    name: String,
    r#type: String,
    scope: String,
}

struct Found {
    agent: Agent,
    path: &'static str,
    content: String,
}

pub(super) async fn run(args: &PushArgs, server: &Server, app: &App) -> Result<()> {
    let found = find(args, app)?;
    if found.is_empty() {
        return Err(
            Error::new(Kind::NotFound, "no sign-in of an agent is on this machine")
                .hint("`amika credentials list` shows what is looked for"),
        );
    }
    if !args.force {
        confirm(&found, server, app).await?;
    }
    let mut pushed = Vec::new();
    for Found {
        agent,
        path,
        content,
    } in found
    {
        server.keep(route(agent), &args.name, &content).await?;
        pushed.push(Pushed {
            agent,
            name: args.name.clone(),
            path,
        });
    }
    app.out.result(&pushed, |out| {
        pushed
            .iter()
            .try_for_each(|it| writeln!(out, "{}", it.agent.as_str()))
    })
}

/// The sign-ins that are here.
fn find(args: &PushArgs, app: &App) -> Result<Vec<Found>> {
    let selection = args
        .credentials
        .as_deref()
        .map_or(Ok(Selection::all()), str::parse::<Selection>);
    let selection =
        selection.map_err(|error| Error::new(Kind::Invalid, format!("--credentials: {error}")))?;
    let home = app.machine.home_dir();
    let plan = crate::create::find_credentials(&home, &selection, &[]);
    let files = FILES
        .into_iter()
        .filter(|file| file.is_sign_in() && plan.take.contains(file));
    let mut found: Vec<Found> = Vec::new();
    for file in files {
        if found.iter().any(|other| other.agent == file.agent) {
            continue;
        }
        let path = home.join(file.path);
        let read = crate::host_file::read_file(&path).map_err(|error| {
            Error::new(Kind::Failure, format!("{} cannot be read", path.display()))
                .caused_by(&error)
        })?;
        let content = String::from_utf8(read.content).map_err(|error| {
            Error::new(Kind::Invalid, format!("{} is no text", path.display())).caused_by(&error)
        })?;
        if content.trim().is_empty() || content.len() > LARGEST {
            let message = format!("{} is empty, or larger than 64 KiB", path.display());
            return Err(Error::new(Kind::Invalid, message));
        }
        found.push(Found {
            agent: file.agent,
            path: file.path,
            content,
        });
    }
    Ok(found)
}

async fn confirm(found: &[Found], server: &Server, app: &App) -> Result<()> {
    let lines: Vec<String> = found
        .iter()
        .map(|it| {
            format!(
                "  ~/{}  ({}, {})",
                it.path,
                it.agent.as_str(),
                human_size(it.content.len() as u64)
            )
        })
        .collect();
    let question = format!(
        "Keep these on {}, for your sandboxes there?",
        server.client().address()
    );
    if app.out.can_ask() && app.out.confirmed(&lines, &question).await {
        return Ok(());
    }
    Err(Error::new(Kind::Conflict, "nothing was sent").hint("answer y, or pass `--force`"))
}

/// The last segment of an agent's route.
fn route(agent: Agent) -> &'static str {
    match agent {
        Agent::Claude => "claude",
        Agent::Codex => "codex",
        Agent::OpenCode => "opencode-auth",
    }
}

impl Server {
    /// Keeps a sign-in, in place of the user's own of the same name.
    async fn keep(&self, route: &str, name: &str, value: &str) -> Result<()> {
        let path = ["secrets", route];
        let all: Vec<Kept> = self.client().ask(Call::get(&path)).await.map_err(told)?;
        let old = all
            .iter()
            .find(|kept| kept.name == name && kept.r#type == "oauth" && kept.scope == "user");
        if let Some(old) = old {
            let path = ["secrets", route, old.id.as_str()];
            let _: Value = self.client().ask(Call::delete(&path)).await.map_err(told)?;
        }
        let body = json!({ "name": name, "value": value, "type": "oauth", "scope": "user" });
        let _: Value = self
            .client()
            .send(Call::post(&path), &body)
            .await
            .map_err(told)?;
        Ok(())
    }
}

//! `amika sandbox …`.

mod adopt;
mod code;
pub(super) mod connect;
pub(super) mod cp;
pub(super) mod create;
mod delete;
pub(in crate::commands) mod diff;
pub(super) mod each;
pub(super) mod exec;
pub(super) mod forward;
mod inspect;
pub(super) mod jobs;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod open;
mod out_of_memory;
pub(super) mod port;
pub(super) mod prompt;
pub(in crate::commands) mod pull;
pub(in crate::commands) mod push;
pub(super) mod rename;
mod restart;
mod start;
pub(super) mod stats;
mod stop;
pub(super) mod url;
pub(super) mod wait;

use super::interruptible;
use super::schema::{
    Output, document, document_or_lines, either, lines, stream, stream_or_document,
};
use crate::App;
use crate::args::sandbox::Command;
use crate::cp::Place;
use crate::engine::looked_at_again;
use crate::error::Result;
use crate::view::PortView;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    let program = "what the program in the sandbox writes";
    vec![
        (
            "create",
            either::<create::CreatedView, crate::create::PlanView>(),
        ),
        ("list", list::output()),
        ("inspect", document::<inspect::InspectView>()),
        ("url", document::<Vec<url::UrlView>>()),
        ("port", document::<Vec<PortView>>()),
        ("code", document::<code::CodeView>()),
        ("logs", document::<logs::LogsView>()),
        ("exec", stream_or_document::<jobs::JobView>(program)),
        ("connect", stream(program)),
        (
            "prompt",
            stream_or_document::<jobs::JobView>("what the agent writes"),
        ),
        ("jobs", document::<Vec<jobs::JobView>>()),
        ("open", document::<open::OpenView>()),
        ("forward", forward_output()),
        ("start", document::<Vec<each::Done>>()),
        ("stop", document::<Vec<each::Done>>()),
        ("restart", document::<Vec<each::Done>>()),
        ("rename", document::<rename::Renamed>()),
        ("wait", document::<wait::Waited>()),
        ("cp", document::<cp::Copied>()),
        ("diff", document::<diff::DiffView>()),
        ("pull", pull::output()),
        ("push", document::<push::PushedView>()),
        (
            "stats",
            document_or_lines::<Vec<stats::Sample>, stats::Sample>(),
        ),
        ("adopt", document::<Vec<adopt::Adopted>>()),
        ("delete", delete_output()),
    ]
}

/// What `list` prints, by whatever name it is called.
pub(super) fn list_output() -> Output {
    list::output()
}

/// What `forward` prints, by whatever name it is called.
pub(super) fn forward_output() -> Output {
    lines::<forward::ForwardEvent>()
}

/// What `delete` prints, by whatever name it is called.
pub(super) fn delete_output() -> Output {
    document::<Vec<each::Done>>()
}

pub(super) async fn run(command: Command, app: &App) -> Result<u8> {
    let names = names(&command);
    match dispatch(command, app).await {
        Err(error) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Err(looked_at_again(&app.user, error, &names).await)
        }
        done => done,
    }
}

/// The sandboxes that a command is about; none where it looks at each by itself.
fn names(command: &Command) -> Vec<String> {
    match command {
        Command::Inspect(args) => vec![args.name.clone()],
        Command::Url(args) => vec![args.name.clone()],
        Command::Port(args) => vec![args.name.clone()],
        Command::Logs(args) => vec![args.name.clone()],
        Command::Jobs(args) => vec![args.name.clone()],
        Command::Open(args) => vec![args.name.clone()],
        Command::Code(args) => vec![args.name.clone()],
        Command::Forward(args) => vec![args.name.clone()],
        Command::Diff(args) => vec![args.name.clone()],
        Command::Push(args) => vec![args.name.clone()],
        Command::Pull(args) => args.name.iter().cloned().collect(),
        Command::Rename(args) => vec![args.name.clone()],
        Command::Wait(args) => vec![args.name.clone()],
        Command::Stats(args) => args.names.clone(),
        Command::Cp(args) => [&args.source, &args.destination]
            .into_iter()
            .filter_map(|place| match place {
                Place::Sandbox { name, .. } => Some(name.to_string()),
                Place::Stream | Place::Host(_) => None,
            })
            .collect(),
        Command::Create(_)
        | Command::List(_)
        | Command::Exec(_)
        | Command::Connect(_)
        | Command::Prompt(_)
        | Command::Start(_)
        | Command::Stop(_)
        | Command::Restart(_)
        | Command::Adopt(_)
        | Command::Delete(_) => Vec::new(),
    }
}

async fn dispatch(command: Command, app: &App) -> Result<u8> {
    match command {
        Command::Create(args) => create::run(&args, app).await,
        Command::List(args) => list::run(&args, app).await,
        Command::Inspect(args) => interruptible(app, inspect::run(&args, app))
            .await
            .map(|()| 0),
        Command::Url(args) => interruptible(app, url::run(&args, app)).await.map(|()| 0),
        Command::Port(args) => interruptible(app, port::run(&args, app)).await.map(|()| 0),
        Command::Logs(args) => logs::run(&args, app).await,
        Command::Exec(args) => exec::run(&args, app).await,
        Command::Connect(args) => connect::run(&args, app).await,
        Command::Prompt(args) => prompt::run(&args, app).await,
        Command::Jobs(args) => interruptible(app, jobs::run(&args, app)).await.map(|()| 0),
        Command::Open(args) => open::run(&args, app).await.map(|()| 0),
        Command::Code(args) => interruptible(app, code::run(&args, app)).await.map(|()| 0),
        Command::Forward(args) => forward::run(&args, app).await,
        Command::Start(args) => start::run(&args, app).await.map(|()| 0),
        Command::Stop(args) => stop::run(&args, app).await.map(|()| 0),
        Command::Restart(args) => restart::run(&args, app).await.map(|()| 0),
        Command::Rename(args) => rename::run(&args, app).await.map(|()| 0),
        Command::Wait(args) => wait::run(&args, app).await,
        Command::Cp(args) => interruptible(app, cp::run(&args, app)).await,
        Command::Diff(args) => interruptible(app, diff::run(&args, app)).await.map(|()| 0),
        Command::Push(args) => interruptible(app, push::run(&args, app)).await.map(|()| 0),
        Command::Pull(args) => interruptible(app, pull::run(&args, app)).await.map(|()| 0),
        Command::Stats(args) => stats::run(&args, app).await,
        Command::Adopt(args) => adopt::run(&args, app).await.map(|()| 0),
        Command::Delete(args) => delete::run(&args, app).await.map(|()| 0),
    }
}

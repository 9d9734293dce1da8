//! One file a verb: gathers what it needs, has it done, and shows what came of it.

mod auth;
mod completion;
mod config;
mod credentials;
mod doctor;
mod draft;
mod events;
mod generate;
mod image;
mod init;
mod remote;
mod sandbox;
mod schema;
mod secret;
mod server;
mod service;
mod system;
mod volume;

use crate::App;
use crate::args::place::{Place, Placed, Verbs};
use crate::args::{self, Command};
use crate::error::{Error, Kind, Result};

pub(crate) use completion::complete_a_word;

/// Runs a command; the value is the exit code of a success, which only `exec` and `connect` choose.
pub(crate) async fn run(command: Command, app: App) -> Result<u8> {
    match command {
        Command::Sandbox(Verbs { place, command }) => sandbox(place, command, &app).await,
        Command::Service(Verbs { place, command }) => {
            let remote = remote::chosen(place, &app)?;
            let done = async {
                match remote {
                    Some(server) => remote::service::run(command, &server, &app).await,
                    None => service::run(command, &app).await,
                }
            };
            interruptible(&app, done).await
        }
        Command::Auth(command) => interruptible(&app, auth::run(command, &app))
            .await
            .map(|()| 0),
        Command::Secret(Verbs { place, command }) => {
            interruptible(&app, secret::run(command, place, &app))
                .await
                .map(|()| 0)
        }
        Command::Init(args) => interruptible(&app, init::run(&args, &app))
            .await
            .map(|()| 0),
        Command::Config(command) => interruptible(&app, config::run(&command, &app)).await,
        Command::Image(command) => interruptible(&app, image::run(command, &app))
            .await
            .map(|()| 0),
        Command::Credentials(command) => interruptible(&app, credentials::run(command, &app))
            .await
            .map(|()| 0),
        Command::Volume(Verbs { place, command }) => {
            let remote = remote::chosen(place, &app)?;
            let done = async {
                match remote {
                    Some(server) => remote::volume::run(command, &server, &app).await,
                    None => volume::run(command, &app).await,
                }
            };
            interruptible(&app, done).await.map(|()| 0)
        }
        Command::Forward(Placed { place, args }) => {
            sandbox(place, args::sandbox::Command::Forward(args), &app).await
        }
        Command::Events(Placed { place, args }) => match remote::chosen(place, &app)? {
            Some(server) => remote::events::run(&args, &server, &app).await,
            None => events::run(&args, &app).await,
        },
        Command::Server(args) => server::run(&args, &app).await.map(|()| 0),
        Command::System(command) => interruptible(&app, system::run(command, &app))
            .await
            .map(|()| 0),
        Command::Ls(Placed { place, args }) => {
            sandbox(place, args::sandbox::Command::List(args), &app).await
        }
        Command::Rm(Placed { place, args }) => {
            sandbox(place, args::sandbox::Command::Delete(args), &app).await
        }
        Command::Doctor(args) => interruptible(&app, doctor::run(&args, &app))
            .await
            .map(|()| 0),
        Command::Completion(args) => completion::run(&args, &app).map(|()| 0),
        Command::Generate(command) => generate::run(&command, &app).map(|()| 0),
    }
}

/// Runs a verb of sandboxes where it is to work.
async fn sandbox(place: Place, command: args::sandbox::Command, app: &App) -> Result<u8> {
    if let Some(server) = remote::chosen(place, app)? {
        let done = remote::sandbox::run(command, &server, app).await;
        return done.map_err(|error| match (error.kind, place.remote) {
            (Kind::NotFound, false) => error.hint("`--local` looks on this machine's engine"),
            _ => error,
        });
    }
    let done = sandbox::run(command, app).await;
    done.map_err(|error| {
        if place.local {
            error
        } else {
            remote::may_be_there(error, app)
        }
    })
}

/// Follows what has no end of its own, until the user ends it: that is no failure, and people are told
/// nothing of it. Programs find in the last line why there are no more. Returns the exit code.
pub(crate) async fn follow(app: &App, what: impl Future<Output = Result<()>>) -> Result<u8> {
    match interruptible(app, what).await {
        Err(error) if error.kind == Kind::Canceled && !app.out.is_json() => {
            Ok(crate::output::exit_code(error.kind))
        }
        result => result.map(|()| 0),
    }
}

/// Breaks a command off that has nothing to unmake.
pub(crate) async fn interruptible<T>(
    app: &App,
    command: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        result = command => result,
        () = app.interrupt.requested() => Err(Error::new(Kind::Canceled, "interrupted")),
    }
}

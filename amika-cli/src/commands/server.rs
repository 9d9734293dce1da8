//! `amika server`: what it is told, and what it tells of itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use amika_host::regular_file::{self, Links};
use amika_server::clock::Clock;
use amika_server::config::{Config, ConfigError, Layer};
use amika_server::start::{self, Server};
use amika_server::upkeep;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Notify;

use super::interruptible;
use super::schema::{Output, document, lines};
use crate::App;
use crate::args::server::{Command, KeyCommand, ServerArgs, ServerTold};
use crate::error::{Error, Kind, Result};
use crate::host_path;

/// The largest file of settings, in bytes.
const CONFIG: u64 = 1 << 20;

/// What is told once it listens.
#[derive(Debug, Serialize, JsonSchema)]
struct Listening {
    /// Where it is found.
    address: String,
    /// The first administrator's key; at the first start alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    /// Signs in once, within 10 minutes; at the first start alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in_url: Option<String>,
}

/// A server that could start.
#[derive(Debug, Serialize, JsonSchema)]
struct CheckView {
    /// The data directory.
    data: PathBuf,
    /// The version of the database's tables.
    version: i64,
}

/// A backup that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct BackupView {
    /// Where it is.
    backup: PathBuf,
}

/// Data that were put back.
#[derive(Debug, Serialize, JsonSchema)]
struct RestoreView {
    /// The data directory.
    data: PathBuf,
    /// Where what was there before is kept; none where there was nothing.
    kept: Option<PathBuf>,
}

/// A key that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyView {
    /// The key, which is shown this once.
    api_key: String,
}

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("server", lines::<Listening>()),
        ("server check", document::<CheckView>()),
        ("server backup", document::<BackupView>()),
        ("server restore", document::<RestoreView>()),
        ("server key create", document::<KeyView>()),
    ]
}

pub(super) async fn run(args: &ServerArgs, app: &App) -> Result<()> {
    let Some(command) = &args.command else {
        return serve(config(&args.told, app)?, app).await;
    };
    let config = config(&args.told, app)?;
    let work = async {
        match command {
            Command::Check(_) => check(&config, app).await,
            Command::Backup(args) => backup(&config.data, &args.to, app).await,
            Command::Restore(args) => restore(&config.data, &args.from, app).await,
            Command::Key(KeyCommand::Create(_)) => key(&config.data, app).await,
        }
    };
    interruptible(app, work).await
}

fn config(told: &ServerTold, app: &App) -> Result<Config> {
    let refused = |error: ConfigError| {
        let refusal = Error::new(Kind::Invalid, error.message);
        match error.hint {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    };
    let environment = Layer::of_environment(&app.machine).map_err(refused)?;
    let named = app.machine.variable("AMIKA_SERVER_CONFIG");
    let named = named.filter(|value| !value.is_empty()).map(PathBuf::from);
    let file = match told.config.clone().or(named) {
        Some(path) => of_file(&path)?,
        None => Layer::default(),
    };
    let said = told.layer().over(environment).over(file);
    Config::new(said, app.machine.data_dir().join("server")).map_err(refused)
}

fn of_file(path: &Path) -> Result<Layer> {
    let (bytes, _) = regular_file::read(path, Links::Followed, CONFIG)
        .map_err(|error| host_path::unreadable(Kind::Invalid, "--config ", path, &error))?;
    let refused = |message: &str| {
        Error::new(
            Kind::Invalid,
            format!("--config {}: {message}", path.display()),
        )
    };
    let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8"))?;
    Layer::of_file(&text).map_err(|error| refused(&error.message))
}

async fn serve(config: Config, app: &App) -> Result<()> {
    // What is under way is brought to its end in a time of the server's own.
    app.interrupt.hand_over();
    let server = interruptible(app, Server::start(config, &app.machine, Clock::system())).await?;
    let first = server.first();
    let listening = Listening {
        address: server.address().to_owned(),
        api_key: first.map(|first| first.api_key.clone()),
        sign_in_url: first.map(|first| first.sign_in_url.clone()),
    };
    let data = server.data().to_owned();
    app.out.item(&listening, |out| {
        writeln!(out, "listening at {}", listening.address)?;
        if let (Some(key), Some(url)) = (&listening.api_key, &listening.sign_in_url) {
            writeln!(out, "  first administrator's key, shown this once: {key}")?;
            writeln!(out, "  to sign in once, within 10 minutes: {url}")?;
        }
        Ok(())
    })?;
    app.out.note(&format!("data is in {}", data.display()));
    let renew = Arc::new(Notify::new());
    let hangups = crate::interrupt::on_hangup({
        let renew = Arc::clone(&renew);
        move || renew.notify_one()
    });
    let hangups = hangups
        .map_err(|error| Error::new(Kind::Failure, "signals cannot be caught").caused_by(&error))?;
    tokio::select! {
        () = server.run(renew, app.interrupt.requested()) => {}
        () = app.interrupt.cancel().requested_times(2) => {}
    }
    hangups.abort();
    Ok(())
}

async fn check(config: &Config, app: &App) -> Result<()> {
    let checked = upkeep::check(&config.data, &app.machine).await?;
    let view = CheckView {
        data: checked.data,
        version: checked.version,
    };
    app.out.result(&view, |out| {
        writeln!(out, "{} is in order", view.data.display())
    })
}

async fn backup(data: &Path, to: &Path, app: &App) -> Result<()> {
    upkeep::backup(data, to).await?;
    let view = BackupView {
        backup: to.to_owned(),
    };
    app.out
        .result(&view, |out| writeln!(out, "{}", view.backup.display()))
}

async fn restore(data: &Path, from: &Path, app: &App) -> Result<()> {
    let kept = upkeep::restore(data, from, &Clock::system()).await?;
    let view = RestoreView {
        data: data.to_owned(),
        kept,
    };
    app.out.result(&view, |out| {
        writeln!(out, "{} is as the backup was", view.data.display())?;
        match &view.kept {
            Some(kept) => writeln!(out, "what was there before is in {}", kept.display()),
            None => Ok(()),
        }
    })
}

async fn key(data: &Path, app: &App) -> Result<()> {
    let api_key = start::make_admin_key(data, &Clock::system()).await?;
    let view = KeyView { api_key };
    app.out
        .result(&view, |out| writeln!(out, "{}", view.api_key))
}

//! `amika volume … --remote`.

use amika_core::name::SandboxName;
use amika_remote::client::Call;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::failure::told;
use super::list::age;
use super::unsupported;
use crate::App;
use crate::args::volume::{Command, DeleteArgs, InspectArgs, PruneArgs};
use crate::error::{Error, Kind, Result};
use crate::output::Table;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Volume {
    name: String,
    kind: String,
    sandbox: Option<String>,
    made_for: Option<String>,
    repository: Option<String>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Pruned {
    removed: Vec<String>,
    kept: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    name: String,
    reason: String,
}

/// Runs a verb on a server.
pub(in crate::commands) async fn run(command: Command, server: &Server, app: &App) -> Result<()> {
    match command {
        Command::List => list(server, app).await,
        Command::Inspect(args) => inspect(&args, server, app).await,
        Command::Delete(args) => delete(&args, server, app).await,
        Command::Prune(args) => prune(&args, server, app).await,
    }
}

impl Server {
    async fn volumes(&self) -> Result<Vec<Value>> {
        let answer: Value = self
            .client
            .ask(Call::get(&["volumes"]))
            .await
            .map_err(told)?;
        let items = answer.get("items").unwrap_or(&answer);
        Ok(items.as_array().cloned().unwrap_or_default())
    }
}

async fn list(server: &Server, app: &App) -> Result<()> {
    let volumes = server.volumes().await?;
    app.out.result(&volumes, |out| {
        let mut table = Table::new(["VOLUME", "KIND", "SANDBOX", "HOLDS", "AGE"]);
        for whole in &volumes {
            let volume = Volume::deserialize(whole).unwrap_or_default();
            let gone = volume.made_for.map(|name| format!("{name} (gone)"));
            table.row(vec![
                volume.name,
                volume.kind,
                volume.sandbox.or(gone).unwrap_or_default(),
                volume.repository.unwrap_or_default(),
                volume.created_at.as_deref().map(age).unwrap_or_default(),
            ]);
        }
        table.write(out)
    })
}

async fn inspect(args: &InspectArgs, server: &Server, app: &App) -> Result<()> {
    let all = server.volumes().await?;
    let mut found = Vec::new();
    for name in &args.names {
        let volume = all.iter().find(|volume| volume["name"] == **name);
        found.push(volume.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("there is no volume \"{name}\""))
                .hint("`amika volume list --remote` shows the volumes")
        })?);
    }
    let text = |out: &mut crate::output::Page<'_>| {
        for (at, volume) in found.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            super::inspect::write(volume, out)?;
        }
        Ok(())
    };
    match found.as_slice() {
        [one] => app.out.result(one, text),
        several => app.out.result(&several, text),
    }
}

async fn delete(args: &DeleteArgs, server: &Server, app: &App) -> Result<()> {
    if args.rescue {
        return Err(unsupported::option("--rescue", super::delete::UNRESCUED));
    }
    let mut deleted = Vec::new();
    for name in &args.names {
        let path = ["volumes", name.as_str()];
        let _: Value = server.client.ask(Call::delete(&path)).await.map_err(told)?;
        deleted.push(json!({ "name": name, "result": "deleted" }));
    }
    app.out.result(&deleted, |out| {
        args.names
            .iter()
            .try_for_each(|name| writeln!(out, "{name}"))
    })
}

async fn prune(args: &PruneArgs, server: &Server, app: &App) -> Result<()> {
    if args.rescue {
        return Err(unsupported::option("--rescue", super::delete::UNRESCUED));
    }
    let name = args.sandbox_name.as_ref().map(SandboxName::as_str);
    let asked = |force: bool, dry_run: bool| json!({ "sandbox_name": name, "force": force, "dry_run": dry_run });
    let path = ["volumes", "prune"];
    let mut force = args.force;
    if !force {
        let would: Pruned = server
            .client
            .send(Call::post(&path), &asked(false, true))
            .await
            .map_err(told)?;
        let lines: Vec<String> = would
            .kept
            .iter()
            .map(|kept| format!("  {}: {}", kept.name, kept.reason))
            .collect();
        if !lines.is_empty() {
            let question = format!(
                "They may hold work that is nowhere else. Remove {}?",
                lines.len()
            );
            force = app.out.can_ask() && app.out.confirmed(&lines, &question).await;
            if !force {
                let message = format!(
                    "volumes without a sandbox that may hold work: {}; nothing was removed",
                    lines.len()
                );
                return Err(Error::new(Kind::Conflict, message)
                    .hint("`amika volume prune --remote --force` removes them"));
            }
        }
    }
    let done: Pruned = server
        .client
        .send(Call::post(&path), &asked(force, false))
        .await
        .map_err(told)?;
    let deleted: Vec<Value> = done
        .removed
        .iter()
        .map(|name| json!({ "name": name, "result": "deleted" }))
        .collect();
    app.out.result(&deleted, |out| {
        done.removed
            .iter()
            .try_for_each(|name| writeln!(out, "{name}"))
    })
}

//! `amika sandbox create --remote`.

mod repository;
mod request;

use amika_core::text::shell_quote;
use amika_remote::client::Call;
use amika_sandbox::progress::Steps;
use serde_json::Value;

use super::Server;
use super::failure::told;
use super::list::port;
use super::operation::{self, read};
use crate::App;
use crate::args::sandbox::{ConnectArgs, CreateArgs};
use crate::commands::interruptible;
use crate::commands::sandbox::create::refuse_shell_without_terminal;
use crate::error::{Error, Kind, Result};

pub(super) async fn run(args: &CreateArgs, server: &Server, app: &App) -> Result<u8> {
    request::refuse(args)?;
    if args.connect && !args.dry_run {
        refuse_shell_without_terminal(app)?;
    }
    let mut steps = Steps::new(app.out.progress());
    let wanted = interruptible(app, repository::wanted(args, server, &mut steps, app)).await?;
    let body = request::body(args, wanted.as_ref(), app)?;
    if args.dry_run {
        let plan = interruptible(app, server.plan(&body)).await?;
        app.out
            .result(&plan, |out| super::inspect::write(&plan, out))?;
        return Ok(0);
    }
    if let (true, Some(name)) = (args.replace, &args.name) {
        // What cannot be made makes nothing go.
        let _: Value = interruptible(app, server.plan(&body)).await?;
        server.replace(name).await?;
    }
    let made: Value = server
        .client
        .send(Call::post(&["sandboxes"]), &body)
        .await
        .map_err(told)?;
    let sandbox = read(&made)?;
    if !args.no_wait
        && let Some(id) = &sandbox.operation_id
    {
        let settled = async {
            server.settled(&sandbox.name, id, &mut steps).await?;
            if !args.no_wait_services {
                server.served(&sandbox.name, &mut steps).await?;
            }
            Ok::<(), Error>(())
        };
        let deadline = async {
            match args.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = settled => done?,
            () = deadline => return Err(not_ready(&sandbox.name)),
            () = app.interrupt.requested() => return Err(server.broken_off(&sandbox.name, id).await),
        }
    }
    let (sandbox, whole) = server.sandbox(&sandbox.id).await?;
    if let Some(error) = operation::failed(&sandbox).filter(|_| !args.no_wait) {
        return Err(error);
    }
    app.out
        .result(&whole, |out| writeln!(out, "{}", sandbox.name))?;
    if args.connect {
        let args = ConnectArgs {
            name: sandbox.name,
            rescue: false,
            root: false,
            session: None,
        };
        return super::program::connect(&args, server, app).await;
    }
    if !app.out.is_json() {
        for service in &sandbox.services {
            let place = if service.url.is_empty() {
                port(service)
            } else {
                service.url.clone()
            };
            app.out.note(&format!("  port      {place}"));
        }
        app.out.note(&format!(
            "  shell     amika sandbox connect --remote {}",
            shell_quote(&sandbox.name)
        ));
    }
    Ok(0)
}

fn not_ready(name: &str) -> Error {
    Error::new(
        Kind::NotReady,
        format!("\"{name}\" is not ready in time; the server goes on with it"),
    )
    .hint(format!("`amika sandbox wait --remote {name}` waits for it"))
}

impl Server {
    /// What a create would come to.
    async fn plan(&self, body: &Value) -> Result<Value> {
        let path = ["sandboxes:plan"];
        self.client
            .send(Call::post(&path), body)
            .await
            .map_err(told)
    }

    /// Deletes a sandbox that is in the way; its work stays as volumes.
    async fn replace(&self, name: &str) -> Result<()> {
        let deleted: Result<Value, _> = self.client.ask(Call::delete(&["sandboxes", name])).await;
        match deleted {
            Err(failure) if failure.status() != Some(404) => Err(told(failure)),
            _ => Ok(()),
        }
    }

    /// Has a create unmade that the user broke off.
    async fn broken_off(&self, name: &str, operation: &str) -> Error {
        let path = ["operations", operation];
        let canceled: Result<Value, _> = self.client.ask(Call::delete(&path)).await;
        match canceled {
            Ok(_) => Error::new(
                Kind::Canceled,
                "interrupted: the server unmakes what it had made",
            ),
            Err(_) => Error::new(
                Kind::Canceled,
                "interrupted, and the server may go on with it",
            )
            .hint(format!("`amika sandbox delete --remote {name}` removes it")),
        }
    }
}

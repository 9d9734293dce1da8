//! `amika sandbox open --remote`: OpenCode of a sandbox of a server's in the browser, signed in.

use std::sync::Arc;
use std::time::Duration;

use amika_remote::client::Call;
use serde::Deserialize;

use super::Server;
use super::failure::told;
use super::tunnel::Remote;
use crate::App;
use crate::args::agent::OpenArgs;
use crate::browser::Upstream;
use crate::commands::interruptible;
use crate::commands::sandbox::open::{OpenView, listen, show_and_forget};
use crate::error::{Kind, Result};

/// Between two looks at whether OpenCode has come up.
const PAUSE: Duration = Duration::from_millis(500);
/// OpenCode takes a few seconds to start.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
struct Access {
    username: String,
    password: String,
}

pub(super) async fn run(args: &OpenArgs, server: &Server, app: &App) -> Result<()> {
    let name = &args.name;
    let access = interruptible(app, access(name, server)).await?;
    let way = Arc::new(Remote {
        client: server.client.clone(),
        sandbox: name.clone(),
    });
    let upstream = Upstream::new(way, &access.username, &access.password);
    let relay = listen(upstream, name).await?;
    let view = OpenView {
        sandbox: name.clone(),
        url: relay.url(),
    };
    app.out.result(&view, |out| writeln!(out, "{}", view.url))?;
    tokio::select! {
        never = relay.serve() => match never {},
        never = show_and_forget(args, &relay, app) => match never {},
        // The usual way to end it.
        () = app.interrupt.requested() => Ok(()),
    }
}

/// What signs a browser in, once OpenCode answers.
async fn access(name: &str, server: &Server) -> Result<Access> {
    let begun = tokio::time::Instant::now();
    loop {
        let path = ["sandboxes", name, "opencode"];
        let asked = server.client.ask(Call::get(&path)).await.map_err(told);
        match asked {
            Err(error) if error.kind == Kind::NotReady && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

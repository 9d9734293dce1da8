//! Start, stop and restart on a server.

use amika_remote::client::Call;
use serde_json::Value;

use super::Server;
use super::failure::told;
use super::operation;
use crate::App;
use crate::args::sandbox::{RestartArgs, StartArgs, StopArgs};
use crate::commands::sandbox::each::{self, Done};
use crate::error::Result;

pub(super) async fn start(args: &StartArgs, server: &Server, app: &App) -> Result<()> {
    refuse(args)?;
    let names = server
        .names(&args.names, args.all, |state| {
            matches!(state, "stopped" | "failed")
        })
        .await?;
    each::run(&names, app, async |name| {
        let path = ["sandboxes", name, "start"];
        let call = Call::post(&path).with("skip_start_script", &args.skip_setup);
        let until = Until::of(args);
        server.change(name, call, until, &names, app).await?;
        Ok(Done::new(name, "started"))
    })
    .await
}

pub(super) async fn stop(args: &StopArgs, server: &Server, app: &App) -> Result<()> {
    if args.timeout.is_some() {
        return Err(super::unsupported::option(
            "--timeout",
            "the server gives programs 20 s",
        ));
    }
    let names = server
        .names(&args.names, args.all, |state| {
            matches!(state, "started" | "initializing")
        })
        .await?;
    each::run(&names, app, async |name| {
        let path = ["sandboxes", name, "stop"];
        server
            .change(name, Call::post(&path), Until::Done, &names, app)
            .await?;
        Ok(Done::new(name, "stopped"))
    })
    .await
}

pub(super) async fn restart(args: &RestartArgs, server: &Server, app: &App) -> Result<()> {
    refuse(&args.start)?;
    if args.stop_timeout.is_some() {
        let hint = "the server gives programs 20 s";
        return Err(super::unsupported::option("--stop-timeout", hint));
    }
    if args.start.skip_setup {
        return Err(super::unsupported::option(
            "--skip-setup",
            "use `stop`, then `start --skip-setup`",
        ));
    }
    let names = server
        .names(&args.start.names, args.start.all, |state| {
            state == "started"
        })
        .await?;
    each::run(&names, app, async |name| {
        let path = ["sandboxes", name, "restart"];
        server
            .change(name, Call::post(&path), Until::of(&args.start), &names, app)
            .await?;
        Ok(Done::new(name, "restarted"))
    })
    .await
}

fn refuse(args: &StartArgs) -> Result<()> {
    if args.setup_script.is_some() {
        let hint = "save it for the repository on the server, or make the sandbox anew with it";
        return Err(super::unsupported::option("--setup-script", hint));
    }
    if args.timeout.is_some() {
        return Err(super::unsupported::option(
            "--timeout",
            "`amika sandbox wait --remote` has one",
        ));
    }
    Ok(())
}

/// How long a change is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Until it is begun.
    Begun,
    /// Until it is done.
    Done,
    /// Until it is done, and services are up that say how that is seen.
    Served,
}

impl Until {
    /// As is asked for of a start.
    fn of(args: &StartArgs) -> Self {
        match (args.no_wait, args.no_wait_services) {
            (true, _) => Self::Begun,
            (false, true) => Self::Done,
            (false, false) => Self::Served,
        }
    }
}

impl Server {
    /// The names that are meant: those given, or with `all` those whose state `which` takes.
    pub(super) async fn names(
        &self,
        given: &[String],
        all: bool,
        which: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>> {
        if !all {
            return Ok(given.to_vec());
        }
        let list = self.list().await?;
        let names = list
            .into_iter()
            .filter(|(sandbox, _)| which(&sandbox.state));
        Ok(names.map(|(sandbox, _)| sandbox.name).collect())
    }

    /// Has a sandbox changed, and waits until it is.
    async fn change(
        &self,
        name: &str,
        call: Call<'_>,
        until: Until,
        names: &[String],
        app: &App,
    ) -> Result<()> {
        let _: Value = self.client.ask(call).await.map_err(told)?;
        if until == Until::Begun {
            return Ok(());
        }
        let (sandbox, _) = self.sandbox(name).await?;
        let mut steps = amika_sandbox::progress::Steps::new(app.out.progress_of(name, names));
        match &sandbox.operation_id {
            Some(operation) => self.settled(name, operation, &mut steps).await?,
            None => operation::failed(&sandbox).map_or(Ok(()), Err)?,
        }
        if until == Until::Served {
            self.served(name, &mut steps).await?;
        }
        Ok(())
    }
}

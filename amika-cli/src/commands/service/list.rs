//! `amika service list`: one question to the engine, whatever the number of sandboxes; with `--all` one more to each that runs.

use amika_core::label::Reading;
use amika_core::untrusted::Untrusted;
use amika_core::wire::{self, Listener};

use super::view::{ServiceView, hear, ports, remark, services, stand, urls};
use crate::App;
use crate::args::service::ListArgs;
use crate::error::{Error, Kind, Result};
use crate::output::Table;
use crate::sandbox::{self as sandboxes, Sandbox};
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;
use amika_engine::{ContainerState, ContainerSummary};

pub(super) async fn run(args: &ListArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let list = sandboxes::list(&engine).await?;
    if let Some(name) = &args.sandbox_name
        && !list.iter().any(|(container, _)| container.name == *name)
    {
        let names = list.iter().map(|(container, _)| container.name.as_str());
        return Err(unknown(name, names));
    }
    let mut wanted_ones = Vec::new();
    for (container, reading) in list {
        let wanted = args.sandbox_name.as_ref();
        if wanted.is_some_and(|name| *name != container.name) {
            continue;
        }
        crate::view::warn_of_labels(&container.name, &reading.problems, &app.out);
        wanted_ones.push((container, reading));
    }
    if args.all {
        return all(&engine, wanted_ones, app).await;
    }
    let asked = wanted_ones.iter().map(async |(container, reading)| {
        let mut views = services(container, &reading.record);
        let runs_any = views.iter().any(|view| view.run.is_some());
        if runs_any && container.state == ContainerState::Running {
            match ask_how_they_stand(&engine, container).await {
                Ok((told, list)) => stand(&mut views, &told, &list),
                Err(why) => app.out.warn(&format!(
                    "how the services of sandbox \"{}\" stand is not known: {}",
                    Untrusted::new(&container.name),
                    Untrusted::new(&why)
                )),
            }
        }
        views
    });
    let views: Vec<ServiceView> = crate::fan_out::in_order(asked)
        .await
        .into_iter()
        .flatten()
        .collect();
    // What only says where it listens has nothing to say of how it stands.
    let has_states = views.iter().any(|view| view.run.is_some());
    app.out.result(&views, |out| {
        let mut columns = vec!["SERVICE", "SANDBOX", "PORTS", "URL"];
        columns.extend(has_states.then_some("STATE"));
        let mut table = Table::new(columns);
        for view in &views {
            let mut row = vec![
                view.service.clone().unwrap_or_default(),
                view.sandbox.clone(),
                ports(view),
                urls(view),
            ];
            row.extend(has_states.then(|| view.words()));
            table.row(row);
        }
        table.write(out)
    })
}

/// How the services of a sandbox stand that Amika runs, and what listens in it; the error is for people.
async fn ask_how_they_stand(
    engine: &Sandboxes,
    container: &ContainerSummary,
) -> Result<(wire::Services, Vec<Listener>), String> {
    sandbox(engine, container)
        .await?
        .how_services_stand(engine)
        .await
}

/// All that the engine knows of a sandbox; the error is for people.
async fn sandbox(engine: &Sandboxes, container: &ContainerSummary) -> Result<Sandbox, String> {
    let facts = engine.inspect_container(&container.id).await;
    Ok(Sandbox::of(facts.map_err(|error| error.to_string())?))
}

/// As the plain list, with who listens on each port, and with the ports that no service declares.
async fn all(
    engine: &Sandboxes,
    sandboxes: Vec<(ContainerSummary, Reading)>,
    app: &App,
) -> Result<()> {
    let asked = sandboxes.into_iter().map(async |(container, reading)| {
        let heard = match container.state {
            ContainerState::Running => Some(ask(engine, &container).await),
            _ => None,
        };
        (container, reading, heard)
    });
    let asked = crate::fan_out::in_order(asked).await;
    let mut views = Vec::new();
    for (container, reading, heard) in asked {
        let mut services = services(&container, &reading.record);
        match heard {
            Some(Ok(list)) => hear(&mut services, &container, &reading.record, &list),
            Some(Err(error)) => app.out.warn(&format!(
                "what listens in sandbox \"{}\" is not known: {}",
                Untrusted::new(&container.name),
                Untrusted::new(&error)
            )),
            None => {}
        }
        views.extend(services);
    }
    app.out.result(&views, |out| {
        let mut table = Table::new(["SERVICE", "SANDBOX", "PORT", "LISTENING", "URL"]);
        for view in &views {
            let service = view.service.clone().unwrap_or_default();
            if view.ports.is_empty() {
                let nothing = String::new;
                table.row(vec![
                    service,
                    view.sandbox.clone(),
                    nothing(),
                    nothing(),
                    nothing(),
                ]);
                continue;
            }
            for port in &view.ports {
                let heard = port.listening.as_ref().map(ToString::to_string);
                table.row(vec![
                    service.clone(),
                    view.sandbox.clone(),
                    format!("{}{}", port.shown, remark(view.state)),
                    heard.unwrap_or_default(),
                    port.url.clone().unwrap_or_default(),
                ]);
            }
        }
        table.write(out)
    })
}

/// What listens in a sandbox; the error is for people.
async fn ask(engine: &Sandboxes, container: &ContainerSummary) -> Result<Vec<Listener>, String> {
    let sandbox = sandbox(engine, container).await?;
    let client = sandbox.client(engine).map_err(|error| error.message)?;
    client.ports().await.map_err(|error| error.to_string())
}

fn unknown<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Error {
    let error = Error::new(
        Kind::NotFound,
        format!("there is no sandbox \"{}\"", Untrusted::new(name)),
    );
    match amika_core::nearest::nearest(name, names) {
        Some(near) => error.hint(format!("did you mean `{}`?", shell_quote(near))),
        None => error.hint("`amika sandbox list` shows the sandboxes"),
    }
}

//! `amika sandbox list`.

use std::time::Duration;

use crate::App;
use crate::args::sandbox::ListArgs;
use crate::commands::schema::{Output, document};
use crate::error::Result;
use crate::list::{ListRequest, Listed};
use crate::output::Table;
use crate::sandbox::State;
use crate::view::{self, SandboxView};
use amika_core::text::{human_age, human_size};

/// What it prints.
pub(super) fn output() -> Output {
    document::<Vec<Listed>>()
}

pub(super) async fn run(args: &ListArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let request = ListRequest {
        ask_own_alone: false,
        details: args.long,
        // Only the document says where OpenCode is.
        ask_all: app.out.is_json(),
    };
    let rows = engine.list(request, &app.out).await?;
    app.out
        .result(&rows, |out| table(&rows, args.long).write(out))
}

fn table(rows: &[Listed], long: bool) -> Table {
    let mut header = vec!["NAME", "STATE", "REPO", "BRANCH", "PORTS", "URL", "CREATED"];
    if long {
        header.extend(["IMAGE", "SIZE", "VOLUMES"]);
    }
    let mut table = Table::new(header);
    let now = amika_host::clock::now_millis();
    for row in rows {
        let mut cells = cells(&row.sandbox, now);
        if let Some(details) = &row.details {
            cells.push(row.sandbox.image.clone());
            cells.push(details.size_bytes.map(human_size).unwrap_or_default());
            cells.push(details.volumes.join(","));
        }
        table.row(cells);
    }
    table
}

fn cells(view: &SandboxView, now: u64) -> Vec<String> {
    let repository = view.repository.as_ref();
    let ports: Vec<String> = view.ports.iter().map(view::PortView::arrow).collect();
    let urls: Vec<&str> = view
        .ports
        .iter()
        .filter_map(|port| port.url.as_deref())
        .collect();
    let state = match (view.state, view.exit_code) {
        (State::Stopped | State::SetupFailed, Some(code)) if code != 0 => {
            format!("{} ({code})", view.state.word())
        }
        (state, _) => state.word().to_owned(),
    };
    let age = view.created_at.map_or_else(String::new, |at| {
        human_age(Duration::from_secs(now.saturating_sub(at) / 1000)) + " ago"
    });
    vec![
        view.name.clone(),
        state,
        repository.map(|repo| repo.name.clone()).unwrap_or_default(),
        repository
            .and_then(|repo| repo.branch.clone())
            .unwrap_or_default(),
        ports.join(","),
        urls.join(" "),
        age,
    ]
}

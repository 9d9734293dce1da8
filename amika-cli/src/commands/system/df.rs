//! `amika system df`: what is Amika's on the engine, and what it takes.

use crate::App;
use crate::args::system::DfArgs;
use crate::disk::{Group, Item, Total};
use crate::error::Result;
use crate::output::Table;
use amika_core::text::human_size;

pub(super) async fn run(args: &DfArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let view = engine.disk_usage().await?;
    app.out.result(&view, |out| {
        totals(&view.totals).write(out)?;
        if args.verbose {
            writeln!(out)?;
            items(&view.items).write(out)?;
        }
        Ok(())
    })
}

/// Its name for people.
fn title(group: Group) -> &'static str {
    match group {
        Group::Images => "images",
        Group::Sandboxes => "sandboxes",
        Group::Git => "git volumes",
        Group::Named => "named volumes",
        Group::Home => "home volumes",
        Group::State => "state volumes",
        Group::RwCopy => "copies of directories",
        Group::Docker => "volumes of engines inside",
        Group::Amikad => "amikad volumes",
    }
}

fn totals(totals: &[Total]) -> Table {
    let mut table = Table::new(["KIND", "COUNT", "IN USE", "SIZE", "NOT IN USE"]);
    for total in totals {
        table.row(vec![
            title(total.kind).to_owned(),
            total.count.to_string(),
            total.in_use.to_string(),
            human_size(total.size_bytes),
            human_size(total.unused_bytes),
        ]);
    }
    table
}

fn items(items: &[Item]) -> Table {
    let mut table = Table::new(["KIND", "NAME", "SANDBOX", "IN USE", "SIZE"]);
    for item in items {
        table.row(vec![
            title(item.kind).to_owned(),
            item.name.clone(),
            item.sandbox.clone().unwrap_or_default(),
            if item.in_use { "yes" } else { "no" }.to_owned(),
            item.size_bytes.map(human_size).unwrap_or_default(),
        ]);
    }
    table
}

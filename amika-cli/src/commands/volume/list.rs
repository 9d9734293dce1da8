//! `amika volume list`.

use std::time::Duration;

use crate::App;
use crate::error::Result;
use crate::output::Table;
use amika_core::text::human_age;

pub(super) async fn run(app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let volumes = engine.volumes().await?;
    let now = amika_host::clock::now_millis();
    app.out.result(&volumes, |out| {
        let mut table = Table::new(["VOLUME", "KIND", "SANDBOX", "HOLDS", "AGE"]);
        for volume in &volumes {
            let sandbox = match (&volume.sandbox, &volume.made_for) {
                (Some(name), _) => name.clone(),
                (None, Some(name)) => format!("{name} (gone)"),
                (None, None) => String::new(),
            };
            let holds = volume.repository.clone().or_else(|| volume.source.clone());
            let age = volume
                .created_at
                .map(|at| human_age(Duration::from_millis(now.saturating_sub(at))));
            table.row(vec![
                volume.name.clone(),
                volume.kind.to_string(),
                sandbox,
                holds.unwrap_or_default(),
                age.unwrap_or_default(),
            ]);
        }
        table.write(out)
    })
}

//! `amika image list`.

use crate::App;
use crate::error::Result;
use crate::output::Table;
use amika_core::text::human_size;

pub(super) async fn run(app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let images = engine.images().await?;
    app.out.result(&images, |out| {
        let mut table = Table::new(["IMAGE", "BUILT OF", "RECIPE", "SIZE"]);
        for image in &images {
            table.row(vec![
                short(&image.image).to_owned(),
                image
                    .preset
                    .clone()
                    .or_else(|| image.built_of.clone())
                    .unwrap_or_default(),
                if image.current {
                    "current".into()
                } else {
                    "out of date".into()
                },
                human_size(u64::try_from(image.size).unwrap_or(0)),
            ]);
        }
        table.write(out)
    })
}

/// An id stands for an image without a tag: as much of it as docker shows.
fn short(image: &str) -> &str {
    let end = if image.starts_with("sha256:") {
        19
    } else {
        image.len()
    };
    image.get(..end).unwrap_or(image)
}

//! `amika image build`.

use crate::App;
use crate::args::image::BuildArgs;
use crate::create::parse_preset;
use crate::error::Result;
use crate::preset::{Request, ensure};

pub(super) async fn run(args: &BuildArgs, app: &App) -> Result<()> {
    let preset = parse_preset(&args.preset)?;
    let engine = crate::engine::connect(&app.user).await?;
    let mut steps = app.out.steps();
    let request = Request {
        preset,
        base: args.base.as_deref(),
        force: args.force,
    };
    let built = ensure(&engine, request, &mut steps).await?;
    if !built.built && !app.out.is_json() {
        app.out.note(&format!("{} is up to date", built.image));
    }
    app.out
        .result(&built, |out| writeln!(out, "{}", built.image))
}

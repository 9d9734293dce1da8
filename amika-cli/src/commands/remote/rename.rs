//! `amika sandbox rename --remote`.

use amika_remote::client::Call;
use serde_json::{Value, json};

use super::Server;
use super::failure::told;
use super::operation::read;
use crate::App;
use crate::args::sandbox::RenameArgs;
use crate::commands::sandbox::rename::Renamed;
use crate::error::Result;

pub(super) async fn run(args: &RenameArgs, server: &Server, app: &App) -> Result<()> {
    let path = ["sandboxes", args.name.as_str()];
    let body = json!({ "name": args.new_name });
    let (before, _) = server.sandbox(&args.name).await?;
    let changed: Value = server
        .client
        .send(Call::patch(&path), &body)
        .await
        .map_err(told)?;
    let now = read(&changed)?;
    Renamed {
        name: now.name,
        old_name: before.name,
        id: now.id,
    }
    .tell(app)
}

//! `amika sandbox url --remote`.

use super::Server;
use crate::App;
use crate::args::sandbox::UrlArgs;
use crate::commands::sandbox::url::{UrlView, chosen, show};
use crate::error::{Error, Kind, Result};

pub(super) async fn run(args: &UrlArgs, server: &Server, app: &App) -> Result<()> {
    let (sandbox, _) = server.sandbox(&args.name).await?;
    if matches!(sandbox.state.as_str(), "stopping" | "stopped") {
        let message = format!("sandbox \"{}\" is not running", sandbox.name);
        let hint = format!("`amika sandbox start --remote {}`", sandbox.name);
        return Err(Error::new(Kind::Conflict, message).hint(hint));
    }
    let named = sandbox.services.iter().filter(|it| !it.name.is_empty());
    let declared: Vec<&str> = named.clone().map(|service| service.name.as_str()).collect();
    let urls = named
        .filter(|service| !service.url.is_empty())
        .map(|service| UrlView {
            service: service.name.clone(),
            container_port: service.container_port,
            url: service.url.clone(),
        });
    show(&chosen(urls.collect(), &declared, args)?, app)
}

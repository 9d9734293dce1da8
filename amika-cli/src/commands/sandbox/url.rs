//! `amika sandbox url`: where a browser finds the services of a sandbox.

use amika_core::contract::service::OPENCODE;
use amika_core::text::shell_quote;
use amika_core::untrusted::Untrusted;
use amika_core::wire::ServiceState;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::UrlArgs;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::view;

/// A service's address.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct UrlView {
    /// The service.
    pub(in crate::commands) service: String,
    /// Its port in the sandbox.
    pub(in crate::commands) container_port: u16,
    /// Where a browser finds it.
    pub(in crate::commands) url: String,
}

pub(super) async fn run(args: &UrlArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let sandbox = Sandbox::find_whole(&engine, &args.name).await?;
    sandbox.must_run()?;
    let declared: Vec<&str> = (sandbox.record.services.iter())
        .map(|service| service.name.as_str())
        .collect();
    let asks_for_opencode = args.service.as_deref() == Some(OPENCODE);
    let urls = if asks_for_opencode && !declared.contains(&OPENCODE) {
        vec![opencode(&engine, &sandbox).await?]
    } else {
        let ports = view::ports(&sandbox.container.ports, &sandbox.record);
        let urls = ports.into_iter().filter_map(|port| {
            Some(UrlView {
                service: port.service?,
                container_port: port.container_port,
                url: port.url?,
            })
        });
        chosen(urls.collect(), &declared, args)?
    };
    show(&urls, app)
}

/// Prints them, one a line.
pub(in crate::commands) fn show(urls: &Vec<UrlView>, app: &App) -> Result<()> {
    app.out.result(urls, |out| {
        for view in urls {
            writeln!(out, "{}", view.url)?;
        }
        Ok(())
    })
}

/// Those that are asked for, of all there are.
///
/// # Errors
/// [`Kind::NotFound`] when there is none, with why.
pub(in crate::commands) fn chosen(
    mut urls: Vec<UrlView>,
    declared: &[&str],
    args: &UrlArgs,
) -> Result<Vec<UrlView>> {
    let sandbox = Untrusted::new(&args.name);
    let Some(service) = &args.service else {
        if urls.is_empty() {
            let message = format!("no service of sandbox \"{sandbox}\" has a URL");
            return Err(Error::new(Kind::NotFound, message).hint(reach(&args.name)));
        }
        return Ok(urls);
    };
    urls.retain(|url| url.service == *service);
    if !urls.is_empty() {
        return Ok(urls);
    }
    let shown = Untrusted::new(service);
    if declared.contains(&service.as_str()) {
        let message = format!("service \"{shown}\" of sandbox \"{sandbox}\" has no URL");
        return Err(Error::new(Kind::NotFound, message)
            .hint(reach(&args.name))
            .hint("`url_scheme` in .amika/config.toml gives a published port one, in sandboxes made from then on"));
    }
    let message = format!("sandbox \"{sandbox}\" has no service \"{shown}\"");
    let error = Error::new(Kind::NotFound, message);
    Err(
        match amika_core::nearest::nearest(service, declared.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{}`?", shell_quote(near))),
            None => error.hint(format!(
                "`amika service list --sandbox-name {}` shows its services",
                shell_quote(&args.name)
            )),
        },
    )
}

fn reach(sandbox: &str) -> String {
    let name = shell_quote(sandbox);
    format!(
        "`amika sandbox port {name}` shows what is published, `amika forward {name} PORT` brings any port here"
    )
}

/// Where OpenCode is, while it is on.
async fn opencode(engine: &Sandboxes, sandbox: &Sandbox) -> Result<UrlView> {
    let status = sandbox.client(engine)?.status().await;
    let is_off = status.is_ok_and(|status| status.services.state(OPENCODE) == ServiceState::Off);
    match view::opencode_url(&sandbox.container.ports).filter(|_| !is_off) {
        Some(url) => Ok(UrlView {
            service: OPENCODE.to_owned(),
            container_port: amika_core::contract::OPENCODE_PORT,
            url,
        }),
        None => Err(Error::new(
            Kind::NotFound,
            format!("OpenCode does not run in sandbox \"{}\"", sandbox.name),
        )
        .hint(format!(
            "`amika sandbox inspect {}` shows why",
            sandbox.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(service: Option<&str>) -> UrlArgs {
        UrlArgs {
            name: "teal-tokyo".to_owned(),
            service: service.map(str::to_owned),
        }
    }

    fn urls() -> Vec<UrlView> {
        [("web", 3000), ("web", 3001), ("api", 4000)]
            .map(|(service, port)| UrlView {
                service: service.to_owned(),
                container_port: port,
                url: format!("http://localhost:{port}"),
            })
            .into()
    }

    #[test]
    fn all_of_a_service_or_of_all_are_told_and_what_is_not_there_is_said() {
        let declared = ["web", "api", "db"];
        let all = chosen(urls(), &declared, &args(None)).unwrap();
        assert_eq!(all.len(), 3);
        let web = chosen(urls(), &declared, &args(Some("web"))).unwrap();
        assert_eq!(web[1].url, "http://localhost:3001");
        let refused = |urls, service| {
            let error = chosen(urls, &declared, &args(service)).unwrap_err();
            assert_eq!(error.kind, Kind::NotFound);
            (error.message, error.hints.join("; "))
        };
        let (message, hints) = refused(urls(), Some("db"));
        assert!(message.ends_with("has no URL"), "{message}");
        assert!(hints.contains("url_scheme"), "{hints}");
        let (message, hints) = refused(urls(), Some("wep"));
        assert!(message.ends_with("has no service \"wep\""), "{message}");
        assert_eq!(hints, "did you mean `web`?");
        let (message, hints) = refused(Vec::new(), None);
        assert!(message.starts_with("no service"), "{message}");
        assert!(hints.contains("amika forward teal-tokyo PORT"), "{hints}");
    }
}

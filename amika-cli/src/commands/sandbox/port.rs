//! `amika sandbox port`: where ports of a sandbox are published, as `docker port` prints them.

use amika_core::port::ContainerPort;

use crate::App;
use crate::args::sandbox::PortArgs;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::view::{self, PortView};

pub(super) async fn run(args: &PortArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let sandbox = Sandbox::find_whole(&engine, &args.name).await?;
    sandbox.must_run()?;
    let ports = view::ports(&sandbox.container.ports, &sandbox.record);
    show(args, &sandbox.name, ports, app)
}

/// Prints those that are asked for.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not published.
pub(in crate::commands) fn show(
    args: &PortArgs,
    name: &str,
    mut ports: Vec<PortView>,
    app: &App,
) -> Result<()> {
    if let Some(wanted) = args.port {
        ports.retain(|port| is(port, wanted));
        if ports.is_empty() {
            return Err(not_published(name, wanted));
        }
    }
    app.out.result(&ports, |out| {
        for port in &ports {
            match args.port {
                Some(_) => writeln!(out, "{}", port.address())?,
                None => writeln!(
                    out,
                    "{}/{} -> {}",
                    port.container_port,
                    port.protocol,
                    port.address()
                )?,
            }
        }
        Ok(())
    })
}

fn is(port: &PortView, wanted: ContainerPort) -> bool {
    port.container_port == wanted.port().get() && port.protocol == wanted.protocol().as_str()
}

fn not_published(name: &str, wanted: ContainerPort) -> Error {
    let message = format!("port {wanted} of sandbox \"{name}\" is not published");
    let wanted = wanted.to_string();
    let wanted = wanted.strip_suffix("/tcp").unwrap_or(&wanted);
    Error::new(Kind::NotFound, message).hint(format!(
        "`amika sandbox port {name}` shows those that are; `amika forward {name} {wanted}` brings it here"
    ))
}

//! `amika sandbox port --remote`: where ports of a sandbox of a server's are found.

use amika_remote::sandbox::Service;

use super::Server;
use crate::App;
use crate::args::sandbox::PortArgs;
use crate::commands::sandbox::port::show;
use crate::error::{Error, Kind, Result};
use crate::view::PortView;

pub(super) async fn run(args: &PortArgs, server: &Server, app: &App) -> Result<()> {
    let (sandbox, _) = server.sandbox(&args.name).await?;
    if sandbox.state != "started" {
        let message = format!("sandbox \"{}\" is not running", sandbox.name);
        let hint = format!("`amika sandbox start --remote {}`", sandbox.name);
        return Err(Error::new(Kind::Conflict, message).hint(hint));
    }
    let is_near = server.client.address().is_loopback();
    let ports = sandbox.services.into_iter();
    let ports = ports.filter_map(|port| view(port, is_near)).collect();
    show(args, &sandbox.name, ports, app)
}

/// A port with its place: that of its URL, or, of a server on this machine, where the engine publishes it.
fn view(port: Service, is_near: bool) -> Option<PortView> {
    let (host_ip, host_port) = match authority(&port.url) {
        Some((host, number)) => (host, number),
        None if is_near => ("127.0.0.1".to_owned(), port.host_port?),
        None => return None,
    };
    Some(PortView {
        service: Some(port.name).filter(|name| !name.is_empty()),
        host_ip,
        host_port: Some(host_port),
        container_port: port.container_port,
        protocol: port.protocol,
        url: Some(port.url).filter(|url| !url.is_empty()),
    })
}

/// Host and port of a URL.
fn authority(url: &str) -> Option<(String, u16)> {
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let usual = if scheme == "https" { 443 } else { 80 };
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.ends_with(']') => {
            Some((bare(host), port.parse().ok()?))
        }
        _ => Some((bare(authority), usual)).filter(|(host, _)| !host.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_where_its_url_says_or_on_this_machine() {
        let of = |url: &str, host_port, is_near| {
            let port = Service {
                url: url.to_owned(),
                host_port,
                container_port: 3000,
                protocol: "tcp".to_owned(),
                ..Service::default()
            };
            view(port, is_near).map(|view| view.address())
        };
        let named = "http://3000-x.example.com:8080";
        assert_eq!(
            of(named, Some(1), false).unwrap(),
            "3000-x.example.com:8080"
        );
        assert_eq!(of("https://a.b/", None, false).unwrap(), "a.b:443");
        assert_eq!(of("http://[::1]", None, false).unwrap(), "[::1]:80");
        assert_eq!(of("", Some(49_153), true).unwrap(), "127.0.0.1:49153");
        assert_eq!(of("", Some(49_153), false), None);
        assert_eq!(of("", None, true), None);
    }
}

//! Ports that a devcontainer forwards, as services.

use super::Work;
use crate::budget;
use crate::draft::{Service, service_name};
use crate::jsonc::{Node, Value};
use crate::port::{ContainerPort, Port, Protocol};
use crate::service::Scheme;

impl Work<'_> {
    /// `forwardPorts` and `appPort`: a port, or a list of them.
    pub(super) fn ports(&mut self, key: &str, node: &Node) {
        let (single, items) = match &node.value {
            Value::Array(items) => (None, items.as_slice()),
            _ => (Some(node), &[][..]),
        };
        for (at, node) in single.into_iter().chain(items).enumerate() {
            let path = if single.is_some() {
                key.to_owned()
            } else {
                format!("{key}[{at}]")
            };
            if let Err(reason) = self.port(key, node) {
                self.rest(&path, node.span.clone(), &reason);
            }
        }
    }

    fn port(&mut self, key: &str, node: &Node) -> Result<(), String> {
        let text = match &node.value {
            // The host's side is each sandbox's own.
            Value::String(text) if key == "appPort" => text.rsplit(':').next().unwrap_or_default(),
            Value::String(text) if text.contains(':') => {
                return Err("it is of another container, and a sandbox is one".to_owned());
            }
            Value::Number(text) | Value::String(text) => text.as_str(),
            _ => return Err(format!("it must be a port, and is {}", node.kind())),
        };
        let number = text.parse::<u16>().ok().and_then(Port::new);
        let port = number.ok_or("it is no port")?;
        let port = ContainerPort::new(port, Protocol::Tcp).map_err(|error| error.to_string())?;
        let services = &mut self.draft.services;
        if services.iter().any(|service| service.port == port) {
            return Ok(());
        }
        if services.len() == budget::SERVICES {
            return Err(format!(
                "a configuration has at most {} services",
                budget::SERVICES
            ));
        }
        let attributes = (self.root.get("portsAttributes"))
            .and_then(|attributes| attributes.get(&port.port().to_string()));
        let text = |key: &str| attributes?.get(key)?.as_str();
        let plain = format!("port-{}", port.port());
        let mut name = text("label")
            .and_then(service_name)
            .unwrap_or(plain.clone());
        if services.iter().any(|service| service.name == name) {
            name = plain;
        }
        let scheme = match (text("protocol"), text("onAutoForward")) {
            (Some("https"), _) => Some(Scheme::Https),
            (Some("http"), _) | (None, Some("openBrowser" | "openBrowserOnce" | "openPreview")) => {
                Some(Scheme::Http)
            }
            _ => None,
        };
        services.push(Service {
            name,
            port,
            scheme,
            command: None,
            cwd: None,
        });
        Ok(())
    }

    /// Names what `portsAttributes` has beside what [`Work::port`] takes.
    pub(super) fn ports_attributes(&mut self, node: &Node) {
        if !matches!(node.value, Value::Object(_)) {
            return self.wrong("portsAttributes", node, "an object");
        }
        for member in node.members() {
            let path = format!("portsAttributes.{}", member.key);
            let is_declared = ["forwardPorts", "appPort"].iter().any(|key| {
                let node = self.root.get(key);
                let is_it = |node: &Node| match &node.value {
                    Value::Number(text) | Value::String(text) => {
                        text.rsplit(':').next() == Some(&member.key)
                    }
                    _ => false,
                };
                node.is_some_and(|node| is_it(node) || node.items().iter().any(is_it))
            });
            if !is_declared {
                let reason = "forwardPorts does not name this port";
                self.rest(&path, member.key_span.clone(), reason);
                continue;
            }
            for attribute in member.node.members() {
                if !matches!(
                    attribute.key.as_str(),
                    "label" | "protocol" | "onAutoForward"
                ) {
                    let path = format!("{path}.{}", attribute.key);
                    let reason = "which host port a service gets is each sandbox's own";
                    self.rest(&path, attribute.key_span.clone(), reason);
                }
            }
        }
    }
}

//! `[services]`: every rule of the services document, one function for each.
//!
//! All problems of all services are found in one pass; any of them makes the file one without
//! services.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::{Section, entries_in_order, integer, quoted};
use super::{run, sidecar};
use crate::budget;
use crate::port::{ContainerPort, InvalidPort, Port, Protocol};
use crate::service::{Scheme, Service, ServicePort};

const PORT_KEYS: [&str; 3] = ["port", "ports", "url_scheme"];
const MAPPING_KEYS: [&str; 2] = ["port", "scheme"];

type Value<'i> = Spanned<DeValue<'i>>;

/// Declared ports of the whole file, with the service and the line that declare each.
type Declared = BTreeMap<ContainerPort, (String, usize)>;

pub(super) fn read(section: &mut Section<'_>, table: &DeTable<'_>) -> Vec<Service> {
    let mut declared = Declared::new();
    let mut services = Vec::new();
    let mut dependencies = run::Dependencies::new();
    let known = [&PORT_KEYS[..], &run::KEYS, &sidecar::KEYS].concat();
    let mut last_image = None;
    for (number, (key, value)) in entries_in_order(table).into_iter().enumerate() {
        if number == budget::SERVICES {
            let most = budget::SERVICES;
            section.problem(
                key.span(),
                format!("more than {most} services: at most {most} are allowed"),
            );
            break;
        }
        let name = key.get_ref().as_ref();
        let has = |key: &str| {
            let table = value.get_ref().as_table();
            table.is_some_and(|table| table.contains_key(key))
        };
        // With a command or an image the name is more than a word in a table.
        if !has("command") && !has("image") && !is_dns_label(name) {
            let message = format!("service name {} is no DNS label", quoted(name));
            section.remark(key.span(), message);
        }
        if let Some(table) = section.table(value, &format!("service {}", quoted(name))) {
            section.unknown_keys(table, &format!("service {}", quoted(name)), &known);
            let place = (name, key.span());
            let service = if has("image") {
                last_image = Some(key.span());
                Service {
                    name: name.to_owned(),
                    ports: Vec::new(),
                    run: None,
                    sidecar: sidecar::read(section, place, table),
                }
            } else {
                // It says of a key that is for images alone what is missing.
                sidecar::read(section, place.clone(), table);
                let ports = read_service(section, name, table, &mut declared);
                let run = run::read(section, place, table, &ports, &mut dependencies);
                Service {
                    name: name.to_owned(),
                    ports,
                    run,
                    sidecar: None,
                }
            };
            services.push(service);
        }
    }
    sidecar::check(section, &services, last_image);
    services.sort_by(|a, b| a.name.cmp(&b.name));
    run::check(section, &services, &dependencies);
    services
}

fn read_service(
    section: &mut Section<'_>,
    name: &str,
    table: &DeTable<'_>,
    declared: &mut Declared,
) -> Vec<ServicePort> {
    check_exclusive(section, name, table);
    let mut ports = Ports {
        list: Vec::new(),
        by_port: BTreeMap::new(),
        all_read: true,
    };
    if let Some(value) = table.get("port") {
        ports.declare(section, name, value, declared);
    }
    if let Some(value) = table.get("ports") {
        if let DeValue::Array(array) = value.get_ref() {
            for value in array {
                if !ports.declare(section, name, value, declared) {
                    break;
                }
            }
        } else {
            section.wrong_type(value, "ports", "a list");
            ports.all_read = false;
        }
    }
    if let Some(value) = table.get("url_scheme") {
        match value.get_ref() {
            DeValue::String(text) => single_scheme(section, table, value, text, &mut ports),
            DeValue::Array(entries) => {
                for entry in entries {
                    map_scheme(section, name, entry, &mut ports);
                }
            }
            _ => section.wrong_type(value, "url_scheme", "a string, or a list of {port, scheme}"),
        }
    }
    ports.list
}

/// Ports of one service while they are read.
struct Ports {
    list: Vec<ServicePort>,
    /// Where each stands in the list.
    by_port: BTreeMap<ContainerPort, usize>,
    /// Whether no declaration was bad: only then can a missing one be told.
    all_read: bool,
}

impl Ports {
    /// Reads one declaration; a pair may be declared only once in the whole file. Says whether there is
    /// room for more.
    fn declare(
        &mut self,
        section: &mut Section<'_>,
        name: &str,
        value: &Value<'_>,
        declared: &mut Declared,
    ) -> bool {
        let most = budget::PORTS;
        if declared.len() == most || self.list.len() == most {
            if self.all_read {
                section.problem(
                    value.span(),
                    format!("more than {most} ports in this file: at most {most} are allowed"),
                );
            }
            self.all_read = false;
            return false;
        }
        let Some(container) = read_port(section, value) else {
            self.all_read = false;
            return true;
        };
        let line = section.line(&value.span());
        if let Some((other, line)) = declared.get(&container) {
            let other = if other == name {
                "this service".to_owned()
            } else {
                format!("service {}", quoted(other))
            };
            let message = format!("port {container} is already declared by {other} on line {line}");
            section.problem(value.span(), message);
        } else {
            declared.insert(container, (name.to_owned(), line));
        }
        self.by_port.insert(container, self.list.len());
        self.list.push(ServicePort {
            container,
            url_scheme: None,
            line,
        });
        true
    }
}

/// `port` and `ports` exclude each other, also when the list is empty.
fn check_exclusive(section: &mut Section<'_>, name: &str, table: &DeTable<'_>) {
    if let (Some((key, _)), true) = (table.get_key_value("ports"), table.contains_key("port")) {
        let message = format!(
            "service {} has both port and ports: use one of them",
            quoted(name)
        );
        section.problem(key.span(), message);
    }
}

/// Reads an integer, which is TCP, or a string `port/protocol`.
fn read_port(section: &mut Section<'_>, value: &Value<'_>) -> Option<ContainerPort> {
    let read = match value.get_ref() {
        DeValue::Integer(number) => match integer(number) {
            Some(number) => Port::from_integer(number),
            None => Err(InvalidPort::OutOfRange {
                text: number.to_string(),
            }),
        }
        .map_err(Into::into)
        .and_then(|port| ContainerPort::new(port, Protocol::Tcp)),
        DeValue::String(text) => text.parse(),
        _ => {
            section.wrong_type(value, "port", "an integer, or a string such as \"80/tcp\"");
            return None;
        }
    };
    read.map_err(|error| section.problem(value.span(), error.to_string()))
        .ok()
}

/// A string applies to the one port of the key `port`, and to nothing else.
fn single_scheme(
    section: &mut Section<'_>,
    table: &DeTable<'_>,
    value: &Value<'_>,
    text: &str,
    ports: &mut Ports,
) {
    let scheme = read_scheme(section, value, text);
    if table.contains_key("ports") {
        let message = "url_scheme must be a list of {port, scheme} where ports is used";
        section.problem(value.span(), message);
    } else if !table.contains_key("port") {
        section.problem(
            value.span(),
            "url_scheme needs a port: the service declares none",
        );
    } else if let [port] = ports.list.as_mut_slice() {
        port.url_scheme = scheme;
    }
}

fn read_scheme(section: &mut Section<'_>, value: &Value<'_>, text: &str) -> Option<Scheme> {
    text.parse::<Scheme>()
        .map_err(|error| section.problem(value.span(), error.to_string()))
        .ok()
}

/// One entry of the list form: its port must be declared in this service, and mapped once.
fn map_scheme(section: &mut Section<'_>, name: &str, entry: &Value<'_>, ports: &mut Ports) {
    let Some(table) = section.table(entry, "an entry of url_scheme") else {
        return;
    };
    section.unknown_keys(table, "an entry of url_scheme", &MAPPING_KEYS);
    for key in MAPPING_KEYS {
        if !table.contains_key(key) {
            section.problem(
                entry.span(),
                format!("an entry of url_scheme needs the key {key}"),
            );
        }
    }
    let scheme = table.get("scheme").and_then(|value| {
        let text = section.string(value, "scheme")?;
        read_scheme(section, value, text)
    });
    let Some(value) = table.get("port") else {
        return;
    };
    let Some(container) = read_port(section, value) else {
        return;
    };
    let Some(port) = ports
        .by_port
        .get(&container)
        .and_then(|index| ports.list.get_mut(*index))
    else {
        if ports.all_read {
            let service = quoted(name);
            let message = format!(
                "url_scheme names port {container}, which service {service} does not declare"
            );
            section.problem(value.span(), message);
        }
        return;
    };
    if port.url_scheme.is_some() {
        section.problem(
            value.span(),
            format!("url_scheme names port {container} twice"),
        );
    }
    // A bad scheme was told of already; the stand-in keeps the second mention of the port visible.
    port.url_scheme = Some(scheme.unwrap_or(Scheme::Http));
}

/// Whether a name could be a host name's part (RFC 1123, section 2.1).
pub(super) fn is_dns_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

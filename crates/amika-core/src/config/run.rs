//! How a service's program is run: the keys of `[services.NAME]` beside its ports.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::{Section, entries_in_order, integer, plain_text, quoted};
use crate::env::{check_name, check_value};
use crate::port::Protocol;
use crate::service::{
    MAX_READY_TIMEOUT_S, READY_TIMEOUT_S, RESERVED_NAMES, Ready, Restart, Run, Service,
    ServicePort, Start, circle,
};

/// The keys that are read here.
pub(super) const KEYS: [&str; 9] = [
    "command",
    "cwd",
    "env",
    "ready",
    "ready_timeout",
    "restart",
    "start",
    "wake",
    "depends_on",
];

type Value<'i> = Spanned<DeValue<'i>>;

/// Places of `depends_on` entries, for what only the whole file tells.
pub(super) type Dependencies = Vec<(String, String, Range<usize>)>;

/// Reads how the service `name` is run, if it is. `place` is where its name stands.
pub(super) fn read(
    section: &mut Section<'_>,
    (name, place): (&str, Range<usize>),
    table: &DeTable<'_>,
    ports: &[ServicePort],
    dependencies: &mut Dependencies,
) -> Option<Run> {
    let Some(value) = table.get("command") else {
        for key in &KEYS[1..] {
            if let Some((key, _)) = table.get_key_value(*key) {
                let message = format!(
                    "{} needs a command: service {} has none",
                    key.get_ref(),
                    quoted(name)
                );
                section.problem(key.span(), message);
            }
        }
        return None;
    };
    check_service_name(section, "a command", name, place);
    let first_tcp = ports
        .iter()
        .find(|port| port.container.protocol() == Protocol::Tcp)
        .map(|port| port.container.port().get());
    let command = command(section, value);
    let ready = table
        .get("ready")
        .and_then(|value| ready(section, value, first_tcp));
    let start = choice(
        section,
        table,
        "start",
        &[("auto", Start::Auto), ("on-demand", Start::OnDemand)],
    );
    if start == Some(Start::OnDemand) {
        check_on_demand(section, table, ports);
    }
    Some(Run {
        command: command?,
        cwd: table.get("cwd").and_then(|value| cwd(section, value)),
        env: table
            .get("env")
            .map(|value| variables(section, value))
            .unwrap_or_default(),
        ready,
        ready_timeout_s: table
            .get("ready_timeout")
            .and_then(|value| ready_timeout(section, value))
            .unwrap_or(READY_TIMEOUT_S),
        restart: choice(
            section,
            table,
            "restart",
            &[
                ("on-failure", Restart::OnFailure),
                ("always", Restart::Always),
                ("no", Restart::No),
            ],
        )
        .unwrap_or_default(),
        start: start.unwrap_or_default(),
        wake: table
            .get("wake")
            .is_some_and(|value| wake(section, value, first_tcp)),
        depends_on: table
            .get("depends_on")
            .map(|value| depends_on(section, name, value, dependencies))
            .unwrap_or_default(),
    })
}

/// Checks what no service tells by itself: that those that others wait for are there, and wait for none of them.
pub(super) fn check(section: &mut Section<'_>, services: &[Service], places: &Dependencies) {
    let graph: BTreeMap<&str, &[String]> = services
        .iter()
        .filter_map(|service| Some((service.name.as_str(), service.run.as_ref()?)))
        .map(|(name, run)| (name, run.depends_on.as_slice()))
        .collect();
    for (name, on, span) in places {
        let declared = services.iter().find(|service| service.name == *on);
        let why = match declared {
            None => "is not declared",
            Some(service) if service.run.is_none() && service.sidecar.is_none() => {
                "has neither a command nor an image, so nothing tells when it is up"
            }
            Some(_) => continue,
        };
        let message = format!(
            "service {} depends on {}, which {why}",
            quoted(name),
            quoted(on)
        );
        section.problem(span.clone(), message);
    }
    let Some(names) = circle(&graph) else {
        return;
    };
    let closing = (names.last(), names.first());
    let span = places
        .iter()
        .find(|(name, on, _)| closing == (Some(name), Some(on)))
        .map(|(_, _, span)| span.clone());
    if let Some(span) = span {
        let shown: Vec<String> = names
            .iter()
            .chain(names.first())
            .map(|name| quoted(name))
            .collect();
        section.problem(
            span,
            format!("depends_on goes in a circle: {}", shown.join(" → ")),
        );
    }
}

/// A name that stands in the API, in a log's name and on command lines, of a service that has `what`.
pub(super) fn check_service_name(
    section: &mut Section<'_>,
    what: &str,
    name: &str,
    place: Range<usize>,
) {
    if RESERVED_NAMES.contains(&name) {
        let message = format!(
            "the name {} is Amika's own: a service with {what} needs another",
            quoted(name)
        );
        section.problem(place, message);
    } else if !super::services::is_dns_label(name) {
        let message = format!(
            "a service with {what} needs a name of letters, digits and `-`, at most 63: {} is none",
            quoted(name)
        );
        section.problem(place, message);
    }
}

pub(super) fn command(section: &mut Section<'_>, value: &Value<'_>) -> Option<Vec<String>> {
    let words = match value.get_ref() {
        DeValue::String(text) if text.trim().is_empty() => Vec::new(),
        DeValue::String(text) => vec!["sh".to_owned(), "-c".to_owned(), text.to_string()],
        DeValue::Array(_) => list(section, value, "command")?,
        _ => {
            section.wrong_type(value, "command", "a string, or a list of strings");
            return None;
        }
    };
    if words.first().is_none_or(String::is_empty) {
        section.problem(value.span(), "the command is empty");
        return None;
    }
    if words.iter().any(|word| word.contains('\0')) {
        section.problem(value.span(), "no word of a command may hold a NUL");
        return None;
    }
    Some(words)
}

/// A list of texts.
fn list(section: &mut Section<'_>, value: &Value<'_>, what: &str) -> Option<Vec<String>> {
    let Some(entries) = value.get_ref().as_array() else {
        section.wrong_type(value, what, "a list of strings");
        return None;
    };
    let texts: Vec<Option<String>> = entries
        .iter()
        .map(|entry| {
            section
                .string(entry, &format!("an entry of {what}"))
                .map(str::to_owned)
        })
        .collect();
    texts.into_iter().collect()
}

/// A directory beneath the agent's.
fn cwd(section: &mut Section<'_>, value: &Value<'_>) -> Option<String> {
    let path = section.string(value, "cwd")?;
    let leaves = path.split('/').any(|part| part == "..");
    if path.is_empty() || path.starts_with('/') || path.contains('\0') || leaves {
        let message = format!(
            "cwd {} is no directory of the repository: it is relative, without \"..\"",
            quoted(path)
        );
        section.problem(value.span(), message);
        return None;
    }
    Some(path.to_owned())
}

pub(super) fn variables(section: &mut Section<'_>, value: &Value<'_>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let Some(table) = section.table(value, "env") else {
        return variables;
    };
    for (key, value) in entries_in_order(table) {
        let name = key.get_ref();
        if let Err(error) = check_name(name) {
            section.problem(key.span(), error.to_string());
            continue;
        }
        let Some(text) = plain_text(value.get_ref()) else {
            section.wrong_type(value, &format!("env {}", quoted(name)), "a plain value");
            continue;
        };
        match check_value(name, &text) {
            Ok(()) => {
                variables.insert(name.to_string(), text);
            }
            Err(error) => section.problem(value.span(), error.to_string()),
        }
    }
    variables
}

/// `http:[PORT]/path`, `tcp[:PORT]` or `log:REGEX`.
pub(super) fn ready(
    section: &mut Section<'_>,
    value: &Value<'_>,
    first_tcp: Option<u16>,
) -> Option<Ready> {
    let text = section.string(value, "ready")?;
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let read = match kind {
        "http" => {
            let (port, path) = match rest.split_once('/') {
                Some((port, path)) => (port, format!("/{path}")),
                None => (rest, "/".to_owned()),
            };
            let is_path = path.bytes().all(|byte| byte.is_ascii_graphic());
            match (choose_port(port, first_tcp), is_path) {
                (Ok(port), true) => Ok(Ready::Http { port, path }),
                (Err(why), _) => Err(why),
                (_, false) => Err("the path is none of a URL".to_owned()),
            }
        }
        "tcp" => choose_port(rest, first_tcp).map(|port| Ready::Tcp { port }),
        "log" if !rest.is_empty() => match regex_lite::Regex::new(rest) {
            Ok(_) => Ok(Ready::Log {
                matches: rest.to_owned(),
            }),
            Err(error) => Err(format!("no regular expression: {error}")),
        },
        _ => Err("it is \"http:[PORT]/path\", \"tcp\" or \"log:REGEX\"".to_owned()),
    };
    read.map_err(|why| section.problem(value.span(), format!("ready {}: {why}", quoted(text))))
        .ok()
}

fn choose_port(text: &str, first_tcp: Option<u16>) -> Result<u16, String> {
    match (text, first_tcp) {
        ("", Some(port)) => Ok(port),
        ("", None) => Err("the service has no TCP port; name one, as in \"tcp:8080\"".to_owned()),
        (text, _) => text
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("{} is no port", quoted(text))),
    }
}

pub(super) fn ready_timeout(section: &mut Section<'_>, value: &Value<'_>) -> Option<u32> {
    let DeValue::Integer(number) = value.get_ref() else {
        section.wrong_type(value, "ready_timeout", "a number of seconds");
        return None;
    };
    let seconds = integer(number)
        .and_then(|number| u32::try_from(number).ok())
        .filter(|seconds| (1..=MAX_READY_TIMEOUT_S).contains(seconds));
    if seconds.is_none() {
        section.problem(
            value.span(),
            format!("ready_timeout must be 1 to {MAX_READY_TIMEOUT_S} seconds"),
        );
    }
    seconds
}

/// One of some words.
fn choice<T: Copy>(
    section: &mut Section<'_>,
    table: &DeTable<'_>,
    key: &str,
    words: &[(&str, T)],
) -> Option<T> {
    let value = table.get(key)?;
    let text = section.string(value, key)?;
    let chosen = words.iter().find(|(word, _)| *word == text);
    if chosen.is_none() {
        let known: Vec<String> = words.iter().map(|(word, _)| quoted(word)).collect();
        let message = format!("{key} is {}, not {}", known.join(" or "), quoted(text));
        section.problem(value.span(), message);
    }
    chosen.map(|(_, meaning)| *meaning)
}

/// Somebody has to be able to connect, and over UDP nobody does.
fn check_on_demand(section: &mut Section<'_>, table: &DeTable<'_>, ports: &[ServicePort]) {
    let Some(value) = table.get("start") else {
        return;
    };
    let udp = ports
        .iter()
        .find(|port| port.container.protocol() == Protocol::Udp);
    if let Some(udp) = udp {
        let message = format!(
            "start = \"on-demand\" is for TCP ports: {} is none",
            udp.container
        );
        section.problem(value.span(), message);
    } else if ports.is_empty() {
        section.problem(value.span(), "start = \"on-demand\" needs a port");
    }
}

/// Whether requests wake the sandbox; a request is for a TCP port.
fn wake(section: &mut Section<'_>, value: &Value<'_>, first_tcp: Option<u16>) -> bool {
    let DeValue::Boolean(is_wanted) = value.get_ref() else {
        section.wrong_type(value, "wake", "true or false");
        return false;
    };
    if *is_wanted && first_tcp.is_none() {
        section.problem(value.span(), "wake = true needs a TCP port");
    }
    *is_wanted
}

fn depends_on(
    section: &mut Section<'_>,
    name: &str,
    value: &Value<'_>,
    dependencies: &mut Dependencies,
) -> Vec<String> {
    let names = list(section, value, "depends_on").unwrap_or_default();
    let entries = value.get_ref().as_array().into_iter().flatten();
    for (on, entry) in names.iter().zip(entries) {
        dependencies.push((name.to_owned(), on.clone(), entry.span()));
    }
    names
}

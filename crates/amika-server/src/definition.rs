//! Services as the API defines them, held to the very rules of the repository's file.

mod run;

use std::fmt::Write as _;

use amika_core::config;
use amika_core::service::{Scheme, Service};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use run::{RunDefinition, ready_text, start_text};

/// A port of a service, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortDefinition {
    /// The port in the container: 1 to 65535, but none of 60899 to 60999.
    pub port: i64,
    /// `tcp` or `udp`.
    #[serde(default = "tcp")]
    #[schema(default = "tcp")]
    pub protocol: String,
    /// `http` or `https`, where a URL is wanted.
    pub url_scheme: Option<String>,
}

impl PortDefinition {
    /// The ports of a service as they are asked for.
    pub fn of(service: &Service) -> Vec<Self> {
        let ports = service.ports.iter().map(|port| Self {
            port: i64::from(port.container.port().get()),
            protocol: port.container.protocol().as_str().to_owned(),
            url_scheme: port.url_scheme.map(|scheme| scheme.as_str().to_owned()),
        });
        ports.collect()
    }
}

fn tcp() -> String {
    "tcp".to_owned()
}

/// Something that is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A JSON pointer to the place; empty where it is the whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// What a definition comes to beside the others of its repository.
///
/// # Errors
/// Everything that is wrong with it, or with it among the others.
pub fn read(
    name: &str,
    ports: &[PortDefinition],
    run: &RunDefinition,
    others: &[Service],
) -> Result<Service, Vec<Problem>> {
    let mut text = String::new();
    for other in others {
        let declared = other.ports.iter().map(|port| {
            (
                port.container.to_string(),
                port.url_scheme.map(Scheme::as_str),
            )
        });
        write(&mut text, &other.name, declared, &RunDefinition::of(other));
    }
    // The file tells lines; which of them is which port is known, since each has a line of its own.
    let begin = text.lines().count();
    let declared = ports.iter().map(|it| {
        (
            format!("{}/{}", it.port, it.protocol),
            it.url_scheme.as_deref(),
        )
    });
    write(&mut text, name, declared, run);
    let parsed = config::parse(&text).map_err(|_| {
        vec![Problem {
            field: "/name".to_owned(),
            message: "the name cannot be one of a service".to_owned(),
        }]
    })?;
    let found = parsed
        .config
        .services
        .into_iter()
        .find(|service| service.name == name);
    if parsed.ignored.is_empty()
        && let Some(service) = found
    {
        return Ok(service);
    }
    let places = places(ports, run);
    let problems = parsed
        .warnings
        .into_iter()
        .flat_map(|warning| warning.problems);
    let problems = problems.map(|problem| {
        let place = problem
            .line
            .checked_sub(begin + 1)
            .and_then(|line| places.get(line));
        Problem {
            field: place.cloned().unwrap_or_default(),
            message: without_lines(&problem.message),
        }
    });
    Err(problems.collect())
}

/// One service in TOML: its header, `ports = [`, a line for each, `]`, `url_scheme = [`, a line for each, `]`, and a line
/// for each word on how it is run.
fn write<'a>(
    text: &mut String,
    name: &str,
    ports: impl Iterator<Item = (String, Option<&'a str>)> + Clone,
    run: &RunDefinition,
) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "[services.{}]", quoted(name));
    if !is_without_ports(run, ports.clone().count()) {
        write_ports(text, ports);
    }
    for (_, line) in run.lines() {
        let _ = writeln!(text, "{line}");
    }
}

fn write_ports<'a>(
    text: &mut String,
    ports: impl Iterator<Item = (String, Option<&'a str>)> + Clone,
) {
    let _ = writeln!(text, "ports = [");
    for (port, _) in ports.clone() {
        let _ = writeln!(text, "{},", quoted(&port));
    }
    let _ = writeln!(text, "]\nurl_scheme = [");
    for (port, scheme) in ports {
        if let Some(scheme) = scheme {
            let _ = writeln!(
                text,
                "{{ port = {}, scheme = {} }},",
                quoted(&port),
                quoted(scheme)
            );
        }
    }
    let _ = writeln!(text, "]");
}

/// A text as a string of TOML on one line, whatever is in it: those of JSON are such strings, but for one character.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

/// Whether nothing is written of ports: one with an image may not have any.
fn is_without_ports(run: &RunDefinition, ports: usize) -> bool {
    run.image.is_some() && ports == 0
}

/// What stands on each line that [`write`] makes.
fn places(ports: &[PortDefinition], run: &RunDefinition) -> Vec<String> {
    let mut places = vec!["/name".to_owned()];
    if !is_without_ports(run, ports.len()) {
        places.push("/ports".to_owned());
        places.extend((0..ports.len()).map(|index| format!("/ports/{index}")));
        places.extend(["/ports".to_owned(), "/ports".to_owned()]);
        let schemes = ports.iter().enumerate();
        let schemes = schemes.filter(|(_, port)| port.url_scheme.is_some());
        places.extend(schemes.map(|(index, _)| format!("/ports/{index}/url_scheme")));
        places.push("/ports".to_owned());
    }
    let run = run.lines().into_iter();
    places.extend(run.map(|(place, _)| place.to_owned()));
    places
}

/// The lines are those of a file that nobody wrote.
fn without_lines(message: &str) -> String {
    match message.rsplit_once(" on line ") {
        Some((before, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            before.to_owned()
        }
        _ => message.replace(" in this file", ""),
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;

    fn port(port: i64, protocol: &str, url_scheme: Option<&str>) -> PortDefinition {
        PortDefinition {
            port,
            protocol: protocol.to_owned(),
            url_scheme: url_scheme.map(str::to_owned),
        }
    }

    #[test]
    fn a_definition_comes_to_what_the_file_would() {
        let ports = [port(4211, "tcp", Some("http")), port(4982, "udp", None)];
        let service = read("web", &ports, &RunDefinition::default(), &[]).unwrap();
        let file = config::parse(
            "[services.web]\nports = [4211, \"4982/udp\"]\nurl_scheme = [{ port = 4211, scheme = \"http\" }]",
        );
        let mut expected = file.unwrap().config.services;
        // Lines alone differ.
        for (port, is) in expected[0].ports.iter_mut().zip(&service.ports) {
            port.line = is.line;
        }
        assert_eq!(vec![service], expected);
        assert!(
            read("sidecar", &[], &RunDefinition::default(), &[])
                .unwrap()
                .ports
                .is_empty()
        );
    }

    #[test]
    fn every_problem_is_told_at_its_place() {
        let others = [read(
            "api",
            &[port(80, "tcp", None)],
            &RunDefinition::default(),
            &[],
        )
        .unwrap()];
        let ports = [
            port(0, "tcp", None),
            port(80, "tcp", Some("http")),
            port(81, "sctp", None),
            port(60999, "tcp", None),
            port(82, "tcp", Some("ftp")),
            port(83, "tcp", None),
            port(83, "tcp", None),
        ];
        let problems = read("web", &ports, &RunDefinition::default(), &others).unwrap_err();
        let fields: Vec<&str> = problems.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "/ports/0",
                "/ports/1",
                "/ports/2",
                "/ports/3",
                "/ports/6",
                "/ports/4/url_scheme"
            ]
        );
        let message = &problems[1].message;
        assert_eq!(
            message,
            "port 80/tcp is already declared by service \"api\""
        );
    }

    fn told_to_run(json: serde_json::Value) -> RunDefinition {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn how_one_is_run_comes_to_what_the_file_would_and_back() {
        let all = serde_json::json!({
            "command": "echo \"it's\"\n\u{7f} | cat", "cwd": "apps/web", "env": { "A": "b\"c", "D": "" },
            "ready": "http:4211/health", "ready_timeout": 5, "restart": "always", "start": "on-demand",
            "wake": true, "depends_on": ["db"],
        });
        let db = told_to_run(serde_json::json!({ "command": ["postgres", "-D", "my data"] }));
        let db = read("db", &[], &db, &[]).unwrap();
        let asked = told_to_run(all.clone());
        let web = read(
            "web",
            &[port(4211, "tcp", None)],
            &asked,
            std::slice::from_ref(&db),
        )
        .unwrap();
        let told = RunDefinition::of(&web);
        assert_eq!(serde_json::to_value(&told).unwrap(), all);
        // Beside the others as well as by itself, and what others wait for is among them.
        assert!(
            read(
                "db",
                &[],
                &RunDefinition::of(&db),
                std::slice::from_ref(&web)
            )
            .is_ok()
        );
        let moved = read("data", &[], &RunDefinition::of(&db), &[web]);
        let moved = moved.unwrap_err();
        assert!(
            moved[0].message.contains("\"db\", which is not declared"),
            "{moved:?}"
        );
        assert_eq!(moved[0].field, "");
    }

    #[test]
    fn what_is_wrong_with_how_one_is_run_is_told_at_its_member() {
        for (json, field) in [
            (serde_json::json!({ "command": "" }), "/command"),
            (serde_json::json!({ "command": [] }), "/command"),
            (serde_json::json!({ "restart": "no" }), "/restart"),
            (serde_json::json!({ "command": "x", "cwd": "/" }), "/cwd"),
            (
                serde_json::json!({ "command": "x", "env": { "A=B": "" } }),
                "/env",
            ),
            (
                serde_json::json!({ "command": "x", "ready": "up" }),
                "/ready",
            ),
            (
                serde_json::json!({ "command": "x", "ready_timeout": 0 }),
                "/ready_timeout",
            ),
            (
                serde_json::json!({ "command": "x", "restart": "never" }),
                "/restart",
            ),
            (
                serde_json::json!({ "command": "x", "start": "on-demand" }),
                "/start",
            ),
            (serde_json::json!({ "command": "x", "wake": true }), "/wake"),
            (
                serde_json::json!({ "command": "x", "depends_on": ["db"] }),
                "/depends_on",
            ),
        ] {
            let problems = read("web", &[], &told_to_run(json.clone()), &[]).unwrap_err();
            let fields: Vec<&str> = problems.iter().map(|it| it.field.as_str()).collect();
            assert_eq!(fields, [field], "{json}");
        }
    }

    #[test]
    fn a_change_replaces_by_a_command_takes_away_by_none_and_else_adds() {
        let old = || told_to_run(serde_json::json!({ "command": "a", "cwd": "b", "wake": true }));
        let by = |json| serde_json::to_value(old().changed(told_to_run(json))).unwrap();
        let (new, kept) = (
            serde_json::json!({ "command": "c" }),
            serde_json::json!({ "cwd": "d" }),
        );
        assert_eq!(by(new.clone()), new);
        let merged = serde_json::json!({ "command": "a", "cwd": "d", "wake": true });
        assert_eq!(by(kept), merged);
        assert_eq!(
            by(serde_json::json!({ "command": [] })),
            serde_json::json!({})
        );
    }

    proptest! {
        #[test]
        fn no_command_breaks_out_of_the_definition(line in any::<String>(), word in any::<String>(), key in any::<String>()) {
            for json in [serde_json::json!({ "command": line, "env": { key.as_str(): word } }), serde_json::json!({ "command": [line, word] })] {
                let asked = told_to_run(json);
                if let Ok(service) = read("web", &[port(80, "tcp", None)], &asked, &[]) {
                    let told = RunDefinition::of(&service);
                    prop_assert_eq!((told.command, told.env), (asked.command, asked.env));
                    prop_assert_eq!(service.ports.len(), 1);
                }
            }
        }

        #[test]
        fn no_name_and_no_words_break_out_of_the_definition(name in any::<String>(), word in any::<String>(), scheme in any::<Option<String>>()) {
            let ports = [port(80, &word, scheme.as_deref()), port(81, "tcp", None)];
            if let Ok(service) = read(&name, &ports, &RunDefinition::default(), &[]) {
                prop_assert_eq!(service.name, name);
                prop_assert_eq!(service.ports.len(), 2);
            }
        }
    }
}

//! What holds for every configuration: any bytes are survived, and what is printed reads as the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use amika_core::config::parse;
use amika_core::port::{ContainerPort, Port, Protocol};
use amika_core::service::{Scheme, Service, ServicePort};
use proptest::prelude::*;

use crate::promises::config_promises;

/// How a service's ports are written down, where the format leaves a choice.
#[derive(Clone, Copy, Debug)]
struct Spelling {
    /// TCP ports as integers.
    integers: bool,
    /// One port by the key `port`.
    single_key: bool,
    schemes: SchemeForm,
}

/// How the schemes of a service are written down.
#[derive(Clone, Copy, Debug)]
enum SchemeForm {
    /// One as a string, where the key is `port`.
    Text,
    /// As a list of inline tables.
    List,
    /// As an array of tables.
    Tables,
}

/// A TOML string with every character but plain letters escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for found in text.chars() {
        if found.is_ascii_alphanumeric() {
            quoted.push(found);
        } else {
            let _ = write!(quoted, "\\U{:08x}", u32::from(found));
        }
    }
    quoted + "\""
}

fn port_text(port: ContainerPort, spelling: Spelling) -> String {
    if spelling.integers && port.protocol() == Protocol::Tcp {
        port.port().to_string()
    } else {
        quote_port(port)
    }
}

fn quote_port(port: ContainerPort) -> String {
    format!("\"{port}\"")
}

fn print(services: &[(Service, Spelling)]) -> String {
    let mut text = String::new();
    for (service, spelling) in services {
        let name = quote(&service.name);
        let _ = writeln!(text, "[services.{name}]");
        let single = spelling.single_key && service.ports.len() == 1;
        let ports: Vec<String> = service
            .ports
            .iter()
            .map(|port| port_text(port.container, *spelling))
            .collect();
        if single {
            let _ = writeln!(text, "port = {}", ports[0]);
        } else if !ports.is_empty() {
            let _ = writeln!(text, "ports = [{}]", ports.join(", "));
        }
        let schemes: Vec<(String, Scheme)> = service
            .ports
            .iter()
            .zip(&ports)
            .filter_map(|(port, text)| Some((text.clone(), port.url_scheme?)))
            .collect();
        match schemes.as_slice() {
            [] => {}
            [(_, scheme)] if single && matches!(spelling.schemes, SchemeForm::Text) => {
                let _ = writeln!(text, "url_scheme = \"{scheme}\"");
            }
            schemes if matches!(spelling.schemes, SchemeForm::Tables) => {
                for (port, scheme) in schemes {
                    let _ = writeln!(text, "[[services.{name}.url_scheme]]");
                    let _ = writeln!(text, "port = {port}\nscheme = \"{scheme}\"");
                }
            }
            schemes => {
                let entries: Vec<String> = schemes
                    .iter()
                    .map(|(port, scheme)| format!("{{ port = {port}, scheme = \"{scheme}\" }}"))
                    .collect();
                let _ = writeln!(text, "url_scheme = [{}]", entries.join(", "));
            }
        }
    }
    text
}

fn a_scheme() -> impl Strategy<Value = Option<Scheme>> {
    proptest::option::of(prop_oneof![Just(Scheme::Http), Just(Scheme::Https)])
}

prop_compose! {
    fn a_spelling()(
        integers: bool,
        single_key: bool,
        schemes in proptest::sample::select(vec![SchemeForm::Text, SchemeForm::List, SchemeForm::Tables]),
    ) -> Spelling {
        Spelling { integers, single_key, schemes }
    }
}

prop_compose! {
    /// Services with any names, and ports of which none stands twice.
    fn some_services()(
        names in proptest::collection::btree_set("[a-z]{1,4}|\\PC{0,6}|[\u{0}-\u{20}]{1,3}", 1..6),
        ports in proptest::collection::btree_map((1u16..60_899, any::<bool>()), (0usize..6, a_scheme()), 0..10),
        spellings in proptest::collection::vec(a_spelling(), 6),
    ) -> Vec<(Service, Spelling)> {
        let mut services: Vec<Service> =
            names.into_iter().map(|name| Service { name, ports: Vec::new(), run: None, sidecar: None }).collect();
        let count = services.len();
        for ((number, udp), (owner, url_scheme)) in ports {
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let container = ContainerPort::new(Port::new(number).expect("from 1"), protocol)
                .expect("below the reserved range");
            services[owner % count].ports.push(ServicePort { container, url_scheme, line: 0 });
        }
        services.into_iter().zip(spellings).collect()
    }
}

/// Fragments of which broken and whole files are made.
fn a_fragment() -> impl Strategy<Value = String> {
    let words = [
        "[services.a]\n",
        "[services.b]\n",
        "[services]\n",
        "[[services.a.url_scheme]]\n",
        "[lifecycle]\n",
        "[sandbox]\n",
        "[sandbox.limits]\n",
        "[env]\n",
        "port = ",
        "ports = ",
        "url_scheme = ",
        "scheme = ",
        "setup_script = ",
        "preset = ",
        "image = ",
        "cpus = ",
        "memory = ",
        "pids = ",
        "A = ",
        "80",
        "443",
        "65616",
        "60999",
        "-1",
        "1.5",
        "true",
        "\"80/tcp\"",
        "\"80/udp\"",
        "\"http\"",
        "\"https\"",
        "\"../x\"",
        "\"4g\"",
        "[80, 81]",
        "[{ port = 80, scheme = \"http\" }]",
        "{ port = 80 }",
        "[]",
        "{}",
        "\n",
        " ",
        ",",
        "#",
        "=",
        "\"",
        "'''",
        "2024-01-01",
        "\"\\u0007\"",
        "\r",
        "\u{feff}",
        "é",
    ];
    proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_printed_reads_as_the_same(services in some_services()) {
        let text = print(&services);
        let parsed = parse(&text).map_err(|errors| TestCaseError::fail(format!("{text}{errors:?}")))?;
        prop_assert!(parsed.valid(), "{text}{:?}", parsed.warnings);
        let expected: BTreeMap<String, Vec<_>> = services
            .iter()
            .map(|(service, _)| (service.name.clone(), pairs(service)))
            .collect();
        let found: Vec<_> =
            parsed.config.services.iter().map(|it| (it.name.clone(), pairs(it))).collect();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{}", text);
    }

    #[test]
    fn files_of_fragments_keep_every_promise(parts in proptest::collection::vec(a_fragment(), 0..24)) {
        config_promises(parts.concat().as_bytes());
    }

    #[test]
    fn lines_of_keys_and_values_keep_every_promise(
        lines in proptest::collection::vec(
            "(lifecycle|sandbox|env|services|services\\.[ab]|sandbox\\.limits)\\.\
             (port|ports|url_scheme|setup_script|preset|image|cpus|memory|pids|x) = \
             (80|443|0x50|-1|65616|1\\.5|true|\"80/udp\"|\"http\"|\"a\"|\\[80\\]|\\[\\]|\\{\\}|\\[\\{port = 80, scheme = \"http\"\\}\\])",
            0..6,
        ),
    ) {
        config_promises(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_bytes_keep_every_promise(bytes: Vec<u8>, text: String) {
        config_promises(&bytes);
        config_promises(text.as_bytes());
    }
}

fn pairs(service: &Service) -> Vec<(ContainerPort, Option<Scheme>)> {
    service
        .ports
        .iter()
        .map(|port| (port.container, port.url_scheme))
        .collect()
}

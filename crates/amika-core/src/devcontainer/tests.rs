use pretty_assertions::assert_eq;
use proptest::prelude::*;

use super::*;
use crate::config;
use crate::service::Scheme;

/// What is not taken over, as `line:key`.
fn rest(text: &str) -> Vec<String> {
    let rest = migrate(text).unwrap().rest;
    let rest = rest
        .iter()
        .map(|rest| format!("{}:{}", rest.diagnostic.line, rest.key));
    rest.collect()
}

#[test]
fn what_has_an_equal_is_taken_over() {
    let text = "{\"image\":\"debian:trixie\",\"init\":true,\"privileged\":false,\
                \"remoteEnv\":{\"A\":\"2\"},\"containerEnv\":{\"A\":\"1\",\"B\":\"x\"},\
                \"appPort\":[\"80:8080\",\"9090\"],\"forwardPorts\":[3000,\"3001\",3000],\
                \"portsAttributes\":{\"3000\":{\"label\":\"Web\",\"protocol\":\"https\"},\"3001\":{\"onAutoForward\":\"openBrowser\"}},\
                \"postCreateCommand\":\"c\",\"onCreateCommand\":[\"a\",\"b c\"],\"updateContentCommand\":{\"x\":\"b\"},\
                \"postStartCommand\":\"s ${containerEnv:HOME}\"}";
    let Migration { draft, rest } = migrate(text).unwrap();
    assert_eq!(rest, []);
    assert_eq!(draft.image.as_deref(), Some("debian:trixie"));
    let env: Vec<(&str, &str)> = draft
        .env
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(env, [("A", "2"), ("B", "x")]);
    let setup: Vec<&str> = draft.setup.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(setup, ["(exec a 'b c')", "sh -c b", "sh -c c"]);
    assert_eq!(draft.start[0].text, "sh -c 's '\"${HOME-}\"");
    let services = draft.services.iter().map(|service| {
        let scheme = service.scheme.map_or("-", Scheme::as_str);
        format!("{} {} {scheme}", service.name, service.port)
    });
    let services: Vec<String> = services.collect();
    assert_eq!(
        services,
        [
            "port-8080 8080/tcp -",
            "port-9090 9090/tcp -",
            "web 3000/tcp https",
            "port-3001 3001/tcp http",
        ]
    );
}

#[test]
fn what_has_none_is_named_with_its_place() {
    for (text, expected) in [
        (
            "{\n\"build\": {\n\"dockerfile\": \"D\",\n\"args\": {}}}",
            &["3:build.dockerfile", "4:build.args"][..],
        ),
        (
            "{\"features\": {\"a\": {},\n\"b\": {}}}",
            &["1:features.a", "2:features.b"],
        ),
        ("{\"image\": \"-x\"}", &["1:image"]),
        ("{\"image\": \"${localEnv:I}\"}", &["1:image"]),
        ("{\"image\": 1}", &["1:image"]),
        ("{\"runArgs\": [\"--privileged\"]}", &["1:runArgs[0]"]),
        ("{\"privileged\": true}", &["1:privileged"]),
        (
            "{\"containerEnv\": {\"LD_PRELOAD\": \"x\", \"A=B\": \"1\", \"N\": 1}}",
            &[
                "1:containerEnv.LD_PRELOAD",
                "1:containerEnv.A=B",
                "1:containerEnv.N",
            ],
        ),
        (
            "{\"remoteEnv\": {\"PATH\": \"${containerEnv:PATH}:/x\"}}",
            &["1:remoteEnv.PATH"],
        ),
        (
            "{\"forwardPorts\": [\"db:1\", 0, 70000, 60999, \"x\", null]}",
            &[
                "1:forwardPorts[0]",
                "1:forwardPorts[1]",
                "1:forwardPorts[2]",
                "1:forwardPorts[3]",
                "1:forwardPorts[4]",
                "1:forwardPorts[5]",
            ],
        ),
        (
            "{\"portsAttributes\": {\"1\": {}}}",
            &["1:portsAttributes.1"],
        ),
        (
            "{\"postCreateCommand\": \"${localEnv:HOME}/x\"}",
            &["1:postCreateCommand"],
        ),
        (
            "{\"postCreateCommand\": {\"a\": [1]}}",
            &["1:postCreateCommand.a"],
        ),
        (
            "{\"postStartCommand\": \"a\\u0000b\"}",
            &["1:postStartCommand"],
        ),
        (
            "{\"remoteUser\": \"a\",\n\"remoteUser\": \"b\"}",
            &["1:remoteUser", "2:remoteUser"],
        ),
        ("{\"waht\": 1}", &["1:waht"]),
        (
            "{\"$schema\": \"x\", \"postCreateCommand\": \"\", \"postStartCommand\": []}",
            &[],
        ),
    ] {
        assert_eq!(rest(text), expected, "{text}");
    }
}

#[test]
fn a_file_that_is_no_object_is_refused_with_its_place() {
    let found = migrate("// x\n[]").unwrap_err();
    assert_eq!(
        (found.line, found.message.as_str()),
        (2, "expected an object, found a list")
    );
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Into::into),
        "[ -~]{0,12}".prop_map(Into::into),
        any::<u16>().prop_map(Into::into),
        Just("${containerWorkspaceFolder}'$(id)".into()),
    ];
    leaf.prop_recursive(2, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_in_it_the_configuration_is_valid(
        entries in prop::collection::btree_map(
            prop::sample::select(vec![
                "image", "name", "containerEnv", "remoteEnv", "forwardPorts", "appPort", "portsAttributes",
                "postCreateCommand", "onCreateCommand", "postStartCommand", "features", "build", "mounts", "other",
            ]),
            value(),
            0..8,
        ),
    ) {
        let entries: serde_json::Map<_, _> = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let text = serde_json::Value::Object(entries).to_string();
        let migration = migrate(&text).unwrap();
        let files = migration.draft.files();
        let parsed = config::parse(&files.last().unwrap().content).unwrap();
        prop_assert!(parsed.valid() && parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    }
}

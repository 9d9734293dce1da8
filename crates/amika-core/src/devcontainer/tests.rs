use pretty_assertions::assert_eq;
use proptest::prelude::*;

use super::*;
use crate::config;
use crate::service::Scheme;

/// What is not taken over, as `line:key`.
fn rest(text: &str) -> Vec<String> {
    let rest = migrate(text, Some(".devcontainer")).unwrap().rest;
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
    let Migration { draft, rest } = migrate(text, Some(".devcontainer")).unwrap();
    assert_eq!(rest, []);
    assert_eq!(draft.image, Some(Image::Named("debian:trixie".to_owned())));
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
fn a_dockerfile_is_taken_over_where_the_same_is_built_of_it() {
    let image = |text: &str, directory| migrate(text, directory).unwrap();
    for (text, directory, dockerfile) in [
        (
            "{\"build\": {\"dockerfile\": \"Dockerfile\"}}",
            ".devcontainer",
            ".devcontainer/Dockerfile",
        ),
        (
            "{\"build\": {\"dockerfile\": \"../Dockerfile\", \"context\": \"..\"}}",
            ".devcontainer/a",
            ".devcontainer/Dockerfile",
        ),
        (
            "{\"build\": {\"dockerfile\": \"../Dockerfile\", \"context\": \"..\"}}",
            ".devcontainer",
            "Dockerfile",
        ),
        (
            "{\"dockerFile\": \"./a/D\", \"context\": \"a/.\"}",
            "",
            "a/D",
        ),
    ] {
        let Migration { draft, rest } = image(text, Some(directory));
        assert_eq!(rest, [], "{text}");
        let built = Image::Built {
            dockerfile: dockerfile.to_owned(),
            args: Vec::new(),
        };
        assert_eq!(draft.image, Some(built), "{text}");
    }
    let text = "{\"build\": {\"dockerfile\": \"D\", \"args\": {\"B\": \"2\", \"A\": \"x\", \"B\": \"3\",\
                \"1\": \"\", \"C\": 1, \"L\": \"${localEnv:L}\"}, \"target\": \"dev\", \"cacheFrom\": \"x\", \"options\": []}}";
    let Migration { draft, rest } = image(text, Some(""));
    let config = config::parse(&draft.files()[0].content).unwrap();
    assert!(config.valid(), "{:?}", config.warnings);
    let dockerfile = config.config.sandbox.dockerfile().unwrap().clone();
    let args: Vec<(&str, &str)> = dockerfile.args.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(args, [("A", "x"), ("B", "3")]);
    let rest: Vec<&str> = rest.iter().map(|rest| rest.key.as_str()).collect();
    assert_eq!(
        rest,
        [
            "build.args.1",
            "build.args.C",
            "build.args.L",
            "build.target",
            "build.cacheFrom",
            "build.options",
        ]
    );
}

#[test]
fn a_dockerfile_that_would_be_built_otherwise_is_named() {
    for (text, directory, key, reason) in [
        (
            "{\"build\": {\"dockerfile\": \"D\", \"context\": \"..\"}}",
            Some(".devcontainer"),
            "build.dockerfile",
            "with the repository's root",
        ),
        (
            "{\"build\": {\"dockerfile\": \"../D\"}}",
            Some("a/b"),
            "build.dockerfile",
            "with \"a/b\"",
        ),
        (
            "{\"build\": {\"dockerfile\": \"../../D\"}}",
            Some(".devcontainer"),
            "build.dockerfile",
            "out of the repository",
        ),
        (
            "{\"build\": {\"dockerfile\": \"D\", \"context\": \"../..\"}}",
            Some("a"),
            "build.context",
            "out of the repository",
        ),
        (
            "{\"build\": {\"dockerfile\": \"/etc/D\"}}",
            Some(""),
            "build.dockerfile",
            "of this machine",
        ),
        (
            "{\"build\": {\"dockerfile\": \".git/D\"}}",
            Some(""),
            "build.dockerfile",
            "stands in \".git\"",
        ),
        (
            "{\"build\": {\"dockerfile\": \"${localEnv:D}\"}}",
            Some(""),
            "build.dockerfile",
            "variables",
        ),
        (
            "{\"build\": {\"dockerfile\": 1}}",
            Some(""),
            "build.dockerfile",
            "a string",
        ),
        (
            "{\"build\": {\"dockerfile\": \"D\"}}",
            None,
            "build.dockerfile",
            "outside of the repository",
        ),
        ("{\"build\": 1}", Some(""), "build", "an object"),
        (
            "{\"build\": {\"args\": {}}}",
            Some(""),
            "build.args",
            "no Dockerfile",
        ),
        ("{\"context\": \".\"}", Some(""), "context", "no Dockerfile"),
    ] {
        let Migration { draft, rest } = migrate(text, directory).unwrap();
        assert_eq!(draft.image, None, "{text}");
        let [rest] = &rest[..] else {
            panic!("{text}: {rest:?}")
        };
        assert_eq!(rest.key, key, "{text}");
        assert!(rest.reason.contains(reason), "{text}: {}", rest.reason);
    }
    let both = "{\"image\": \"a\", \"dockerFile\": \"D\"}";
    let Migration { draft, rest } = migrate(both, Some("")).unwrap();
    assert_eq!(draft.image, Some(Image::Named("a".to_owned())));
    assert_eq!(rest[0].key, "dockerFile");
}

#[test]
fn what_has_none_is_named_with_its_place() {
    for (text, expected) in [
        (
            "{\"features\": {\"a\": {},\n\"b\": {}}}",
            &["1:features.a", "2:features.b"][..],
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
    let found = migrate("// x\n[]", None).unwrap_err();
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
        let migration = migrate(&text, Some(".devcontainer")).unwrap();
        let files = migration.draft.files();
        let parsed = config::parse(&files.last().unwrap().content).unwrap();
        prop_assert!(parsed.valid() && parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    }
}

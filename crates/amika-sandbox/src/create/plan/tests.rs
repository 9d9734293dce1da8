use std::collections::BTreeSet;

use amika_core::config::RepoConfig;
use amika_core::label::{SandboxId, key};
use amika_core::volume::Stamp;
use pretty_assertions::assert_eq;

use super::super::limits::EngineSize;
use super::super::settings::merge;
use super::super::settings::tests::request;
use super::*;
use crate::create::Request;
use crate::create::Scripts;
use crate::daemon::UserKey;
use crate::preset::Preset;
use amika_engine::ImageFacts;

fn name() -> SandboxName {
    "teal-tokyo".parse().expect("a name")
}

fn facts(image: ImageFacts) -> Facts {
    Facts {
        id: SandboxId::from_random([7; 16]),
        stamp: Stamp::new(1_795_336_329, 1),
        now: 1_795_336_329_000,
        creator: crate::creator::this_process(),
        image_reference: "image:1".into(),
        image,
        injection: None,
        token_sha256: "00".into(),
        record_key: RecordKey::of(&UserKey::of_bytes([7; 32]), "/nowhere".into()),
        proxies: vec![("http_proxy".into(), "http://proxy:3128".into())],
        unbounded_log: true,
        engine_size: EngineSize { cpus: 2, memory: 0 },
        sources: mounts::Sources::default(),
        network: Choice::Shared,
        test: None,
    }
}

fn planned(request: &Request, image: ImageFacts, repository: Option<&Repository>) -> Plan {
    let settings = merge(
        request,
        amika_core::settings::Layer::silent(),
        &RepoConfig::default(),
        Scripts::default(),
    )
    .expect("settings");
    plan(&name(), &settings, &facts(image), repository, Vec::new())
}

fn other() -> Request {
    Request {
        image: Some(Image::Other("image:1".into())),
        ..request()
    }
}

#[test]
fn a_presets_entrypoint_stays_and_any_other_images_is_wrapped() {
    let words = |words: &[&str]| Some(words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    let amikad = path::AMIKAD;
    let server = || ImageFacts {
        entrypoint: vec!["/entry".into()],
        cmd: vec!["serve".into()],
        user: "www".into(),
        workdir: "/srv".into(),
        ..ImageFacts::default()
    };
    let given = |command: &[&str], request: Request| Request {
        command: command.iter().map(|it| (*it).to_owned()).collect(),
        ..request
    };
    let wrapped: &[&str] = &[
        amikad,
        "run",
        "--user",
        "www",
        "--workdir",
        "/srv",
        "--",
        "/entry",
    ];
    for (request, image, entrypoint, cmd, user) in [
        (request(), ImageFacts::default(), None, None, None),
        (
            given(&["a", "b"], request()),
            ImageFacts::default(),
            None,
            words(&["a", "b"]),
            None,
        ),
        (
            other(),
            server(),
            words(wrapped),
            words(&["serve"]),
            Some("0:0"),
        ),
        (
            given(&["a"], other()),
            server(),
            words(wrapped),
            words(&["a"]),
            Some("0:0"),
        ),
        (
            other(),
            ImageFacts::default(),
            words(&[amikad, "run", "--workdir", "/", "--"]),
            words(&[]),
            None,
        ),
    ] {
        let container = planned(&request, image, None).container;
        assert_eq!(container.entrypoint, entrypoint);
        assert_eq!(container.cmd, cmd);
        assert_eq!(container.user.as_deref(), user);
    }
}

#[test]
fn what_goes_with_a_sandbox_and_what_stays_is_told_by_its_volumes() {
    let repository = Repository {
        label: label::Repository {
            name: "app".into(),
            source: None,
            branch: Some("main".into()),
        },
        volume: None,
    };
    for repository in [None, Some(&repository)] {
        let plan = planned(&request(), ImageFacts::default(), repository);
        let volumes: Vec<(&str, &str, &str)> = plan
            .container
            .mounts
            .iter()
            .filter_map(|mount| match mount {
                MountSpec::Volume {
                    name,
                    target,
                    labels,
                    ..
                } => {
                    let kind = labels.get(amika_core::label::key::KIND)?;
                    Some((kind.as_str(), target.as_str(), name.as_str()))
                }
                MountSpec::Bind { .. } => None,
            })
            .collect();
        let kinds: Vec<(&str, &str)> = volumes.iter().map(|it| (it.0, it.1)).collect();
        let mut expected = vec![("home", path::HOME), ("state", path::STATE_DIR)];
        if repository.is_some() {
            expected.push(("git", "/home/amika/workspace/app"));
        }
        assert_eq!(kinds, expected);
        // The clone's is in the other list: it outlives the sandbox.
        let names: BTreeSet<&str> = volumes.iter().map(|it| it.2).collect();
        let mut told: Vec<&str> = plan.volumes.iter().map(String::as_str).collect();
        told.extend(plan.git_volume.as_deref());
        assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), names);
        assert_eq!(told.len(), names.len());
        assert_eq!(plan.clone_target.is_some(), repository.is_some());
        let cwd = match repository {
            Some(_) => "/home/amika/workspace/app",
            None => path::WORKSPACE,
        };
        assert_eq!(plan.record.agent_cwd.as_deref(), Some(cwd));
    }
}

#[test]
fn what_the_contract_names_in_the_environment_is_amikas_and_the_rest_is_the_users() {
    let request = Request {
        env: BTreeMap::from([
            ("A".into(), "1".into()),
            ("http_proxy".into(), "mine".into()),
            (env::SANDBOX_NAME.into(), "a lie".into()),
            (env::TOKEN_SHA256.into(), "a lie".into()),
            (env::OPENCODE_PASSWORD.into(), "secret".into()),
        ]),
        setup_once: true,
        ..request()
    };
    let plan = planned(&request, ImageFacts::default(), None);
    let env = &plan.container.env;
    for variable in ["A=1", "http_proxy=mine", "AMIKA_SANDBOX_NAME=teal-tokyo"] {
        assert!(env.iter().any(|it| it == variable), "{variable}: {env:?}");
    }
    assert!(env.contains(&format!("{}=1", env::SETUP_ONCE)), "{env:?}");
    assert!(env.iter().all(|it| !it.contains("a lie")), "{env:?}");
    // It is in a file that only root reads, and in nothing that the engine shows.
    assert!(env.iter().all(|it| !it.contains("secret")), "{env:?}");
    assert!(!format!("{:?}", plan.container.labels).contains("secret"));
}

#[test]
fn only_a_nested_engine_has_its_rights() {
    for (preset, nested) in [(Preset::Coder, false), (Preset::CoderDind, true)] {
        let request = Request {
            image: Some(Image::Preset(preset)),
            ..request()
        };
        let container = planned(&request, ImageFacts::default(), None).container;
        assert_eq!(container.nested_engine, nested, "{preset}");
        assert!(container.bound_log, "{preset}");
    }
}

#[test]
fn a_servers_stamp_is_signed_with_the_record_and_on_all_that_belongs_to_the_sandbox() {
    let stamp = Labels::from(
        [(key::SERVER, "one"), ("dev.amika.server.owner", "ada")]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let request = Request {
        stamp: stamp.clone(),
        ..request()
    };
    request.check().expect("a stamp");
    let mut plan = planned(&request, ImageFacts::default(), None);
    for mount in &plan.container.mounts {
        if let MountSpec::Volume { name, labels, .. } = mount {
            assert_eq!(amika_core::label::stamp(labels), stamp, "{name}");
        }
    }
    // What is added to the record later is signed with the stamp, too.
    plan.add_credentials(Upload::setup_script(Vec::new()), vec![Agent::Codex]);
    let mut labels = plan.container.labels;
    assert_eq!(amika_core::label::stamp(&labels), stamp);
    let key = RecordKey::of(&UserKey::of_bytes([7; 32]), "/nowhere".into());
    assert!(key.has_signed(&labels));
    labels.insert("dev.amika.server.owner".into(), "eve".into());
    assert!(!key.has_signed(&labels));
}

#[test]
fn a_stamp_is_no_way_to_write_the_record() {
    for label in [key::ID, key::SIGNATURE, "dev.amika.servers", "com.example"] {
        let request = Request {
            stamp: Labels::from([(label.to_owned(), "x".to_owned())]),
            ..request()
        };
        let refused = request.check().expect_err(label);
        assert_eq!(refused.kind, error::Kind::Invalid, "{label}");
    }
}

#[test]
fn a_script_without_a_file_goes_in_and_no_later_start_looks_for_one() {
    let request = Request {
        setup: Some(Setup::Text(b"#!/bin/sh\n".to_vec())),
        ..request()
    };
    let plan = planned(&request, ImageFacts::default(), None);
    assert_eq!(plan.record.setup_script, None);
    assert_eq!(plan.uploads.len(), 1);
}

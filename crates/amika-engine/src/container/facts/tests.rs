use pretty_assertions::assert_eq;

use super::*;

#[test]
fn only_the_engines_own_word_and_no_start_mean_that_it_never_ran() {
    use ContainerState::{
        Created, Dead, Exited, Paused, Removing, Restarting, Running, Stopping, Unknown,
    };
    for (word, state) in [
        ("running", Running),
        ("paused", Paused),
        ("restarting", Restarting),
        ("stopping", Stopping),
        ("removing", Removing),
        ("exited", Exited),
        ("dead", Dead),
        ("", Unknown),
        ("Created", Unknown),
        ("initialized", Unknown),
    ] {
        for started in [None, Some(false), Some(true)] {
            assert_eq!(ContainerState::read(word, started), state, "{word}");
        }
    }
    assert_eq!(ContainerState::read("created", Some(false)), Created);
    assert_eq!(ContainerState::read("created", Some(true)), Exited);
    assert_eq!(ContainerState::read("created", None), Unknown);
    assert_eq!(has_started(Some("0001-01-01T00:00:00Z")), Some(false));
    assert_eq!(has_started(Some("2026-11-28T22:00:00.5Z")), Some(true));
    assert_eq!(has_started(Some("")), None);
    assert_eq!(has_started(None), None);
}

#[test]
fn one_unknown_word_does_not_hide_the_other_containers() {
    let list = r#"[{"Id":"1","Names":["/a"],"State":"running","Labels":{"k":"v"}},
            {"Id":"2","Names":["/b"],"State":"melting","Labels":{"k":"w"},"Ports":[{"PrivatePort":1,"PublicPort":2,"IP":"::","Type":"tcp"}]},
            {"Id":"3","Names":["/c"]},
            {"Id":"4","Names":["/d"],"State":7,"Labels":{"k":"x"},"Ports":"none","Mounts":[{"Name":"home","Destination":"/home/amika"}]}]"#;
    let list = each_summary(list).expect("a list");
    let states: Vec<_> = list.iter().map(|it| (it.name.as_str(), it.state)).collect();
    assert_eq!(
        states,
        [
            ("a", ContainerState::Running),
            ("b", ContainerState::Unknown),
            ("c", ContainerState::Unknown),
            ("d", ContainerState::Unknown),
        ]
    );
    assert_eq!(list[1].ports.len(), 1);
    assert_eq!(list[3].labels["k"], "x");
    assert_eq!(
        list[3].volumes,
        [("home".to_owned(), "/home/amika".to_owned())]
    );
    assert!(each_summary("{}").is_err());
    assert!(each_summary(r#"[{"Id":7}]"#).is_err());
}

#[test]
fn a_container_in_an_unknown_state_is_looked_at_all_the_same() {
    let json =
        r#"{"Id":"1","Name":"/a","State":{"Status":"melting","StartedAt":"0001-01-01T00:00:00Z"}}"#;
    let facts = facts_of(json).expect("a container");
    assert_eq!(
        (facts.name.as_str(), facts.state),
        ("a", ContainerState::Unknown)
    );
    let created = json.replace("melting", "created");
    assert_eq!(
        facts_of(&created).expect("one").state,
        ContainerState::Created
    );
    assert!(facts_of(r#"{"Id":7}"#).is_err());
}

#[test]
fn volumes_that_only_the_image_asked_for_are_told_from_named_ones() {
    let own = "a".repeat(64);
    let asked_for = "b".repeat(64);
    let mount = |typ: &str, name: &str| MountPoint {
        typ: Some(typ.to_owned()),
        name: Some(name.to_owned()),
        ..MountPoint::default()
    };
    let mounts = [
        mount("volume", &own),
        mount("volume", &asked_for),
        mount("volume", "pip-cache"),
        mount("bind", &"c".repeat(64)),
    ];
    let host = HostConfig {
        mounts: Some(vec![bollard::models::Mount {
            source: Some(asked_for),
            ..bollard::models::Mount::default()
        }]),
        // As Podman tells them.
        binds: Some(vec![format!("{own}:/data:rprivate")]),
        ..HostConfig::default()
    };
    assert_eq!(anonymous(&host, &mounts), BTreeSet::from([own]));
}

use pretty_assertions::assert_eq;
use proptest::prelude::*;

use super::*;
use crate::service::{Scheme, ServicePort};
use crate::settings::Origin;

fn read(labels: &Labels) -> Result<SandboxRecord, LabelError> {
    SandboxRecord::from_labels(|key| labels.get(key).map(String::as_str))
}

fn full() -> SandboxRecord {
    SandboxRecord {
        id: SandboxId::from_random([7; 16]),
        repository: Some(Repository {
            name: "Hello World".to_owned(),
            source: Some("https://token@example.com/hello".into()),
            branch: Some("main".to_owned()),
        }),
        from_volume: Some("amika-git-a-b-1".to_owned()),
        services: vec![Service {
            name: "api".to_owned(),
            ports: vec![ServicePort {
                container: "4838/tcp".parse().unwrap(),
                url_scheme: Some(Scheme::Http),
                line: 0,
            }],
            run: None,
            sidecar: None,
        }],
        origins: Some(Origins {
            env: [("A".to_owned(), Origin::File)].into(),
            image: Origin::Request,
            ..Origins::default()
        }),
        setup_script: Some(SetupScript::Host("/src/setup.sh".to_owned())),
        credentials: vec![Agent::Claude, Agent::OpenCode],
        copied_files: [("/data/x".to_owned(), "/src/x".to_owned())].into(),
        creator: Some(Creator {
            host: "box".to_owned(),
            boot_id: "b".to_owned(),
            pid: 42,
            started: 4711,
            uid: Some(1000),
            pid_namespace: Some("pid:[1]".to_owned()),
            machine: Some("m".to_owned()),
        }),
        preset: Some("coder".to_owned()),
        image: Some("amika-coder:1".to_owned()),
        agent_cwd: Some("/home/amika/workspace/Hello World".to_owned()),
        user: Some("amika".to_owned()),
        created_at: Some(1_795_336_329_000),
        test: Some("run-1".to_owned()),
    }
}

#[test]
fn the_labels_are_these() {
    let labels = full().to_labels();
    let lines: Vec<String> = labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        lines,
        [
            "dev.amika.agent-cwd=/home/amika/workspace/Hello World",
            "dev.amika.copied-files={\"/data/x\":\"/src/x\"}",
            "dev.amika.created-at=1795336329000",
            "dev.amika.creator.boot-id=b",
            "dev.amika.creator.host=box",
            "dev.amika.creator.machine=m",
            "dev.amika.creator.pid=42",
            "dev.amika.creator.pid-namespace=pid:[1]",
            "dev.amika.creator.started=4711",
            "dev.amika.creator.uid=1000",
            "dev.amika.credentials=claude,opencode",
            "dev.amika.from-volume=amika-git-a-b-1",
            "dev.amika.id=07070707-0707-4707-8707-070707070707",
            "dev.amika.image=amika-coder:1",
            "dev.amika.kind=sandbox",
            "dev.amika.origins={\"image\":\"request\",\"setup_script\":\"default\",\"env\":{\"A\":\"file\"},\
                 \"services\":\"default\",\"limits\":{\"cpus\":\"default\",\"memory\":\"default\",\"pids\":\"default\"}}",
            "dev.amika.preset=coder",
            "dev.amika.repo.branch=main",
            "dev.amika.repo.name=Hello World",
            "dev.amika.repo.source=https://example.com/hello",
            "dev.amika.services=[{\"name\":\"api\",\"ports\":[{\"port\":4838,\
                 \"protocol\":\"tcp\",\"url_scheme\":\"http\"}]}]",
            "dev.amika.setup.host-path=/src/setup.sh",
            "dev.amika.test=run-1",
            "dev.amika.user=amika",
            "dev.amika.version=1",
        ]
    );
}

#[test]
fn records_are_read_as_they_were_written() {
    let mut record = full();
    assert_eq!(read(&record.to_labels()), Ok(record.clone()));
    record.setup_script = Some(SetupScript::Repository("scripts/setup.sh".to_owned()));
    assert_eq!(read(&record.to_labels()), Ok(record.clone()));
    let bare = SandboxRecord::new(record.id);
    assert_eq!(read(&bare.to_labels()), Ok(bare));
}

#[test]
fn every_key_is_written_and_what_is_empty_is_none() {
    let id = SandboxId::from_random([7; 16]);
    for record in [SandboxRecord::new(id.clone()), full()] {
        let labels = record.to_labels();
        let keys: Vec<&str> = labels.keys().map(String::as_str).collect();
        let mut all = key::ALL;
        all.sort_unstable();
        assert_eq!(keys, all);
    }
    let mut labels = SandboxRecord::new(id.clone()).to_labels();
    // As an older amika wrote them.
    labels.retain(|_, value| !value.is_empty());
    assert_eq!(labels.len(), 3);
    assert_eq!(read(&labels), Ok(SandboxRecord::new(id)));
}

#[test]
fn whatever_one_label_holds_the_rest_is_read() {
    let stand_in = SandboxId::from_random([9; 16]);
    for (key, identified) in [
        (key::ID, false),
        (key::KIND, false),
        (key::VERSION, false),
        (key::SERVICES, true),
        (key::COPIED_FILES, true),
        (key::CREATOR_PID, true),
        (key::CREATOR_STARTED, true),
        (key::CREATED_AT, true),
    ] {
        let mut labels = full().to_labels();
        labels.insert(key.to_owned(), "garbage\n".to_owned());
        let get = |key: &str| labels.get(key).map(String::as_str);
        let reading = SandboxRecord::read(get, stand_in.clone());
        assert_eq!(reading.problems.len(), 1, "{key}");
        assert_eq!(reading.is_identified(), identified, "{key}");
        assert_eq!(reading.record.repository, full().repository, "{key}");
        assert_eq!(reading.record.setup_script, full().setup_script, "{key}");
        let id = if key == key::ID {
            &stand_in
        } else {
            &full().id
        };
        assert_eq!(reading.record.id, *id, "{key}");
    }
}

#[test]
fn a_long_value_is_cut_in_the_error() {
    let mut labels = full().to_labels();
    labels.insert(key::CREATED_AT.to_owned(), "é\u{1b}".repeat(100_000));
    let message = read(&labels).unwrap_err().to_string();
    assert!(message.len() < 1000, "{}", message.len());
    assert!(message.contains("…\", not a number"), "{message}");
    assert!(!message.contains('\u{1b}'), "{message}");
}

#[test]
fn unknown_labels_and_half_a_creator_are_no_errors() {
    let mut labels = full().to_labels();
    labels.insert("dev.amika.future".to_owned(), "x".to_owned());
    labels.insert(
        key::CREDENTIALS.to_owned(),
        "claude,future,opencode".to_owned(),
    );
    labels.insert("com.example".to_owned(), "y".to_owned());
    labels.remove(key::CREATOR_HOST);
    labels.remove(key::VERSION);
    assert_eq!(
        read(&labels),
        Ok(SandboxRecord {
            creator: None,
            ..full()
        })
    );
}

#[test]
fn errors_name_the_label() {
    for (key, value, message) in [
        (key::ID, None, "label dev.amika.id is missing"),
        (
            key::ID,
            Some("x"),
            "label dev.amika.id is \"x\", not a sandbox id",
        ),
        (key::KIND, None, "label dev.amika.kind is missing"),
        (
            key::KIND,
            Some("git"),
            "label dev.amika.kind is \"git\", not sandbox",
        ),
        (
            key::KIND,
            Some("x"),
            "label dev.amika.kind is \"x\", not a kind of resource",
        ),
        (
            key::VERSION,
            Some("2"),
            "label dev.amika.version is \"2\": made by a newer amika, this one knows 1",
        ),
        (
            key::SERVICES,
            Some("{\n"),
            "label dev.amika.services is \"{\\n\", not a list of services",
        ),
        (
            key::ORIGINS,
            Some("file"),
            "label dev.amika.origins is \"file\", not a map of origins",
        ),
        (
            key::CREATED_AT,
            Some("now"),
            "label dev.amika.created-at is \"now\", not a number",
        ),
        (
            key::CREATOR_PID,
            Some("-1"),
            "label dev.amika.creator.pid is \"-1\", not a process id",
        ),
    ] {
        let mut labels = full().to_labels();
        assert!(labels.contains_key(key));
        match value {
            Some(value) => labels.insert(key.to_owned(), value.to_owned()),
            None => labels.remove(key),
        };
        assert_eq!(read(&labels).unwrap_err().to_string(), message);
    }
}

proptest! {
    #[test]
    fn no_labels_make_it_panic(changed in proptest::collection::vec((0usize..26, any::<String>()), 0..5)) {
        let mut labels = full().to_labels();
        for (index, value) in changed {
            labels.insert(key::ALL[index].to_owned(), value);
        }
        let get = |key: &str| labels.get(key).map(String::as_str);
        let reading = SandboxRecord::read(get, SandboxId::from_random([9; 16]));
        // What was read stays what it is when it is written and read again.
        prop_assert_eq!(read(&reading.record.to_labels()), Ok(reading.record));
    }
}

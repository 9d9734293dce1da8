use pretty_assertions::assert_eq;

use super::whose::LONGEST_CREATE;
use super::*;
use crate::creator::Life;

fn creator(uid: u32) -> Creator {
    Creator {
        uid: Some(uid),
        host: "far".into(),
        pid: u32::MAX,
        ..creator::this_process()
    }
}

#[test]
fn what_somebody_may_be_at_work_on_is_no_leftover() {
    let now = 100 * LONGEST_CREATE;
    let old = Some(now - LONGEST_CREATE - 3600);
    let others = || Whose::Others("user 7 on far, 25 h ago".to_owned());
    for (life, made, of) in [
        (Life::Alive, old, Whose::InWork),
        (Life::Dead, Some(now), Whose::Left),
        (Life::Dead, None, Whose::Left),
        (Life::Unseen, Some(now), Whose::InWork),
        (Life::Unseen, Some(now - LONGEST_CREATE + 1), Whose::InWork),
        (Life::Unseen, None, Whose::InWork),
        (Life::Unseen, Some(now + 1), Whose::InWork),
        (Life::Unseen, old, others()),
    ] {
        assert_eq!(
            whose(Some(&creator(7)), made, now, |_| life),
            of,
            "{life:?} {made:?}"
        );
    }
    assert_eq!(whose(None, None, now, |_| Life::Alive), Whose::Left);
}

#[test]
fn volumes_are_orphans_only_without_sandbox_and_without_anybody_at_work() {
    let now = amika_host::clock::now_millis();
    let volume = |name: &str, id: &str, kind: Kind, age: u64, creator: Option<Creator>| {
        let record = amika_core::label::ResourceRecord {
            sandbox: "teal-tokyo".parse().ok(),
            created_at: Some(now - age * 3_600_000),
            creator,
            ..amika_core::label::ResourceRecord::new(kind)
        };
        let mut labels = record.to_labels();
        labels.insert(key::ID.to_owned(), id.to_owned());
        VolumeFacts {
            name: name.to_owned(),
            labels,
            driver: "local".to_owned(),
            mountpoint: String::new(),
        }
    };
    let volumes = [
        volume("lost", "1", Kind::Home, 0, None),
        volume("copy", "1", Kind::RwCopy, 0, None),
        volume("git", "1", Kind::Git, 0, None),
        volume("there", "2", Kind::Home, 0, None),
        volume("in-work", "3", Kind::Home, 23, Some(creator(7))),
        volume("theirs", "4", Kind::State, 25, Some(creator(7))),
        volume("program", "5", Kind::Amikad, 99, None),
    ];
    let ids = BTreeSet::from(["2".to_owned()]);
    let found = orphans(&volumes, &ids, |_| true);
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.name.as_str(), it.others))
        .collect();
    assert_eq!(found, [("lost", false), ("copy", false), ("theirs", true)]);
    assert!(orphans(&volumes, &ids, |_| false).is_empty());
}

use super::*;

#[test]
fn what_another_may_be_at_work_on_or_is_unknown_is_left_alone() {
    let here = crate::creator::this_process();
    let dead = amika_core::label::Creator {
        started: here.started + 1,
        ..here.clone()
    };
    let far = amika_core::label::Creator {
        host: "elsewhere".into(),
        ..here.clone()
    };
    for (state, creator, settled) in [
        (ContainerState::Created, None, true),
        (ContainerState::Created, Some(&dead), true),
        (ContainerState::Created, Some(&here), false),
        (ContainerState::Created, Some(&far), false),
        (ContainerState::Running, Some(&here), true),
        (ContainerState::Running, Some(&dead), true),
        (ContainerState::Running, Some(&far), false),
        (ContainerState::Unknown, Some(&dead), false),
        (ContainerState::Unknown, None, false),
    ] {
        assert_eq!(
            may_be_settled(state, creator),
            settled,
            "{state:?} {creator:?}"
        );
    }
}

#[test]
fn whatever_was_interrupted_one_sandbox_is_left_with_its_name_and_its_work() {
    use ContainerState::{Created, Exited, Running};
    for state in [None, Some(Created), Some(Running), Some(Exited)] {
        for (current, old) in [(false, false), (false, true), (true, false), (true, true)] {
            // Which container has which name, by what each was called at first.
            let mut named = std::collections::BTreeMap::new();
            for (which, is_there) in [
                (Which::Next, state.is_some()),
                (Which::Current, current),
                (Which::Old, old),
            ] {
                if is_there {
                    named.insert(which, which);
                }
            }
            let there = named.len();
            for step in mending(state, current, old) {
                match step {
                    Step::Remove(which) => {
                        assert!(named.remove(&which).is_some(), "{step:?}");
                    }
                    Step::Rename(which, to) => {
                        // The engine gives no name twice.
                        let is_taken = named.values().any(|name| *name == to);
                        assert!(!is_taken, "{state:?} {current} {old}: {step:?}");
                        assert!(named.insert(which, to).is_some(), "{step:?}");
                    }
                }
            }
            let case = format!("{state:?} {current} {old}");
            let ran = state.is_some_and(|state| state != Created);
            let heir = [
                (ran, Which::Next),
                (current, Which::Current),
                (old, Which::Old),
            ];
            let heir = heir.iter().find(|(is_there, _)| *is_there);
            match heir {
                Some((_, heir)) => {
                    let left = std::collections::BTreeMap::from([(*heir, Which::Current)]);
                    assert_eq!(named, left, "{case}");
                }
                // Only what never ran: there is no work in it.
                None => assert!(named.is_empty() && there <= 1, "{case}"),
            }
        }
    }
}

#[test]
fn what_took_a_sandboxs_place_while_it_was_deleted_goes_with_it() {
    let is = |container| takes_place(container, Some("teal-tokyo"));
    assert!(is("teal-tokyo") && is("teal-tokyo.reassign") && is("teal-tokyo.replaced"));
    assert!(!is("copy"));
    assert!(!takes_place("teal-tokyo", None));
}

#[test]
fn names_tell_what_was_going_on() {
    assert_eq!(passing("teal-tokyo.reassign"), Some("teal-tokyo"));
    assert_eq!(passing("teal-tokyo.replaced"), Some("teal-tokyo"));
    assert_eq!(passing("teal-tokyo"), None);
    // No sandbox can be called so: nobody's name is taken for a mark.
    assert!(
        "teal-tokyo.reassign"
            .parse::<amika_core::name::SandboxName>()
            .is_err()
    );
}

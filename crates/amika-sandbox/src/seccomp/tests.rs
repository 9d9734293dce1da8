//! What the profiles allow, told by a reading of them that is made the way the engine makes it.

use std::collections::BTreeSet;
use std::path::Path;

use pretty_assertions::assert_eq;

use super::*;

/// What a profile answers to a call, on amd64 without any capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Allowed,
    Refused(u64),
}

fn ask(profile: &Value, name: &str, args: [u64; 6]) -> Answer {
    let mut answer = Answer::Refused(1);
    for call in profile["syscalls"].as_array().expect("calls") {
        let is_named = call["names"]
            .as_array()
            .expect("names")
            .iter()
            .any(|n| n == name);
        let list = |side: &str, what: &str| -> Vec<String> {
            serde_json::from_value(call[side][what].clone()).unwrap_or_default()
        };
        let included = list("includes", "caps").is_empty()
            && (list("includes", "arches").is_empty()
                || list("includes", "arches").contains(&"amd64".to_owned()));
        let excluded = list("excludes", "arches").contains(&"amd64".to_owned());
        let no_args = Vec::new();
        let holds = call["args"]
            .as_array()
            .unwrap_or(&no_args)
            .iter()
            .all(|test| {
                let number = |key: &str| test[key].as_u64().unwrap_or_default();
                let index = usize::try_from(number("index")).expect("an index");
                match test["op"].as_str().expect("an operator") {
                    "SCMP_CMP_EQ" => args[index] == number("value"),
                    "SCMP_CMP_NE" => args[index] != number("value"),
                    "SCMP_CMP_MASKED_EQ" => args[index] & number("value") == number("valueTwo"),
                    other => panic!("{other}"),
                }
            });
        if is_named && included && !excluded && holds {
            match call["action"].as_str().expect("an action") {
                "SCMP_ACT_ALLOW" => answer = Answer::Allowed,
                _ => answer = Answer::Refused(call["errnoRet"].as_u64().unwrap_or(1)),
            }
        }
    }
    answer
}

fn at(index: u64, value: u64) -> [u64; 6] {
    let mut args = [u64::MAX << 32; 6];
    args[usize::try_from(index).expect("an index")] = value;
    args
}

#[test]
fn a_rename_leaves_no_device_behind() {
    for (_, default) in DEFAULTS {
        let profile = restrict(default);
        for (flags, expected) in [
            (0, Answer::Allowed),
            (1, Answer::Allowed),
            (2, Answer::Allowed),
            (WHITEOUT, Answer::Refused(1)),
            (WHITEOUT | 1, Answer::Refused(1)),
        ] {
            let args = at(4, flags);
            assert_eq!(ask(&profile, "renameat2", args), expected, "{flags}");
        }
        assert_eq!(ask(&profile, "renameat", at(4, WHITEOUT)), Answer::Allowed);
    }
}

#[test]
fn no_call_sets_the_bit_whatever_else_is_in_the_mode() {
    for (_, default) in DEFAULTS {
        let profile = restrict(default);
        for bits in
            (0..8).flat_map(|special| [0, 0o1, 0o644, 0o777].map(|rights| special << 9 | rights))
        {
            let expected = if bits & SET_UID == 0 {
                Answer::Allowed
            } else {
                Answer::Refused(1)
            };
            for (name, mode) in MODES {
                // The kernel looks at 16 bits of it.
                for above in [0, 0o100_000, 1 << 16, u64::MAX << 32] {
                    assert_eq!(
                        ask(&profile, name, at(mode, bits | above)),
                        expected,
                        "{name} {bits:o}"
                    );
                }
            }
            for (name, mode) in OPENS {
                for (flags, makes) in [
                    (0, false),
                    (0o1102, true),
                    (0o20_200_002, true),
                    (0o20_000_000, true),
                    (0o2_200_000, false),
                ] {
                    let mut args = at(mode, bits);
                    args[usize::try_from(mode - 1).expect("an index")] = flags;
                    let expected = if makes { expected } else { Answer::Allowed };
                    assert_eq!(
                        ask(&profile, name, args),
                        expected,
                        "{name} {flags:o} {bits:o}"
                    );
                }
            }
        }
    }
}

#[test]
fn nodes_are_files_fifos_and_sockets_without_the_bit() {
    for (_, default) in DEFAULTS {
        let profile = restrict(default);
        for (name, mode) in NODES {
            for kind in (0..16).map(|kind| kind << 12) {
                for bits in [0, 0o644, 0o2755, 0o4755, 0o7777] {
                    let allowed = KINDS.contains(&kind) && bits & SET_UID == 0;
                    let answer = ask(&profile, name, at(mode, kind | bits));
                    assert_eq!(
                        answer == Answer::Allowed,
                        allowed,
                        "{name} {:o}",
                        kind | bits
                    );
                }
            }
        }
    }
}

#[test]
fn calls_whose_modes_cannot_be_seen_are_not_there() {
    for (_, default) in DEFAULTS {
        let profile = restrict(default);
        for name in UNSEEN {
            assert_eq!(ask(&profile, name, [0; 6]), Answer::Refused(38), "{name}");
        }
    }
}

#[test]
fn all_else_is_as_the_engine_has_it() {
    for (version, default) in DEFAULTS {
        let (theirs, ours): (Value, Value) = (
            serde_json::from_str(default).expect("JSON"),
            restrict(default),
        );
        for key in ["defaultAction", "defaultErrnoRet", "archMap"] {
            assert_eq!(ours[key], theirs[key], "{version} {key}");
        }
        let names = |profile: &Value| -> BTreeSet<String> {
            let calls = profile["syscalls"].as_array().expect("calls").iter();
            calls
                .flat_map(|call| call["names"].as_array().expect("names"))
                .map(|name| name.as_str().expect("a name").to_owned())
                .filter(|name| !is_narrowed(name))
                .collect()
        };
        assert_eq!(names(&ours), names(&theirs), "{version}");
        for name in names(&theirs) {
            for args in [[0; 6], [u64::MAX; 6]] {
                assert_eq!(
                    ask(&ours, &name, args),
                    ask(&theirs, &name, args),
                    "{version} {name}"
                );
            }
        }
    }
}

#[test]
fn an_engine_gets_the_default_of_its_time_or_the_newest() {
    for (version, of) in [
        ("20.10.24+dfsg1", "20.10.24"),
        ("19.03.1", "20.10.24"),
        ("23.0.1", "26.1.5"),
        ("26.1.5", "26.1.5"),
        ("29.0.0-rc.1", "26.1.5"),
        ("dev", "26.1.5"),
        ("", "26.1.5"),
    ] {
        let expected = DEFAULTS.iter().find(|(name, _)| *name == of).expect("it").1;
        assert_eq!(default_of(version), expected, "{version}");
    }
}

#[test]
fn a_profile_of_ours_is_known_again() {
    assert!(is_ours(&profile("20.10.24")));
    assert!(is_ours(&profile("28.0.0")));
    for (_, default) in DEFAULTS {
        assert!(!is_ours(default));
    }
    assert!(!is_ours("unconfined"));
    assert!(!is_ours("{}"));
}

/// `scripts/seccomp-profile` writes them anew.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "who runs the test says that it is to write them"
)]
fn the_committed_profiles_are_what_the_rule_makes_of_the_committed_defaults() {
    for (version, default) in DEFAULTS {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("seccomp/sandbox-{version}.json"));
        let made = format!("{:#}\n", restrict(default));
        if std::env::var_os("AMIKA_WRITE_SECCOMP").is_some() {
            std::fs::write(&file, &made).expect("written");
        }
        let committed = std::fs::read_to_string(&file).expect("the profile is there");
        assert!(
            committed == made,
            "{} differs: run scripts/seccomp-profile and look at what changes",
            file.display()
        );
    }
}

//! The seccomp profile of sandboxes that write to the host: no set-user-id bits, no devices.
//!
//! A profile that is given replaces the engine's, so ours is the engine's own default with a few system
//! calls narrowed. `seccomp/README.md` says where the defaults come from.

use serde_json::{Value, json};

/// `S_ISUID`. Set-group-id stays allowed: databases and repositories that a group shares need it.
const SET_UID: u64 = 0o4000;
/// `S_IFMT`
const KIND: u64 = 0o170_000;
/// `O_CREAT | __O_TMPFILE`: only with one of them does the call read its mode.
const MAKES_A_FILE: u64 = 0o100 | 0o20_000_000;
/// `ENOSYS`: programs take it for an old kernel, and use an older call.
const NO_SUCH_CALL: u64 = 38;

/// Calls that take a mode, and which argument that is.
const MODES: [(&str, u64); 4] = [("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("creat", 1)];
/// As [`MODES`], which also read flags: the argument before the mode.
const OPENS: [(&str, u64); 2] = [("open", 2), ("openat", 3)];
/// As [`MODES`], where the mode also holds the kind of file.
const NODES: [(&str, u64); 2] = [("mknod", 1), ("mknodat", 2)];
/// The kinds that may be made: none (a regular file), regular, FIFO, socket.
const KINDS: [u64; 4] = [0, 0o100_000, 0o010_000, 0o140_000];
/// `RENAME_WHITEOUT`: leaves a device 0,0 in the place of what is renamed (renameat2(2)).
const WHITEOUT: u64 = 4;
/// Calls with flags, which argument they are, and which of them make a device.
const FLAGS: [(&str, u64, u64); 1] = [("renameat2", 4, WHITEOUT)];
/// Calls whose modes a filter cannot see: they stand in memory, or the kernel makes the call later.
/// Not every engine's libseccomp knows `fchmodat2`; what it does not know is refused too.
const UNSEEN: [&str; 5] = [
    "openat2",
    "fchmodat2",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
];

/// The defaults of engines, oldest first: what each is of, and the file.
const DEFAULTS: [(&str, &str); 2] = [
    ("20.10.24", include_str!("../seccomp/docker-20.10.24.json")),
    ("26.1.5", include_str!("../seccomp/docker-26.1.5.json")),
];

/// The profile for an engine of this version, such as `20.10.24+dfsg1`: its own default, and no
/// set-user-id files and no devices.
pub fn profile(engine_version: &str) -> String {
    restrict(default_of(engine_version)).to_string()
}

/// Whether a profile is one of ours.
pub fn is_ours(profile: &str) -> bool {
    let Ok(profile) = serde_json::from_str::<Value>(profile) else {
        return false;
    };
    let rules = &rules()[0];
    profile["syscalls"]
        .as_array()
        .is_some_and(|calls| calls.contains(rules))
}

/// The oldest default that is at least as new as the engine, else the newest: what an engine's own default
/// refuses is then refused here too, as far as this program knows it. A version that cannot be read is a new one.
fn default_of(engine_version: &str) -> &'static str {
    let [oldest, .., newest] = DEFAULTS;
    let major = engine_version.split('.').next().unwrap_or_default();
    match major.parse::<u32>() {
        Ok(major) if major <= 20 => oldest.1,
        _ => newest.1,
    }
}

/// Narrows a default profile.
fn restrict(default: &str) -> Value {
    // It is part of this program: a test reads each.
    let mut profile: Value = serde_json::from_str(default).unwrap_or_default();
    if let Some(calls) = profile["syscalls"].as_array_mut() {
        for call in calls.iter_mut() {
            if let Some(names) = call["names"].as_array_mut() {
                names.retain(|name| !name.as_str().is_some_and(is_narrowed));
            }
        }
        calls.retain(|call| {
            call["names"]
                .as_array()
                .is_none_or(|names| !names.is_empty())
        });
        calls.extend(rules());
    }
    profile
}

fn is_narrowed(name: &str) -> bool {
    let with_modes = MODES.iter().chain(&OPENS).chain(&NODES);
    UNSEEN.contains(&name)
        || FLAGS.iter().any(|(call, ..)| *call == name)
        || with_modes.into_iter().any(|(call, _)| *call == name)
}

/// What is put in place of the calls that were taken out; several rules for one call are alternatives.
fn rules() -> Vec<Value> {
    let is = |index: u64, mask: u64, value: u64| json!({"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"});
    let allow = |name: &str, test: Value| json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [test]});
    let mut rules = Vec::new();
    for (name, mode) in MODES {
        rules.push(allow(name, is(mode, SET_UID, 0)));
    }
    for (name, mode) in OPENS {
        rules.push(allow(name, is(mode, SET_UID, 0)));
        // The mode's register holds anything then.
        rules.push(allow(name, is(mode - 1, MAKES_A_FILE, 0)));
    }
    for (name, mode) in NODES {
        rules.extend(KINDS.map(|kind| allow(name, is(mode, KIND | SET_UID, kind))));
    }
    rules.extend(FLAGS.map(|(name, flags, refused)| allow(name, is(flags, refused, 0))));
    rules.push(json!({"names": UNSEEN, "action": "SCMP_ACT_ERRNO", "errnoRet": NO_SUCH_CALL}));
    rules
}

#[cfg(test)]
mod tests;

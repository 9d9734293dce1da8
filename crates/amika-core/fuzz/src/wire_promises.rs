//! What holds for every answer that claims to be amikad's: shared by the fuzz target and by the tests that replay
//! its corpus.

use amika_core::wire::{
    BootRecord, COMMAND, ChallengeAnswer, Change, ErrorBody, Job, JobRequest, NextBoot,
    OpenCodeAccess, Readiness, SignalRequest, Status, Terminal, TerminalRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Panics when a promise is broken: what is understood is written so that it is understood again, and means the
/// same.
pub(crate) fn wire_promises(bytes: &[u8]) {
    same::<Status>(bytes);
    same::<BootRecord>(bytes);
    same::<NextBoot>(bytes);
    same::<Change>(bytes);
    same::<Readiness>(bytes);
    same::<ChallengeAnswer>(bytes);
    same::<OpenCodeAccess>(bytes);
    same::<ErrorBody>(bytes);
    same::<Job>(bytes);
    same::<Terminal>(bytes);
    same::<SignalRequest>(bytes);
    same::<JobRequest>(bytes);
    same::<TerminalRequest>(bytes);
    for program in [
        serde_json::from_slice::<JobRequest>(bytes).map(JobRequest::program),
        serde_json::from_slice::<TerminalRequest>(bytes).map(TerminalRequest::program),
    ] {
        let Ok(Ok(program)) = program else { continue };
        // What it is started with holds for execve, and what is shown of it for a list.
        assert!(program.command().chars().count() <= COMMAND);
        let texts = program.words.iter().flatten();
        let texts = texts.chain(program.env.values()).chain(&program.cwd);
        assert!(texts.chain(&program.user).all(|text| !text.contains('\0')));
        let name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
        assert!(program.env.keys().all(name));
    }
}

fn same<T: DeserializeOwned + Serialize + PartialEq>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert!(again == value, "{}", String::from_utf8_lossy(&written));
}

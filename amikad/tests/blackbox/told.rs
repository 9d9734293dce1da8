//! What amikad says of itself: in its log with time, level and fields, and on stderr only what somebody should read.

use std::io::Read;
use std::os::fd::OwnedFd;

use crate::support::{Builder, eventually};

#[test]
fn the_log_has_time_level_and_fields_and_stderr_has_warnings_only() {
    let mut sandbox = Builder::new()
        .env("AMIKA_AGENT_CWD", "/a/../b")
        .setup("#!/bin/sh\nexit 0\n")
        .start("exit 3");
    let end = sandbox.wait();
    assert_eq!(end.code, 3);
    assert_eq!(end.stderr.lines().count(), 1, "{end:?}");
    assert!(end.stderr.starts_with("amikad: AMIKA_AGENT_CWD"), "{end:?}");
    let log = sandbox.read("/var/log/amikad/amikad.log");
    for line in log.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(time.len(), "2026-01-01T00:00:00.000Z".len(), "{line}");
        assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T', "{line}");
        assert!(
            rest.starts_with(" INFO ") || rest.starts_with(" WARN "),
            "{line}"
        );
    }
    for said in [
        " WARN AMIKA_AGENT_CWD",
        " INFO started role=setup pid=",
        " INFO ended role=cmd end=exit code 3",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[test]
fn a_stderr_that_nobody_reads_holds_up_nothing_and_gets_what_fits_later() {
    // A pipe that is full already.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let filler: OwnedFd = writer.try_clone().unwrap().into();
    nix::fcntl::fcntl(
        &filler,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
    )
    .unwrap();
    while nix::unistd::write(&filler, &[b'.'; 4096]).is_ok() {}
    while nix::unistd::write(&filler, b".").is_ok() {}
    nix::fcntl::fcntl(
        &filler,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty()),
    )
    .unwrap();
    drop(filler);
    let mut sandbox = Builder::new()
        .env("AMIKA_AGENT_CWD", "/a/../b")
        .with_token()
        .wrapped(&["sh", "-c", "exec 2>&1; exec \"$@\"", "sh"])
        .stdout(OwnedFd::from(writer))
        .start("until [ -e /tmp/end ]; do sleep 0.02; done; exit 3");
    sandbox.until_phase("running");
    assert_eq!(sandbox.get("/livez").status, 200);
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    eventually("what waited", || {
        let read = reader.read(&mut piece).unwrap();
        all.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&all).into_owned();
        text.contains("amikad: AMIKA_AGENT_CWD").then_some(())
    });
    std::fs::write(sandbox.path("/tmp/end"), "").unwrap();
    assert_eq!(sandbox.wait().code, 3);
}

//! CMD on a terminal: it is in the foreground, and gets what the terminal sends once.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{OpenptyResult, openpty};

use crate::support::{Builder, Sandbox, eventually};

/// A terminal whose near end no child inherits: it would keep the line up.
fn open_terminal() -> OpenptyResult {
    let pty = openpty(None, None).unwrap();
    for end in [&pty.master, &pty.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    pty
}

/// A sandbox whose first process leads a session on a terminal, as engines arrange it.
fn on_terminal(script: &str) -> (Sandbox, File, PathBuf) {
    let pty = open_terminal();
    let name = nix::unistd::ttyname(&pty.slave).unwrap();
    let clone = |fd: &OwnedFd| fd.try_clone().unwrap();
    let builder = Builder::new().wrapped(&["setsid", "-c"]);
    let sandbox = builder
        .stdin(clone(&pty.slave))
        .stdout(pty.slave)
        .start(script);
    eventually("CMD", || sandbox.path("/tmp/up").exists().then_some(()));
    (sandbox, File::from(pty.master), name)
}

/// Counts INT and WINCH until it is told to end.
const COUNTER: &str = "trap 'echo int >> /tmp/got' INT; trap 'echo winch >> /tmp/got' WINCH; \
    touch /tmp/up; until [ -e /tmp/end ]; do sleep 0.05; done; exit 7";

#[test]
fn ctrl_c_and_resizes_arrive_once() {
    let (mut sandbox, mut master, name) = on_terminal(COUNTER);
    master.write_all(b"\x03").unwrap();
    sandbox.until_file_has("/tmp/got", "int\n");
    let resized = Command::new("stty")
        .arg("-F")
        .arg(&name)
        .args(["rows", "50"])
        .status()
        .unwrap();
    assert!(resized.success());
    sandbox.until_file_has("/tmp/got", "winch\n");
    std::fs::write(sandbox.path("/tmp/end"), "").unwrap();
    assert_eq!(sandbox.wait().code, 7);
    assert_eq!(sandbox.read("/tmp/got"), "int\nwinch\n");
}

#[test]
fn a_hang_up_ends_129() {
    let (mut sandbox, master, _) = on_terminal("touch /tmp/up; exec sleep 60");
    drop(master);
    assert_eq!(sandbox.wait().code, 129);
}

#[test]
fn ctrl_c_during_setup_stops_the_boot() {
    let pty = open_terminal();
    let slave = pty.slave.try_clone().unwrap();
    let mut sandbox = Builder::new()
        .wrapped(&["setsid", "-c"])
        .stdin(slave)
        .stdout(pty.slave)
        .setup("#!/bin/sh\ntouch /tmp/up\nexec sleep 60\n")
        .start("touch /tmp/cmd-ran");
    eventually("setup", || sandbox.path("/tmp/up").exists().then_some(()));
    // Kept: closing it would be a hang-up.
    let mut master = File::from(pty.master);
    master.write_all(b"\x03").unwrap();
    assert_eq!(sandbox.wait().code, 130);
    assert!(!sandbox.path("/tmp/cmd-ran").exists());
}

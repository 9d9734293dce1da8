//! What a bug costs: threads that panic or die, and a listener that is lost.
//!
//! amikad has no switch that makes it fail, so its kernel does: these tests hold a thread by ptrace
//! and make system calls for it, or fail one of its own. Registers are those of `x86_64`.

use std::fs;

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

use crate::support::{Builder, Sandbox, eventually};

const CLOSE: u64 = 3;
const DUP2: u64 = 33;
const SHUTDOWN: u64 = 48;
const EXIT: u64 = 60;

#[allow(
    clippy::disallowed_methods,
    reason = "the daemon's rule: here is another process"
)]
fn wait(thread: Pid) -> WaitStatus {
    nix::sys::wait::waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap()
}

/// The thread of amikad that has this name.
fn thread(sandbox: &Sandbox, name: &str) -> Pid {
    let tasks = format!("/proc/{}/task", sandbox.pid());
    eventually(&format!("thread {name}"), || {
        fs::read_dir(&tasks)
            .unwrap()
            .map(|task| task.unwrap())
            .find(|task| {
                fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
            })
            .map(|task| Pid::from_raw(task.file_name().to_str().unwrap().parse().unwrap()))
    })
}

/// Descriptors of amikad whose link begins with `what`.
fn descriptors(sandbox: &Sandbox, what: &str) -> Vec<u64> {
    let all = fs::read_dir(format!("/proc/{}/fd", sandbox.pid())).unwrap();
    all.map(|entry| entry.unwrap())
        .filter(|entry| {
            fs::read_link(entry.path()).is_ok_and(|link| link.to_str().unwrap().starts_with(what))
        })
        .map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
        .collect()
}

/// Makes `thread`, which sleeps in a system call, do others in its place; it then goes on as after
/// an interruption. A thread that was told to exit does not go on.
fn inject(thread: Pid, calls: &[(u64, u64, u64)]) {
    ptrace::attach(thread).unwrap();
    assert!(matches!(
        wait(thread),
        WaitStatus::Stopped(_, Signal::SIGSTOP)
    ));
    let before = ptrace::getregs(thread).unwrap();
    for (number, first, second) in calls {
        let mut registers = before;
        // The instruction that brought it into the kernel is two bytes long.
        registers.rip = before.rip - 2;
        registers.orig_rax = u64::MAX;
        (registers.rax, registers.rdi, registers.rsi) = (*number, *first, *second);
        ptrace::setregs(thread, registers).unwrap();
        ptrace::step(thread, None).unwrap();
        match wait(thread) {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            WaitStatus::Exited(..) if *number == EXIT => return,
            other => panic!("{other:?}"),
        }
        let result = ptrace::getregs(thread).unwrap().rax.cast_signed();
        assert!(result >= 0, "call {number}: {result}");
    }
    ptrace::setregs(thread, before).unwrap();
    ptrace::detach(thread, None).unwrap();
}

/// Fails every close of the open directory `/proc` in amikad's first thread until that ends:
/// Rust's standard library panics over it. Returns how often.
fn fail_directory_closes(sandbox: &Sandbox) -> u32 {
    let pid = Pid::from_raw(sandbox.pid());
    ptrace::attach(pid).unwrap();
    wait(pid);
    ptrace::setoptions(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD).unwrap();
    let (mut failures, mut entering, mut doomed) = (0, true, false);
    ptrace::syscall(pid, None).unwrap();
    loop {
        match wait(pid) {
            WaitStatus::PtraceSyscall(_) => {
                let mut registers = ptrace::getregs(pid).unwrap();
                if entering {
                    let link = format!("/proc/{pid}/fd/{}", registers.rdi);
                    doomed = registers.orig_rax == CLOSE
                        && fs::read_link(link).is_ok_and(|link| link.ends_with("proc"));
                } else if doomed {
                    registers.rax = (-9_i64).cast_unsigned();
                    ptrace::setregs(pid, registers).unwrap();
                    failures += 1;
                }
                entering = !entering;
                ptrace::syscall(pid, None).unwrap();
            }
            WaitStatus::Stopped(_, signal) => {
                let signal = (signal != Signal::SIGSTOP).then_some(signal);
                ptrace::syscall(pid, signal).unwrap();
            }
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return failures,
            _ => ptrace::syscall(pid, None).unwrap(),
        }
    }
}

fn sandbox() -> Sandbox {
    let sandbox = Builder::new()
        .with_token()
        .start("until [ -e /tmp/go ]; do sleep 0.02; done; exit 9");
    assert_eq!(sandbox.get("/livez").status, 200);
    sandbox
}

fn let_cmd_end(mut sandbox: Sandbox) -> String {
    fs::write(sandbox.path("/tmp/go"), "").unwrap();
    let end = sandbox.wait();
    assert_eq!(end.code, 9, "{end:?}");
    assert_eq!(sandbox.record()["container_exit_code"], 9);
    end.stderr
}

#[test]
fn an_http_side_that_panics_comes_back_and_cmd_goes_on() {
    let sandbox = sandbox();
    // tokio panics when it cannot wait for events any more.
    let pollers = descriptors(&sandbox, "anon_inode:[eventpoll]");
    assert!(!pollers.is_empty());
    let calls: Vec<_> = pollers.iter().map(|poller| (DUP2, 0, *poller)).collect();
    inject(thread(&sandbox, "http"), &calls);
    sandbox.until_file_has("/var/log/amikad/amikad.log", "the HTTP API failed");
    assert_eq!(sandbox.get("/livez").status, 200);
    assert_eq!(sandbox.api("/v1/status").json()["phase"], "running");
    let stderr = let_cmd_end(sandbox);
    assert!(stderr.contains("panicked"), "{stderr}");
}

#[test]
fn an_http_side_that_dies_does_not_end_cmd() {
    let sandbox = sandbox();
    let http = thread(&sandbox, "http");
    inject(http, &[(EXIT, 0, 0)]);
    let gone = format!("/proc/{}/task/{http}", sandbox.pid());
    eventually("the thread's end", || {
        (!fs::exists(&gone).unwrap()).then_some(())
    });
    let_cmd_end(sandbox);
}

#[test]
fn a_listener_that_is_lost_is_opened_again() {
    let sandbox = sandbox();
    let tables = ["tcp", "tcp6"].map(|name| {
        fs::read_to_string(format!("/proc/{}/net/{name}", sandbox.pid())).unwrap_or_default()
    });
    // Port 60999, in the state LISTEN; the tenth field is the socket's number.
    let tables = tables.concat();
    let listens = |line: &&str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        fields.len() > 9 && fields[1].ends_with(":EE47") && fields[3] == "0A"
    };
    let line = tables.lines().find(listens).unwrap();
    let number = line.split_whitespace().nth(9).unwrap();
    let listener = descriptors(&sandbox, &format!("socket:[{number}]"))[0];
    inject(thread(&sandbox, "http"), &[(SHUTDOWN, listener, 2)]);
    sandbox.until_file_has("/var/log/amikad/amikad.log", "was lost; listening again");
    assert_eq!(sandbox.get("/livez").status, 200);
    let_cmd_end(sandbox);
}

#[test]
fn a_supervisor_that_panics_whenever_it_looks_at_processes_still_ends_with_cmds_code() {
    let sandbox = Builder::new()
        .not_init()
        .program("/usr/local/bin/opencode", "#!/bin/sh\nexit 1\n")
        .start("(trap '' TERM; sleep 60) & until [ -e /tmp/go ]; do sleep 0.02; done; exit 9");
    sandbox.until_file_has("/var/lib/amikad/boot.json", "\"phase\":\"running\"");
    fs::write(sandbox.path("/tmp/go"), "").unwrap();
    let failures = fail_directory_closes(&sandbox);
    assert!(failures > 2, "{failures}");
    let stderr = let_cmd_end(sandbox);
    assert!(
        stderr.contains("a step of the supervisor failed"),
        "{stderr}"
    );
}

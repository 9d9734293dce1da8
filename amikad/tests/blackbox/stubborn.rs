//! What would hold up an init for good: it ends all the same, and with the right code.

use std::fs::File;

use nix::pty::openpty;

use crate::support::{Builder, PROOF, Sandbox, eventually};

const OPENCODE: &str = "/usr/local/bin/opencode";

/// A file system that answers nothing, at /stuck, in front of amikad as PID 1: whoever looks into it hangs. Its descriptor
/// stays open, unread, in amikad.
const STUCK: &str = r#"
import ctypes, os, sys
fd = os.open("/fuse", os.O_RDWR)
os.set_inheritable(fd, True)
libc = ctypes.CDLL(None, use_errno=True)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd
if libc.mount(b"stuck", b"/stuck", b"fuse", 0, options) != 0:
    raise OSError(ctypes.get_errno(), "mount")
os.execv(sys.argv[1], sys.argv[1:])
"#;

fn with_stuck_directory() -> Builder {
    let device = std::os::unix::fs::MetadataExt::rdev(&std::fs::metadata("/dev/fuse").unwrap());
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff);
    // The machine's own /dev is not there.
    let script = format!("mkdir /stuck && mknod /fuse c {major} {minor} && exec \"$@\"");
    Builder::new().wrapped(&["sh", "-c", &script, "sh", "python3", "-c", STUCK])
}

#[test]
fn a_stop_before_the_boot_is_prepared_ends_it() {
    // Two thousand files that the home is to be filled with: most of these signals come before that is done.
    let mut builder = Builder::new();
    for number in 0..2_000 {
        builder = builder.file(
            &format!("/etc/skel-amika/d{}/{number}", number % 40),
            "",
            0o644,
        );
    }
    let mut sandbox = builder
        .program(OPENCODE, "#!/bin/sh\nexec sleep 600\n")
        .setup("#!/bin/sh\nexec sleep 600\n")
        .start("echo cmd");
    sandbox.signal(15);
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (143, ""), "{end:?}");
}

#[test]
fn a_stop_while_the_boot_is_prepared_on_a_file_system_that_hangs_ends_it() {
    let mut sandbox = with_stuck_directory()
        .env("AMIKA_AGENT_CWD", "/stuck/repo")
        .with_token()
        .start("echo cmd");
    assert_eq!(sandbox.get("/livez").status, 200);
    assert_eq!(sandbox.get("/readyz").status, 503);
    assert_eq!(sandbox.api("/v1/status").json()["phase"], "starting");
    sandbox.signal(15);
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (143, ""), "{end:?}");
}

#[test]
fn a_cmd_whose_program_is_on_a_file_system_that_hangs_holds_up_nobody_and_ends_by_a_stop() {
    let mut sandbox = with_stuck_directory()
        .with_token()
        .start_words(&["/stuck/program"]);
    sandbox.until_status("CMD's process", |status| status["cmd"]["pid"].is_u64());
    assert_eq!(sandbox.get("/livez").status, 200);
    assert_eq!(sandbox.get("/readyz").status, 503, "it does not run");
    // Orphans are reaped meanwhile.
    sandbox
        .exec(&["sh", "-c", "(sleep 0.1 &) ; (sleep 0.1 &)"])
        .status()
        .unwrap();
    sandbox.until_status("orphans", |status| {
        status["reaped_orphans"].as_u64() >= Some(2)
    });
    sandbox.signal(10);
    sandbox.signal(15);
    assert_eq!(sandbox.wait().code, 143);
    assert_eq!(sandbox.record()["outcome"], "signalled");
}

#[test]
fn a_server_whose_directory_hangs_is_started_and_ended_like_any_other_and_cmd_goes_on() {
    let mut sandbox = with_stuck_directory()
        .with_token()
        .program(OPENCODE, "#!/stuck/interpreter\n")
        .start("until [ -e /tmp/end ]; do sleep 0.02; done; exit 9");
    sandbox.until_status("the server", |status| {
        status["phase"] == "running" && status["services"]["opencode"]["pid"].is_u64()
    });
    let json = "Content-Type: application/json";
    let restart = "/v1/services/opencode/restart";
    let answer = sandbox.request("POST", restart, &[PROOF, json], "{}");
    assert_eq!(answer.status, 202);
    sandbox.until_status("a second one", |status| {
        status["services"]["opencode"]["restarts"] == 1
    });
    assert_eq!(sandbox.get("/livez").status, 200);
    std::fs::write(sandbox.path("/tmp/end"), "").unwrap();
    assert_eq!(sandbox.wait().code, 9);
}

#[test]
fn without_the_right_to_signal_the_end_comes_by_itself() {
    let mut sandbox = Builder::new()
        .wrapped(&["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"])
        .program(OPENCODE, "#!/bin/sh\ntouch /tmp/up\nexec sleep 600\n")
        .start("until [ -e /tmp/up ]; do sleep 0.02; done; exit 3");
    assert_eq!(sandbox.wait().code, 3);
}

#[test]
fn where_the_end_of_children_was_ignored_it_is_seen_all_the_same() {
    let mut sandbox = Builder::new()
        .wrapped(&["env", "--ignore-signal=CHLD"])
        .setup("#!/bin/sh\nexit 0\n")
        .start_words(&[
            "python3",
            "-c",
            "import sys; print(open('/proc/self/status').read()); sys.exit(6)",
        ]);
    let end = sandbox.wait();
    assert_eq!(end.code, 6, "{end:?}");
    // A child has it as the container was given it.
    let ignored = end
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.unwrap(), 16).unwrap();
    assert!(ignored & (1 << 16) != 0, "{ignored:x}");
}

#[test]
fn a_setup_that_reads_the_terminal_is_told_that_there_is_none() {
    let pty = openpty(None, None).unwrap();
    let clone = || pty.slave.try_clone().unwrap();
    let mut sandbox = Builder::new()
        .wrapped(&["setsid", "-c"])
        .stdin(clone())
        .stdout(clone())
        .setup("#!/bin/sh\nread answer </dev/tty || exit 5\n")
        .start("echo cmd");
    drop(pty.slave);
    // Kept: closing it would be a hang-up.
    let _master = File::from(pty.master);
    let code = sandbox.wait().code;
    assert!([2, 5].contains(&code), "the shell's way to say it: {code}");
}

/// Sleeps that a program left, by their number of seconds.
fn sleeps(sandbox: &Sandbox, seconds: &str) -> usize {
    let output = sandbox
        .exec(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
        .output();
    let lines = String::from_utf8(output.unwrap().stdout).unwrap();
    lines.matches(&format!("sleep {seconds}")).count()
}

#[test]
fn what_a_crashed_server_leaves_is_ended_wherever_it_went() {
    let sandbox = Builder::new()
        .with_token()
        .program(
            OPENCODE,
            "#!/bin/sh\necho start >> /tmp/starts\nsetsid sh -c 'sleep 7711 & sleep 7711' &\n\
             (env -i setsid sleep 7711 &)\nuntil [ \"$(cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | \
             grep -o 'sleep 7711' | wc -l)\" -ge 3 ]; do sleep 0.02; done\nkill -KILL $$\n",
        )
        .start_idle();
    eventually("three starts", || {
        (sandbox.read("/tmp/starts").lines().count() >= 3).then_some(())
    });
    eventually("what the last one left, at most", || {
        (sleeps(&sandbox, "7711") <= 4).then_some(())
    });
    let threads = || {
        let tasks = format!("/proc/{}/task", sandbox.pid());
        let names = std::fs::read_dir(tasks).unwrap().map(|task| {
            std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
        });
        names.filter(|name| name.trim() == "pump").count()
    };
    eventually("pumps to end", || (threads() <= 1).then_some(()));
}

#[test]
fn a_second_daemon_refuses_before_it_touches_anything() {
    let mut sandbox = Builder::new()
        .with_token()
        .setup("#!/bin/sh\necho kept\n")
        .start("until [ -e /tmp/end ]; do sleep 0.02; done; exit 4");
    sandbox.until_phase("running");
    std::fs::write(sandbox.path("/run/amikad/exec/note"), "1 1\n").unwrap();
    let before = sandbox.record();
    for words in [&["/amikad"][..], &["/amikad", "run", "--", "true"]] {
        let output = sandbox.exec(words).output().unwrap();
        assert_eq!(output.status.code(), Some(70), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("runs in this sandbox already"), "{said}");
    }
    assert_eq!(sandbox.record(), before);
    assert_eq!(sandbox.read("/var/log/amikad/setup.log"), "kept\n");
    assert_eq!(sandbox.read("/run/amikad/exec/note"), "1 1\n");
    let health = sandbox.exec(&["/amikad", "health"]).status().unwrap();
    assert!(health.success(), "its socket is there");
    std::fs::write(sandbox.path("/tmp/end"), "").unwrap();
    assert_eq!(sandbox.wait().code, 4);
}

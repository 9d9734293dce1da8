//! Signals reach whom they should, once, and the end is orderly.

use crate::support::{Builder, Sandbox, eventually};

/// CMD that writes a line for each signal it gets, from a Python that handles them all.
const LISTENER: &str = r#"exec python3 -c '
import os, signal, time
def note(signo, frame):
    with open("/tmp/signals", "a") as log: log.write("%d\n" % signo)
for signo in range(1, 65):
    try: signal.signal(signo, note)
    except (OSError, ValueError): pass
open("/tmp/up", "w").close()
while True: time.sleep(60)
'"#;

fn listener() -> Sandbox {
    let sandbox = Builder::new().start(LISTENER);
    eventually("the listener", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    sandbox
}

#[test]
fn every_signal_that_can_be_forwarded_arrives_exactly_once() {
    let sandbox = listener();
    let forwarded: Vec<i32> = (1..=64)
        .filter(|signo| ![4, 5, 6, 7, 8, 9, 11, 17, 19, 21, 22, 31, 32, 33].contains(signo))
        .collect();
    for signo in &forwarded {
        sandbox.signal(*signo);
        sandbox.until_file_has("/tmp/signals", &format!("{signo}\n"));
    }
    let mut got: Vec<i32> = sandbox
        .read("/tmp/signals")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    got.sort_unstable();
    assert_eq!(got, forwarded);
}

#[test]
fn faults_sent_from_outside_and_terminal_stops_do_no_harm() {
    let sandbox = listener();
    for signo in [4, 5, 6, 7, 8, 11, 31, 21, 22] {
        sandbox.signal(signo);
    }
    sandbox.signal(10);
    sandbox.until_file_has("/tmp/signals", "10\n");
    assert_eq!(sandbox.read("/tmp/signals"), "10\n");
}

#[test]
fn tstp_goes_to_cmd_and_never_stops_pid_1() {
    let sandbox = listener();
    sandbox.signal(20);
    sandbox.until_file_has("/tmp/signals", "20\n");
    sandbox.signal(12);
    sandbox.until_file_has("/tmp/signals", "12\n");
}

#[test]
fn a_stop_during_setup_reaches_its_whole_group_and_cmd_never_starts() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\nsh -c 'trap \"echo child; exit\" TERM; touch /tmp/up; while :; do sleep 0.05; done' &\nwait\n")
        .start("echo cmd");
    eventually("setup", || sandbox.path("/tmp/up").exists().then_some(()));
    sandbox.signal(15);
    let end = sandbox.wait();
    assert_eq!(end.code, 143);
    assert!(end.stdout.ends_with("child\n"), "{end:?}");
    let record = sandbox.record();
    assert_eq!(record["outcome"], "signalled");
    assert_eq!(record["setup"]["state"], "cancelled");
    assert_eq!(record["stop_signal"], 15);
}

#[test]
fn a_setup_that_traps_the_stop_and_exits_0_does_not_start_cmd() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\ntrap 'exit 0' INT\ntouch /tmp/up\nwhile :; do sleep 0.05; done\n")
        .start("echo cmd");
    eventually("setup", || sandbox.path("/tmp/up").exists().then_some(()));
    sandbox.signal(2);
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (130, ""));
}

#[test]
fn a_setup_that_ignores_the_stop_is_killed_after_a_grace() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\ntrap 'echo second' USR1\ntrap '' TERM\ntouch /tmp/up\nwhile :; do sleep 0.05; done\n")
        .start("echo cmd");
    eventually("setup", || sandbox.path("/tmp/up").exists().then_some(()));
    sandbox.signal(15);
    sandbox.signal(10);
    let end = sandbox.wait();
    assert_eq!(end.code, 143);
    assert!(
        end.stdout.ends_with("second\n"),
        "the second signal too: {end:?}"
    );
}

#[test]
fn a_stop_while_files_are_handed_over_keeps_cmd_from_starting() {
    // Whenever the signal comes around setup's end, CMD either never starts, or gets it.
    for round in 0..8 {
        let mut sandbox = Builder::new()
            .setup("#!/bin/sh\ncd /home/amika; i=0; while [ $i -lt 300 ]; do : > f$i; i=$((i+1)); done\necho done > /tmp/up\n")
            .start("sleep 60");
        eventually("setup's end", || {
            sandbox.path("/tmp/up").exists().then_some(())
        });
        std::thread::sleep(std::time::Duration::from_millis(round));
        sandbox.signal(15);
        assert_eq!(sandbox.wait().code, 143, "round {round}");
    }
}

#[test]
fn without_cmd_it_stays_up_until_told_to_stop_and_then_goes_at_once() {
    let mut sandbox = Builder::new().start_idle();
    sandbox.until_phase("running");
    let pid = sandbox.pid();
    assert!(pid > 0);
    sandbox.signal(15);
    assert_eq!(sandbox.wait().code, 143);
    assert_eq!(sandbox.record()["container_exit_code"], 143);
}

#[test]
fn cmd_decides_what_term_means() {
    let mut sandbox = Builder::new().start(
        "trap 'n=$((n+1)); echo term$n >> /tmp/n; [ $n -lt 2 ] || exit 11' TERM; n=0; touch /tmp/up; while :; do sleep 0.05; done",
    );
    eventually("CMD", || sandbox.path("/tmp/up").exists().then_some(()));
    sandbox.signal(15);
    sandbox.until_file_has("/tmp/n", "term1");
    sandbox.until_phase("stopping");
    sandbox.signal(15);
    assert_eq!(sandbox.wait().code, 11);
    assert_eq!(sandbox.record()["outcome"], "signalled");
}

#[test]
fn what_cmd_leaves_behind_gets_term_and_then_kill() {
    let mut sandbox = Builder::new().start(
        "(trap 'echo polite > /tmp/polite; exit' TERM; touch /tmp/up1; while :; do sleep 0.05; done) & \
         (trap '' TERM; touch /tmp/up2; while :; do sleep 0.05; done) & \
         until [ -e /tmp/up1 ] && [ -e /tmp/up2 ]; do sleep 0.01; done; exit 3",
    );
    assert_eq!(sandbox.wait().code, 3);
    assert_eq!(sandbox.read("/tmp/polite"), "polite\n");
}

#[test]
fn a_signal_at_any_moment_of_the_start_is_not_lost() {
    for round in 0..20 {
        let mut sandbox = Builder::new().start("sleep 60");
        let _ = sandbox.pid();
        std::thread::sleep(std::time::Duration::from_micros(round * 300));
        sandbox.signal(15);
        assert_eq!(sandbox.wait().code, 143, "round {round}");
    }
}

#[test]
fn a_storm_of_real_time_signals_arrives_whole() {
    let counting = r#"exec python3 -c '
import os, signal
counts = {}
signals = [s for s in range(34, 65)] + [10]
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
open("/tmp/up", "w").close()
while True:
    signo = signal.sigwait(signals)
    if signo == 10: break
    counts[signo] = counts.get(signo, 0) + 1
open("/tmp/counts", "w").write(" ".join("%d:%d" % pair for pair in sorted(counts.items())))
'"#;
    let mut sandbox = Builder::new().start(counting);
    eventually("the counter", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    let pid = sandbox.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    // As many at once as the queues of a small machine hold, then on when both are empty again.
    let storm = r#"
import os, sys
pids = sys.argv[1:]
def waiting(pid):
    return any(l.startswith("ShdPnd:") and int(l.split()[1], 16) for l in open("/proc/%s/status" % pid))
for volley in range(40):
    for n in range(25):
        for signo in range(34, 65): os.kill(int(pids[0]), signo)
    while any(waiting(pid) for pid in pids): pass
"#;
    let status = std::process::Command::new("python3")
        .args(["-c", storm, &pid.to_string(), children.trim()])
        .status();
    assert!(status.unwrap().success());
    sandbox.signal(10);
    assert_eq!(sandbox.wait().code, 0);
    let expected: Vec<String> = (34..=64).map(|signo| format!("{signo}:1000")).collect();
    assert_eq!(sandbox.read("/tmp/counts"), expected.join(" "));
}

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::*;

fn start(script: &str, rule: Rule) -> (Child, Supervised) {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdout(Stdio::piped());
    let child = command.process_group(0).spawn().unwrap();
    let supervised = Supervised::group(child.id(), rule);
    (child, supervised)
}

const BUSY: &str = "while :; do :; done";
const SHORT: Duration = Duration::from_millis(600);

#[test]
fn one_that_works_is_ended_after_its_time_and_one_that_does_not_before() {
    for (script, rule) in [
        (BUSY, Rule::within(2 * SHORT)),
        (
            "sleep 1000",
            Rule {
                total: None,
                idle: Some(SHORT),
            },
        ),
    ] {
        let (mut child, mut supervised) = start(script, rule);
        child.wait().unwrap();
        assert!(supervised.ended_after().is_some(), "{script}");
        supervised.is_over();
    }
}

#[test]
fn one_that_nobody_reads_from_has_to_wait_and_one_that_is_waited_for_has_not() {
    let rule = Rule {
        total: Some(SHORT),
        idle: Some(SHORT),
    };
    let (mut child, supervised) = start("yes; sleep 1000", rule);
    supervised.streams(true);
    std::thread::sleep(HELD + 2 * SHORT);
    assert!(supervised.ended_after().is_none());
    let mut stdout = child.stdout.take().unwrap();
    let mut buffer = vec![0; 1 << 20];
    assert!(supervised.waiting(|| stdout.read(&mut buffer)).unwrap() > 0);

    let (mut silent, supervised) = start("sleep 1000", rule);
    supervised.streams(true);
    let mut stdout = silent.stdout.take().unwrap();
    let read = supervised.waiting(|| stdout.read(&mut buffer));
    assert_eq!(read.unwrap(), 0);
    assert!(supervised.ended_after().is_some());
}

#[test]
fn what_does_not_end_when_it_is_told_to_is_made_to() {
    let rule = Rule::within(SHORT);
    let (mut child, supervised) = start("trap '' TERM; while :; do sleep 1000; done", rule);
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9)
    );
    assert!(supervised.ended_after().is_some());
}

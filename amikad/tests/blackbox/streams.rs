//! Setup's output: to the container's log up to a point, to setup.log within its bounds.

use crate::support::{Builder, eventually};

#[test]
fn a_hundred_megabytes_of_output_neither_block_nor_grow_anything() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\necho first\nhead -c 100000000 /dev/zero | tr '\\0' x\necho\necho last\n")
        .start("grep VmHWM /proc/1/status; echo cmd");
    let end = sandbox.wait();
    assert_eq!(end.code, 0);
    let (setup, rest) = end
        .stdout
        .split_once("\n[amikad: setup printed 10 MiB")
        .unwrap();
    assert_eq!(setup.len(), 10 << 20);
    assert!(rest.ends_with("cmd\n"));
    let peak = rest
        .split_whitespace()
        .skip_while(|word| *word != "VmHWM:")
        .nth(1)
        .unwrap();
    assert!(
        peak.parse::<u64>().unwrap() < 40_000,
        "peak of {peak} kB in a debug build"
    );
    let log = std::fs::read(sandbox.path("/var/log/amikad/setup.log")).unwrap();
    let note = format!(
        "\n[amikad: {} bytes left out]\n",
        100_000_012_u64 - (5 << 20)
    );
    assert_eq!(log.len(), (5 << 20) + note.len());
    assert!(log.starts_with(b"first\nxxx") && log.ends_with(b"xxx\nlast\n"));
    assert_eq!(&log[1 << 20..(1 << 20) + note.len()], note.as_bytes());
}

#[test]
fn a_container_log_that_nobody_reads_does_not_stop_the_daemon() {
    let (reader, writer) = std::io::pipe().unwrap();
    // stdout is a pipe without a reader's attention; setup fills it and waits, amikad does not.
    let sandbox = Builder::new()
        .with_token()
        .setup("#!/bin/sh\nhead -c 3000000 /dev/zero\n")
        .stdout(writer)
        .start_idle();
    sandbox.connect();
    eventually("a full pipe", || {
        let status = sandbox.api("/v1/status").json();
        (status["setup"]["log_bytes"].as_u64() > Some(60_000)).then_some(())
    });
    assert_eq!(sandbox.get("/livez").status, 200);
    drop(reader);
}

#[test]
fn a_closed_container_log_ends_neither_setup_nor_the_daemon() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\nhead -c 300000 /dev/zero; echo end >> /tmp/done\n")
        .stdout(writer)
        .start_idle();
    sandbox.until_file_has("/tmp/done", "end");
    sandbox.until_phase("running");
    sandbox.signal(15);
    assert_eq!(sandbox.wait().code, 143);
}

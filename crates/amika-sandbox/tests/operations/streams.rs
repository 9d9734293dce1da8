//! What goes in and comes out while others read it: archives, programs, logs, samples, events.

use std::time::Duration;

use amika_engine::EventQuery;
use amika_sandbox::error::Kind;
use amika_sandbox::exec::ExecRequest;
use amika_sandbox::stats::Seen;
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::support::{Stage, name, never};

fn sh(script: &str) -> ExecRequest {
    ExecRequest {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        workdir: Some("/tmp".to_owned()),
        user: None,
        input: Bytes::from_static(b"typed\n"),
        most: 8,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_has_its_input_directory_and_environment_and_is_ended_with_its_caller() {
    let stage = Stage::new().await;
    let name = name();
    stage.make(&name).await;
    let sandboxes = &stage.sandboxes;
    let script = "read line; echo $line; pwd >&2; echo $GREETING >&2; exit 7";
    let ended = sandboxes.exec(&name, sh(script), never()).await.unwrap();
    assert_eq!(ended.exit_code, 7);
    assert_eq!(ended.stdout, b"typed\n");
    // No more than was to be kept.
    assert_eq!(
        (ended.stderr.as_slice(), ended.is_cut),
        (&b"/tmp\nhel"[..], true)
    );

    let (canceler, cancel) = amika_sandbox::cancel::new();
    let sleeping = sandboxes.exec(&name, sh("exec sleep 1234"), &cancel);
    let soon = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        canceler.ask();
    };
    let (ended, ()) = tokio::join!(sleeping, soon);
    assert_eq!(ended.unwrap_err().kind, Kind::Canceled);
    let left = "grep -lx 'sleep' /proc/[0-9]*/comm | while read f; do tr '\\0' ' ' <${f%comm}cmdline; done";
    let ended = sandboxes.exec(
        &name,
        ExecRequest {
            most: 1 << 20,
            ..sh(left)
        },
        never(),
    );
    let ended = ended.await.unwrap();
    let seen = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(!seen.contains("1234"), "{seen}");

    let mut missing = sh("");
    missing.command = vec!["no-such-program".to_owned()];
    let ended = sandboxes.exec(&name, missing, never()).await.unwrap();
    assert_eq!(ended.exit_code, 127);
    stage.delete(&name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_goes_in_comes_out_again() {
    let stage = Stage::new().await;
    let name = name();
    stage.make(&name).await;
    let sandboxes = &stage.sandboxes;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(6);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "notes/first", &b"words\n"[..])
        .unwrap();
    let archive = Bytes::from(archive.into_inner().unwrap());
    let pieces = [archive.slice(..700), archive.slice(700..)].map(Ok);
    let report = sandboxes.copy_in(&name, "/tmp", futures_util::stream::iter(pieces));
    assert_eq!(report.await.unwrap().files, 1);

    let pieces = sandboxes.copy_out(&name, "/tmp/notes").await.unwrap();
    let pieces: Vec<Bytes> = pieces.map(Result::unwrap).collect().await;
    let whole = pieces.concat();
    let mut found = tar::Archive::new(whole.as_slice());
    let names: Vec<String> = (found.entries().unwrap())
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert!(names.iter().any(|name| name == "notes/first"), "{names:?}");

    // Half an archive is never taken for a whole one.
    let broken = [
        Ok(archive.slice(..700)),
        Err(std::io::Error::other("the client left")),
    ];
    let report = sandboxes.copy_in(&name, "/tmp", futures_util::stream::iter(broken));
    assert_eq!(report.await.unwrap_err().kind, Kind::Failure);
    stage.delete(&name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_sees_samples_and_events_to_the_end_of_the_sandbox() {
    let stage = Stage::new().await;
    let name = name();
    let query = EventQuery {
        since: None,
        until: None,
    };
    let mut events = stage.sandboxes.events(query);
    let own = name.clone();
    let seen = tokio::spawn(async move {
        let mut seen: Vec<String> = Vec::new();
        while let Some(event) = events.next().await.transpose().unwrap() {
            if event.sandbox == own {
                let is_end = event.event == "destroy";
                seen.push(event.event);
                if is_end {
                    break;
                }
            }
        }
        seen
    });
    // The engine tells of what happens once it was asked.
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.make(&name).await;
    let names = std::slice::from_ref(&name);
    let mut samples = stage.sandboxes.watch_stats(names).await.unwrap();
    let Some(Ok(Seen::Sample(_, sample))) = samples.next().await else {
        panic!("no sample");
    };
    assert_eq!(sample.sandbox, name);
    stage.delete(&name).await;
    let rest = async { while samples.next().await.is_some() {} };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, rest).await.expect("an end");
    let seen = tokio::time::timeout(patience, seen).await.expect("an end");
    let seen = seen.unwrap();
    for event in ["create", "start", "destroy"] {
        assert!(seen.iter().any(|it| it == event), "{event}: {seen:?}");
    }
}

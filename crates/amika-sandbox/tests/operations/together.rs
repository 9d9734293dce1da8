//! Many operations at once in one process.

use std::sync::Arc;
use std::time::Duration;

use amika_sandbox::delete::DeleteRequest;
use amika_sandbox::error::Kind;
use amika_sandbox::exec::ExecRequest;
use amika_sandbox::list::ListRequest;
use amika_sandbox::logs::{Log, LogRequest};
use amika_sandbox::progress::Progress;
use amika_sandbox::sandboxes::Sandboxes;
use amika_sandbox::wait::Condition;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::task::JoinSet;

use crate::support::{Stage, Told, name, never, request};

fn quiet() -> Arc<dyn Progress> {
    Arc::new(Told::default())
}

/// One of the operations, by its number.
async fn operation(sandboxes: Sandboxes, name: String, number: usize) {
    match number % 6 {
        0 => {
            let view = sandboxes.inspect(&name).await.unwrap();
            assert_eq!(view.sandbox.name, name);
        }
        1 => {
            let out = Told::default();
            let list = sandboxes.list(ListRequest::default(), &out).await.unwrap();
            assert!(list.iter().any(|listed| listed.sandbox.name == name));
        }
        2 => {
            let ready = sandboxes.wait(&name, Condition::Ready, None, quiet(), never());
            assert_eq!(ready.await.unwrap(), None);
        }
        3 => {
            let request = LogRequest {
                log: Log::Amikad,
                follow: false,
                tail: None,
                since: None,
            };
            let pieces = sandboxes.logs(&name, request).await.unwrap();
            let pieces: Vec<_> = pieces.collect().await;
            assert!(pieces.iter().all(Result::is_ok), "{pieces:?}");
        }
        4 => {
            let samples = sandboxes.stats(std::slice::from_ref(&name)).await.unwrap();
            assert_eq!(samples.len(), 1);
        }
        _ => {
            let word = format!("operation {number}");
            let request = ExecRequest {
                command: vec!["cat".to_owned()],
                env: Vec::new(),
                workdir: None,
                user: None,
                input: word.clone().into(),
                most: 1024,
            };
            let ended = sandboxes.exec(&name, request, never()).await.unwrap();
            assert_eq!((ended.exit_code, ended.stdout), (0, word.into_bytes()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_operations_at_once_each_have_their_answer() {
    let stage = Stage::new().await;
    let names: Vec<String> = (0..2).map(|_| name()).collect();
    for name in &names {
        stage.make(name).await;
    }
    let mut operations = JoinSet::new();
    for number in 0..190 {
        let name = names[number % names.len()].clone();
        operations.spawn(operation(stage.sandboxes.clone(), name, number));
    }
    for _ in 0..10 {
        let (sandboxes, name) = (stage.sandboxes.clone(), name());
        operations.spawn(async move {
            let created = sandboxes.create(request(&name), quiet(), never()).await;
            created.unwrap().told();
            let request = DeleteRequest {
                force: true,
                volumes: true,
            };
            sandboxes
                .delete(&name, request, quiet(), never())
                .await
                .unwrap();
        });
    }
    let longest = Duration::from_mins(4);
    let all = tokio::time::timeout(longest, async {
        while let Some(done) = operations.join_next().await {
            done.unwrap();
        }
    });
    all.await.expect("some wait for others");
    for name in &names {
        stage.delete(name).await;
    }
    assert_eq!(stage.left(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_creates_and_a_delete_of_one_name_one_sandbox_is_left_or_none() {
    let stage = Stage::new().await;
    let mut made = 0;
    for delay in [0, 50, 150, 300, 600, 1200] {
        let name = name();
        let never = never();
        let create = || {
            stage
                .sandboxes
                .create(request(&name), quiet(), never)
                .boxed()
        };
        let delete = async {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            let request = DeleteRequest {
                force: true,
                volumes: true,
            };
            stage.sandboxes.delete(&name, request, quiet(), never).await
        };
        let (first, second, deleted) = tokio::join!(create(), create(), delete);
        let mut created = 0;
        for result in [first, second] {
            match result {
                Ok(it) => {
                    it.told();
                    created += 1;
                }
                // It was there already, or it was taken away under its hands.
                Err(error) => assert!(
                    matches!(error.kind, Kind::Conflict | Kind::NotFound | Kind::Failure),
                    "{delay}: {error:?}"
                ),
            }
        }
        assert!(created <= 1, "{delay}: both were made");
        made += created;
        let left = stage.left();
        if left.is_empty() {
            assert!(deleted.is_ok(), "{delay}: {deleted:?}");
            continue;
        }
        // What is left is whole: it is ready, and goes with one delete.
        let ready = stage
            .sandboxes
            .wait(&name, Condition::Ready, None, quiet(), never);
        ready
            .await
            .unwrap_or_else(|error| panic!("{delay}: {left:?}: {error:?}"));
        stage.delete(&name).await;
        assert_eq!(stage.left(), [""; 0], "{delay}");
    }
    assert!(made > 0, "none was ever made");
}

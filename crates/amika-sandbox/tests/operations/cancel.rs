//! An operation that is canceled wherever it tells something: what is left of it then.

use std::sync::Arc;

use amika_core::wire::Phase;
use amika_sandbox::create::{Setup, Wait};
use amika_sandbox::delete::DeleteRequest;
use amika_sandbox::error::Kind;
use amika_sandbox::progress::Progress;
use amika_sandbox::start::StartRequest;
use amika_sandbox::wait::Condition;

use crate::support::{Stage, Told, name, never, request};

/// More events than any of them tells.
const MOST: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_is_canceled_at_any_event_leaves_nothing() {
    let stage = Stage::new().await;
    let wanted = stage.repository(&[("README", "hello\n")]);
    let mut canceled = 0;
    for number in 0..MOST {
        let name = name();
        let mut request = request(&name);
        request.repository = Some(wanted.clone());
        let script = b"#!/bin/sh\necho one\nsleep 0.3\necho two\n";
        request.sandbox.setup = Some(Setup::Text(script.to_vec()));
        let (told, cancel) = Told::canceling_at(number);
        let progress: Arc<dyn Progress> = Arc::<Told>::clone(&told);
        match stage.sandboxes.create(request, progress, &cancel).await {
            Err(error) => {
                assert_eq!(error.kind, Kind::Canceled, "{number}: {error:?}");
                assert_eq!(stage.left(), [""; 0], "{number}: {:?}", told.events());
                canceled += 1;
            }
            Ok(created) => {
                assert_eq!(created.view.name, name);
                created.told();
                let is_over = told.events().len() <= number;
                stage.delete(&name).await;
                assert_eq!(stage.left(), [""; 0], "{number}");
                if is_over {
                    // Repository, container, clone, start, setup: each began and ended.
                    assert!(canceled >= 8, "{canceled}: {:?}", told.events());
                    return;
                }
            }
        }
    }
    panic!("it never came to its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_and_a_stop_that_are_canceled_at_any_event_leave_the_sandbox_whole() {
    let stage = Stage::new().await;
    let name = name();
    let mut asked = request(&name);
    let script = b"#!/bin/sh\necho one\nsleep 0.3\necho two\n";
    asked.sandbox.setup = Some(Setup::Text(script.to_vec()));
    let quiet = || -> Arc<dyn Progress> { Arc::new(Told::default()) };
    let created = stage.sandboxes.create(asked, quiet(), never()).await;
    created.unwrap().told();
    let whole = stage.left();
    let start = StartRequest {
        setup: None,
        skip_setup: false,
        given: None,
        reassign_ports: false,
        wait: Wait::UntilReady(None),
    };
    let (mut stops, mut starts) = (false, false);
    for number in 0..MOST {
        let (told, cancel) = Told::canceling_at(number);
        let progress: Arc<dyn Progress> = Arc::<Told>::clone(&told);
        match stage.sandboxes.stop(&name, None, progress, &cancel).await {
            Ok(()) => stops |= told.events().len() <= number,
            Err(error) => assert_eq!(error.kind, Kind::Canceled, "{error:?}"),
        }
        assert_eq!(stage.left(), whole);
        // Whatever the engine was asked for, it goes on with.
        let stopped = stage.sandboxes.stop(&name, None, quiet(), never()).await;
        stopped.unwrap();
        let (told, cancel) = Told::canceling_at(number);
        let progress: Arc<dyn Progress> = Arc::<Told>::clone(&told);
        let started = stage
            .sandboxes
            .start(&name, start.clone(), progress, &cancel);
        match started.await {
            Ok(_) => starts |= told.events().len() <= number,
            Err(error) => assert_eq!(error.kind, Kind::Canceled, "{error:?}"),
        }
        assert_eq!(stage.left(), whole);
        let started = stage
            .sandboxes
            .start(&name, start.clone(), quiet(), never());
        started.await.unwrap();
        if stops && starts {
            let ready = stage
                .sandboxes
                .wait(&name, Condition::Ready, None, quiet(), never());
            assert_eq!(ready.await.unwrap(), None);
            let view = stage.sandboxes.inspect(&name).await.unwrap();
            assert_eq!(view.status.unwrap().phase, Phase::Running);
            stage.delete(&name).await;
            assert_eq!(stage.left(), [""; 0]);
            return;
        }
    }
    panic!("they never came to their end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_that_is_canceled_is_done_by_the_next_one() {
    let stage = Stage::new().await;
    for patience in [0, 1, 5, 20, 80] {
        let name = name();
        stage.make(&name).await;
        let request = DeleteRequest {
            force: true,
            volumes: true,
        };
        let (canceler, cancel) = amika_sandbox::cancel::new();
        let told: Arc<dyn Progress> = Arc::new(Told::default());
        let soon = async {
            tokio::time::sleep(std::time::Duration::from_millis(patience)).await;
            canceler.ask();
        };
        let deleting = stage.sandboxes.delete(&name, request, told, &cancel);
        let (deleted, ()) = tokio::join!(deleting, soon);
        if let Err(error) = deleted {
            assert_eq!(error.kind, Kind::Canceled, "{patience}: {error:?}");
            let told: Arc<dyn Progress> = Arc::new(Told::default());
            let again = stage.sandboxes.delete(&name, request, told, never()).await;
            // The engine may have been done with all of it by then.
            assert!(
                again
                    .as_ref()
                    .err()
                    .is_none_or(|error| error.kind == Kind::NotFound),
                "{patience}: {again:?}"
            );
        }
        assert_eq!(stage.left(), [""; 0], "{patience}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_for_an_operation_cancels_nothing() {
    let stage = Stage::new().await;
    let name = name();
    let told: Arc<dyn Progress> = Arc::new(Told::default());
    let creating = stage.sandboxes.create(request(&name), told, never());
    let soon = std::time::Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, creating).await.is_err());
    for _ in 0..300 {
        let view = stage.sandboxes.inspect(&name).await;
        if view.is_ok_and(|view| view.status.is_some_and(|it| it.phase == Phase::Running)) {
            stage.delete(&name).await;
            assert_eq!(stage.left(), [""; 0]);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it was not made to its end");
}

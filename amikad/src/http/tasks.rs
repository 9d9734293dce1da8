//! What jobs and terminals have in common over HTTP: how one is started, and why it is not.

use hyper::{StatusCode, header};
use tokio::sync::oneshot;

use super::answer::{Answer, error, set};
use crate::publish::{Command, Shared};
use crate::task::{NotStarted, Start};

/// Has the supervisor start a task; the error is the answer.
#[allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]
pub(super) async fn start(
    shared: &Shared,
    task: impl FnOnce(oneshot::Sender<Result<(), NotStarted>>) -> Start,
) -> Result<(), Answer> {
    let (answer, answered) = oneshot::channel();
    shared
        .mailbox
        .send(Command::StartTask(Box::new(task(answer))));
    match answered.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(NotStarted::NotYet)) => {
            let message = "the sandbox is being prepared; try again soon";
            let mut answer = error(StatusCode::SERVICE_UNAVAILABLE, "starting", message);
            set(answer.headers_mut(), header::RETRY_AFTER, "1");
            Err(answer)
        }
        Ok(Err(NotStarted::Ending)) => {
            let message = "the sandbox is stopping; start it again first";
            Err(error(StatusCode::CONFLICT, "stopping", message))
        }
        Ok(Err(NotStarted::NoProcess(why))) => Err(cannot_start(&why)),
        // The step that would have answered failed.
        Err(_) => Err(failed()),
    }
}

/// So many run already.
pub(super) fn too_many(what: &str, most: usize) -> Answer {
    let message = format!("{most} {what} run, which is the most; end one, or wait until one ends");
    let code = format!("too_many_{what}");
    error(StatusCode::TOO_MANY_REQUESTS, &code, message)
}

/// The sandbox lacks what it takes: processes, descriptors, a terminal.
pub(super) fn cannot_start(why: &str) -> Answer {
    error(StatusCode::SERVICE_UNAVAILABLE, "cannot_start", why)
}

/// A bug, whatever it was.
pub(super) fn failed() -> Answer {
    let message = "amikad failed to start it; this is a bug";
    error(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

/// No such route.
pub(super) fn nothing_here() -> Answer {
    error(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
}

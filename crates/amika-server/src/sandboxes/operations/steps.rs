//! The steps of one: told by the library as it goes, noted in the store, and told to whoever follows.

use std::sync::Arc;

use amika_sandbox::progress::{Event, Progress};
use tokio::sync::mpsc;

use super::Kind;
use crate::api::operations::OperationStep;
use crate::sandboxes::bus::Subject;
use crate::state::App;
use crate::store::{LifecycleRow, OperationRow};

/// Notes a step, and tells it.
pub(super) async fn note(
    app: &App,
    row: &OperationRow,
    step: String,
    status: &str,
    detail: Option<String>,
) {
    let mut event = LifecycleRow {
        id: 0,
        run_kind: row.kind.clone(),
        step,
        status: status.to_owned(),
        detail,
        created_at: app.clock.now(),
    };
    match app.store.add_lifecycle(row, &event).await {
        Ok(id) => event.id = id,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a step is not noted"
            );
            return;
        }
    }
    let step = Some(event.id);
    let data = OperationStep::new(row, event);
    let data = serde_json::to_string(&data).unwrap_or_default();
    let owner = row.owner_id.as_deref();
    app.live.bus.tell(owner, Subject::Step, &row.id, step, data);
}

/// A step, how far it is, and more of it.
pub(super) type Told = (String, &'static str, Option<String>);

/// Takes the library's steps.
pub(super) struct Steps {
    to: mpsc::UnboundedSender<Told>,
    kind: Kind,
}

impl Steps {
    /// What the library tells its steps to, and where they come out.
    pub(super) fn new(kind: Kind) -> (Arc<dyn Progress>, mpsc::UnboundedReceiver<Told>) {
        let (to, told) = mpsc::unbounded_channel();
        (Arc::new(Self { to, kind }), told)
    }
}

impl Progress for Steps {
    fn tell(&self, event: Event<'_>) {
        let told = match event {
            Event::Begun { step } => (step.to_owned(), "started", None),
            Event::Ended {
                step,
                result,
                succeeded,
                ..
            } => {
                let detail = (!result.is_empty()).then(|| result.to_owned());
                (
                    step.to_owned(),
                    if succeeded { "succeeded" } else { "failed" },
                    detail,
                )
            }
            Event::Warning(message) => (
                self.kind.as_str().to_owned(),
                "warning",
                Some(message.to_owned()),
            ),
            _ => return,
        };
        // Nobody listens any more once the operation is over.
        let _ = self.to.send(told);
    }

    fn shows_steps(&self) -> bool {
        true
    }
}

//! What is on the engine: looked at once for all who ask within a moment, and anew after each change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amika_core::label::{Labels, key, stamp};
use amika_sandbox::error::Result;
use amika_sandbox::list::ListRequest;
use amika_sandbox::sandbox::{self, State};
use amika_sandbox::sandboxes::Sandboxes;
use amika_sandbox::view::SandboxView;
use tokio::sync::Mutex;

use crate::engine::Engines;

/// How old what is shown may be.
const FRESH: Duration = Duration::from_secs(1);

/// The label of the sandbox's id in the API.
pub const ID: &str = "dev.amika.server.sandbox";

/// The label of its owner's id.
pub const OWNER: &str = "dev.amika.server.owner";

/// The label of its first `auto_stop_interval`.
pub const AUTO_STOP: &str = "dev.amika.server.auto-stop";

/// The label of its first `auto_delete_interval`; empty is never.
pub const AUTO_DELETE: &str = "dev.amika.server.auto-delete";

/// A sandbox on the engine.
#[derive(Clone, Debug)]
pub struct Seen {
    /// As all are told of it.
    pub view: SandboxView,
    /// What a server stamped it with, where the signature is this one's.
    pub stamp: Labels,
    /// Whether any server stamped it.
    pub has_server: bool,
    /// The engine's id of its container.
    pub container: String,
}

impl Seen {
    /// Its id in the API: its own, or that of its record.
    pub fn id(&self) -> &str {
        self.stamp.get(ID).map_or(&self.view.id, String::as_str)
    }
}

/// What was there at a moment, by name.
pub type Look = Arc<BTreeMap<String, Seen>>;

/// The last look.
#[derive(Debug, Default)]
pub struct Looks(Mutex<Option<(Instant, Look)>>);

impl Looks {
    /// What is there, not older than a moment.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn get(&self, engines: &Engines, server_id: &str) -> Result<Look> {
        // One looks; the others wait for what it finds.
        let mut last = self.0.lock().await;
        if let Some((at, look)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(look));
        }
        let at = Instant::now();
        let look = Arc::new(look(&engines.get().await?, server_id).await?);
        *last = Some((at, Arc::clone(&look)));
        Ok(look)
    }

    /// Has the next one look anew.
    pub async fn changed(&self) {
        *self.0.lock().await = None;
    }
}

async fn look(engine: &Sandboxes, server_id: &str) -> Result<BTreeMap<String, Seen>> {
    let key = engine.record_key()?;
    let silent = crate::engine::silent();
    let listed = engine.list(ListRequest::default(), &*silent);
    let labels = sandbox::list_all(engine);
    let (listed, labels) = futures_util::try_join!(listed, labels)?;
    let labels: BTreeMap<String, (String, Labels)> = labels
        .into_iter()
        .map(|(container, _)| (container.name, (container.id, container.labels)))
        .collect();
    let seen = listed
        .into_iter()
        .filter(|it| it.sandbox.state != State::Lost)
        .map(|listed| {
            let view = listed.sandbox;
            let (container, labels) = labels.get(&view.name).cloned().unwrap_or_default();
            let is_signed = key.has_signed(&labels);
            let is_own = is_signed && labels.get(key::SERVER).is_some_and(|it| it == server_id);
            let seen = Seen {
                stamp: if is_own {
                    stamp(&labels)
                } else {
                    Labels::new()
                },
                has_server: labels.get(key::SERVER).is_some_and(|it| !it.is_empty()),
                container,
                view,
            };
            (seen.view.name.clone(), seen)
        });
    Ok(seen.collect())
}

//! What is asked of sandboxes at the moment at which somebody looks, since nothing tells of it: where their repositories
//! are, what was done in them, what they use.

use std::collections::{BTreeMap, BTreeSet};

use amika_core::wire::Head;
use amika_sandbox::list::{Details, ListRequest};
use serde::Serialize;
use serde_json::Value;

use crate::api::error::{ApiError, Result};
use crate::state::App;

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Where repositories are.
    Heads,
    /// That, and all else.
    Details,
}

/// What a sandbox is at, and uses.
#[derive(Debug, Serialize)]
struct Measured {
    image: String,
    commits_ahead: Option<u64>,
    changed: Option<bool>,
    idle_ms: Option<u64>,
    active_because: Option<Vec<String>>,
    memory_bytes: Option<u64>,
    size_bytes: Option<u64>,
    volumes: Vec<String>,
}

impl Measured {
    fn of(image: String, details: Details) -> Self {
        let because = details.activity.as_ref().map(|activity| {
            let words = activity.active_because.iter();
            let words = words.map(|word| serde_json::to_value(word).unwrap_or_default());
            words
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect()
        });
        Self {
            image,
            commits_ahead: details.commits_ahead,
            changed: details.changed,
            idle_ms: details.activity.as_ref().map(|activity| activity.idle_ms),
            active_because: because,
            memory_bytes: details.memory_bytes,
            size_bytes: details.size_bytes,
            volumes: details.volumes,
        }
    }
}

/// What is known of one.
struct Known {
    head: Option<Head>,
    details: Option<Measured>,
}

/// Adds to sandboxes, as JSON, the members `head` and, where they are wanted, `details`; both null where nothing is known.
///
/// # Errors
/// Those of the engine.
pub async fn add(app: &App, depth: Depth, sandboxes: &mut [Value]) -> Result<()> {
    let names: BTreeSet<String> = sandboxes
        .iter()
        .filter_map(|it| Some(it["name"].as_str()?.to_owned()))
        .collect();
    let mut known = asked(app, depth, &names).await?;
    for sandbox in sandboxes {
        let name = sandbox["name"].as_str().unwrap_or_default();
        let found = known.remove(name);
        let (head, details) = found.map_or((None, None), |it| (it.head, it.details));
        let json = |value| serde_json::to_value(value).map_err(|_| ApiError::internal());
        sandbox["head"] = serde_json::to_value(head).map_err(|_| ApiError::internal())?;
        if depth == Depth::Details {
            sandbox["details"] = json(details)?;
        }
    }
    Ok(())
}

async fn asked(
    app: &App,
    depth: Depth,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, Known>> {
    let request = ListRequest {
        details: depth == Depth::Details,
        ask_heads: true,
        ask_own_alone: true,
        ..ListRequest::default()
    };
    let silent = crate::engine::silent();
    let engine = app.engines.get().await?;
    let is_wanted = |name: &str| names.contains(name);
    let listed = engine.list_some(request, &is_wanted, &*silent).await?;
    let known = listed.into_iter().map(|listed| {
        let view = listed.sandbox;
        let details = listed.details.map(|it| Measured::of(view.image, it));
        let head = view.repository.and_then(|repository| repository.head);
        (view.name, Known { head, details })
    });
    Ok(known.collect())
}

//! What a store that was lost knew of sandboxes, taken from their signed labels again.

use std::sync::Arc;
use std::time::Duration;

use super::look::{AUTO_DELETE, AUTO_STOP, ID, OWNER, Seen};
use super::request::{AUTO_STOP as AUTO_STOP_MINUTES, LONGEST};
use crate::api::error::Result;
use crate::state::App;
use crate::store::SandboxRow;

/// After how long it is tried again while the engine is away.
const AGAIN: Duration = Duration::from_secs(5);

/// Forgets each sandbox whose making was not begun when a server was killed: it is in the store alone, and was never
/// answered.
///
/// # Errors
/// Those of the engine and of the store.
async fn unbegun(app: &App, ids: &[String]) -> Result<()> {
    let look = app.looks.renew(&app.engines).await?;
    for id in ids {
        if !look.values().any(|seen| seen.id() == id) {
            app.store.remove_sandbox(id).await?;
        }
    }
    Ok(())
}

/// Adds each sandbox of this server's that the store does not know, with the owner and the timers that it was made with.
/// Where the owner is not known any more, it is the administrator's.
///
/// `untouched` are those to which nothing was done before this start.
pub async fn rebuild(app: Arc<App>, untouched: Vec<String>) {
    let both = async || {
        unbegun(&app, &untouched).await?;
        missing(&app).await
    };
    while let Err(error) = both().await {
        tracing::debug!(
            error.message,
            "what the store does not know is looked for later"
        );
        tokio::time::sleep(AGAIN).await;
    }
}

async fn missing(app: &App) -> Result<()> {
    // The engine first: one that is deleted meanwhile is in the store longer than on the engine.
    let look = app.looks.renew(&app.engines).await?;
    let rows = app.store.sandboxes().await?;
    for seen in look.values() {
        let is_own = seen.stamp.contains_key(ID);
        if !is_own || rows.iter().any(|row| row.id == seen.id()) {
            continue;
        }
        let Some(owner) = owner(app, seen).await? else {
            continue;
        };
        let row = row_of(seen, owner, app.clock.now());
        if app.store.add_sandbox(&row).await? {
            tracing::warn!(
                name = row.name,
                "the store did not know this sandbox, and took it from its labels"
            );
        }
    }
    Ok(())
}

async fn owner(app: &App, seen: &Seen) -> Result<Option<String>> {
    if let Some(owner) = seen.stamp.get(OWNER)
        && app.store.user(owner).await?.is_some()
    {
        return Ok(Some(owner.clone()));
    }
    Ok(app.store.first_admin().await?.map(|user| user.id))
}

fn row_of(seen: &Seen, user_id: String, now: i64) -> SandboxRow {
    let minutes = |label: &str| {
        let text = seen.stamp.get(label).filter(|text| !text.is_empty())?;
        text.parse::<i64>()
            .ok()
            .filter(|it| (0..=LONGEST).contains(it))
    };
    let created_at = seen.view.created_at.and_then(|at| i64::try_from(at).ok());
    SandboxRow {
        auto_stop: minutes(AUTO_STOP).unwrap_or(AUTO_STOP_MINUTES),
        auto_delete: minutes(AUTO_DELETE),
        created_at: created_at.unwrap_or(now),
        ..SandboxRow::new(seen.id().to_owned(), user_id, seen.view.name.clone(), now)
    }
}

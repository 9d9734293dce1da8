//! When a sandbox is stopped and deleted by itself: a pure rule, and the task that carries it out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amika_sandbox::error::Result;
use amika_sandbox::sandbox::{Sandbox, State};

use super::idle::{Heard, MINUTE, Pace};
use super::look::{Look, Seen};
use super::operations::{Deletion, Order, Work, begin};
use crate::state::App;
use crate::store::SandboxRow;

/// How often it is looked.
const TICK: Duration = Duration::from_secs(5);

/// A jump of the wall clock that is looked at twice, in milliseconds.
const JUMP: i64 = 60 * MINUTE;

/// How long nothing is deleted after such a jump.
const SECOND_LOOK: Duration = Duration::from_mins(5);

/// What is known of a sandbox that has timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Idle minutes until it is stopped; 0 is never.
    pub auto_stop: i64,
    /// Minutes after a stop until it is deleted; none is never.
    pub auto_delete: Option<i64>,
    /// Until when it is not stopped.
    pub keep_awake_until: Option<i64>,
    /// How long it has been idle, in milliseconds, as amikad counts; none where that is not known.
    pub idle_ms: Option<i64>,
    /// When its container ended, where it did.
    pub stopped_at: Option<i64>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// It is to be stopped.
    Stop,
    /// It is to be deleted.
    Delete,
}

/// What is due at a time. What is not known makes nothing due.
pub fn due(facts: Facts, now: i64) -> Due {
    if let Some(stopped_at) = facts.stopped_at {
        return match facts.auto_delete {
            Some(minutes) if now >= stopped_at + minutes * MINUTE => Due::Delete,
            _ => Due::Nothing,
        };
    }
    let is_kept_awake = facts.keep_awake_until.is_some_and(|until| now < until);
    match facts.idle_ms {
        Some(idle) if facts.auto_stop > 0 && !is_kept_awake && idle >= facts.auto_stop * MINUTE => {
            Due::Stop
        }
        _ => Due::Nothing,
    }
}

/// The clock of the wall, beside one that nobody sets and that stands still while the host is suspended.
struct Wall {
    before: (Instant, i64),
    /// From when it is believed.
    from: Instant,
}

impl Wall {
    fn new(now: Instant, wall: i64) -> Self {
        Self {
            before: (now, wall),
            from: now,
        }
    }

    /// Whether it is to be believed: not for a while after it jumped.
    fn is_believed(&mut self, now: Instant, wall: i64) -> bool {
        let passed = now.saturating_duration_since(self.before.0).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let jumped = wall
            .saturating_sub(self.before.1)
            .saturating_sub(passed)
            .saturating_abs();
        if jumped > JUMP {
            tracing::warn!(
                "the clock was changed by more than an hour: nothing is deleted for 5 minutes"
            );
            self.from = now + SECOND_LOOK;
        }
        self.before = (now, wall);
        now >= self.from
    }
}

/// Looks at all sandboxes of this server, again and again, and does what is due.
pub async fn watch(app: Arc<App>) {
    let mut wall = Wall::new(Instant::now(), app.clock.now());
    loop {
        tokio::time::sleep(TICK).await;
        let may_delete = wall.is_believed(Instant::now(), app.clock.now());
        if let Err(error) = look(&app, may_delete).await {
            tracing::warn!("timers wait: {}", error.message);
        }
    }
}

async fn look(app: &Arc<App>, may_delete: bool) -> Result<()> {
    let rows = app.store.sandboxes().await.map_err(|error| {
        let message = "the store does not answer";
        amika_sandbox::error::Error::new(amika_sandbox::error::Kind::Failure, message)
            .caused_by(&error)
    })?;
    let look = app.looks.get(&app.engines).await?;
    renamed(app, &rows, &look).await;
    app.idleness.keep(|id| rows.iter().any(|row| row.id == id));
    // One that does not answer holds up no other.
    let each = rows.iter().filter_map(|row| {
        let seen = look.values().find(|seen| seen.id() == row.id)?;
        let is_free = app.operations.of(&row.id).is_none();
        is_free.then(|| in_time(app, row, seen, may_delete))
    });
    amika_sandbox::fan_out::in_order(each).await;
    Ok(())
}

/// Notes the names of those that were renamed by the command line, or by a server that was killed then.
async fn renamed(app: &App, rows: &[SandboxRow], look: &Look) {
    for row in rows {
        let seen = look.values().find(|seen| seen.id() == row.id);
        let Some(seen) = seen.filter(|seen| seen.view.name != row.name) else {
            continue;
        };
        if app.operations.of(&row.id).is_some() {
            continue;
        }
        if let Err(error) = app
            .store
            .rename_sandbox(&row.id, &row.name, &seen.view.name)
            .await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the new name of a sandbox is not noted"
            );
        }
    }
}

/// Does what is due of one.
async fn in_time(app: &Arc<App>, row: &SandboxRow, seen: &Seen, may_delete: bool) {
    match of_one(app, row, seen).await {
        Ok(Due::Stop) => carry_out(app, row, seen, Work::Stop).await,
        Ok(Due::Delete) if may_delete => {
            carry_out(app, row, seen, Work::Delete(Deletion::KeepWork)).await;
        }
        Ok(Due::Delete | Due::Nothing) => {}
        Err(error) => {
            tracing::debug!(name = seen.view.name, error = error.message, "no answer");
        }
    }
}

/// What is due of one. It is asked afresh where anything may be.
async fn of_one(app: &App, row: &SandboxRow, seen: &Seen) -> Result<Due> {
    let is_up = matches!(
        seen.view.state,
        State::Running | State::Setup | State::Unresponsive
    );
    if is_up && row.auto_stop == 0 || !is_up && row.auto_delete.is_none() {
        return Ok(Due::Nothing);
    }
    let heard = app.idleness.of(&row.id);
    let (now, wall) = (Instant::now(), app.clock.now());
    if heard.is_some_and(|heard| !heard.is_old(row, is_up, now, wall)) {
        return Ok(Due::Nothing);
    }
    let engine = app.engines.get().await?;
    let sandbox = Sandbox::find_any(&engine, &seen.view.name).await?;
    if sandbox.container.id != seen.container {
        return Ok(Due::Nothing);
    }
    let pace = if sandbox.is_running() {
        // One that does not tell is idle for nobody.
        let Ok(activity) = sandbox.client(&engine)?.activity().await else {
            return Ok(Due::Nothing);
        };
        let because = activity.active_because.iter();
        Pace::Up {
            idle_ms: i64::try_from(activity.idle_ms).unwrap_or(i64::MAX),
            last_active_at: i64::try_from(activity.last_active_at).unwrap_or(i64::MAX),
            because: because.map(|reason| reason.word().to_owned()).collect(),
        }
    } else {
        Pace::Down(sandbox.container.finished_at)
    };
    let facts = Facts {
        auto_stop: row.auto_stop,
        auto_delete: row.auto_delete,
        keep_awake_until: row.keep_awake_until,
        idle_ms: match pace {
            Pace::Up { idle_ms, .. } => Some(idle_ms),
            Pace::Down(_) => None,
        },
        stopped_at: match pace {
            Pace::Up { .. } => None,
            Pace::Down(at) => at,
        },
    };
    let heard = Heard {
        asked: Instant::now(),
        pace,
    };
    if app.idleness.note(&row.id, heard) {
        app.changes.doings();
    }
    Ok(due(facts, app.clock.now()))
}

async fn carry_out(app: &Arc<App>, row: &SandboxRow, seen: &Seen, work: Work) {
    let order = Order {
        sandbox_id: &row.id,
        name: &seen.view.name,
        user_id: None,
        owner_id: Some(&row.user_id),
    };
    // Somebody may have been faster: then there is nothing to do.
    if let Ok(begun) = begin(app, order, work).await {
        tracing::info!(
            name = seen.view.name,
            operation = begun.id,
            "its timer ran out"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_due_early_and_nothing_that_is_not_known() {
        let running = Facts {
            auto_stop: 30,
            auto_delete: Some(10),
            keep_awake_until: None,
            idle_ms: Some(0),
            stopped_at: None,
        };
        let idle = |idle| Facts {
            idle_ms: idle,
            ..running
        };
        assert_eq!(due(idle(Some(30 * MINUTE - 1)), 0), Due::Nothing);
        assert_eq!(due(idle(Some(30 * MINUTE)), 0), Due::Stop);
        assert_eq!(due(idle(None), i64::MAX), Due::Nothing);
        assert_eq!(
            due(
                Facts {
                    auto_stop: 0,
                    ..idle(Some(i64::MAX))
                },
                0
            ),
            Due::Nothing
        );
        let awake = Facts {
            keep_awake_until: Some(5),
            ..idle(Some(31 * MINUTE))
        };
        assert_eq!((due(awake, 4), due(awake, 5)), (Due::Nothing, Due::Stop));
    }

    #[test]
    fn deletion_counts_from_the_stop_and_zero_is_at_once() {
        let stopped = Facts {
            auto_stop: 30,
            auto_delete: Some(10),
            keep_awake_until: None,
            idle_ms: None,
            stopped_at: Some(1_000),
        };
        assert_eq!(due(stopped, 1_000 + 10 * MINUTE - 1), Due::Nothing);
        assert_eq!(due(stopped, 1_000 + 10 * MINUTE), Due::Delete);
        assert_eq!(
            due(
                Facts {
                    auto_delete: Some(0),
                    ..stopped
                },
                1_000
            ),
            Due::Delete
        );
        assert_eq!(
            due(
                Facts {
                    auto_delete: None,
                    ..stopped
                },
                i64::MAX
            ),
            Due::Nothing
        );
        // A clock that was set back deletes nothing.
        assert_eq!(due(stopped, 0), Due::Nothing);
    }

    #[test]
    fn a_clock_that_jumps_is_looked_at_again_before_anything_is_deleted() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let hours = |count: i64| count * 60 * MINUTE;
        // Set forward, set back, and a host that was suspended: there the other clock stood still.
        for jump in [hours(2), -hours(2), hours(24 * 365), i64::MAX, i64::MIN] {
            let mut wall = Wall::new(begin, 0);
            assert!(wall.is_believed(at(5), 5_000), "{jump}");
            let after = 10_000_i64.saturating_add(jump);
            assert!(!wall.is_believed(at(10), after), "{jump}");
            assert!(
                !wall.is_believed(at(309), after.saturating_add(299_000)),
                "{jump}"
            );
            assert!(
                wall.is_believed(at(310), after.saturating_add(300_000)),
                "{jump}"
            );
        }
        // A second one waits anew, and what goes back is a jump as well.
        let mut wall = Wall::new(begin, 0);
        assert!(!wall.is_believed(at(5), hours(3)));
        assert!(!wall.is_believed(at(200), 200_000));
        assert!(!wall.is_believed(at(310), 310_000));
        assert!(wall.is_believed(at(500), 500_000));
        // A server that did not run for hours while both clocks did, as after SIGSTOP, is no jump; nor is a correction.
        let mut wall = Wall::new(begin, 0);
        assert!(wall.is_believed(at(36_000), hours(10)));
        assert!(wall.is_believed(at(36_005), hours(10) + 5_000 + 59 * MINUTE));
        assert!(wall.is_believed(at(36_010), hours(10) + 10_000));
    }

    #[test]
    fn suspended_time_is_idle_for_nobody() {
        // amikad's clock stood still, whatever the wall says by now.
        let running = Facts {
            auto_stop: 30,
            auto_delete: Some(0),
            keep_awake_until: None,
            idle_ms: Some(29 * MINUTE),
            stopped_at: None,
        };
        for now in [0, i64::MAX, i64::MIN] {
            assert_eq!(due(running, now), Due::Nothing);
        }
    }
}

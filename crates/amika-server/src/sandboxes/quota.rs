//! How much a user may have: sandboxes, and the processors and memory of all of them together.

use amika_core::limit::{Memory, default_memory};
use amika_core::size::Size;
use amika_core::text::human_size;

use crate::api::error::{ApiError, Result};
use crate::auth::scope::Role;
use crate::config::Quota;
use crate::state::App;
use crate::store::{SandboxRow, User};

/// After how long it may be tried again, in seconds: somebody must delete something first.
const AGAIN: u64 = 60;

/// What one sandbox counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    cpus: i64,
    memory: i64,
}

/// Refuses one more sandbox that would be too much; none has a size of its own where it may use all that the engine
/// gives to one.
///
/// # Errors
/// 429 where there is too much already, 403 where such a one is too much by itself.
pub async fn check(app: &App, user: &User, size: Option<Size>) -> Result<()> {
    let quota = of(user, app.config.members.quota);
    if quota == Quota::default() {
        return Ok(());
    }
    let mut rows = app.store.sandboxes().await?;
    rows.retain(|row| row.user_id == user.id);
    let whole = if quota.cpus.is_some() || quota.memory.is_some() {
        let facts = app.engines.get().await?.system().await;
        let facts = facts.map_err(amika_sandbox::error::Error::from)?;
        Counts {
            cpus: facts.cpus,
            memory: default_memory(facts.memory).map_or(facts.memory, Memory::bytes),
        }
    } else {
        Counts { cpus: 0, memory: 0 }
    };
    let new = Counts {
        cpus: size.map_or(whole.cpus, Size::cpus),
        memory: size.map_or(whole.memory, Size::memory),
    };
    let checked = fits(quota, &rows, whole, new, size.is_some());
    if checked.is_err() {
        app.metrics.over_quota();
    }
    checked
}

/// What holds for somebody: what was said of him, else what the configuration says of members.
pub fn of(user: &User, members: Quota) -> Quota {
    match user.role {
        Role::Admin => user.quota,
        Role::Member => user.quota.over(members),
    }
}

fn fits(
    quota: Quota,
    rows: &[SandboxRow],
    whole: Counts,
    new: Counts,
    has_size: bool,
) -> Result<()> {
    if let Some(most) = quota.sandboxes
        && rows.len() >= most as usize
    {
        let message = format!("you have {} sandboxes, and may have {most}", rows.len());
        return Err(over(message, most == 0));
    }
    let used = rows
        .iter()
        .fold(Counts { cpus: 0, memory: 0 }, |sum, row| Counts {
            cpus: sum.cpus + row.cpus.unwrap_or(whole.cpus),
            memory: sum.memory + row.memory.unwrap_or(whole.memory),
        });
    if let Some(most) = quota.cpus.map(i64::from)
        && used.cpus + new.cpus > most
    {
        let message = format!(
            "your sandboxes have {} CPUs, this one would have {}, and together they may have {most}",
            used.cpus, new.cpus
        );
        return Err(smaller(over(message, new.cpus > most), has_size));
    }
    if let Some(most) = quota.memory
        && used.memory.saturating_add(new.memory) > most
    {
        let size = |bytes: i64| human_size(u64::try_from(bytes).unwrap_or(0));
        let message = format!(
            "your sandboxes have {} of memory, this one would have {}, and together they may have {}",
            size(used.memory),
            size(new.memory),
            size(most)
        );
        return Err(smaller(over(message, new.memory > most), has_size));
    }
    Ok(())
}

/// 403 where it never fits, else 429.
fn over(message: String, is_never: bool) -> ApiError {
    if is_never {
        return ApiError::forbidden(message);
    }
    ApiError::rate_limited(message, AGAIN).hint("delete a sandbox first")
}

fn smaller(error: ApiError, has_size: bool) -> ApiError {
    if has_size {
        error.hint("ask for a smaller size")
    } else {
        error.hint("ask for a size: without one it may use all that the engine gives to one")
    }
}

#[cfg(test)]
mod tests {

    use pretty_assertions::assert_eq;

    use super::*;

    fn row(cpus: Option<i64>) -> SandboxRow {
        SandboxRow {
            cpus,
            memory: cpus.map(|cpus| cpus << 30),
            ..SandboxRow::new(String::new(), String::new(), String::new(), 0)
        }
    }

    #[test]
    fn what_is_too_much_is_told_with_how_much_there_is_and_never_is_another_word_than_now() {
        const WHOLE: Counts = Counts {
            cpus: 16,
            memory: 32 << 30,
        };
        let quota = Quota {
            sandboxes: Some(3),
            cpus: Some(8),
            memory: Some(12 << 30),
        };
        let status = |rows: &[SandboxRow], size: Option<Size>| {
            let new = Counts {
                cpus: size.map_or(WHOLE.cpus, Size::cpus),
                memory: size.map_or(WHOLE.memory, Size::memory),
            };
            let fits = fits(quota, rows, WHOLE, new, size.is_some());
            fits.map_or_else(|error| error.status.as_u16(), |()| 200)
        };
        let (two, four) = (row(Some(2)), row(Some(4)));
        assert_eq!(status(&[], Some(Size::L)), 200);
        assert_eq!(status(&[two.clone(), four.clone()], Some(Size::M)), 200);
        assert_eq!(status(&[four.clone(), two.clone()], Some(Size::L)), 429);
        assert_eq!(status(&[], Some(Size::Xl)), 403, "memory alone is too much");
        assert_eq!(status(&[], None), 403, "it may use all there is");
        assert_eq!(status(&[row(None)], Some(Size::Xs)), 429);
        let three = [two.clone(), two.clone(), two];
        assert_eq!(status(&three, Some(Size::Xs)), 429);
    }
}

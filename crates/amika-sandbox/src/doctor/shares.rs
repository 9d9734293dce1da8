//! What sandboxes share although each has limits of its own: the engine's memory, and the kernel's quotas of a user.

use super::{Outcome, Report};
use crate::error::Result;
use crate::sandbox;
use crate::sandboxes::Sandboxes;
use amika_core::text::human_memory;
use amika_engine::{ContainerState, SystemFacts};

/// Adds the limits on memory of all that run, and compares them with what there is.
pub(super) async fn check_memory(
    engine: &Sandboxes,
    system: &SystemFacts,
    report: &mut Report,
) -> Result<()> {
    let running = sandbox::list_all(engine).await?;
    let running = running
        .into_iter()
        .map(|(container, _)| container)
        .filter(|container| container.state == ContainerState::Running);
    let asked = running.map(async |container| {
        // One that went away meanwhile uses none.
        let facts = engine.inspect_container(&container.id).await.ok()?;
        Some(facts.limits.memory_bytes)
    });
    let limits = crate::fan_out::in_order(asked).await.into_iter();
    let limits: Vec<Option<u64>> = limits.flatten().collect();
    let (result, message) = told(&limits, system.memory);
    let hint = (result == Outcome::Warning)
        .then_some("`amika sandbox stats` shows what each uses; stop those that you do not need, or make them with a lower `--memory`");
    report.add("memory", result, message, hint);
    Ok(())
}

/// Each sandbox may have nearly all that there is: only those that run beside each other can use it up.
fn told(limits: &[Option<u64>], engine: i64) -> (Outcome, String) {
    let engine = u64::try_from(engine).unwrap_or_default();
    let sum: u64 = limits.iter().flatten().sum();
    let lifted = limits.iter().filter(|limit| limit.is_none()).count();
    let has = human_memory(engine);
    let may = match lifted {
        0 => human_memory(sum),
        _ => "all of it".to_owned(),
    };
    match limits.len() {
        0 => (Outcome::Ok, format!("{has}, no sandbox runs")),
        1 => (
            Outcome::Ok,
            format!("{has}, of which the sandbox that runs may use {may}"),
        ),
        count if lifted > 0 => (
            Outcome::Warning,
            format!(
                "{count} sandboxes run beside each other, and {lifted} of them may use all of the engine's {has}"
            ),
        ),
        count if sum > engine && engine > 0 => (
            Outcome::Warning,
            format!(
                "{count} sandboxes run beside each other, and may use {may} together; the engine has {has}"
            ),
        ),
        count => (
            Outcome::Ok,
            format!("{has}, of which {count} running sandboxes may use {may}"),
        ),
    }
}

/// Says with whom the agents share what the kernel counts by user.
pub(super) fn check_quotas(system: &SystemFacts, report: &mut Report) {
    let message = if system.rootless || system.user_namespaces {
        "agents have users of their own here; sandboxes share their quotas of inotify, keys and signals"
    } else {
        "agents are uid 1000: they share its quotas of inotify, keys and pending signals with each other and \
         with that user of the host; `create --own-uid` does not"
    };
    report.add("quotas", Outcome::Ok, message, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_add_up_to_more_than_there_is_are_a_warning() {
        const GB: u64 = 1 << 30;
        for (limits, result, words) in [
            (&[][..], Outcome::Ok, "no sandbox runs"),
            (&[Some(3 * GB)], Outcome::Ok, "may use 3 GiB"),
            // One alone leaves the machine what its limit leaves it, and who lifted that was asked.
            (&[Some(5 * GB)], Outcome::Ok, "may use 5 GiB"),
            (&[None], Outcome::Ok, "may use all of it"),
            (
                &[Some(GB), Some(GB)],
                Outcome::Ok,
                "2 running sandboxes may use 2 GiB",
            ),
            (
                &[Some(3 * GB), Some(3 * GB)],
                Outcome::Warning,
                "may use 6 GiB together; the engine has 4 GiB",
            ),
            (
                &[Some(GB), None],
                Outcome::Warning,
                "1 of them may use all of the engine's 4 GiB",
            ),
        ] {
            let (found, message) = told(limits, 4 << 30);
            assert_eq!(found, result, "{message}");
            assert!(message.contains(words), "{message}");
        }
    }
}

//! What sandboxes may do to this machine through their `rw` mounts.

use super::{Outcome, Report};
use crate::error::Result;
use crate::sandbox;
use crate::sandboxes::Sandboxes;
use crate::{create, setid};
use amika_engine::SystemFacts;

/// Says what root of a sandbox may leave in its `rw` mounts, where it is root here.
pub(super) async fn check_root(
    engine: &Sandboxes,
    system: &SystemFacts,
    report: &mut Report,
) -> Result<()> {
    let is_podman = engine.is_podman().await?;
    let filter = create::setid_filter(system, is_podman, false);
    if let Some((result, message)) = told(engine.is_local(), &filter) {
        let hint = "an engine without root, or with `userns-remap`, makes somebody else of it";
        let hint = (result == Outcome::Warning).then_some(hint);
        report.add("set-user-id", result, message, hint);
    }
    Ok(())
}

/// What there is to say beside what root is, which is told of the engine.
fn told(is_local: bool, filter: &create::Filter) -> Option<(Outcome, String)> {
    match filter {
        // There are no `rw` mounts of this machine.
        _ if !is_local => None,
        create::Filter::NotNeeded => None,
        create::Filter::Profile(_) => Some((
            Outcome::Ok,
            "such programs, and devices, cannot be made in `rw` mounts, unless with `--allow-setid`"
                .into(),
        )),
        create::Filter::Impossible(why) => Some((
            Outcome::Warning,
            format!("such programs, and devices, can be made in `rw` mounts: {why}"),
        )),
    }
}

/// Looks for set-user-id programs that sandboxes made in their `rw` mounts.
pub(super) async fn check_programs(engine: &Sandboxes, report: &mut Report) -> Result<()> {
    const NAME: &str = "rw mounts";
    if !engine.is_local() {
        return Ok(());
    }
    let mut is_whole = true;
    let mut found = Vec::new();
    for (container, reading) in sandbox::list_all(engine).await? {
        if !engine.may_tidy(&container.labels) {
            continue;
        }
        // One that goes meanwhile is told of elsewhere.
        let Ok(facts) = engine.inspect_container(&container.id).await else {
            continue;
        };
        let created_at = reading.record.created_at.unwrap_or_default();
        let looked =
            tokio::task::spawn_blocking(move || setid::in_mounts(&facts.mounts, created_at)).await;
        for looked in looked.unwrap_or_default().into_values() {
            is_whole &= looked.is_whole;
            let files = looked.files.into_iter();
            found.extend(files.map(|file| (container.name.clone(), file)));
        }
    }
    for (sandbox, file) in &found {
        let message = format!("of sandbox \"{sandbox}\": {}", file.told());
        let hint = format!("`{}` ends that", file.remedy());
        report.add(NAME, Outcome::Warning, message, Some(&hint));
    }
    if !is_whole {
        let message = "they hold more files than are looked at for set-user-id programs";
        report.add(
            NAME,
            Outcome::Warning,
            message,
            Some("`find DIRECTORY -xdev -perm -4000` looks at all"),
        );
    } else if found.is_empty() {
        let message = "no set-user-id program was made in those of sandboxes";
        report.add(NAME, Outcome::Ok, message, None);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_may_leave_is_told_where_it_is_root_here() {
        let impossible = create::Filter::Impossible("no seccomp".into());
        let profile = create::Filter::Profile(String::new());
        for (is_local, filter, expected) in [
            (true, create::Filter::NotNeeded, None),
            (
                true,
                profile,
                Some((Outcome::Ok, "cannot be made in `rw` mounts")),
            ),
            (
                true,
                impossible.clone(),
                Some((Outcome::Warning, "no seccomp")),
            ),
            (false, impossible, None),
        ] {
            let told = told(is_local, &filter);
            let result = told.as_ref().map(|told| told.0);
            assert_eq!(result, expected.map(|expected| expected.0));
            let (_, message) = told.unwrap_or((Outcome::Ok, String::new()));
            assert!(
                message.contains(expected.map_or("", |expected| expected.1)),
                "{message}"
            );
            // What root is has a line of its own.
            assert!(!message.contains("root in"), "{message}");
        }
    }
}

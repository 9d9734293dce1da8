//! What sandboxes may do to this machine through their `rw` mounts.

use super::{Outcome, Report};
use crate::error::Result;
use crate::sandbox;
use crate::{create, setid};
use amika_engine::{Engine, SystemFacts};

/// Says whether root in a sandbox is root here, and what that means.
pub(super) async fn check_root(
    engine: &Engine,
    system: &SystemFacts,
    report: &mut Report,
) -> Result<()> {
    let is_podman = engine.is_podman().await?;
    let (result, message) = told(
        engine.is_local(),
        &create::setid_filter(system, is_podman, false),
    );
    let hint = "an engine without root, or with `userns-remap`, makes somebody else of it";
    report.add(
        "root",
        result,
        message,
        (result == Outcome::Warning).then_some(hint),
    );
    Ok(())
}

fn told(is_local: bool, filter: &create::Filter) -> (Outcome, String) {
    let is_root = "root in sandboxes is root on this machine, for what both see";
    match filter {
        _ if !is_local => (
            Outcome::Ok,
            "the engine is on another machine: sandboxes have no `rw` mounts of this one".into(),
        ),
        create::Filter::NotNeeded => (
            Outcome::Ok,
            "root in sandboxes is somebody else on this machine".into(),
        ),
        create::Filter::Profile(_) => (
            Outcome::Ok,
            format!(
                "{is_root}: what it makes in `rw` mounts is root's. Set-user-id programs and devices cannot be made \
                 there, unless with `--allow-setid`"
            ),
        ),
        create::Filter::Impossible(why) => (
            Outcome::Warning,
            format!("{is_root}, and may make set-user-id programs in `rw` mounts: {why}"),
        ),
    }
}

/// Looks for set-user-id programs that sandboxes made in their `rw` mounts.
pub(super) async fn check_programs(engine: &Engine, report: &mut Report) -> Result<()> {
    const NAME: &str = "rw mounts";
    if !engine.is_local() {
        return Ok(());
    }
    let mut is_whole = true;
    let mut found = Vec::new();
    for (container, reading) in sandbox::list_all(engine).await? {
        if !crate::may_tidy(&container.labels) {
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
    fn what_root_is_is_told_by_where_the_engine_is_and_what_it_can_do() {
        let impossible = create::Filter::Impossible("no seccomp".into());
        for (is_local, filter, result, words) in [
            (
                true,
                create::Filter::NotNeeded,
                Outcome::Ok,
                "somebody else",
            ),
            (
                true,
                create::Filter::Profile(String::new()),
                Outcome::Ok,
                "is root on this machine",
            ),
            (true, impossible.clone(), Outcome::Warning, "no seccomp"),
            (false, impossible, Outcome::Ok, "on another machine"),
        ] {
            let told = told(is_local, &filter);
            assert_eq!(told.0, result);
            assert!(told.1.contains(words), "{told:?}");
        }
    }
}

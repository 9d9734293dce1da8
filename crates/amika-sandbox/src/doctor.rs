//! What is missing, what is left over, and what to do.

mod isolation;
mod mounts;
mod shares;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use amika_core::credential::{Agent, Selection};
use amika_core::label::SandboxId;
use schemars::JsonSchema;
use serde::Serialize;

use crate::amikad::Daemon;
use crate::create;
use crate::error::{Error, Result};
use crate::leftovers::{self, Leftover, Removed};
use crate::preset::Preset;
use crate::sandbox;
use crate::sandboxes::{Sandboxes, User};
use crate::view::unreadable;
use amika_core::text::{human_size, plain_words, shell_quote};
use amika_engine::SystemFacts;
use amika_host::machine::Machine;

/// Less free space than this is worth a word: a preset image and a build need about as much.
const LOW_DISK: u64 = 8 * 1_000_000_000;

/// What `doctor` found.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Report {
    /// What was checked, in order.
    pub checks: Vec<Check>,
    /// What interrupted commands left.
    pub leftovers: Vec<Leftover>,
    /// Leftovers that `--fix` removed: they are gone.
    pub removed: Vec<String>,
    /// Leftovers that `--fix` found, and that are still there.
    pub kept: Vec<Kept>,
    /// Git volumes whose sandbox is gone; they stay.
    pub git_volumes: Vec<String>,
}

/// A leftover that turned out to be none, or could not be removed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Kept {
    /// `container`, `image`, `network` or `volume`; `directory` on this machine.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why it is still there.
    pub reason: String,
}

/// One check.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub result: Outcome,
    /// What was found.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "its documented schema is one list of words")]
pub enum Outcome {
    Ok,
    Warning,
    Failed,
}

/// What is done with leftovers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mending {
    /// Whether they are removed.
    pub fix: bool,
    /// Whether those that others may still be at are removed too.
    pub others: bool,
}

impl Report {
    /// Adds what came of a check.
    pub fn add(
        &mut self,
        name: &str,
        result: Outcome,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.checks.push(Check {
            name: name.to_owned(),
            result,
            message: plain_words(&message.into()),
            hint: hint.map(str::to_owned),
        });
    }

    /// Adds a check that failed.
    pub fn fail(&mut self, name: &str, error: &Error) {
        let message = std::iter::once(&error.message)
            .chain(&error.causes)
            .cloned()
            .collect::<Vec<_>>();
        let hint = (!error.hints.is_empty()).then(|| error.hints.join("\n"));
        self.add(name, Outcome::Failed, message.join(": "), hint.as_deref());
    }
}

/// Looks at what needs no engine.
pub fn examine_machine(user: &User, report: &mut Report) {
    let machine = user.machine();
    check_key(user, report);
    let certificates = match crate::certificates::extra_bundle(machine) {
        Some(_) => "this host trusts certificates of its own; sandboxes and builds are given them",
        None => "no certificates beyond the usual ones",
    };
    report.add("certificates", Outcome::Ok, certificates, None);
    check_credentials(machine, report);
}

impl Sandboxes {
    /// Looks at the engine and at what is on it, and removes what is left over where that is asked for. What was seen before
    /// a failure is in the report.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn examine(&self, mending: Mending, report: &mut Report) -> Result<()> {
        let engine = self;
        let system = engine.system().await?;
        report.add(
            "engine",
            Outcome::Ok,
            format!(
                "{} at {}, API {}, {}",
                system.version,
                engine.endpoint(),
                system.api_version,
                system.storage_driver
            ),
            None,
        );
        for finding in isolation::look(engine, &system).await? {
            let hint = finding.hint.as_deref();
            report.add(finding.name, finding.result, finding.message, hint);
        }
        check_disk(engine, &system, report);
        check_images(engine, &system, report).await?;
        check_networks(engine, report).await?;
        shares::check_memory(engine, &system, report).await?;
        shares::check_quotas(&system, report);
        mounts::check_root(engine, &system, report).await?;
        mounts::check_programs(engine, report).await?;
        check_labels(engine, report).await?;
        check_leftovers(engine, mending, report).await
    }
}

/// Labels of sandboxes that cannot be read, or that another container bears too.
async fn check_labels(engine: &Sandboxes, report: &mut Report) -> Result<()> {
    let mut list = sandbox::list(engine).await?;
    list.retain(|(container, _)| engine.may_tidy(&container.labels));
    let mut bearers: BTreeMap<&SandboxId, Vec<&str>> = BTreeMap::new();
    let mut is_well = true;
    for (container, reading) in &list {
        let name = &container.name;
        if reading.is_identified() {
            bearers.entry(&reading.record.id).or_default().push(name);
        }
        if !reading.problems.is_empty() {
            is_well = false;
            let message = format!("of sandbox \"{name}\": {}", unreadable(&reading.problems));
            let hint = format!(
                "`amika sandbox inspect {name}` shows what can be read, `amika sandbox delete {name}` removes it"
            );
            report.add("labels", Outcome::Warning, message, Some(&hint));
        }
    }
    for names in bearers.values().filter(|names| names.len() > 1) {
        is_well = false;
        let message = format!("{} say that they are the same sandbox", names.join(" and "));
        let hint =
            "`amika sandbox delete` of the one that you do not know takes nothing of the other's";
        report.add("labels", Outcome::Warning, message, Some(hint));
    }
    if is_well {
        let message = "those of all sandboxes can be read";
        report.add("labels", Outcome::Ok, message, None);
    }
    Ok(())
}

/// A sandbox does not start without its network.
async fn check_networks(engine: &Sandboxes, report: &mut Report) -> Result<()> {
    let gone = crate::networks::gone(engine).await?;
    let outdated = crate::networks::outdated(engine).await?;
    for (network, differs) in &outdated {
        let message = format!("\"{network}\" has {differs}");
        let hint = format!(
            "stop the sandboxes on it, then `docker network rm {}`: it is made again when one starts",
            shell_quote(network)
        );
        report.add("networks", Outcome::Warning, message, Some(&hint));
    }
    if gone.is_empty() && outdated.is_empty() {
        let message = "those that sandboxes are on are there, or are made when one starts";
        report.add("networks", Outcome::Ok, message, None);
    }
    for (network, sandboxes) in gone {
        let message = format!(
            "\"{network}\" was removed, which {} would start on",
            sandboxes.join(", ")
        );
        let hint = format!(
            "`docker network create {}` makes it again",
            shell_quote(&network)
        );
        report.add("networks", Outcome::Warning, message, Some(&hint));
    }
    Ok(())
}

fn check_key(user: &User, report: &mut Report) {
    match user.key() {
        Ok(_) => report.add(
            "key",
            Outcome::Ok,
            "the key to sandboxes' daemons is readable",
            None,
        ),
        Err(error) => report.fail("key", &error),
    }
}

/// Which agents a new sandbox signs in, and which files are there and cannot be copied.
fn check_credentials(machine: &Machine, report: &mut Report) {
    let plan = create::find_credentials(&machine.home_dir(), &Selection::all(), &[]);
    let unusable: Vec<String> = plan
        .skipped
        .iter()
        .filter(|(_, why)| why.is_warning())
        .map(|(file, why)| format!("~/{} is not copied: {why}", file.path))
        .collect();
    if !unusable.is_empty() {
        let hint = Some("`amika credentials list` shows all that is looked for");
        report.add("credentials", Outcome::Warning, unusable.join("; "), hint);
        return;
    }
    let agents: BTreeSet<Agent> = plan.take.iter().map(|file| file.agent).collect();
    let names: Vec<&str> = agents.iter().map(|agent| agent.as_str()).collect();
    let message = if names.is_empty() {
        "no sign-in on this machine: sign in within each sandbox".to_owned()
    } else {
        format!("a new sandbox gets those of {}", names.join(", "))
    };
    report.add("credentials", Outcome::Ok, message, None);
}

fn check_disk(engine: &Sandboxes, system: &SystemFacts, report: &mut Report) {
    if !engine.is_local() {
        return;
    }
    let Ok(stat) = rustix::fs::statvfs(system.root_dir.as_str()) else {
        return;
    };
    let free = stat.f_bavail * stat.f_frsize;
    let message = format!("{} free for {}", human_size(free), system.root_dir);
    if free < LOW_DISK {
        let hint = "`amika image prune` and `docker system prune` make room";
        report.add("disk", Outcome::Warning, message, Some(hint));
    } else {
        report.add("disk", Outcome::Ok, message, None);
    }
}

async fn check_images(engine: &Sandboxes, system: &SystemFacts, report: &mut Report) -> Result<()> {
    let daemon = match Daemon::for_architecture(&system.architecture) {
        Ok(daemon) => daemon,
        Err(error) => {
            report.fail("amikad", &error);
            return Ok(());
        }
    };
    report.add(
        "amikad",
        Outcome::Ok,
        format!("carried for {}", system.architecture),
        None,
    );
    let image = Preset::Coder.reference(&Preset::Coder.fingerprint(daemon.fingerprint()));
    match engine.inspect_image(&image).await? {
        Some(_) => report.add("image", Outcome::Ok, format!("{image} is there"), None),
        None => report.add(
            "image",
            Outcome::Warning,
            format!("{image} is not there; the first create builds it, in a few minutes"),
            Some("`amika image build` builds it now"),
        ),
    }
    Ok(())
}

async fn check_leftovers(engine: &Sandboxes, mending: Mending, report: &mut Report) -> Result<()> {
    report.git_volumes = leftovers::git_volumes_without_sandbox(engine).await?;
    // Those that had their time: found, and removed.
    let mut old = (0, 0);
    for leftover in leftovers::find(engine).await? {
        if !mending.fix {
            old.0 += usize::from(leftover.had_its_time());
            report.leftovers.push(leftover);
            continue;
        }
        if leftover.others && !mending.others {
            report.kept.push(Kept {
                kind: leftover.kind,
                name: leftover.name,
                reason: format!(
                    "{}; `amika doctor --fix --others` removes it",
                    leftover.reason
                ),
            });
            continue;
        }
        match Box::pin(leftovers::remove(engine, &leftover)).await? {
            Removed::Gone => {
                old.1 += usize::from(leftover.had_its_time());
                report.removed.push(leftover.name);
            }
            Removed::Kept(reason) => report.kept.push(Kept {
                kind: leftover.kind,
                name: leftover.name,
                reason,
            }),
        }
    }
    let (result, message) = told(
        report.leftovers.len() - old.0,
        report.removed.len() - old.1,
        report.kept.len(),
        old,
    );
    let hint = (!report.leftovers.is_empty()).then_some("`amika doctor --fix` removes them");
    report.add("leftovers", result, message, hint);
    Ok(())
}

/// What the check says of so many leftovers that are left alone, removed, and still there; `old` are those
/// that had their time, found and removed.
fn told(found: usize, removed: usize, kept: usize, old: (usize, usize)) -> (Outcome, String) {
    let (result, interrupted) = match (found, removed, kept) {
        (0, 0, 0) if old == (0, 0) => (Outcome::Ok, "nothing that was interrupted".into()),
        (0, 0, 0) => (Outcome::Ok, String::new()),
        (0, removed, 0) => (
            Outcome::Ok,
            format!("{removed} from interrupted commands removed"),
        ),
        (0, removed, kept) => (
            Outcome::Warning,
            format!("{removed} from interrupted commands removed, {kept} still there"),
        ),
        (found, ..) => (
            Outcome::Warning,
            format!("{found} from interrupted commands"),
        ),
    };
    let unused = match old {
        (0, 0) => String::new(),
        (0, removed) => format!("{removed} that no sandbox uses removed"),
        (found, _) => format!("{found} that no sandbox uses"),
    };
    let parts = [interrupted, unused];
    let parts: Vec<String> = parts.into_iter().filter(|it| !it.is_empty()).collect();
    let result = if old.0 > 0 { Outcome::Warning } else { result };
    (result, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_of_leftovers_agrees_with_the_list_below_it() {
        let (ok, warning) = (Outcome::Ok, Outcome::Warning);
        let none = (0, 0);
        for (counts, old, result, message) in [
            ((0, 0, 0), none, ok, "nothing that was interrupted"),
            ((2, 0, 0), none, warning, "2 from interrupted commands"),
            ((0, 1, 0), none, ok, "1 from interrupted commands removed"),
            (
                (0, 1, 2),
                none,
                warning,
                "1 from interrupted commands removed, 2 still there",
            ),
            ((0, 0, 0), (1, 0), warning, "1 that no sandbox uses"),
            ((0, 0, 0), (0, 3), ok, "3 that no sandbox uses removed"),
            (
                (2, 0, 0),
                (1, 0),
                warning,
                "2 from interrupted commands, 1 that no sandbox uses",
            ),
        ] {
            let (found, removed, kept) = counts;
            let expected = (result, message.to_owned());
            assert_eq!(
                told(found, removed, kept, old),
                expected,
                "{counts:?} {old:?}"
            );
        }
    }
}

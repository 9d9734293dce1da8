//! `amika doctor`: what is missing, what is left over, and what to do.

mod isolation;
mod mounts;
mod shares;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use amika_core::credential::{Agent, Selection};
use amika_core::label::SandboxId;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::amikad::Daemon;
use crate::args::DoctorArgs;
use crate::create;
use crate::error::{Error, Kind, Result};
use crate::leftovers::{self, Leftover, Removed};
use crate::output::{Page, fill, room};
use crate::preset::Preset;
use crate::sandbox;
use crate::sandboxes::Sandboxes;
use crate::sandboxes::User;
use crate::view::unreadable;
use amika_core::text::{human_size, plain_words, shell_quote};
use amika_engine::{SocketRights, SystemFacts};
use amika_host::machine::Machine;

/// Less free space than this is worth a word: a preset image and a build need about as much.
const LOW_DISK: u64 = 8 * 1_000_000_000;

/// Columns before the message of a check: its mark and name.
const MESSAGE: usize = 16;

/// What to do where no engine answers.
const NO_ENGINE: &str = "start it: `sudo systemctl start docker` or `sudo service docker start`\n\
     or install one: `sudo apt-get install docker.io`\n\
     or choose another: DOCKER_HOST, or `docker context use`";

/// What `doctor` found.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Report {
    /// What was checked, in order.
    checks: Vec<Check>,
    /// What interrupted commands left.
    leftovers: Vec<Leftover>,
    /// Leftovers that `--fix` removed: they are gone.
    removed: Vec<String>,
    /// Leftovers that `--fix` found, and that are still there.
    kept: Vec<Kept>,
    /// Git volumes whose sandbox is gone; they stay.
    git_volumes: Vec<String>,
}

/// A leftover that turned out to be none, or could not be removed.
#[derive(Debug, Serialize, JsonSchema)]
struct Kept {
    /// `container`, `image`, `network` or `volume`; `directory` on this machine.
    kind: String,
    /// Its name.
    name: String,
    /// Why it is still there.
    reason: String,
}

/// One check.
#[derive(Debug, Serialize, JsonSchema)]
struct Check {
    /// What was looked at.
    name: String,
    /// How it is.
    result: Outcome,
    /// What was found.
    message: String,
    /// What to do.
    hint: Option<String>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    Warning,
    Failed,
}

impl Report {
    fn add(&mut self, name: &str, result: Outcome, message: impl Into<String>, hint: Option<&str>) {
        self.checks.push(Check {
            name: name.to_owned(),
            result,
            message: plain_words(&message.into()),
            hint: hint.map(str::to_owned),
        });
    }

    fn fail(&mut self, name: &str, error: &Error) {
        let message = std::iter::once(&error.message)
            .chain(&error.causes)
            .cloned()
            .collect::<Vec<_>>();
        let hint = (!error.hints.is_empty()).then(|| error.hints.join("\n"));
        self.add(name, Outcome::Failed, message.join(": "), hint.as_deref());
    }
}

pub(super) async fn run(args: &DoctorArgs, app: &App) -> Result<()> {
    let mut report = Report::default();
    let failure = examine(args, app, &mut report).await.err();
    let failed = report
        .checks
        .iter()
        .any(|check| check.result == Outcome::Failed);
    let error = match failure {
        Some(error) => error,
        None if failed => Error::new(Kind::Failure, "something is missing"),
        None => {
            return app
                .out
                .result(&report, |out| write_text(&report, args.fix, room(), out));
        }
    };
    if app.out.is_json() {
        return Err(error.detail("report", serde_json::to_value(&report).unwrap_or_default()));
    }
    app.out
        .result(&report, |out| write_text(&report, args.fix, room(), out))?;
    // The checks above have said why and what to do.
    Err(Error::new(error.kind, error.message))
}

async fn examine(args: &DoctorArgs, app: &App, report: &mut Report) -> Result<()> {
    let machine = &app.machine;
    check_key(&app.user, report);
    let certificates = match crate::certificates::extra_bundle(machine) {
        Some(_) => "this host trusts certificates of its own; sandboxes and builds are given them",
        None => "no certificates beyond the usual ones",
    };
    report.add("certificates", Outcome::Ok, certificates, None);
    check_credentials(machine, report);
    let has_rights = check_socket(machine, report);
    let engine = match crate::engine::connect(&app.user).await.map_err(Error::from) {
        Ok(engine) => engine,
        Err(mut error) => {
            // The hint of other commands leads here.
            if error.kind == Kind::EngineUnreachable {
                error.hints = if has_rights {
                    vec![NO_ENGINE.into()]
                } else {
                    Vec::new()
                };
            }
            report.fail("engine", &error);
            return Err(error);
        }
    };
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
    for finding in isolation::look(&engine, &system).await? {
        let hint = finding.hint.as_deref();
        report.add(finding.name, finding.result, finding.message, hint);
    }
    check_disk(&engine, &system, report);
    check_images(&engine, &system, report).await?;
    check_networks(&engine, report).await?;
    shares::check_memory(&engine, &system, report).await?;
    shares::check_quotas(&system, report);
    mounts::check_root(&engine, &system, report).await?;
    mounts::check_programs(&engine, report).await?;
    check_labels(&engine, report).await?;
    check_leftovers(&engine, args, report).await
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

/// Whether this user may use the engine's socket, as far as that can be told without an engine.
fn check_socket(machine: &Machine, report: &mut Report) -> bool {
    // What cannot be made out here is told by the check of the engine.
    let Ok(endpoint) = crate::engine::endpoint(machine) else {
        return true;
    };
    let (Some(path), Some(rights)) = (endpoint.socket(), endpoint.socket_rights()) else {
        return true;
    };
    match rights {
        SocketRights::Granted => {
            let message = format!("this user may use {}", path.display());
            report.add("socket", Outcome::Ok, message, None);
            true
        }
        SocketRights::Refused(way_in) => {
            let message = format!("this user may not use {}", path.display());
            report.add("socket", Outcome::Failed, message, Some(&way_in));
            false
        }
    }
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

async fn check_leftovers(engine: &Sandboxes, args: &DoctorArgs, report: &mut Report) -> Result<()> {
    report.git_volumes = leftovers::git_volumes_without_sandbox(engine).await?;
    // Those that had their time: found, and removed.
    let mut old = (0, 0);
    for leftover in leftovers::find(engine).await? {
        if !args.fix {
            old.0 += usize::from(leftover.had_its_time());
            report.leftovers.push(leftover);
            continue;
        }
        if leftover.others && !args.others {
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
        match leftovers::remove(engine, &leftover).await? {
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

fn write_text(
    report: &Report,
    fixed: bool,
    room: Option<usize>,
    out: &mut Page<'_>,
) -> std::io::Result<()> {
    use anstyle::AnsiColor;
    let say = |out: &mut Page<'_>, indent: &str, text: &str, hanging: usize| {
        let lines = match room {
            Some(room) => fill(text, room.saturating_sub(hanging)),
            None => vec![text.to_owned()],
        };
        for (at, line) in lines.iter().enumerate() {
            if at == 0 {
                writeln!(out, "{indent}{line}")?;
            } else {
                writeln!(out, "{:hanging$}{line}", "")?;
            }
        }
        Ok::<(), std::io::Error>(())
    };
    for check in &report.checks {
        let (style, mark) = match check.result {
            Outcome::Ok => (AnsiColor::Green.on_default(), '✓'),
            Outcome::Warning => (AnsiColor::Yellow.on_default(), '!'),
            Outcome::Failed => (AnsiColor::Red.on_default(), '✗'),
        };
        out.styled(style, mark)?;
        let title = format!(" {:<13} ", check.name);
        say(out, &title, &check.message, MESSAGE)?;
        for hint in check.hint.iter().flat_map(|hint| hint.lines()) {
            say(out, &" ".repeat(MESSAGE), hint, MESSAGE)?;
        }
    }
    for leftover in &report.leftovers {
        let text = format!("{} {}: {}", leftover.kind, leftover.name, leftover.reason);
        say(out, "    ", &text, 6)?;
    }
    if fixed {
        for name in &report.removed {
            say(out, "    ", &format!("removed {name}"), 6)?;
        }
        for kept in &report.kept {
            let text = format!("kept {} {}: {}", kept.kind, kept.name, kept.reason);
            say(out, "    ", &text, 6)?;
        }
    }
    for volume in &report.git_volumes {
        let text = format!(
            "git volume {volume} has no sandbox any more; `amika volume delete {}` removes it and the work in it",
            shell_quote(volume)
        );
        say(out, "  ", &text, 4)?;
    }
    Ok(())
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

    #[test]
    fn on_a_narrow_terminal_lines_are_wrapped_beneath_their_beginning() {
        let mut report = Report::default();
        let message = "2 from interrupted commands, which nobody needs";
        let hint = "`amika doctor --fix` removes them";
        report.add("leftovers", Outcome::Ok, message, Some(hint));
        report.git_volumes = vec!["amika-git-teal-tokyo-app-20261122101940a311".into()];
        let written = |room| {
            let mut out = Vec::new();
            write_text(&report, false, room, &mut Page::text(&mut out))
                .expect("a vector takes everything");
            anstream::adapter::strip_str(&String::from_utf8(out).expect("text")).to_string()
        };
        assert_eq!(written(None).lines().count(), 3);
        assert_eq!(
            written(Some(50)),
            "✓ leftovers     2 from interrupted commands, which\n                \
             nobody needs\n                \
             `amika doctor --fix` removes them\n  \
             git volume\n    \
             amika-git-teal-tokyo-app-20261122101940a311\n    \
             has no sandbox any more; `amika volume delete\n    \
             amika-git-teal-tokyo-app-20261122101940a311`\n    \
             removes it and the work in it\n"
        );
    }
}

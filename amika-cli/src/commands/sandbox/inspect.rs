//! `amika sandbox inspect`.

use std::time::Duration;

use amika_core::contract::service::{DOCKERD, OPENCODE};
use amika_core::settings::Origin;
use amika_core::untrusted::Untrusted;
use amika_core::wire::{Activity, Head, OutOfMemory, Reason, ServiceState};
use serde::Serialize;

use crate::App;
use crate::args::sandbox::InspectArgs;
use crate::error::Result;
pub(super) use crate::inspect::InspectView;
use crate::inspect::{Beginning, Seccomp};
use crate::output::Page;
use crate::overlay::Role;
use crate::trust::Trust;
use crate::view::{self, PortView};
use amika_core::text::{human_age, shell_quote};

pub(super) async fn run(args: &InspectArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let mut view = engine.inspect(&args.name).await?;
    if !args.show_secrets {
        view.hide_secrets();
    }
    app.out.result(&view, |out| write_text(&view, out))
}

fn write_text(view: &InspectView, out: &mut Page<'_>) -> std::io::Result<()> {
    let mut line = |label: &str, value: &str| {
        if value.is_empty() {
            Ok(())
        } else {
            writeln!(out, "{label:<14}{}", Untrusted::new(value).within(VALUE))
        }
    };
    let base = &view.sandbox;
    line("Name", &base.name)?;
    line("State", base.state.word())?;
    if let Some(code) = base.exit_code {
        line("Exit code", &code.to_string())?;
    }
    line("Created", &base.created_at.map(created).unwrap_or_default())?;
    let origins = view.origins.as_ref();
    let decided = |origin: Option<Origin>| {
        let origin = origin.map(|origin| format!(" ({origin})"));
        origin.unwrap_or_default()
    };
    let origin = decided(origins.map(|origins| origins.image));
    line("Image", &format!("{}{origin}", base.image))?;
    if let Some(repository) = &base.repository {
        line("Repository", &repository.name)?;
        line("  from", repository.source.as_deref().unwrap_or_default())?;
        let began_on = repository.branch.as_deref().unwrap_or("(detached)");
        match repository.head.as_ref().map(Head::short) {
            Some(now) if now != began_on => {
                line("  branch", &format!("{now} (began on {began_on})"))?;
            }
            _ => line("  branch", began_on)?,
        }
        let began_with = view.began_with.as_ref().map(Beginning::words);
        line("  commit", &began_with.unwrap_or_default())?;
    }
    line("Directory", view.agent_cwd.as_deref().unwrap_or_default())?;
    line("User", view.user.as_deref().unwrap_or("root"))?;
    // What anybody may have written is told as such.
    let is_foreign = !view.record.follows_host_paths();
    let claimed = |path: &str, is_claimed: bool| {
        if is_claimed {
            format!("{} (claimed)", view::foreign_text(path))
        } else {
            path.to_owned()
        }
    };
    if let Some(script) = &view.setup_script {
        let origin = decided(origins.map(|origins| origins.setup_script));
        let script = claimed(script, is_foreign);
        line("Setup script", &format!("{script}{origin}"))?;
    }
    let words: Vec<String> = view.cmd.iter().map(|word| shell_quote(word)).collect();
    line("CMD", &words.join(" "))?;
    let told = view
        .status
        .as_ref()
        .or(view.last_boot.as_ref().map(|boot| &boot.status));
    if let Some(setup) = told.map(|status| &status.setup) {
        let code = setup
            .exit_code
            .map(|code| format!(" (exit code {code})"))
            .unwrap_or_default();
        line("Setup", &format!("{}{code}", word(&setup.state)))?;
    }
    line(
        "Activity",
        &view
            .activity
            .as_ref()
            .map(activity_words)
            .unwrap_or_default(),
    )?;
    let memory = told.map(|status| status.out_of_memory).unwrap_or_default();
    line("Out of memory", &memory_words(memory))?;
    for port in &base.ports {
        let url = port
            .url
            .as_deref()
            .map(|url| format!("  {url}"))
            .unwrap_or_default();
        let service = port
            .service
            .as_deref()
            .map(|name| format!("  {name}"))
            .unwrap_or_default();
        line("Port", &format!("{}{service}{url}", PortView::arrow(port)))?;
    }
    let services = view.status.as_ref().map(|status| &status.services);
    let server = services.and_then(|services| services.get(OPENCODE));
    match (&view.opencode, server) {
        (Some(opencode), _) => {
            line("OpenCode", opencode.url.as_deref().unwrap_or_default())?;
            line("  user name", &opencode.username)?;
            let password = opencode.password.as_deref();
            line(
                "  password",
                password.unwrap_or("(--show-secrets shows it)"),
            )?;
            let state = server.map(|server| word(&server.state));
            line("  state", &state.unwrap_or_default())?;
        }
        (None, Some(server)) if server.enabled && server.state == ServiceState::Off => {
            line("OpenCode", "off (not installed)")?;
        }
        (None, Some(server)) => line("OpenCode", &word(&server.state))?,
        (None, None) => {}
    }
    if let Some(engine) = services.and_then(|services| services.get(DOCKERD))
        && engine.enabled
    {
        let why = (engine.last_exit.as_ref()).filter(|_| engine.state != ServiceState::Ready);
        let why = why.map(|why| format!(" ({})", Untrusted::new(why)));
        let state = word(&engine.state);
        line(
            "Docker inside",
            &format!("{state}{}", why.unwrap_or_default()),
        )?;
    }
    let agents: Vec<&str> = view
        .credentials
        .iter()
        .map(|agent| agent.as_str())
        .collect();
    line("Credentials", &agents.join(", "))?;
    for mount in &view.mounts {
        let mode = if mount.writable { "rw" } else { "ro" };
        let (kind, source) = match (&mount.holds, &mount.copy_of) {
            (_, Some(path)) => ("copy".to_owned(), path),
            (Some(kind), None) => (kind.to_string(), &mount.source),
            (None, None) => match mount.over {
                Some(Role::Protects) => ("protected".to_owned(), &mount.source),
                Some(Role::HoldsInPlace) => ("held in place".to_owned(), &mount.source),
                None => (mount.kind.clone(), &mount.source),
            },
        };
        line(
            "Mount",
            &format!(
                "{} -> {} ({kind}, {mode})",
                claimed(source, mount.claimed),
                mount.target
            ),
        )?;
    }
    if !view.services.is_empty() {
        let origin = decided(origins.map(|origins| origins.services));
        let names: Vec<String> = (view.services.iter())
            .map(|name| {
                let state = services.and_then(|services| services.get(name));
                let state = state.map(|service| format!(" ({})", word(&service.state)));
                format!("{}{}", Untrusted::new(name), state.unwrap_or_default())
            })
            .collect();
        line("Services", &format!("{}{origin}", names.join(", ")))?;
    }
    for (name, origin) in origins.iter().flat_map(|origins| &origins.env) {
        line("Variable", &format!("{name} ({origin})"))?;
    }
    let limits = origins.map(|origins| origins.limits);
    line("Limits", &crate::view::limits(&view.limits, limits))?;
    line("Seccomp", seccomp_words(view.seccomp))?;
    line("Cap added", &view.capabilities.added.join(", "))?;
    line("Cap dropped", &view.capabilities.dropped.join(", "))?;
    line("Record", record_words(view.record))?;
    for label in &view.unreadable_labels {
        line("Record", &format!("labels cannot be read: {label}"))?;
    }
    line("Network", view.network.as_deref().unwrap_or_default())?;
    line("Container", &view.container)
}

/// What is told of a profile, where it is not the engine's own.
fn seccomp_words(seccomp: Seccomp) -> &'static str {
    match seccomp {
        Seccomp::Default => "",
        Seccomp::NoSetid => "no set-user-id programs, no devices",
        Seccomp::Unconfined => "unconfined",
        Seccomp::Other => "a profile of its own",
    }
}

/// Characters of a value that are shown: the longest path that Linux opens.
const VALUE: usize = 4096;
/// Whose the record is, for people; nothing where there is nothing to wonder at.
fn record_words(record: Trust) -> &'static str {
    match record {
        Trust::Signed => "",
        Trust::Adopted => "adopted",
        Trust::Foreign => {
            "foreign: not signed with your key, no path of this machine that it names is followed"
        }
    }
}

/// Whether it is at work, for people.
fn activity_words(activity: &Activity) -> String {
    if activity.active_because.is_empty() {
        let idle = human_age(Duration::from_millis(activity.idle_ms));
        return format!("idle for {idle}");
    }
    let reasons = activity.active_because.iter();
    let reasons: Vec<&str> = reasons.copied().map(reason_words).collect();
    format!("active: {}", reasons.join(", "))
}

fn reason_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Setup => "setup runs",
        Reason::Turn => "an agent is at work",
        Reason::Job => "a job runs",
        Reason::Input => "somebody types",
        Reason::Request => "somebody uses OpenCode",
        Reason::Tunnel => "a forwarded port is used",
        Reason::Cpu => "programs use the processor",
        Reason::Network => "programs use the network",
    }
}

/// What the kernel ended for want of memory, for people; nothing where it ended nothing.
fn memory_words(memory: OutOfMemory) -> String {
    let what = match memory.kills {
        0 => return String::new(),
        1 => "a process".to_owned(),
        kills => format!("{kills} processes"),
    };
    let last = memory.last_at.map(created).unwrap_or_default();
    format!("the kernel ended {what} in this boot, last at {last}")
}

/// When something was, and how long ago that is.
fn created(at: u64) -> String {
    let time = i64::try_from(at)
        .ok()
        .map(jiff::Timestamp::from_millisecond);
    let Some(Ok(time)) = time else {
        return String::new();
    };
    let time = time.strftime("%Y-%m-%dT%H:%M:%SZ");
    let age = Duration::from_millis(amika_host::clock::now_millis().saturating_sub(at));
    format!("{time} ({} ago)", human_age(age))
}

/// The word that JSON has for a value.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_in_words() {
        let activity = |idle_ms, because: &[Reason]| Activity {
            last_active_at: 0,
            idle_ms,
            active_because: because.to_vec(),
        };
        assert_eq!(activity_words(&activity(185_000, &[])), "idle for 3m 05s");
        assert_eq!(
            activity_words(&activity(0, &[Reason::Turn, Reason::Cpu])),
            "active: an agent is at work, programs use the processor"
        );
    }

    #[test]
    fn want_of_memory_is_told_where_there_was_one() {
        let memory = |kills| OutOfMemory {
            kills,
            last_at: Some(1_795_336_329_001),
        };
        assert_eq!(memory_words(memory(0)), "");
        let told = memory_words(memory(2));
        assert!(
            told.starts_with(
                "the kernel ended 2 processes in this boot, last at 2026-11-22T08:32:09Z ("
            ),
            "{told}"
        );
    }

    #[test]
    fn the_time_of_making_is_told_with_its_age() {
        let told = created(1_795_336_329_001);
        assert!(told.starts_with("2026-11-22T08:32:09Z ("), "{told}");
        assert!(told.ends_with(" ago)"), "{told}");
        assert_eq!(created(u64::MAX), "");
    }
}

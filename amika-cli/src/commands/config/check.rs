//! `amika config check`: needs no engine.

use amika_core::config::report::Report;
use amika_core::config::{self, ConfiguredMount, RepoFile};
use amika_core::diagnostic::Severity;
use amika_core::untrusted::Untrusted;

use super::file::File;
use crate::App;
use crate::args::config::CheckArgs;
use crate::error::{Error, Kind, Result};
use crate::output::{Page, Table};

/// Says what the configuration means; the exit code tells whether all of it applies.
pub(super) fn run(args: &CheckArgs, app: &App) -> Result<u8> {
    let cwd = std::env::current_dir().map_err(|error| {
        Error::new(Kind::Failure, "the current directory cannot be read").caused_by(&error)
    })?;
    let file = File::find(args.path.as_deref(), &cwd)?;
    let bytes = file.read()?;
    let text = String::from_utf8_lossy(&bytes);
    let shown = file.path.display().to_string();
    let parsed = config::parse_bytes(&bytes);
    let mut report = Report::new(&parsed);
    let mut findings = match &parsed {
        Ok(parsed) => parsed.warnings.clone(),
        Err(errors) => errors.clone(),
    };
    if let Ok(parsed) = &parsed {
        let scripts = parsed.config.lifecycle.scripts();
        let scripts = scripts.map(|(key, script)| (key.as_str(), script, true));
        let dockerfile = parsed.config.sandbox.dockerfile();
        let dockerfile = dockerfile.map(|it| ("dockerfile", &it.file, false));
        for (key, named, is_run) in scripts.chain(dockerfile) {
            if let RepoFile::Path(named) = named
                && let Some(problem) = file.check_named(&text, key, named, is_run)
            {
                report.refuse(&problem);
                findings.push(problem);
            }
        }
        for mount in &parsed.config.sandbox.mounts {
            if let ConfiguredMount::Mount(mount) = mount
                && let Some(problem) = file.check_mount(&text, mount)
            {
                report.refuse(&problem);
                findings.push(problem);
            }
        }
    }
    findings.sort_by_key(|finding| finding.span.start);
    for finding in &findings {
        app.out.diagnostic(&shown, &text, finding);
    }
    let refused = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    app.out
        .result(&report, |out| write_text(&shown, &report, refused, out))?;
    Ok(if report.valid {
        0
    } else {
        crate::output::exit_code(Kind::Invalid)
    })
}

fn write_text(
    path: &str,
    report: &Report,
    refused: bool,
    out: &mut Page<'_>,
) -> std::io::Result<()> {
    let verdict = match (report.valid, refused) {
        (true, _) => "valid",
        (false, true) => "not valid: `sandbox create --git` refuses it",
        (false, false) => "not valid: a part of it is ignored",
    };
    writeln!(out, "{}: {verdict}", Untrusted::new(path))?;
    let mut line = |label: &str, value: Option<String>| match value {
        Some(value) => writeln!(out, "  {label:<14}{}", Untrusted::new(&value)),
        None => Ok(()),
    };
    line("setup script", report.lifecycle.setup_script.clone())?;
    let once = report.lifecycle.setup_once.as_ref().map(|files| {
        let also = if files.is_empty() { "" } else { ", or " };
        format!("until it changes{also}{}", files.join(", "))
    });
    line("run once", once)?;
    line("start script", report.lifecycle.start_script.clone())?;
    line("preset", report.sandbox.preset.clone())?;
    line("image", report.sandbox.image.clone())?;
    line("dockerfile", report.sandbox.dockerfile.clone())?;
    for (key, value) in &report.sandbox.build_args {
        line("build arg", Some(format!("{key}={value}")))?;
    }
    for mount in &report.sandbox.mounts {
        line("mount", Some(mount.clone()))?;
    }
    line("opencode", report.sandbox.opencode.map(str::to_owned))?;
    let limits = &report.sandbox.limits;
    line("cpus", limits.cpus.map(|cpus| cpus.to_string()))?;
    line("memory", limits.memory.map(|memory| memory.to_string()))?;
    line("processes", limits.pids.map(|pids| pids.to_string()))?;
    for (key, value) in &report.env {
        line("environment", Some(format!("{key}={value}")))?;
    }
    for (key, secret) in &report.secret_env {
        line("secret", Some(format!("{key} is {secret}")))?;
    }
    if report.services.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["SERVICE", "PORT", "URL"]);
    for service in &report.services {
        if service.ports.is_empty() {
            table.row(vec![service.name.clone(), String::new(), String::new()]);
        }
        for port in &service.ports {
            let scheme = port.url_scheme.map(|scheme| scheme.as_str().to_owned());
            table.row(vec![
                service.name.clone(),
                port.container.to_string(),
                scheme.unwrap_or_default(),
            ]);
        }
    }
    table.write(out)
}

//! `amika doctor`: what is missing, what is left over, and what to do.

use crate::App;
use crate::args::DoctorArgs;
pub(super) use crate::doctor::Report;
use crate::doctor::{Mending, Outcome, examine_machine};
use crate::error::{Error, Kind, Result};
use crate::output::{Page, fill, room};
use amika_core::text::shell_quote;
use amika_engine::SocketRights;
use amika_host::machine::Machine;

/// Columns before the message of a check: its mark and name.
const MESSAGE: usize = 16;

/// What to do where no engine answers.
const NO_ENGINE: &str = "start it: `sudo systemctl start docker` or `sudo service docker start`\n\
     or install one: `sudo apt-get install docker.io`\n\
     or choose another: DOCKER_HOST, or `docker context use`";

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
    examine_machine(&app.user, report);
    let has_rights = check_socket(&app.machine, report);
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
    let mending = Mending {
        fix: args.fix,
        others: args.others,
    };
    engine.examine(mending, report).await
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

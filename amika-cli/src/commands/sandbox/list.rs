//! `amika sandbox list`.

use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::Value;

use crate::App;
use crate::args::filter::{self, Filter, Key};
use crate::args::sandbox::ListArgs;
use crate::commands::schema::{Output, document_or_lines};
use crate::commands::{follow, interruptible};
use crate::error::{Error, Kind, Result};
use crate::list::{ListRequest, Listed};
use crate::output::{Cell, Page, Table};
use crate::sandbox::State;
use crate::view::{PortView, RepositoryView, SandboxView};
use amika_core::text::{human_age, human_memory, human_size, short_age};
use amika_core::untrusted::Untrusted;

/// What it prints.
pub(super) fn output() -> Output {
    document_or_lines::<Vec<Listed>, Vec<Listed>>()
}

pub(super) async fn run(args: &ListArgs, app: &App) -> Result<u8> {
    let states = State::ALL.map(State::key);
    is_known(&args.filter, &states)?;
    let request = ListRequest {
        ask_own_alone: false,
        details: args.long,
        // Only the document says where OpenCode is.
        ask_all: app.out.is_json(),
        ask_heads: needs_heads(args, app),
    };
    if args.watch {
        return follow(app, watch(args, request, app)).await;
    }
    let once = interruptible(app, async {
        let engine = crate::engine::connect(&app.user).await?;
        let rows = meant(engine.list(request, &app.out).await?, args);
        app.out.result(&rows, |out| write(&rows, args, app, out))
    });
    once.await.map(|()| 0)
}

/// Whether anything that is told goes by where repositories are now: names alone do not, and each sandbox is asked for it.
fn needs_heads(args: &ListArgs, app: &App) -> bool {
    let by_branch = args.filter.iter().any(|filter| filter.key == Key::Branch);
    by_branch || app.out.is_json() || !app.out.is_quiet()
}

async fn watch(args: &ListArgs, request: ListRequest, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let mut lists = engine.watch_list(request, Arc::new(app.out.clone()));
    let mut shown = Shown::default();
    while let Some(rows) = lists.next().await.transpose()? {
        let rows = meant(rows, args);
        if !shown.show(&rows, app, |out| write(&rows, args, app, out))? {
            break;
        }
    }
    Ok(())
}

/// What is shown anew when it has changed.
#[derive(Default)]
pub(in crate::commands) struct Shown(Value);

impl Shown {
    /// Shows this unless it is what was shown last; false when nobody reads any more.
    pub(in crate::commands) fn show<T: Serialize>(
        &mut self,
        value: &T,
        app: &App,
        human: impl FnOnce(&mut Page<'_>) -> std::io::Result<()>,
    ) -> Result<bool> {
        let now = serde_json::to_value(value)
            .map_err(|error| Error::new(Kind::Failure, "the list is no JSON").caused_by(&error))?;
        if self.0 == now {
            return Ok(true);
        }
        self.0 = now;
        if app.out.is_json() {
            app.out.item(value, human)
        } else {
            app.out.screen(human)
        }
    }
}

/// Refuses a state that nothing ever has.
///
/// # Errors
/// [`Kind::Invalid`]
pub(in crate::commands) fn is_known(filters: &[Filter], states: &[&str]) -> Result<()> {
    let Some(unknown) = filter::unknown_state(filters, states) else {
        return Ok(());
    };
    let message = format!("there is no state \"{}\"", Untrusted::new(unknown));
    Err(Error::new(Kind::Invalid, message).hint(format!("states are {}", states.join(", "))))
}

/// Names alone, one a line.
pub(in crate::commands) fn names<'a>(
    names: impl IntoIterator<Item = &'a str>,
    out: &mut Page<'_>,
) -> std::io::Result<()> {
    for name in names {
        writeln!(out, "{name}")?;
    }
    Ok(())
}

/// The columns of every list of sandboxes; REPO and BRANCH may be cut.
pub(in crate::commands) const COLUMNS: [&str; 7] =
    ["NAME", "STATE", "REPO", "BRANCH", "PORTS", "URL", "CREATED"];

/// Those that `--long` adds.
pub(in crate::commands) const LONG: [&str; 6] =
    ["CHANGES", "IDLE", "MEMORY", "IMAGE", "SIZE", "VOLUMES"];

/// Those of [`COLUMNS`] that may be cut on a terminal.
pub(in crate::commands) const MAY_CUT: [&str; 2] = ["REPO", "BRANCH"];

fn meant(mut rows: Vec<Listed>, args: &ListArgs) -> Vec<Listed> {
    rows.retain(|row| {
        let view = &row.sandbox;
        let repository = view.repository.as_ref();
        filter::is_meant(&args.filter, |key| match key {
            Key::Name => Some(&view.name),
            Key::State => Some(view.state.key()),
            Key::Repo => repository.map(|repository| repository.name.as_str()),
            Key::Branch => repository.and_then(RepositoryView::at),
        })
    });
    rows
}

fn write(rows: &[Listed], args: &ListArgs, app: &App, out: &mut Page<'_>) -> std::io::Result<()> {
    if app.out.is_quiet() {
        return names(rows.iter().map(|row| row.sandbox.name.as_str()), out);
    }
    table(rows, args.long).write(out)
}

fn table(rows: &[Listed], long: bool) -> Table {
    let mut header = COLUMNS.to_vec();
    if long {
        header.extend(LONG);
    }
    let mut table = Table::new(header).may_cut(&MAY_CUT);
    let now = amika_host::clock::now_millis();
    for row in rows {
        let mut cells = cells(&row.sandbox, now);
        if let Some(details) = &row.details {
            let is_up = row.sandbox.state == State::Running;
            let has_repository = is_up && row.sandbox.repository.is_some();
            let size = details.size_bytes.map(human_size).unwrap_or_default();
            let idle = details.activity.as_ref();
            let idle = idle.map(|it| (it.idle_ms, !it.active_because.is_empty()));
            cells.extend([
                Cell::new(&changes(
                    details.commits_ahead,
                    details.changed,
                    has_repository,
                )),
                Cell::new(&idle_for(idle, is_up)),
                Cell::new(&known(details.memory_bytes.map(human_memory), is_up)),
                Cell::new(&row.sandbox.image),
                Cell::new(&size),
                Cell::new(&details.volumes.join(",")),
            ]);
        }
        table.cells(cells);
    }
    table
}

fn cells(view: &SandboxView, now: u64) -> Vec<Cell> {
    let repository = view.repository.as_ref();
    let joined = |port: fn(&PortView) -> String| {
        let ports: Vec<String> = view.ports.iter().map(port).collect();
        ports.join(",")
    };
    let urls: Vec<&str> = view
        .ports
        .iter()
        .filter_map(|port| port.url.as_deref())
        .collect();
    let state = match (view.state, view.exit_code) {
        (State::Stopped | State::SetupFailed, Some(code)) if code != 0 => {
            format!("{} ({code})", view.state.word())
        }
        (state, _) => state.word().to_owned(),
    };
    let age = |words: fn(Duration) -> String| {
        view.created_at.map_or_else(String::new, |at| {
            words(Duration::from_secs(now.saturating_sub(at) / 1000)) + " ago"
        })
    };
    vec![
        Cell::new(&view.name),
        Cell::new(&state).styled(colour(view.state)),
        Cell::new(repository.map_or("", |repository| &repository.name)),
        Cell::new(repository.and_then(RepositoryView::at).unwrap_or_default()),
        Cell::new(&joined(PortView::arrow)).or(&joined(PortView::short)),
        Cell::new(&urls.join(" ")),
        Cell::new(&age(human_age)).or(&age(short_age)),
    ]
}

/// Green is well, yellow on its way, red wants somebody; what ended is dim.
fn colour(state: State) -> Style {
    match state {
        State::Running => AnsiColor::Green.on_default(),
        State::Creating | State::Setup | State::Stopping | State::Paused => {
            AnsiColor::Yellow.on_default()
        }
        State::Interrupted
        | State::Unresponsive
        | State::SetupFailed
        | State::Unknown
        | State::Dead
        | State::Lost => AnsiColor::Red.on_default(),
        State::Stopped => Style::new().dimmed(),
    }
}

/// `+2*`: two commits, and something that is not committed. What nobody said in time is `?`.
pub(in crate::commands) fn changes(
    commits_ahead: Option<u64>,
    changed: Option<bool>,
    has_repository: bool,
) -> String {
    if !has_repository {
        return String::new();
    }
    let ahead = match commits_ahead {
        Some(0) => String::new(),
        Some(ahead) => format!("+{ahead}"),
        None => "?".to_owned(),
    };
    match changed {
        Some(true) => ahead + "*",
        Some(false) => ahead,
        None => "?".to_owned(),
    }
}

/// For how long it is idle: milliseconds, and whether it is active all the same.
pub(in crate::commands) fn idle_for(idle: Option<(u64, bool)>, is_up: bool) -> String {
    let words = idle.map(|(idle_ms, is_active)| {
        if is_active {
            "active".to_owned()
        } else {
            short_age(Duration::from_millis(idle_ms))
        }
    });
    known(words, is_up)
}

/// What is known, or should have been.
pub(in crate::commands) fn known(words: Option<String>, is_up: bool) -> String {
    words.unwrap_or_else(|| if is_up { "?".to_owned() } else { String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_and_what_nobody_said_is_not_taken_for_none() {
        let of = |commits_ahead, changed| changes(commits_ahead, changed, true);
        assert_eq!(of(Some(2), Some(true)), "+2*");
        assert_eq!(of(Some(2), Some(false)), "+2");
        assert_eq!(of(Some(0), Some(true)), "*");
        assert_eq!(of(Some(0), Some(false)), "");
        assert_eq!(of(None, Some(true)), "?*");
        assert_eq!(of(None, None), "?");
        assert_eq!(changes(None, None, false), "");
    }

    #[test]
    fn a_state_that_nothing_has_is_refused_with_those_there_are() {
        let filter = |text: &str| vec![text.parse::<Filter>().unwrap()];
        let states = ["running", "stopped"];
        assert!(is_known(&filter("state=running"), &states).is_ok());
        let error = is_known(&filter("state=rnning"), &states).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert_eq!(error.hints, ["states are running, stopped"]);
    }
}

//! What step a longer command is in, and how long each took, for who looks on.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amika_core::untrusted::{Untrusted, steers};
use amika_sandbox::progress::{Event, Progress};
use anstyle::AnsiColor;

use super::page::one_line;
use super::spinner::{self, Spinning};
use amika_core::text::human_duration;

/// Characters of a program's line that are shown while it runs; its log has all of it.
const LINE: usize = 2_000;

/// Draws the steps of a command on standard error as they begin and end.
pub(super) struct Drawn {
    quiet: bool,
    terminal: bool,
    /// What they are of, where it has to be told.
    of: Option<String>,
    current: Mutex<Option<Current>>,
}

struct Current {
    /// The step's name as it is shown.
    title: String,
    lines: bool,
    /// The line that says how long it takes, where it can be shown.
    spinning: Option<Spinning>,
}

impl Drawn {
    pub(super) fn new(quiet: bool, of: Option<String>) -> Self {
        Self {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            of,
            current: Mutex::new(None),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, step: &str) {
        let title = self.title(step);
        let is_shown = self.terminal && !self.quiet;
        let spinning = is_shown.then(|| Spinning::begin(&title)).flatten();
        if is_shown && spinning.is_none() {
            let dim = AnsiColor::Cyan.on_default();
            let _ = write!(anstream::stderr().lock(), "{dim}…{dim:#} {title}\r");
        }
        *self.current() = Some(Current {
            title,
            lines: false,
            spinning,
        });
    }

    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        // Before the stream, as everywhere here: two that wait for each other's would wait for ever.
        let mut current = self.current();
        let _aside = spinner::aside();
        let mut err = anstream::stderr().lock();
        if let Some(current) = current.as_mut()
            && !current.lines
        {
            current.lines = true;
            let dim = AnsiColor::Cyan.on_default();
            let _ = writeln!(err, "{dim}…{dim:#} {}", current.title);
        }
        let dim = anstyle::Style::new().dimmed();
        let of = self.of.as_deref().map(|of| one_line(&format!("{of} ")));
        let of = of.unwrap_or_default();
        let _ = writeln!(err, "  {of}{dim}│{dim:#} {}", sanitize(text));
    }

    /// Only who looks on is shown it: in a file it would be a line for each percent.
    fn progress(&self, text: &str) {
        let current = self.current();
        if let Some(spinning) = current.as_ref().and_then(|it| it.spinning.as_ref()) {
            spinning.tell(&sanitize(text));
        }
    }

    fn end(&self, result: &str, took: Duration, succeeded: bool) {
        let Some(current) = self.current().take() else {
            return;
        };
        drop(current.spinning);
        if self.quiet {
            return;
        }
        let (style, mark) = if succeeded {
            (AnsiColor::Green.on_default().bold(), '✓')
        } else {
            (AnsiColor::Red.on_default().bold(), '✗')
        };
        let _aside = spinner::aside();
        let _ = writeln!(
            anstream::stderr().lock(),
            "{style}{mark}{style:#} {:<10} {:<52} {:>8}",
            current.title,
            Untrusted::new(result),
            human_duration(took)
        );
    }
}

impl Progress for Drawn {
    fn tell(&self, event: Event<'_>) {
        match event {
            Event::Begun { step } => self.begin(step),
            Event::Line(text) => self.line(text),
            Event::Progress(text) => self.progress(text),
            Event::Ended {
                result,
                took,
                succeeded,
                ..
            } => self.end(result, took, succeeded),
            Event::Warning(message) => super::warn(message),
            Event::Note(message) => super::note(message, self.quiet),
            Event::Finding {
                path,
                text,
                finding,
            } => super::finding(path, text, finding),
        }
    }

    fn shows_steps(&self) -> bool {
        !self.quiet
    }

    fn title(&self, step: &str) -> String {
        match &self.of {
            Some(of) => one_line(&format!("{of}: {step}")),
            None => one_line(step),
        }
    }
}

/// Shows one step of an operation in another way than the rest.
pub(super) struct InTwo {
    pub(super) step: &'static str,
    pub(super) alone: Arc<dyn Progress>,
    pub(super) rest: Arc<dyn Progress>,
    /// Whether that step is under way.
    pub(super) is_alone: AtomicBool,
}

impl InTwo {
    fn now(&self) -> &dyn Progress {
        if self.is_alone.load(Ordering::Relaxed) {
            &*self.alone
        } else {
            &*self.rest
        }
    }
}

impl Progress for InTwo {
    fn tell(&self, event: Event<'_>) {
        if let Event::Begun { step } = event {
            self.is_alone.store(step == self.step, Ordering::Relaxed);
        }
        self.now().tell(event);
        if matches!(event, Event::Ended { .. }) {
            self.is_alone.store(false, Ordering::Relaxed);
        }
    }

    fn shows_steps(&self) -> bool {
        self.now().shows_steps()
    }

    fn title(&self, step: &str) -> String {
        self.now().title(step)
    }
}

/// Keeps a line of a program's output from steering the user's terminal.
///
/// Colours are dropped too: a line is shown beside others and must not bleed into them.
fn sanitize(line: &str) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    let last = plain
        .trim_end_matches('\r')
        .rsplit('\r')
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut chars = last.chars();
    let mut shown: String = chars
        .by_ref()
        .take(LINE)
        .map(|c| if steers(c) && c != '\t' { '·' } else { c })
        .collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_cannot_steer_the_terminal() {
        assert_eq!(sanitize("\u{1b}[31mred\u{1b}[0m\u{7}"), "red");
        assert_eq!(sanitize("10%\r20%\r30%\r"), "30%");
        assert_eq!(sanitize("a\u{8}b"), "ab");
        assert_eq!(sanitize("a\u{202e}b\u{9b}2J"), "a·b·2J");
        assert_eq!(sanitize(&"x".repeat(9_999)).chars().count(), LINE + 1);
    }
}

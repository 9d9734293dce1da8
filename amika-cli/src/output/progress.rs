//! What step a longer command is in, and how long each took, for who looks on.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amika_core::untrusted::{Untrusted, steers};
use amika_sandbox::progress::{Event, Progress};
use anstyle::AnsiColor;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::page::one_line;
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
    /// Whether the cursor stands behind a line that the next one takes the place of.
    passing: bool,
}

impl Current {
    /// Takes a passing line away.
    fn clear(&mut self) {
        if std::mem::take(&mut self.passing) {
            // Past what strips colours: NO_COLOR asks for no other stillness.
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
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
        if self.terminal && !self.quiet {
            let dim = AnsiColor::Cyan.on_default();
            let _ = write!(anstream::stderr().lock(), "{dim}…{dim:#} {title}\r");
        }
        *self.current() = Some(Current {
            title,
            lines: false,
            passing: false,
        });
    }

    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        // Before the stream, as everywhere here: two that wait for each other's would wait for ever.
        let mut current = self.current();
        let mut err = anstream::stderr().lock();
        if let Some(current) = current.as_mut() {
            current.clear();
            if !current.lines {
                current.lines = true;
                let dim = AnsiColor::Cyan.on_default();
                let _ = writeln!(err, "{dim}…{dim:#} {}", current.title);
            }
        }
        let dim = anstyle::Style::new().dimmed();
        let of = self.of.as_deref().map(|of| one_line(&format!("{of} ")));
        let of = of.unwrap_or_default();
        let _ = writeln!(err, "  {of}{dim}│{dim:#} {}", sanitize(text));
    }

    /// Only who looks on is shown it: in a file it would be a line for each percent.
    fn progress(&self, text: &str) {
        let can_clear = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let mut current = self.current();
        let Some(current) = current.as_mut() else {
            return;
        };
        if self.quiet || !self.terminal || !can_clear {
            return;
        }
        current.clear();
        current.passing = true;
        let told = rustix::termios::tcgetwinsize(std::io::stderr());
        let columns = told.map_or(0, |size| usize::from(size.ws_col));
        let room = columns.saturating_sub(current.title.width() + 4);
        let text = cut(&sanitize(text), room);
        let dim = AnsiColor::Cyan.on_default();
        let mut err = anstream::stderr().lock();
        let _ = write!(err, "{dim}…{dim:#} {} {text}", current.title);
        let _ = err.flush();
    }

    fn end(&self, result: &str, took: Duration, succeeded: bool) {
        let Some(mut current) = self.current().take() else {
            return;
        };
        current.clear();
        if self.quiet {
            return;
        }
        let (style, mark) = if succeeded {
            (AnsiColor::Green.on_default().bold(), '✓')
        } else {
            (AnsiColor::Red.on_default().bold(), '✗')
        };
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

/// As much of a text as has room: a line that wraps could not be taken away again.
fn cut(text: &str, room: usize) -> String {
    let mut left = room;
    text.chars()
        .take_while(|found| match left.checked_sub(found.width().unwrap_or(0)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_line_fits_its_room() {
        for (text, room, shown) in [
            ("50% (1/2)", 80, "50% (1/2)"),
            ("50% (1/2)", 3, "50%"),
            ("größe", 3, "grö"),
            ("世界", 3, "世"),
            ("50%", 0, ""),
        ] {
            assert_eq!(cut(text, room), shown);
        }
    }

    #[test]
    fn output_cannot_steer_the_terminal() {
        assert_eq!(sanitize("\u{1b}[31mred\u{1b}[0m\u{7}"), "red");
        assert_eq!(sanitize("10%\r20%\r30%\r"), "30%");
        assert_eq!(sanitize("a\u{8}b"), "ab");
        assert_eq!(sanitize("a\u{202e}b\u{9b}2J"), "a·b·2J");
        assert_eq!(sanitize(&"x".repeat(9_999)).chars().count(), LINE + 1);
    }
}

//! The only module that prints: results to standard output, everything else to standard error.
//!
//! All text is taken for somebody else's: a line of people's output is made by [`Page`], a document by `json`,
//! and neither lets through what steers a terminal. What has more than one line is [`Lines`]. The lints keep
//! every other module from the two streams, but for `terminal`, which passes the bytes of a program on.
#![allow(
    clippy::disallowed_methods,
    reason = "it is what the two streams are kept for"
)]

mod ask;
mod diagnostic;
mod error;
mod failure;
mod fill;
mod json;
mod lines;
mod log_text;
mod page;
mod progress;
mod spinner;
mod table;

use std::io::{IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amika_core::diagnostic::Diagnostic;
use amika_core::text::plain_words;
use amika_sandbox::progress::{Event, Progress, Steps};
use serde::Serialize;

use crate::error::{Error, Result};

pub use failure::{ErrorDocument, exit_code, to_json as error_json};
pub use fill::fill;
pub use lines::Lines;
pub use log_text::LogText;
pub use page::Page;
use progress::{Drawn, InTwo};
pub use table::{Cell, Table, room};

/// Says something that must not be overlooked, for who has no printer: quiet or not, it is the same.
pub fn warn(message: &str) {
    let style = anstyle::AnsiColor::Yellow.on_default().bold();
    let _aside = spinner::aside();
    let mut err = anstream::stderr().lock();
    let message = page::one_line(plain_words(message).trim_end());
    // A standard error that cannot be written leaves nobody to tell.
    let _ = writeln!(err, "{style}warning:{style:#} {message}");
}

/// Says what may help next, but to who wants to hear none of it.
fn note(message: &str, quiet: bool) {
    if !quiet {
        let message = page::one_line(plain_words(message).trim_end());
        let _aside = spinner::aside();
        let _ = writeln!(anstream::stderr().lock(), "{message}");
    }
}

/// Shows a finding in a file.
fn finding(path: &str, text: &str, finding: &Diagnostic) {
    let rendered = diagnostic::render(path, text, finding, true);
    let _aside = spinner::aside();
    let _ = writeln!(anstream::stderr().lock(), "{rendered}");
}

/// Prints text with colors of its own to standard error; nothing else in it steers a terminal.
pub fn coloured(text: &str) {
    let mut filter = LogText::default();
    let mut inert = filter.of(text.as_bytes());
    inert.extend(filter.end());
    let _aside = spinner::aside();
    // A standard error that cannot be written leaves nobody to tell.
    let _ = anstream::stderr().lock().write_all(&inert);
}

/// Whether standard output is a terminal.
pub fn is_shown() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether standard error is a terminal.
pub fn are_warnings_shown() -> bool {
    std::io::stderr().is_terminal()
}

/// Where `--debug` writes: in what libraries trace may stand anything.
pub struct Traces;

impl Write for Traces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        coloured(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where a command's words go.
#[derive(Clone, Debug)]
pub struct Printer {
    json: bool,
    quiet: bool,
    /// Whether a line of JSON was printed: a failure is a line then, too.
    lines: Arc<AtomicBool>,
}

#[expect(
    clippy::unused_self,
    reason = "who prints is handed the printer; what a method needs of it may change"
)]
impl Printer {
    /// A printer for text or one JSON document; a quiet one says no progress and no hints.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            lines: Arc::default(),
        }
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether people want to be told less.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints a command's result: its JSON, or the text that `human` writes.
    ///
    /// # Errors
    /// Never on a closed pipe: a reader that went away has seen enough.
    pub fn result<T: Serialize>(
        &self,
        value: &T,
        human: impl FnOnce(&mut Page<'_>) -> std::io::Result<()>,
    ) -> Result<()> {
        // Not for as long as it writes: who makes the text may warn of something.
        drop(spinner::aside());
        let mut out = anstream::stdout().lock();
        let written = if self.json {
            let mut page = json::Json::new(&mut out);
            serde_json::to_writer_pretty(&mut page, value)
                .map_err(std::io::Error::from)
                .and_then(|()| writeln!(page))
        } else {
            human(&mut Page::text(&mut out))
        };
        written
            .and_then(|()| out.flush())
            .or_else(|error| forgive_broken_pipe(&error))
    }

    /// Prints one of a row of results without an end: a line of JSON, or what `human` writes. False
    /// when nobody reads any more.
    ///
    /// # Errors
    /// As [`Printer::result`].
    pub fn item<T: Serialize>(
        &self,
        value: &T,
        human: impl FnOnce(&mut Page<'_>) -> std::io::Result<()>,
    ) -> Result<bool> {
        // Not for as long as it writes: who makes the text may warn of something.
        drop(spinner::aside());
        let mut out = anstream::stdout().lock();
        let written = if self.json {
            self.lines.store(true, Ordering::Relaxed);
            let mut page = json::Json::new(&mut out);
            serde_json::to_writer(&mut page, value)
                .map_err(std::io::Error::from)
                .and_then(|()| writeln!(page))
        } else {
            human(&mut Page::text(&mut out))
        };
        match written.and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) => forgive_broken_pipe(&error).map(|()| false),
        }
    }

    /// Shows text in place of what the terminal shows; below it where there is none. False when
    /// nobody reads any more.
    ///
    /// # Errors
    /// As [`Printer::result`].
    pub fn screen(&self, human: impl FnOnce(&mut Page<'_>) -> std::io::Result<()>) -> Result<bool> {
        // Past what strips colours: NO_COLOR asks for no other stillness.
        let can_clear = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let cleared = if can_clear && std::io::stdout().is_terminal() {
            write!(std::io::stdout().lock(), "\x1b[2J\x1b[H")
        } else {
            Ok(())
        };
        let mut out = anstream::stdout().lock();
        let written = cleared.and_then(|()| human(&mut Page::text(&mut out)));
        match written.and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) => forgive_broken_pipe(&error).map(|()| false),
        }
    }

    /// Says something that must not be overlooked.
    pub fn warn(&self, message: &str) {
        warn(message);
    }

    /// Whether there is anybody to ask: a person at a terminal, and no program that reads JSON.
    pub fn can_ask(&self) -> bool {
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks after these lines; the answer is typed behind the question.
    pub fn ask(&self, lines: &[String], question: &str) {
        ask::ask(lines, question);
    }

    /// Shows a finding in a file.
    pub fn diagnostic(&self, path: &str, text: &str, finding: &Diagnostic) {
        self::finding(path, text, finding);
    }

    /// Says what may help next.
    pub fn note(&self, message: &str) {
        note(message, self.quiet);
    }

    /// Asks who sits at the terminal, after these lines: whether the answer is yes.
    pub async fn confirmed(&self, lines: &[String], question: &str) -> bool {
        ask::confirmed(lines, question).await
    }

    /// Prints a failed command; a quiet one without hints for people, of which a program's document
    /// keeps its own.
    pub fn error(&self, error: &Error) {
        let _end = spinner::end();
        if self.json {
            let mut out = std::io::stdout().lock();
            let mut page = json::Json::new(&mut out);
            // A standard output that cannot be written leaves nobody to tell.
            let _ = if self.lines.load(Ordering::Relaxed) {
                writeln!(page, "{}", error_json(error))
            } else {
                writeln!(page, "{:#}", error_json(error))
            };
        }
        let _ = write!(
            anstream::stderr().lock(),
            "{}",
            error::Rendered {
                error,
                hints: !self.quiet
            }
        );
    }

    /// Shows an operation as it goes.
    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(Drawn::new(self.quiet, None))
    }

    /// As [`Printer::progress`], for one of several names that are worked on side by side: each line says of which.
    pub fn progress_of(&self, name: &str, names: &[String]) -> Arc<dyn Progress> {
        let several = names.iter().any(|other| other != name);
        Arc::new(Drawn::new(self.quiet, several.then(|| name.to_owned())))
    }

    /// As [`Printer::progress`], for what most often is quick: only who looks on is shown its steps.
    pub fn progress_on_terminal(&self) -> Arc<dyn Progress> {
        Arc::new(Drawn::new(self.is_watched_by_nobody(), None))
    }

    /// What stops as [`Printer::progress_on_terminal`] shows it, and starts as [`Printer::progress_of`] does.
    pub fn progress_of_restart(&self, name: &str, names: &[String]) -> Arc<dyn Progress> {
        Arc::new(InTwo {
            step: "stop",
            alone: self.progress_on_terminal(),
            rest: self.progress_of(name, names),
            is_alone: AtomicBool::new(false),
        })
    }

    fn is_watched_by_nobody(&self) -> bool {
        self.quiet || self.json || !std::io::stderr().is_terminal()
    }

    /// Steps of a longer command, shown as they are taken.
    pub fn steps(&self) -> Steps {
        self.drawn(self.quiet, None)
    }

    /// Steps of a command that most often is quick: only who looks on is shown them.
    pub fn steps_on_terminal(&self) -> Steps {
        let looks_on = std::io::stderr().is_terminal();
        self.drawn(self.quiet || self.json || !looks_on, None)
    }

    fn drawn(&self, quiet: bool, of: Option<String>) -> Steps {
        Steps::new(Arc::new(Drawn::new(quiet, of)))
    }
}

/// Without steps: whoever takes them draws them ([`Printer::steps`]).
impl Progress for Printer {
    fn tell(&self, event: Event<'_>) {
        match event {
            Event::Warning(message) => warn(message),
            Event::Note(message) => note(message, self.quiet),
            Event::Finding {
                path,
                text,
                finding,
            } => self.diagnostic(path, text, finding),
            Event::Begun { .. } | Event::Line(_) | Event::Progress(_) | Event::Ended { .. } => {}
        }
    }

    fn shows_steps(&self) -> bool {
        false
    }
}

fn forgive_broken_pipe(error: &std::io::Error) -> Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Error::new(
        crate::error::Kind::Failure,
        "standard output cannot be written",
    )
    .caused_by(error))
}

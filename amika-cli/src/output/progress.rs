//! What step a longer command is in, and how long each took.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anstyle::AnsiColor;

use super::human_duration;

/// Steps of a command, printed to standard error as they begin and end.
pub struct Steps {
    quiet: bool,
    terminal: bool,
    current: Option<Current>,
    finished: Vec<(String, u64)>,
}

struct Current {
    name: String,
    since: Instant,
    lines: bool,
}

impl Steps {
    pub(super) fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            quiet,
            terminal,
            current: None,
            finished: Vec::new(),
        }
    }

    /// Whether anybody is shown them.
    pub fn are_shown(&self) -> bool {
        !self.quiet
    }

    /// Begins a step; one that is under way is finished first.
    pub fn begin(&mut self, name: &str) {
        if self.current.is_some() {
            self.finish("");
        }
        self.current = Some(Current {
            name: name.to_owned(),
            since: Instant::now(),
            lines: false,
        });
        if self.terminal && !self.quiet {
            let dim = AnsiColor::Cyan.on_default();
            let _ = write!(anstream::stderr().lock(), "{dim}…{dim:#} {name}\r");
        }
    }

    /// Shows a line of output that belongs to the step under way.
    pub fn line(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        let mut err = anstream::stderr().lock();
        if let Some(current) = &mut self.current
            && !current.lines
        {
            current.lines = true;
            let dim = AnsiColor::Cyan.on_default();
            let _ = writeln!(err, "{dim}…{dim:#} {}", current.name);
        }
        let dim = anstyle::Style::new().dimmed();
        let _ = writeln!(err, "  {dim}│{dim:#} {}", sanitize(text));
    }

    /// Ends the step under way, with what came of it.
    pub fn finish(&mut self, result: &str) {
        self.end(result, true, None);
    }

    /// Ends the step under way, of which others measured how long it took: what is watched from
    /// here may have begun earlier.
    pub fn finish_after(&mut self, result: &str, took: Duration) {
        self.end(result, true, Some(took));
    }

    /// Ends the step under way as failed.
    pub fn fail(&mut self, result: &str) {
        self.end(result, false, None);
    }

    /// The finished steps with their times in milliseconds.
    pub fn timings(&self) -> &[(String, u64)] {
        &self.finished
    }

    fn end(&mut self, result: &str, good: bool, measured: Option<Duration>) {
        let Some(current) = self.current.take() else {
            return;
        };
        let took = measured.unwrap_or_else(|| current.since.elapsed());
        self.finished.push((
            current.name.clone(),
            u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        ));
        if self.quiet {
            return;
        }
        let (style, mark) = if good {
            (AnsiColor::Green.on_default().bold(), '✓')
        } else {
            (AnsiColor::Red.on_default().bold(), '✗')
        };
        let _ = writeln!(
            anstream::stderr().lock(),
            "{style}{mark}{style:#} {:<10} {result:<52} {:>8}",
            current.name,
            human_duration(took)
        );
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
    last.chars()
        .map(|c| if c.is_control() && c != '\t' { '·' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_cannot_steer_the_terminal() {
        assert_eq!(sanitize("\u{1b}[31mred\u{1b}[0m\u{7}"), "red");
        assert_eq!(sanitize("10%\r20%\r30%\r"), "30%");
        assert_eq!(sanitize("a\u{8}b"), "ab");
    }
}

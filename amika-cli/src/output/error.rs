//! A failed command, for people: what, why, and what to do next.

use std::fmt;

use anstyle::AnsiColor;

use super::page::one_line;
use super::{Lines, diagnostic, failure};
use crate::error::Error;
use amika_core::text::plain_words;

/// Displays an error as `error:`, `caused by:` and `hint:` lines.
pub(super) struct Rendered<'a> {
    pub(super) error: &'a Error,
    /// Whether what to do next is said, too.
    pub(super) hints: bool,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let red = AnsiColor::Red.on_default().bold();
        let cyan = AnsiColor::Cyan.on_default().bold();
        let message = one_line(plain_words(&self.error.message).trim_end());
        writeln!(f, "{red}error:{red:#} {message}")?;
        if let Some(findings) = &self.error.findings {
            writeln!(f, "{}", diagnostic::excerpt(findings).shown(0))?;
        }
        for cause in failure::causes(self.error) {
            writeln!(f, "  caused by: {}", one_line(cause.trim_end()))?;
        }
        if let Some(output) = &self.error.last_output {
            let lines = Lines::new(&output.lines).shown(4);
            writeln!(f, "  caused by: its last output was:\n    {lines}")?;
        }
        for hint in self.error.hints.iter().filter(|_| self.hints) {
            let hint = one_line(hint.trim_end());
            writeln!(f, "{cyan}hint:{cyan:#} {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// The one place where errors are said holds all of them to it, as text and as JSON.
    #[test]
    fn no_error_is_told_by_its_number() {
        let missing = || std::io::Error::from_raw_os_error(2);
        let error = Error::new(Kind::Failure, format!("/a: {}", missing()))
            .caused_by(&missing())
            .hint("try again");
        let text = anstream::adapter::strip_str(
            &Rendered {
                error: &error,
                hints: true,
            }
            .to_string(),
        )
        .to_string();
        assert_eq!(
            text,
            "error: /a: no such file or directory\n  caused by: no such file or directory\nhint: try again\n"
        );
        let json = failure::to_json(&error);
        assert_eq!(json["error"]["message"], "/a: no such file or directory");
        assert_eq!(json["error"]["causes"][0], "no such file or directory");
    }

    #[test]
    fn hints_can_be_left_out_and_causes_cannot() {
        let error = Error::new(Kind::Failure, "it failed")
            .cause("a reason")
            .hint("try again");
        let render = |hints| {
            let error = &error;
            anstream::adapter::strip_str(&Rendered { error, hints }.to_string()).to_string()
        };
        assert_eq!(
            render(true),
            "error: it failed\n  caused by: a reason\nhint: try again\n"
        );
        assert_eq!(render(false), "error: it failed\n  caused by: a reason\n");
    }
}

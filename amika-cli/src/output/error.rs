//! A failed command, for people: what, why, and what to do next.

use std::fmt;

use anstyle::AnsiColor;

use crate::error::CommandError;

/// Displays an error as `error:`, `caused by:` and `hint:` lines.
pub(super) struct Rendered<'a>(pub(super) &'a CommandError);

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let red = AnsiColor::Red.on_default().bold();
        let cyan = AnsiColor::Cyan.on_default().bold();
        writeln!(f, "{red}error:{red:#} {}", self.0.message)?;
        if let Some(excerpt) = &self.0.excerpt {
            writeln!(f, "{}", excerpt.trim_end())?;
        }
        for cause in &self.0.causes {
            writeln!(
                f,
                "  caused by: {}",
                cause.trim_end().replace('\n', "\n    ")
            )?;
        }
        for hint in &self.0.hints {
            writeln!(f, "{cyan}hint:{cyan:#} {}", hint.replace('\n', "\n      "))?;
        }
        Ok(())
    }
}

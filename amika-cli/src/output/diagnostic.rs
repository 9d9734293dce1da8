//! Findings in a file: with file, line, column, and a caret under the place.

use amika_core::diagnostic::{Diagnostic, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::{CommandError, ExitCode};

/// Renders a finding with the lines of the text that it is about.
pub(super) fn render(path: &str, text: &str, diagnostic: &Diagnostic, colours: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let span = clamp(text, &diagnostic.span);
    let label = diagnostic.label.clone().unwrap_or_default();
    let annotation = AnnotationKind::Primary.span(span).label(label);
    let mut group = Group::with_title(level.primary_title(diagnostic.message.clone()))
        .element(Snippet::source(text).path(path).annotation(annotation));
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.clone()));
    }
    let renderer = if colours {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.render(&[group])
}

/// The error of a file that cannot be used.
pub(crate) fn refusal(path: &str, text: &str, problems: &[Diagnostic]) -> CommandError {
    let place = problems.first().map_or_else(String::new, |first| {
        format!(":{}:{}", first.line, first.column)
    });
    let message = problems
        .first()
        .map_or_else(String::new, |first| first.message.clone());
    let mut error = CommandError::new(ExitCode::Usage, format!("{path}{place}: {message}"));
    for problem in problems {
        error = error.cause(render(path, text, problem, false));
    }
    if let Some(first) = problems.first() {
        error = error
            .detail("line", first.line)
            .detail("column", first.column);
    }
    error
}

/// A span that lies within the text, on character boundaries.
fn clamp(text: &str, span: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

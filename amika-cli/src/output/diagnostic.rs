//! Findings in a file: with file, line, column, and a caret under the place.

use amika_core::diagnostic::{Diagnostic, Severity};
use amika_core::untrusted::Untrusted;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::Lines;
use super::page::one_line;
use crate::error::{CommandError, ExitCode};

/// Characters of a path that are shown: the longest that Linux opens.
const PATH_SHOWN: usize = 4096;

/// Renders a finding with the lines of the text that it is about.
pub(super) fn render(path: &str, text: &str, diagnostic: &Diagnostic, colours: bool) -> String {
    let title = level(diagnostic).primary_title(Lines::laid_out(&diagnostic.message).shown(0));
    draw(Group::with_title(title), path, text, diagnostic, colours)
}

/// The error of a file that cannot be used. What is wrong first is the error's own sentence, with the
/// place; the lines that it is about stand below, and further findings after them.
pub(crate) fn refusal(path: &str, text: &str, problems: &[Diagnostic]) -> CommandError {
    let Some((first, others)) = problems.split_first() else {
        return CommandError::new(ExitCode::Usage, format!("{path} cannot be used"));
    };
    let shown = Untrusted::new(path).within(PATH_SHOWN);
    let message = format!("{shown}:{}:{}: {}", first.line, first.column, first.message);
    let untitled = Group::with_level(level(first));
    let mut excerpts = vec![draw(untitled, path, text, first, false)];
    excerpts.extend(others.iter().map(|other| render(path, text, other, false)));
    CommandError::new(ExitCode::Usage, message)
        .excerpt(Lines::laid_out(&excerpts.join("\n")))
        .detail("line", first.line)
        .detail("column", first.column)
}

fn level(diagnostic: &Diagnostic) -> Level<'static> {
    match diagnostic.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    }
}

fn draw<'a>(
    group: Group<'a>,
    path: &str,
    text: &'a str,
    diagnostic: &Diagnostic,
    colours: bool,
) -> String {
    let span = clamp(text, &diagnostic.span);
    let label = diagnostic.label.as_deref().unwrap_or_default();
    let label = Untrusted::new(label).to_string();
    // The source's lines the renderer sees to.
    let path = Untrusted::new(path).within(PATH_SHOWN).to_string();
    let annotation = AnnotationKind::Primary.span(span).label(label);
    let mut group = group.element(Snippet::source(text).path(path).annotation(annotation));
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(one_line(help)));
    }
    let renderer = if colours {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.render(&[group])
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

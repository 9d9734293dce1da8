//! Findings in a file: with file, line, column, and a caret under the place.

use std::borrow::Cow;

use amika_core::diagnostic::{Diagnostic, Severity};
use amika_core::untrusted::{Untrusted, steers};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::Lines;
use super::page::one_line;
use amika_sandbox::error::Findings;
use amika_sandbox::finding::PATH_SHOWN;

/// Renders a finding with the lines of the text that it is about.
pub(super) fn render(path: &str, text: &str, diagnostic: &Diagnostic, colours: bool) -> String {
    let title = level(diagnostic).primary_title(Lines::laid_out(&diagnostic.message).shown(0));
    draw(Group::with_title(title), path, text, diagnostic, colours)
}

/// The lines that an error is about, without what its own sentence says; further findings after them.
pub(super) fn excerpt(findings: &Findings) -> Lines {
    let Findings {
        path,
        text,
        problems,
    } = findings;
    let each = problems.iter().enumerate().map(|(at, problem)| match at {
        0 => draw(
            Group::with_level(level(problem)),
            path,
            text,
            problem,
            false,
        ),
        _ => render(path, text, problem, false),
    });
    Lines::laid_out(&each.collect::<Vec<_>>().join("\n"))
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
    let text = inert(text);
    let label = diagnostic.label.as_deref().unwrap_or_default();
    let label = Untrusted::new(label).to_string();
    let path = Untrusted::new(path).within(PATH_SHOWN).to_string();
    let annotation = AnnotationKind::Primary.span(span).label(label);
    let mut group = group.element(Snippet::source(&*text).path(path).annotation(annotation));
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

/// The source's lines, of the same length so that places stay theirs. What is of ASCII the renderer sees to.
fn inert(text: &str) -> Cow<'_, str> {
    let steers = |found: char| !found.is_ascii() && steers(found);
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut inert = String::with_capacity(text.len());
    for found in text.chars() {
        match found.len_utf8() {
            _ if !steers(found) => inert.push(found),
            2 => inert.push('\u{b7}'),
            3 => inert.push(char::REPLACEMENT_CHARACTER),
            length => inert.extend(std::iter::repeat_n('?', length)),
        }
    }
    Cow::Owned(inert)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_file_steers_the_terminal_and_places_stay() {
        let text = "{ \u{9b}2J\u{85}\u{2028}\u{202e}\u{e0041}\u{1b}]52; x }";
        let at = text.find('x').unwrap_or_default();
        let found = Diagnostic::new(Severity::Warning, "odd", text, at..at + 1);
        let shown = render("file", text, &found, false);
        assert!(
            !shown.lines().any(|line| line.chars().any(steers)),
            "{shown:?}"
        );
        assert_eq!(inert(text).len(), text.len());
        assert_eq!(inert("é"), "é");
    }
}

//! Text in lines that fit.

use unicode_width::UnicodeWidthStr as _;

/// A text in lines that are no wider than this, broken at blanks: between the words of a command in
/// backticks only if the command does not fit in a line. A word that does not fit stays whole, so that
/// it can be copied.
pub fn fill(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut put = |word: &str| match lines.last_mut() {
        Some(line) if line.width() + 1 + word.width() <= width => {
            line.push(' ');
            line.push_str(word);
        }
        _ => lines.push(word.to_owned()),
    };
    for piece in pieces(text) {
        if piece.width() <= width {
            put(piece);
        } else {
            piece.split(' ').for_each(&mut put);
        }
    }
    lines
}

/// The words of a text; what stands in backticks is one of them.
fn pieces(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let split = |c: char| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    };
    text.split(split).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_broken_at_blanks_and_commands_kept_whole() {
        for (text, width, lines) in [
            ("a bc  def", 4, &["a bc", "def"][..]),
            ("", 4, &[]),
            (
                "say `amika ls -l` now",
                13,
                &["say", "`amika ls -l`", "now"],
            ),
            (
                "say `amika ls -l` now",
                8,
                &["say", "`amika", "ls -l`", "now"],
            ),
            ("a-long-word b", 4, &["a-long-word", "b"]),
            ("zürich 京京 x", 11, &["zürich 京京", "x"]),
        ] {
            assert_eq!(fill(text, width), lines, "{text}");
        }
    }
}

//! `.dockerignore`: which files of a directory a build is not given, by the rules of Docker.

/// So many lines are heeded; nobody writes more by hand, and each is held against each file.
const MAX_PATTERNS: usize = 1000;

/// What a `.dockerignore` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// Whether it takes back what earlier lines ignore.
    is_exception: bool,
    tokens: Vec<Token>,
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This byte.
    Byte(u8),
    /// `?`: a byte other than a slash.
    One,
    /// `*`: any number of those.
    Star,
    /// `**` at the end: anything.
    Rest,
    /// `**/`: any number of directories.
    Directories,
    /// `[a-z]`, or all but a slash and these.
    Class(Vec<(u8, u8)>, bool),
}

impl Ignore {
    /// Reads the lines of a file. What is no pattern matches nothing.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let patterns = text.lines().filter(|line| !line.starts_with('#'));
        let patterns = patterns.filter_map(|line| Pattern::parse(line.trim()));
        Self {
            patterns: patterns.take(MAX_PATTERNS).collect(),
        }
    }

    /// Whether a file is ignored, by its path from the directory: the last line that matches it, or a directory that it
    /// is in, decides.
    pub fn ignores(&self, path: &[u8]) -> bool {
        let last = self.patterns.iter().rev().find(|pattern| {
            let ends = (0..path.len()).filter(|&at| path[at] == b'/');
            pattern.matches(path)
                || ends
                    .map(|end| &path[..end])
                    .any(|path| pattern.matches(path))
        });
        last.is_some_and(|pattern| !pattern.is_exception)
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        let (is_exception, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let mut steps: Vec<&str> = Vec::new();
        for step in pattern.split('/') {
            match step {
                "" | "." => {}
                ".." => drop(steps.pop()),
                step => steps.push(step),
            }
        }
        let tokens = tokens(steps.join("/").as_bytes());
        (!tokens.is_empty()).then_some(Self {
            is_exception,
            tokens,
        })
    }

    /// All ways through the pattern at once: a step back for each star would let a file of a few bytes take hours.
    fn matches(&self, path: &[u8]) -> bool {
        let tokens = &self.tokens;
        let mut at = vec![false; tokens.len() + 1];
        at[0] = true;
        pass(tokens, &mut at, true);
        for (index, &byte) in path.iter().enumerate() {
            let mut next = vec![false; tokens.len() + 1];
            for (position, token) in tokens.iter().enumerate() {
                if !at[position] {
                    continue;
                }
                match token {
                    Token::Byte(wanted) => next[position + 1] |= byte == *wanted,
                    Token::One => next[position + 1] |= byte != b'/',
                    Token::Star => next[position] |= byte != b'/',
                    Token::Rest | Token::Directories => next[position] = true,
                    Token::Class(ranges, is_negated) => {
                        let found = ranges
                            .iter()
                            .any(|(from, to)| (*from..=*to).contains(&byte));
                        next[position + 1] |= byte != b'/' && found != *is_negated;
                    }
                }
            }
            at = next;
            let is_start = index + 1 < path.len() && byte == b'/';
            pass(tokens, &mut at, is_start);
        }
        at[tokens.len()]
    }
}

/// Goes on past what may be nothing. Directories end only where a name begins.
fn pass(tokens: &[Token], at: &mut [bool], is_start: bool) {
    for (position, token) in tokens.iter().enumerate() {
        let may_end = match token {
            Token::Star | Token::Rest => true,
            Token::Directories => is_start,
            _ => false,
        };
        if at[position] && may_end {
            at[position + 1] = true;
        }
    }
}

fn tokens(pattern: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'*' if tail.first() == Some(&b'*') => {
                let stars = tail.iter().take_while(|byte| **byte == b'*').count();
                rest = &tail[stars..];
                if let [b'/', tail @ ..] = rest {
                    rest = tail;
                    tokens.push(Token::Directories);
                } else {
                    tokens.push(Token::Rest);
                }
            }
            b'*' => tokens.push(Token::Star),
            b'?' => tokens.push(Token::One),
            b'[' => match class(tail) {
                Some((token, tail)) => {
                    rest = tail;
                    tokens.push(token);
                }
                None => return Vec::new(),
            },
            b'\\' => match tail {
                [escaped, tail @ ..] => {
                    rest = tail;
                    tokens.push(Token::Byte(*escaped));
                }
                [] => return Vec::new(),
            },
            byte => tokens.push(Token::Byte(*byte)),
        }
    }
    tokens
}

/// What stands in brackets, and what comes after them.
fn class(text: &[u8]) -> Option<(Token, &[u8])> {
    let end = text.iter().skip(1).position(|&byte| byte == b']')? + 1;
    let (inner, rest) = (&text[..end], &text[end + 1..]);
    let (inner, is_negated) = match inner {
        [b'^', inner @ ..] => (inner, true),
        inner => (inner, false),
    };
    let mut ranges = Vec::new();
    let mut left = inner;
    loop {
        left = match left {
            [] => break,
            [from, b'-', to, left @ ..] => {
                ranges.push((*from, *to));
                left
            }
            [one, left @ ..] => {
                ranges.push((*one, *one));
                left
            }
        };
    }
    Some((Token::Class(ranges, is_negated), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_ignores_is_ignored() {
        for (text, ignored, kept) in [
            ("a\n", &["a", "a/b", "a/b/c"][..], &["b/a", "ab"][..]),
            ("/a/\n./b//c", &["a/x", "b/c"], &["b", "c"]),
            ("*.log", &["x.log"], &["d/x.log", "xlog"]),
            ("**/*.log", &["x.log", "d/x.log", "d/e/x.log"], &["x.logs"]),
            (
                "**/node_modules",
                &["node_modules/a", "p/node_modules/a/b"],
                &["p/xnode_modules"],
            ),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b/z"], &["ab", "a/xb"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b"]),
            (
                "*\n!keep\n!d/e",
                &["a", "d/f", "kee"],
                &["keep", "keep/x", "d/e"],
            ),
            ("!a\na", &["a"], &["b"]),
            (
                "x?\n[a-c]1\n[^z]2",
                &["xy", "b1", "a2"],
                &["x", "d1", "z2", "x/"],
            ),
            ("# a\n\n  b  \n", &["b"], &["a", "# a"]),
            ("\\*", &["*"], &["a"]),
            ("../a", &["a"], &["b"]),
            ("[", &[], &["[", "a"]),
        ] {
            let ignore = Ignore::parse(text);
            for path in ignored {
                assert!(ignore.ignores(path.as_bytes()), "{text:?} {path}");
            }
            for path in kept {
                assert!(!ignore.ignores(path.as_bytes()), "{text:?} {path}");
            }
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let ignore = Ignore::parse(&"**/*a".repeat(200));
        assert!(!ignore.ignores("a".repeat(4000).as_bytes()));
    }
}

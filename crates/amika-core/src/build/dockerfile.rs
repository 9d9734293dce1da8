//! The instructions of a Dockerfile, as far as they must be known to add some.

/// Adds instructions to each stage, right behind its FROM line. All else stays as it is, byte for byte.
pub fn in_each_stage(dockerfile: &str, added: &str) -> String {
    let mut out = String::with_capacity(dockerfile.len() + added.len());
    for line in Instructions::of(dockerfile) {
        out.push_str(line.text);
        if line.is("FROM") {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(added);
        }
    }
    out
}

/// Whether an ARG line can have that name.
pub fn is_arg(name: &str) -> bool {
    name.starts_with(|found: char| found.is_ascii_alphabetic() || found == '_')
        && name
            .chars()
            .all(|found| found.is_ascii_alphanumeric() || found == '_')
}

/// Whether an ARG line of it names this argument.
pub fn declares(dockerfile: &str, argument: &str) -> bool {
    Instructions::of(dockerfile)
        .filter(|line| line.is("ARG"))
        .flat_map(|line| line.text.split_whitespace().skip(1))
        .any(|word| word.split('=').next() == Some(argument))
}

/// One instruction with all its lines, or a line that is none.
struct Instruction<'t> {
    text: &'t str,
}

impl Instruction<'_> {
    fn is(&self, name: &str) -> bool {
        let first = self.text.split_whitespace().next();
        first.is_some_and(|word| word.eq_ignore_ascii_case(name))
    }
}

/// The instructions of a text, in order; together they are all of it.
struct Instructions<'t> {
    rest: &'t str,
    /// What at the end of a line joins the next one to it.
    escape: char,
}

impl<'t> Instructions<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            rest: text,
            escape: escape(text),
        }
    }
}

impl<'t> Iterator for Instructions<'t> {
    type Item = Instruction<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut end = 0;
        let mut is_begun = false;
        for line in self.rest.split_inclusive('\n') {
            end += line.len();
            let bare = line.trim();
            let is_nothing = bare.is_empty() || bare.starts_with('#');
            // Within an instruction such lines are passed over.
            if is_nothing && is_begun {
                continue;
            }
            is_begun = !is_nothing && bare.ends_with(self.escape);
            if !is_begun {
                break;
            }
        }
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Instruction { text })
    }
}

/// What the directive `# escape=` says, where it stands before everything else.
fn escape(text: &str) -> char {
    for line in text.lines() {
        let Some(directive) = line.trim().strip_prefix('#') else {
            break;
        };
        let Some((key, value)) = directive.split_once('=') else {
            break;
        };
        if key.trim().eq_ignore_ascii_case("escape") && value.trim() == "`" {
            return '`';
        }
    }
    '\\'
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_stage_gets_it_behind_its_from_line_and_no_other_line_does() {
        for (text, expected) in [
            ("FROM a", "FROM a\n+\n"),
            ("from a AS b\nRUN x\n", "from a AS b\n+\nRUN x\n"),
            (
                "FROM \\\n # why\n\n a\nRUN x",
                "FROM \\\n # why\n\n a\n+\nRUN x",
            ),
            (
                "ARG B=x\nFROM $B\nFROM c\n",
                "ARG B=x\nFROM $B\n+\nFROM c\n+\n",
            ),
            (
                "FROM a\nRUN echo \\\nFROM b\n",
                "FROM a\n+\nRUN echo \\\nFROM b\n",
            ),
            (
                "# escape=`\nFROM a\nRUN x `\nFROM b\n",
                "# escape=`\nFROM a\n+\nRUN x `\nFROM b\n",
            ),
            ("# FROM a\r\nFROM b\r\n", "# FROM a\r\nFROM b\r\n+\n"),
            ("FROMAGE a\n", "FROMAGE a\n"),
            ("", ""),
        ] {
            assert_eq!(in_each_stage(text, "+\n"), expected, "{text:?}");
        }
    }

    #[test]
    fn an_argument_is_declared_by_its_name_alone() {
        for (text, is_declared) in [
            ("ARG A\nFROM $A\n", true),
            ("arg A=1\n", true),
            ("ARG B A\n", true),
            ("ARG AB\n", false),
            ("RUN A\n", false),
            ("# ARG A\n", false),
            ("RUN x \\\nARG A\n", false),
        ] {
            assert_eq!(declares(text, "A"), is_declared, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "(FROM a|RUN b|#|ARG|\\\\|`|\n|\r| |=|escape){0,40}") {
            prop_assert_eq!(in_each_stage(&text, ""), {
                let ends = Instructions::of(&text).last().is_some_and(|line| line.is("FROM"));
                if ends && !text.ends_with('\n') { format!("{text}\n") } else { text.clone() }
            });
        }
    }
}

//! What Amika takes from a repository's own configuration for the git that it runs: one table, in which each
//! value is a boolean, one of some words or a number. No path, no name, no program.
//!
//! `docs/security.md` has the same table; a test compares the two.

use amika_core::git_files::config::Entry;
use amika_core::repo_path::escaped;

use super::config::File;

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// `true` or `false`, in git's spellings.
    Boolean,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A boolean, or one of these words.
    BooleanOr(&'static [&'static str]),
    /// A number from 0 to this.
    Number(u32),
}

/// A key that may be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its section.
    pub(super) section: &'static str,
    /// Its name, in lower case.
    pub(super) variable: &'static str,
    /// What it may be.
    pub(super) values: Values,
}

const fn row(section: &'static str, variable: &'static str, values: Values) -> Row {
    Row {
        section,
        variable,
        values,
    }
}

/// All of them.
pub(super) const TABLE: [Row; 18] = [
    row("core", "autocrlf", Values::BooleanOr(&["input"])),
    row("core", "checkstat", Values::Words(&["default", "minimal"])),
    row("core", "eol", Values::Words(&["lf", "crlf", "native"])),
    row("core", "filemode", Values::Boolean),
    row("core", "ignorecase", Values::Boolean),
    row("core", "precomposeunicode", Values::Boolean),
    row("core", "sparsecheckout", Values::Boolean),
    row("core", "sparsecheckoutcone", Values::Boolean),
    row("core", "symlinks", Values::Boolean),
    row("core", "trustctime", Values::Boolean),
    row(
        "diff",
        "ignoresubmodules",
        Values::Words(&["none", "untracked", "dirty", "all"]),
    ),
    row("diff", "renamelimit", Values::Number(1_000_000)),
    row("diff", "renames", Values::BooleanOr(&["copies", "copy"])),
    row(
        "extensions",
        "objectformat",
        Values::Words(&["sha1", "sha256"]),
    ),
    row(
        "extensions",
        "refstorage",
        Values::Words(&["files", "reftable"]),
    ),
    row("status", "renamelimit", Values::Number(1_000_000)),
    row("status", "renames", Values::BooleanOr(&["copies", "copy"])),
    row(
        "status",
        "showuntrackedfiles",
        Values::BooleanOr(&["no", "normal", "all"]),
    ),
];

/// A value that is not one of those that its key may have.
#[derive(Debug)]
pub(super) struct NoValue {
    /// The key.
    pub(super) key: String,
    /// The value, made readable.
    pub(super) value: String,
    /// The line that it is on.
    pub(super) line: usize,
}

/// Writes what the table takes of a repository's configuration, spelled anew.
pub(super) fn take(entries: &[Entry], file: &mut File) -> Result<(), NoValue> {
    for row in &TABLE {
        let mut found = entries.iter().rev();
        let Some(entry) = found.find(|entry| entry.is(row.section, row.variable)) else {
            continue;
        };
        let value = row.values.take(entry).ok_or_else(|| NoValue {
            key: format!("{}.{}", row.section, row.variable),
            value: escaped(entry.value.as_deref().unwrap_or_default()),
            line: entry.line,
        })?;
        file.set(row.section, "", row.variable, &value);
    }
    Ok(())
}

impl Values {
    /// The value in one spelling.
    fn take(self, entry: &Entry) -> Option<String> {
        let boolean = || entry.boolean().map(|is_on| is_on.to_string());
        let word = |words: &[&str]| {
            let value = entry.value.as_deref()?;
            let word = words
                .iter()
                .find(|word| value.eq_ignore_ascii_case(word.as_bytes()))?;
            Some((*word).to_owned())
        };
        match self {
            Self::Boolean => boolean(),
            Self::Words(words) => word(words),
            Self::BooleanOr(words) => word(words).or_else(boolean),
            Self::Number(most) => {
                let value = std::str::from_utf8(entry.value.as_deref()?).ok()?;
                let number: u32 = value.trim().parse().ok()?;
                (number <= most).then(|| number.to_string())
            }
        }
    }

    /// How the documentation puts it.
    #[cfg(test)]
    fn describe(self) -> String {
        let words = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        };
        match self {
            Self::Boolean => "boolean".to_owned(),
            Self::Words(all) => words(all),
            Self::BooleanOr(all) => format!("boolean, {}", words(all)),
            Self::Number(most) => format!("number, at most {most}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use amika_core::git_files::config::parse;
    use pretty_assertions::assert_eq;

    use super::*;

    fn taken(text: &str) -> Result<String, NoValue> {
        let mut file = File::default();
        take(&parse(text.as_bytes()).unwrap(), &mut file)?;
        Ok(String::from_utf8(file.text).unwrap())
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let document = include_str!("../../../docs/security.md");
        let documented: Vec<&str> = document
            .lines()
            .skip_while(|line| *line != "### What Amika takes from a repository's configuration")
            .skip_while(|line| !line.starts_with("|---"))
            .skip(1)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let table: Vec<String> = TABLE
            .iter()
            .map(|row| {
                let values = row.values.describe();
                format!("| `{}.{}` | {values} |", row.section, row.variable)
            })
            .collect();
        assert_eq!(documented, table);
    }

    #[test]
    fn values_are_spelled_anew_and_nothing_else_is_taken() {
        let text = "[core]\n\tautocrlf = INPUT\n\tfilemode\n\tsymlinks = 0\n\tfsmonitor = evil\n\
             [filter \"x\"]\n\tclean = evil\n[diff]\n\trenameLimit = 12\n[core \"filemode\"]\n\tx = y\n";
        assert_eq!(
            taken(text).unwrap(),
            "[core]\n\tautocrlf = \"input\"\n\tfilemode = \"true\"\n\tsymlinks = \"false\"\n\
             [diff]\n\trenamelimit = \"12\"\n"
        );
        for bad in [
            "[core]\neol = sh\n",
            "[core]\nautocrlf = perhaps\n",
            "[diff]\nrenameLimit = -1\n",
            "[extensions]\nobjectFormat = md5\n",
        ] {
            assert!(taken(bad).is_err(), "{bad}");
        }
    }
}

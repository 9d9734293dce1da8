//! Environment variables for a sandbox: `--env KEY[=VALUE]` and env files, read as docker does.

use std::str::FromStr;

use crate::contract::env::{AGENT_CWD, SANDBOX_NAME, SETUP_ONCE, TOKEN_SHA256};
use crate::exec_limit::{self, Unfit};

/// A variable as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value; none takes the value that the host's environment has, if any.
    pub value: Option<String>,
}

impl FromStr for EnvVar {
    type Err = InvalidEnv;

    fn from_str(text: &str) -> Result<Self, InvalidEnv> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        check_name(name)?;
        check_value(name, value.unwrap_or_default())?;
        Ok(Self {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        })
    }
}

/// Reads an env file: one `KEY=VALUE` or `KEY` a line, `#` at the start of a line begins a comment,
/// blank lines do not count, values are taken as they stand with their blanks and quotes.
pub fn parse_file(text: &str) -> Result<Vec<EnvVar>, InvalidEnvFile> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let variable = line.parse().map_err(|problem| InvalidEnvFile {
            line: index + 1,
            problem,
        })?;
        variables.push(variable);
    }
    Ok(variables)
}

/// What variables come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Names with their values.
    pub set: Vec<(String, String)>,
    /// Names that were asked for without a value, and that the host has none for either.
    pub unset: Vec<String>,
}

/// Gives variables their values: what comes later wins, and one without a value takes the host's.
pub fn resolve(
    variables: impl IntoIterator<Item = EnvVar>,
    host: impl Fn(&str) -> Option<String>,
) -> Resolved {
    let mut resolved = Resolved::default();
    for EnvVar { name, value } in variables {
        resolved.set.retain(|(known, _)| *known != name);
        resolved.unset.retain(|known| *known != name);
        match value.or_else(|| host(&name)) {
            Some(value) => resolved.set.push((name, value)),
            None => resolved.unset.push(name),
        }
    }
    resolved
}

/// Whether a secret can be called so: 1 to 255 of `[A-Za-z0-9_.-]`.
pub fn is_secret_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=255).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Checks that a name can stand in an environment, and is not one that Amika itself sets.
pub fn check_name(name: &str) -> Result<(), InvalidEnv> {
    if name.is_empty() {
        return Err(InvalidEnv::NoName);
    }
    let bad = |found: char| found == '=' || found.is_control() || found.is_whitespace();
    if let Some(found) = name.chars().find(|found| bad(*found)) {
        return Err(InvalidEnv::Character {
            name: name.to_owned(),
            found,
        });
    }
    if [AGENT_CWD, SANDBOX_NAME, SETUP_ONCE, TOKEN_SHA256].contains(&name) {
        return Err(InvalidEnv::Reserved {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// Checks that a value can stand in an environment.
pub fn check_value(name: &str, value: &str) -> Result<(), InvalidEnv> {
    if value.contains('\0') {
        return Err(InvalidEnv::Nul {
            name: name.to_owned(),
        });
    }
    Ok(exec_limit::variable(name, value)?)
}

/// Why a text sets no variable. Values are never part of a message: they may be secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnv {
    /// Nothing stands before the `=`.
    #[error("environment variable has no name: write KEY=VALUE or KEY")]
    NoName,
    /// The name has a blank, a control character or `=` in it.
    #[error("environment variable name \"{}\" may not contain '{}'", .name.escape_debug(), .found.escape_debug())]
    Character {
        /// The name.
        name: String,
        /// The first such character.
        found: char,
    },
    /// Amika sets this variable itself.
    #[error("environment variable {name} is set by Amika")]
    Reserved {
        /// The name.
        name: String,
    },
    /// No process can be started with it.
    #[error(transparent)]
    TooLong(#[from] Unfit),
    /// The value has a NUL byte in it.
    #[error("value of environment variable {name} contains a NUL byte")]
    Nul {
        /// The name.
        name: String,
    },
}

/// A line of an env file that sets no variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidEnvFile {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: InvalidEnv,
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;

    fn var(name: &str, value: Option<&str>) -> EnvVar {
        EnvVar {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn flags_have_a_value_or_take_the_host_s() {
        assert_eq!("A=b".parse(), Ok(var("A", Some("b"))));
        assert_eq!("A=".parse(), Ok(var("A", Some(""))));
        assert_eq!("A=b=c d".parse(), Ok(var("A", Some("b=c d"))));
        assert_eq!("A".parse(), Ok(var("A", None)));
        assert_eq!(
            "AMIKA_OPENCODE_WEB=0".parse(),
            Ok(var("AMIKA_OPENCODE_WEB", Some("0")))
        );
    }

    #[test]
    fn bad_names_are_told_without_the_value() {
        for (text, message) in [
            (
                "",
                "environment variable has no name: write KEY=VALUE or KEY",
            ),
            (
                "=s3cret",
                "environment variable has no name: write KEY=VALUE or KEY",
            ),
            (
                "A B=s3cret",
                "environment variable name \"A B\" may not contain ' '",
            ),
            (
                "A\n=s3cret",
                "environment variable name \"A\\n\" may not contain '\\n'",
            ),
            (
                "AMIKA_AGENT_CWD=/x",
                "environment variable AMIKA_AGENT_CWD is set by Amika",
            ),
            (
                "AMIKA_TOKEN_SHA256",
                "environment variable AMIKA_TOKEN_SHA256 is set by Amika",
            ),
            (
                "A=s3\0cret",
                "value of environment variable A contains a NUL byte",
            ),
        ] {
            assert_eq!(text.parse::<EnvVar>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn what_no_process_can_be_given_is_told_by_name_and_size() {
        let text = format!("BIG={}", "x".repeat(200_000));
        let message = "environment variable BIG is too long: with its name it has 200004 bytes, and Linux takes 131071 at most";
        assert_eq!(text.parse::<EnvVar>().unwrap_err().to_string(), message);
        let file = format!("A=1\n{text}\n");
        let found = parse_file(&file).unwrap_err().to_string();
        assert_eq!(found, format!("line 2: {message}"));
    }

    #[test]
    fn files_are_read_as_docker_reads_them() {
        let text = "\u{feff}# comment\nA=1\r\n\n  B= two \n\t#x\nC\nQ=\"quoted\" # kept\nE=\n";
        assert_eq!(
            parse_file(text),
            Ok(vec![
                var("A", Some("1")),
                var("B", Some(" two ")),
                var("C", None),
                var("Q", Some("\"quoted\" # kept")),
                var("E", Some("")),
            ])
        );
        assert_eq!(parse_file(""), Ok(Vec::new()));
    }

    #[test]
    fn files_name_the_line_that_is_wrong() {
        assert_eq!(
            parse_file("A=1\n\nexport B=2\n").unwrap_err().to_string(),
            "line 3: environment variable name \"export B\" may not contain ' '"
        );
    }

    #[test]
    fn later_values_win_and_absent_ones_are_named() {
        let host = |name: &str| (name == "HOSTED").then(|| "from host".to_owned());
        let asked = [
            var("A", Some("1")),
            var("HOSTED", None),
            var("MISSING", None),
            var("GIVEN_LATER", None),
            var("A", Some("2")),
            var("LOST_LATER", Some("")),
            var("GIVEN_LATER", Some("3")),
            var("LOST_LATER", None),
        ];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            resolve(asked, host),
            Resolved {
                set: vec![
                    pair("HOSTED", "from host"),
                    pair("A", "2"),
                    pair("GIVEN_LATER", "3"),
                ],
                unset: vec!["MISSING".to_owned(), "LOST_LATER".to_owned()],
            }
        );
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "\\PC{0,40}|[A-Z=# \r\n\t]{0,60}") {
            if let Ok(variables) = parse_file(&text) {
                for variable in variables {
                    prop_assert!(check_name(&variable.name).is_ok());
                }
            }
        }
    }
}

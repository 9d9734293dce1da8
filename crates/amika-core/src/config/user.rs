//! The user's own settings: `$XDG_CONFIG_HOME/amika/config.toml`.
//!
//! Unlike a repository's file it is the user's: whatever is wrong with it is an error, since what it
//! says was meant to hold.

use std::fmt;
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use super::read::{Section, quoted};
use super::syntax_errors;
use crate::credential::AgentNames;
use crate::diagnostic::{Diagnostic, Places, Severity};
use crate::dotfiles::DotfilesSource;
use crate::trust::{Trust, Trusted};

/// Keys of the file.
pub const KEYS: [&str; 5] = ["trust", "trusted", "default", "agent_config", "dotfiles"];

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = super::MAX_BYTES;

/// What the user set; what is not mentioned is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserConfig {
    /// `trust`
    pub trust: Option<Trust>,
    /// `trusted`
    pub trusted: Vec<Trusted>,
    /// `default`
    pub default: Option<Place>,
    /// `agent_config`
    pub agent_config: Option<AgentNames>,
    /// `dotfiles`
    pub dotfiles: Option<DotfilesSource>,
}

/// Where commands work that are not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// With an engine, by itself.
    #[default]
    Local,
    /// With a server.
    Remote,
}

/// A word that is no [`Place`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not one of local, remote")]
pub struct UnknownPlace(String);

impl Place {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Local, Self::Remote];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Place {
    type Err = UnknownPlace;

    fn from_str(word: &str) -> Result<Self, UnknownPlace> {
        let found = Self::ALL.into_iter().find(|place| place.as_str() == word);
        found.ok_or_else(|| UnknownPlace(quoted(word)))
    }
}

/// Reads the text of the file. Besides the settings it returns what looks odd.
///
/// # Errors
/// At least one finding when the text is no TOML, or a value is not what it must be.
pub fn parse(text: &str) -> Result<(UserConfig, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        return Err(syntax_errors(text, &syntax));
    }
    let table = document.get_ref();
    let places = Places::new(text);
    let mut section = Section::new(&places);
    section.unknown_keys(table, "your settings", &KEYS);
    let config = UserConfig {
        trust: read_word(&mut section, table, "trust"),
        trusted: read_trusted(&mut section, table),
        default: read_word(&mut section, table, "default"),
        agent_config: read_word(&mut section, table, "agent_config"),
        dotfiles: read_word(&mut section, table, "dotfiles"),
    };
    if section.problems.is_empty() {
        return Ok((config, section.remarks));
    }
    Err(errors(section, &places))
}

/// Reads `default` alone: what is wrong with another setting is for those who need that one.
///
/// # Errors
/// At least one finding when the text is no TOML, or the value is not what it must be.
pub fn parse_default(text: &str) -> Result<Option<Place>, Vec<Diagnostic>> {
    parse_word(text, "default")
}

/// Reads `agent_config` alone.
///
/// # Errors
/// As [`parse_default`].
pub fn parse_agent_config(text: &str) -> Result<Option<AgentNames>, Vec<Diagnostic>> {
    parse_word(text, "agent_config")
}

/// Reads `dotfiles` alone.
///
/// # Errors
/// As [`parse_default`].
pub fn parse_dotfiles(text: &str) -> Result<Option<DotfilesSource>, Vec<Diagnostic>> {
    parse_word(text, "dotfiles")
}

fn parse_word<T: FromStr<Err: fmt::Display>>(
    text: &str,
    key: &str,
) -> Result<Option<T>, Vec<Diagnostic>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        return Err(syntax_errors(text, &syntax));
    }
    let places = Places::new(text);
    let mut section = Section::new(&places);
    let word = read_word(&mut section, document.get_ref(), key);
    if section.problems.is_empty() {
        return Ok(word);
    }
    Err(errors(section, &places))
}

fn errors(section: Section<'_>, places: &Places<'_>) -> Vec<Diagnostic> {
    let errors = section
        .problems
        .into_iter()
        .map(|problem| Diagnostic::at(Severity::Error, problem.message, places, problem.span));
    let mut errors: Vec<Diagnostic> = errors.collect();
    errors.sort_by_key(|error| error.span.start);
    errors
}

fn read_word<T: FromStr<Err: fmt::Display>>(
    section: &mut Section<'_>,
    table: &DeTable<'_>,
    key: &str,
) -> Option<T> {
    let value = table.get(key)?;
    match section.string(value, key)?.parse() {
        Ok(word) => Some(word),
        Err(error) => {
            section.problem(value.span(), error.to_string());
            None
        }
    }
}

fn read_trusted(section: &mut Section<'_>, table: &DeTable<'_>) -> Vec<Trusted> {
    let Some(value) = table.get("trusted") else {
        return Vec::new();
    };
    let DeValue::Array(entries) = value.get_ref() else {
        section.wrong_type(value, "trusted", "an array of strings");
        return Vec::new();
    };
    let mut trusted = Vec::new();
    for entry in entries {
        let Some(text) = section.string(entry, "an entry of trusted") else {
            continue;
        };
        match text.parse::<Trusted>() {
            Ok(found) => trusted.push(found),
            Err(error) => {
                let message = format!("entry {} of trusted: {error}", quoted(text));
                section.problem(entry.span(), message);
            }
        }
    }
    trusted
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn settings_are_read_and_odd_keys_named() {
        let text = "# mine\ntrust = \"never\"\ntrusted = [\"https://Example.com/o/r.git\", \"/srv/r\"]\ntrusts = 1\n";
        let (config, warnings) = parse(text).expect("settings");
        assert_eq!(config.trust, Some(Trust::Never));
        let sources: Vec<String> = config.trusted.iter().map(ToString::to_string).collect();
        assert_eq!(sources, ["example.com/o/r", "/srv/r"]);
        let warnings: Vec<(&str, usize)> = warnings
            .iter()
            .map(|warning| (warning.message.as_str(), warning.line))
            .collect();
        assert_eq!(
            warnings,
            [(
                "unknown key \"trusts\" in your settings; did you mean \"trust\"?",
                4
            )]
        );
        assert_eq!(parse("").expect("nothing").0, UserConfig::default());
    }

    #[test]
    fn where_commands_work_is_told_whatever_else_is_wrong() {
        let default = |text: &str| parse_default(text).map_err(|errors| errors[0].line);
        assert_eq!(
            default("trust = \"nver\"\ndefault = \"remote\"\n"),
            Ok(Some(Place::Remote))
        );
        assert_eq!(default("trust = 1\n"), Ok(None));
        assert_eq!(default("\ndefault = \"here\"\n"), Err(2));
        assert_eq!(default("default = \n"), Err(1));
    }

    #[test]
    fn what_cannot_be_meant_is_an_error_with_its_place() {
        for (text, message, line, column) in [
            (
                "\ntrust = \"maybe\"\n",
                "trust is \"auto\", \"ask\" or \"never\", not \"maybe\"",
                2,
                9,
            ),
            (
                "trust = 1\n",
                "trust must be a string, not an integer",
                1,
                9,
            ),
            (
                "trusted = \"/r\"\n",
                "trusted must be an array of strings, not a string",
                1,
                11,
            ),
            (
                "trusted = [1]\n",
                "an entry of trusted must be a string, not an integer",
                1,
                12,
            ),
            (
                "trusted = [\"r\"]\n",
                "entry \"r\" of trusted: \"r\" is neither a URL nor an absolute path",
                1,
                12,
            ),
        ] {
            let errors = parse(text).expect_err("an error");
            assert_eq!(errors.len(), 1);
            let found = (errors[0].message.as_str(), errors[0].line, errors[0].column);
            assert_eq!(found, (message, line, column), "{text}");
        }
        assert!(
            parse("trust = ").expect_err("no TOML")[0]
                .message
                .contains("TOML")
        );
    }
}

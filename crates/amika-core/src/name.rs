//! A sandbox's name: what is allowed, and how one is made up.
//!
//! The name is the container's name and its hostname as well, so it keeps to what both accept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod words;

use words::{CITIES, COLORS};

/// The longest name, in bytes.
pub const MAX_LENGTH: usize = 41;

/// Plain names that are tried before a number is appended.
const PLAIN_TRIES: u32 = 8;

/// Whether a text can name a container, volume or network of an engine: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, which
/// takes more than a sandbox may be called, since others rename containers too. Whatever else a text is, it
/// could be another path of the engine's API. A name that an engine gave is a word of the shell as it is, so
/// that commands in hints have it unquoted; one that is read from a label is quoted.
pub fn can_be_on_an_engine(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|found| found.is_ascii_alphanumeric() || "_.-".contains(found))
}

/// A valid sandbox name: `[a-z0-9][a-z0-9-]{0,40}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[a-z0-9][a-z0-9-]{0,40}$")))]
#[serde(try_from = "String", into = "String")]
pub struct SandboxName(String);

impl SandboxName {
    /// Reads the name of a sandbox that is to be made, or renamed to it: Docker gives no container a name of
    /// one character (`[a-zA-Z0-9][a-zA-Z0-9_.-]+`), though other engines do.
    ///
    /// # Errors
    /// [`InvalidName`], also where the name is a single character.
    pub fn for_new(text: &str) -> Result<Self, InvalidName> {
        let name: Self = text.parse()?;
        if name.0.len() == 1 {
            return Err(InvalidName::TooShort {
                suggestion: format!("{name}-1"),
            });
        }
        Ok(name)
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes up `{color}-{city}`, with a number behind it once `attempt` shows that plain names are
    /// taken.
    ///
    /// `attempt` counts from 0 the names that turned out to be in use. `random(n)` returns a number
    /// below `n`.
    pub fn generate(attempt: u32, mut random: impl FnMut(usize) -> usize) -> Self {
        let color = COLORS[random(COLORS.len()) % COLORS.len()];
        let city = CITIES[random(CITIES.len()) % CITIES.len()];
        if attempt < PLAIN_TRIES {
            return Self(format!("{color}-{city}"));
        }
        // Four digits: enough that a second attempt is rarely needed, few enough to type.
        let number = 2 + random(9998) % 9998;
        Self(format!("{color}-{city}-{number}"))
    }
}

/// Why a text is no sandbox name. Each has the nearest valid name, where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing was given.
    #[error("a sandbox name may not be empty")]
    Empty,
    /// More than [`MAX_LENGTH`] bytes.
    #[error("sandbox name has {length} characters, at most {MAX_LENGTH} are allowed{}", try_this(.suggestion.as_deref()))]
    TooLong {
        /// How many characters were given.
        length: usize,
        /// A valid name made of it.
        suggestion: Option<String>,
    },
    /// One character.
    #[error("sandbox name has 1 character, engines want at least 2; try \"{suggestion}\"")]
    TooShort {
        /// A valid name made of it.
        suggestion: String,
    },
    /// The first character is a dash.
    #[error("sandbox name may not begin with '-'{}", try_this(.suggestion.as_deref()))]
    LeadingDash {
        /// A valid name made of it.
        suggestion: Option<String>,
    },
    /// A character other than `a-z`, `0-9` and `-`.
    #[error(
        "sandbox name may not contain '{}' (character {position}): use a-z, 0-9 and '-'{}",
        .found.escape_debug(), try_this(.suggestion.as_deref())
    )]
    Character {
        /// The character.
        found: char,
        /// Where it stands, counted from 1.
        position: usize,
        /// A valid name made of it.
        suggestion: Option<String>,
    },
}

fn try_this(suggestion: Option<&str>) -> String {
    suggestion
        .map(|name| format!("; try \"{name}\""))
        .unwrap_or_default()
}

/// Returns the nearest valid name, or nothing when no letter or digit is left.
fn suggest(text: &str) -> Option<String> {
    let mut name = String::new();
    for found in text.chars().map(|found| found.to_ascii_lowercase()) {
        if found.is_ascii_lowercase() || found.is_ascii_digit() {
            name.push(found);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() == MAX_LENGTH {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

impl FromStr for SandboxName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        let allowed = |found: char| matches!(found, 'a'..='z' | '0'..='9' | '-');
        if let Some((index, found)) = text.chars().enumerate().find(|(_, found)| !allowed(*found)) {
            let suggestion = suggest(text);
            return Err(InvalidName::Character {
                found,
                position: index + 1,
                suggestion,
            });
        }
        if text.starts_with('-') {
            return Err(InvalidName::LeadingDash {
                suggestion: suggest(text),
            });
        }
        if text.len() > MAX_LENGTH {
            return Err(InvalidName::TooLong {
                length: text.len(),
                suggestion: suggest(text),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SandboxName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<SandboxName> for String {
    fn from(name: SandboxName) -> Self {
        name.0
    }
}

impl AsRef<str> for SandboxName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SandboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn message(text: &str) -> String {
        text.parse::<SandboxName>().unwrap_err().to_string()
    }

    #[test]
    fn what_an_engine_can_have_is_told_from_paths_of_its_api() {
        for text in ["a", "9", "teal-tokyo", "Foo_Bar.reassign", "c0ffee"] {
            assert!(can_be_on_an_engine(text), "{text}");
        }
        for text in [
            "",
            "/",
            "/a",
            "a/",
            "a/b",
            "a%2f",
            "rv5%76ol",
            "..",
            ".",
            "../images",
            "-a",
            "x y",
            "ä",
            "a?b",
            "a#b",
            "a\n",
        ] {
            assert!(!can_be_on_an_engine(text), "{text:?}");
        }
    }

    #[test]
    fn names_of_the_pattern_are_accepted() {
        let longest = "a".repeat(41);
        for text in [
            "a",
            "0",
            "teal-tokyo",
            "teal-tokyo-2",
            "a-",
            "a--b",
            "9lives",
            &longest,
        ] {
            assert_eq!(
                text.parse::<SandboxName>().map(String::from).as_deref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn a_new_name_is_one_that_every_engine_takes() {
        let new = |text| SandboxName::for_new(text).map_err(|error| error.to_string());
        assert_eq!(new("ab").as_ref().map(SandboxName::as_str), Ok("ab"));
        assert_eq!(
            new("b").unwrap_err(),
            "sandbox name has 1 character, engines want at least 2; try \"b-1\""
        );
        assert_eq!(new("B").unwrap_err(), message("B"));
    }

    #[test]
    fn messages_say_which_character_and_what_would_do() {
        assert_eq!(message(""), "a sandbox name may not be empty");
        assert_eq!(
            message("Dev Box"),
            "sandbox name may not contain 'D' (character 1): use a-z, 0-9 and '-'; try \"dev-box\""
        );
        assert_eq!(
            message("dev_box"),
            "sandbox name may not contain '_' (character 4): use a-z, 0-9 and '-'; try \"dev-box\""
        );
        assert_eq!(
            message("-dev"),
            "sandbox name may not begin with '-'; try \"dev\""
        );
        assert_eq!(message("-"), "sandbox name may not begin with '-'");
        assert_eq!(
            message("a\n"),
            "sandbox name may not contain '\\n' (character 2): use a-z, 0-9 and '-'; try \"a\""
        );
        assert_eq!(
            message("münchen"),
            "sandbox name may not contain 'ü' (character 2): use a-z, 0-9 and '-'; try \"m-nchen\""
        );
        assert_eq!(
            message(&"x".repeat(42)),
            format!(
                "sandbox name has 42 characters, at most 41 are allowed; try \"{}\"",
                "x".repeat(41)
            )
        );
        assert_eq!(
            message("../etc"),
            "sandbox name may not contain '.' (character 1): use a-z, 0-9 and '-'; try \"etc\""
        );
    }

    #[test]
    fn every_pair_of_words_is_a_name_and_there_are_thousands() {
        let mut names = BTreeSet::new();
        for color in 0..COLORS.len() {
            for city in 0..CITIES.len() {
                let mut picks = [color, city].into_iter();
                let name = SandboxName::generate(0, |_| picks.next().unwrap());
                assert_eq!(name.as_str().parse(), Ok(name.clone()));
                names.insert(name);
            }
        }
        assert_eq!(
            names.len(),
            COLORS.len() * CITIES.len(),
            "a word stands twice in a list"
        );
        assert!(names.len() > 4000, "{}", names.len());
    }

    #[test]
    fn a_generated_name_has_a_number_after_many_collisions() {
        let plain = SandboxName::generate(PLAIN_TRIES - 1, |_| 0);
        let numbered = SandboxName::generate(PLAIN_TRIES, |_| 0);
        assert_eq!(numbered.as_str(), format!("{plain}-2"));
        let longest = SandboxName::generate(u32::MAX, |n| n - 1);
        assert_eq!(longest.as_str().parse(), Ok(longest));
    }

    #[test]
    fn json_refuses_what_the_parser_refuses() {
        let name: SandboxName = serde_json::from_str("\"teal-tokyo\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"teal-tokyo\"");
        assert!(serde_json::from_str::<SandboxName>("\"Teal\"").is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_prints_as_it_was_typed(text in "[a-z0-9][a-z0-9-]{0,40}") {
            prop_assert_eq!(text.parse::<SandboxName>().unwrap().to_string(), text);
        }

        #[test]
        fn a_name_of_an_engine_is_a_word_of_the_shell_and_no_option(text in any::<String>(), name in "[a-zA-Z0-9][a-zA-Z0-9_.-]*") {
            for text in [&text, &name] {
                if can_be_on_an_engine(text) {
                    prop_assert_eq!(&crate::text::shell_path(text), text);
                }
            }
            prop_assert!(can_be_on_an_engine(&name));
        }

        #[test]
        fn suggestions_are_valid_names(text in any::<String>()) {
            if let Some(name) = suggest(&text) {
                prop_assert!(name.parse::<SandboxName>().is_ok(), "{name:?}");
            }
        }
    }
}

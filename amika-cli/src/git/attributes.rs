//! Which files git changes on the way from an object to a work tree.

use std::collections::{BTreeSet, HashMap};

use super::command::Git;
use super::config::Settings;
use super::error::GitError;
use super::index::{Entry, Mode};
use super::trust;

/// What happens to one file's content at checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conversion {
    /// Git does it: line ends, encodings, `$Id$`, filter drivers.
    Checkout,
    /// The content is in the LFS store, the object is a pointer to it.
    Lfs,
}

/// The conversions of a tree.
#[derive(Debug, Default)]
pub(super) struct Conversions {
    /// By position in the list of entries.
    pub(super) of: HashMap<usize, Conversion>,
    /// Names of all filter drivers that attributes use.
    pub(super) drivers: BTreeSet<String>,
}

const ATTRIBUTES: [&str; 5] = ["filter", "ident", "working-tree-encoding", "eol", "text"];

/// Asks git for the attributes of all files of the index, unless there can be none.
///
/// `from_index` reads `.gitattributes` of the index alone, not of a work tree.
pub(super) fn conversions(
    git: &Git,
    settings: &Settings,
    entries: &[Entry],
    from_index: bool,
    further: bool,
) -> Result<Conversions, GitError> {
    let crlf = settings
        .get("core.autocrlf")
        .is_some_and(|value| value != "input")
        && settings.boolean("core.autocrlf") == Some(true)
        || settings.get("core.eol") == Some("crlf");
    let is_attributes = |entry: &Entry| entry.path.ends_with(b".gitattributes");
    if !crlf && !further && !entries.iter().any(is_attributes) {
        return Ok(Conversions::default());
    }
    let mut arguments = vec!["check-attr", "--stdin", "-z"];
    if from_index {
        arguments.push("--cached");
    }
    arguments.extend(ATTRIBUTES);
    let files = || {
        entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| matches!(entry.mode, Mode::File | Mode::Executable))
    };
    let mut paths = Vec::new();
    for (_, entry) in files() {
        paths.extend_from_slice(&entry.path);
        paths.push(0);
    }
    let answers = git.filter(&arguments, paths)?;
    let mut values = answers
        .split(|&byte| byte == 0)
        .skip(2)
        .step_by(3)
        .map(String::from_utf8_lossy);
    let mut conversions = Conversions::default();
    for (position, _) in files() {
        let mut next = || values.next().unwrap_or_default();
        let attributes = Attributes {
            filter: &next(),
            ident: &next(),
            encoding: &next(),
            eol: &next(),
            text: &next(),
        };
        if let Some(driver) = attributes.driver() {
            conversions.drivers.insert(driver.to_owned());
        }
        let configured = |driver: &str| {
            let set = |variable: &&str| {
                let key = format!("filter.{driver}.{variable}");
                settings.users(&key).is_some()
            };
            ["smudge", "process"].iter().any(set) && !trust::is_own(settings, driver)
        };
        if let Some(conversion) = attributes.conversion(crlf, configured) {
            conversions.of.insert(position, conversion);
        }
    }
    Ok(conversions)
}

/// The values as git prints them: `set`, `unset`, `unspecified`, or the value.
struct Attributes<'a> {
    filter: &'a str,
    ident: &'a str,
    encoding: &'a str,
    eol: &'a str,
    text: &'a str,
}

impl Attributes<'_> {
    fn driver(&self) -> Option<&str> {
        valued(self.filter).then_some(self.filter)
    }

    /// `crlf`: the configuration turns line ends by itself. Says yes where git would decide by content.
    fn conversion(&self, crlf: bool, configured: impl Fn(&str) -> bool) -> Option<Conversion> {
        if self.driver() == Some("lfs") {
            return Some(Conversion::Lfs);
        }
        let converted = self.driver().is_some_and(configured)
            || self.ident == "set"
            || valued(self.encoding)
            || self.eol == "crlf"
            || crlf && self.text != "unset";
        converted.then_some(Conversion::Checkout)
    }
}

fn valued(attribute: &str) -> bool {
    !matches!(attribute, "" | "set" | "unset" | "unspecified")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const NONE: Attributes = Attributes {
        filter: "unspecified",
        ident: "unspecified",
        encoding: "unspecified",
        eol: "unspecified",
        text: "unspecified",
    };

    #[test]
    fn only_what_changes_content_is_converted() {
        let known = |driver: &str| driver == "up";
        let is = |attributes: Attributes, crlf| attributes.conversion(crlf, known);
        assert_eq!(is(NONE, false), None);
        assert_eq!(
            is(
                Attributes {
                    text: "auto",
                    ..NONE
                },
                false
            ),
            None
        );
        assert_eq!(is(Attributes { eol: "lf", ..NONE }, false), None);
        assert_eq!(
            is(
                Attributes {
                    filter: "unknown",
                    ..NONE
                },
                false
            ),
            None
        );
        assert_eq!(
            is(
                Attributes {
                    filter: "lfs",
                    ..NONE
                },
                false
            ),
            Some(Conversion::Lfs)
        );
        for converted in [
            Attributes {
                eol: "crlf",
                ..NONE
            },
            Attributes {
                ident: "set",
                ..NONE
            },
            Attributes {
                encoding: "UTF-16",
                ..NONE
            },
            Attributes {
                filter: "up",
                ..NONE
            },
        ] {
            assert_eq!(is(converted, false), Some(Conversion::Checkout));
        }
        assert_eq!(is(NONE, true), Some(Conversion::Checkout));
        assert_eq!(
            is(
                Attributes {
                    text: "unset",
                    ..NONE
                },
                true
            ),
            None
        );
    }
}

//! Which files git changes on the way from an object to a work tree.

use std::collections::{BTreeSet, HashMap};

use amika_core::git_files::oid::ObjectFormat;

use super::blobs::Blobs;
use super::command::Git;
use super::drivers;
use super::error::GitError;
use super::index::{Entry, Mode};
use super::settings::Settings;
use super::tree;

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
    pub(super) drivers: BTreeSet<Vec<u8>>,
}

const ATTRIBUTES: [&str; 5] = ["filter", "ident", "working-tree-encoding", "eol", "text"];

/// Bytes of a file of attributes that git reads.
const MAX_ATTRIBUTES: u64 = 100 << 20;

/// Whether a path is that of a file of attributes.
fn is_attributes(entry: &Entry) -> bool {
    let name = entry.path.strip_suffix(b".gitattributes");
    name.is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
        && matches!(entry.mode, Mode::File | Mode::Executable)
}

/// Holds the files of attributes of a commit to their names: git reads them without.
pub(super) fn hold(git: &Git, entries: &[Entry], format: ObjectFormat) -> Result<(), GitError> {
    let mut oids: Vec<&str> = entries
        .iter()
        .filter(|entry| is_attributes(entry))
        .map(|entry| &*entry.oid)
        .collect();
    oids.sort_unstable();
    oids.dedup();
    if oids.is_empty() {
        return Ok(());
    }
    std::thread::scope(|scope| {
        let mut blobs = Blobs::start(scope, git, oids.iter().copied())?;
        for oid in &oids {
            tree::read(&mut blobs, "blob", oid, format, MAX_ATTRIBUTES)?;
        }
        Ok(())
    })
}

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
    let mut values = answers.split(|&byte| byte == 0).skip(2).step_by(3);
    let mut conversions = Conversions::default();
    for (position, _) in files() {
        let mut next = || values.next().unwrap_or_default();
        let attributes = Attributes {
            filter: next(),
            ident: next(),
            encoding: next(),
            eol: next(),
            text: next(),
        };
        if let Some(driver) = attributes.driver() {
            conversions.drivers.insert(driver.to_owned());
        }
        let configured = |driver: &[u8]| drivers::is_users(settings, driver);
        if let Some(conversion) = attributes.conversion(crlf, configured) {
            conversions.of.insert(position, conversion);
        }
    }
    Ok(conversions)
}

/// The values as git prints them: `set`, `unset`, `unspecified`, or the value.
struct Attributes<'a> {
    filter: &'a [u8],
    ident: &'a [u8],
    encoding: &'a [u8],
    eol: &'a [u8],
    text: &'a [u8],
}

impl Attributes<'_> {
    fn driver(&self) -> Option<&[u8]> {
        valued(self.filter).then_some(self.filter)
    }

    /// `crlf`: the configuration turns line ends by itself. Says yes where git would decide by content.
    fn conversion(&self, crlf: bool, configured: impl Fn(&[u8]) -> bool) -> Option<Conversion> {
        if self.driver() == Some(b"lfs") {
            return Some(Conversion::Lfs);
        }
        let converted = self.driver().is_some_and(configured)
            || self.ident == b"set"
            || valued(self.encoding)
            || self.eol == b"crlf"
            || crlf && self.text != b"unset";
        converted.then_some(Conversion::Checkout)
    }
}

fn valued(attribute: &[u8]) -> bool {
    !matches!(attribute, b"" | b"set" | b"unset" | b"unspecified")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const NONE: Attributes = Attributes {
        filter: b"unspecified",
        ident: b"unspecified",
        encoding: b"unspecified",
        eol: b"unspecified",
        text: b"unspecified",
    };

    #[test]
    fn only_what_changes_content_is_converted() {
        let known = |driver: &[u8]| driver == b"up";
        let is = |attributes: Attributes, crlf| attributes.conversion(crlf, known);
        assert_eq!(is(NONE, false), None);
        assert_eq!(
            is(
                Attributes {
                    text: b"auto",
                    ..NONE
                },
                false
            ),
            None
        );
        assert_eq!(is(Attributes { eol: b"lf", ..NONE }, false), None);
        assert_eq!(
            is(
                Attributes {
                    filter: b"unknown",
                    ..NONE
                },
                false
            ),
            None
        );
        assert_eq!(
            is(
                Attributes {
                    filter: b"lfs",
                    ..NONE
                },
                false
            ),
            Some(Conversion::Lfs)
        );
        for converted in [
            Attributes {
                eol: b"crlf",
                ..NONE
            },
            Attributes {
                ident: b"set",
                ..NONE
            },
            Attributes {
                encoding: b"UTF-16",
                ..NONE
            },
            Attributes {
                filter: b"up",
                ..NONE
            },
        ] {
            assert_eq!(is(converted, false), Some(Conversion::Checkout));
        }
        assert_eq!(is(NONE, true), Some(Conversion::Checkout));
        assert_eq!(
            is(
                Attributes {
                    text: b"unset",
                    ..NONE
                },
                true
            ),
            None
        );
    }
}

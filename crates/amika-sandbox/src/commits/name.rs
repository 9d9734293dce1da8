//! Names of branches and objects, as a sandbox tells them: what git itself would refuse is refused here.

use std::fmt;

use amika_core::untrusted::Untrusted;

/// Bytes of a name, at most, and of one of its parts: with `.lock` behind it, it still is a file's.
const MAX_NAME: usize = 500;
const MAX_PART: usize = 200;

/// How a repository names objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// By SHA-1.
    Sha1,
    /// By SHA-256.
    Sha256,
}

impl Format {
    /// Digits of a name.
    fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }

    /// Its word in a configuration.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

/// The name of an object, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(String);

impl Oid {
    /// Reads a name of exactly that many digits; zeros alone are no object.
    pub(super) fn read(text: &[u8], format: Format) -> Option<Self> {
        let is_oid = text.len() == format.digits()
            && text
                .iter()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
            && text.iter().any(|byte| *byte != b'0');
        is_oid.then(|| Self(text.iter().copied().map(char::from).collect()))
    }

    /// Reads a name of either kind.
    pub(super) fn of_any(text: &[u8]) -> Option<Self> {
        Self::read(text, Format::Sha1).or_else(|| Self::read(text, Format::Sha256))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a branch, without `refs/heads/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(Vec<u8>);

/// Why a name is none of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// The line has another form.
    #[error("it is not an object and a ref")]
    Line,
    /// It is no branch.
    #[error("it is not in refs/heads/")]
    NoBranch,
    /// Git forbids the name.
    #[error("git allows no such name")]
    Forbidden,
    /// It is too long for a file system.
    #[error("the name is too long")]
    TooLong,
}

impl BranchName {
    /// Checks a name by the rules of `git check-ref-format --branch`.
    pub(super) fn new(name: &[u8]) -> Result<Self, BadName> {
        if name.len() > MAX_NAME {
            return Err(BadName::TooLong);
        }
        let is_forbidden = |byte: &u8| *byte <= b' ' || b"\x7f~^:?*[\\".contains(byte);
        let has = |text: &[u8]| name.windows(text.len()).any(|part| part == text);
        if name.iter().any(is_forbidden)
            || has(b"..")
            || has(b"@{")
            || name == b"@"
            || name == b"HEAD"
            || name.starts_with(b"-")
            || name.ends_with(b".")
        {
            return Err(BadName::Forbidden);
        }
        for part in name.split(|byte| *byte == b'/') {
            if part.len() > MAX_PART {
                return Err(BadName::TooLong);
            }
            // In any spelling: file systems that fold case would take it for a lock.
            let folded = part.to_ascii_lowercase();
            if part.is_empty() || part.starts_with(b".") || folded.ends_with(b".lock") {
                return Err(BadName::Forbidden);
            }
        }
        Ok(Self(name.to_owned()))
    }

    /// One that is known to be a name.
    pub(super) fn known(name: &'static str) -> Self {
        Self(name.as_bytes().to_owned())
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether one of the two would have to be a file and a directory at once.
    pub(super) fn is_in_the_way_of(&self, other: &[u8]) -> bool {
        let is_above = |one: &[u8], other: &[u8]| {
            other
                .strip_prefix(one)
                .is_some_and(|rest| rest.starts_with(b"/"))
        };
        is_above(&self.0, other) || is_above(other, &self.0)
    }
}

/// With what steers terminals escaped.
impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Untrusted::new(&String::from_utf8_lossy(&self.0)).fmt(f)
    }
}

impl std::str::FromStr for BranchName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::new(text.strip_prefix("refs/heads/").unwrap_or(text).as_bytes())
    }
}

/// A branch, with the commit that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its name.
    pub name: BranchName,
    /// The commit.
    pub tip: Oid,
}

impl Branch {
    /// Reads a line: an object, a blank, and the full name of a branch.
    pub(super) fn read(line: &[u8], format: Format) -> Result<Self, BadName> {
        let blank = line.iter().position(|byte| *byte == b' ');
        let (oid, name) = line.split_at(blank.ok_or(BadName::Line)?);
        let tip = Oid::read(oid, format).ok_or(BadName::Line)?;
        let name = name[1..]
            .strip_prefix(b"refs/heads/")
            .ok_or(BadName::NoBranch)?;
        Ok(Self {
            name: BranchName::new(name)?,
            tip,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn names_are_those_that_git_allows() {
        for name in [
            "main",
            "a/b",
            "feature/x-1",
            "zürich",
            "a@b",
            "x.lock.y",
            "a-",
            "HEAD/x",
        ] {
            let line = format!("{OID} refs/heads/{name}");
            assert!(
                Branch::read(line.as_bytes(), Format::Sha1).is_ok(),
                "{name}"
            );
        }
        let long_part = "x".repeat(201);
        let long = "x/".repeat(251);
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "../../config",
            "a/../../config",
            "a..b",
            ".git",
            "a/.git/config",
            "a.lock",
            "a.LOCK",
            "a.lock/b",
            "-x",
            "a b",
            "a\u{1b}[2J",
            "a\tb",
            "a\u{7f}",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[b",
            "a\\b",
            "@",
            "a@{1}",
            "a.",
            "HEAD",
            long_part.as_str(),
            long.as_str(),
        ] {
            let line = format!("{OID} refs/heads/{name}");
            assert!(
                Branch::read(line.as_bytes(), Format::Sha1).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_line_is_an_object_and_a_branch() {
        let zeros = "0".repeat(40);
        for line in [
            "refs/heads/main".to_owned(),
            format!("{OID}refs/heads/main"),
            format!("{OID} refs/tags/main"),
            format!("{OID} refs/remotes/a/b"),
            format!("{OID} config"),
            format!("{OID} refs/heads"),
            format!("{OID}  refs/heads/main"),
            format!("{} refs/heads/main", &OID[1..]),
            format!("{OID}{} refs/heads/main", &OID[16..]),
            format!("{} refs/heads/main", OID.to_uppercase()),
            format!("{zeros} refs/heads/main"),
            "--upload-pack=evil refs/heads/main".to_owned(),
        ] {
            assert!(
                Branch::read(line.as_bytes(), Format::Sha1).is_err(),
                "{line}"
            );
        }
        let line = format!("{OID}{} refs/heads/main", &OID[16..]);
        assert!(Branch::read(line.as_bytes(), Format::Sha256).is_ok());
    }

    #[test]
    fn a_file_is_no_directory() {
        let name = |text: &str| text.parse::<BranchName>().unwrap();
        for (one, other, is) in [
            ("a", "a/b", true),
            ("a/b", "a", true),
            ("a", "ab/c", false),
            ("a/b", "a/c", false),
        ] {
            assert_eq!(
                name(one).is_in_the_way_of(other.as_bytes()),
                is,
                "{one} {other}"
            );
        }
    }
}

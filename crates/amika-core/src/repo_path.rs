//! A path of a repository, as an index, a tree or a list of git's names it: bytes that are known to stay
//! beneath the directory they are joined to, and out of its git directory, on every file system.
//!
//! Git checks names when it adds them to an index, not when it reads one, so that whoever made the
//! repository chose them freely. Nothing that came from a repository is joined to a path of this machine
//! but as a [`RepoPath`].

use std::fmt;
use std::str::FromStr;

mod dot_git;

pub use dot_git::{is_dot_git, is_dot_gitmodules, is_ignorable};

/// The longest path, in bytes: what the system takes in one call.
pub const MAX_PATH: usize = 4096;

/// The longest component, in bytes: what Linux's file systems take.
pub const MAX_COMPONENT: usize = 255;

/// How much of a name a message shows, in characters.
const MAX_SHOWN: usize = 200;

/// A relative path of bytes: no component is empty, `.`, `..` or a spelling of `.git`, and there is no NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Box<[u8]>);

impl RepoPath {
    /// Takes a path that passes all rules.
    ///
    /// # Errors
    /// With the first rule that it breaks.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, InvalidPath> {
        let bytes = bytes.into();
        match check(&bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(rule) => Err(InvalidPath::new(&bytes, rule)),
        }
    }

    /// The path's bytes, with `/` between the components.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components, outermost first; there is at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        self.0.split(|&byte| byte == b'/')
    }

    /// The last component.
    pub fn name(&self) -> &[u8] {
        self.components().next_back().unwrap_or(&self.0)
    }

    /// The path of the directory that it is in; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let end = self.0.iter().rposition(|&byte| byte == b'/')?;
        Some(Self(self.0[..end].into()))
    }

    /// A path beneath this one.
    ///
    /// # Errors
    /// When the two together are too long.
    pub fn join(&self, below: &Self) -> Result<Self, InvalidPath> {
        Self::new([self.as_bytes(), b"/", below.as_bytes()].concat())
    }

    /// Whether this is the other path, or beneath it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(other.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.0))
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoPath({})", escaped(&self.0))
    }
}

impl TryFrom<&[u8]> for RepoPath {
    type Error = InvalidPath;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidPath> {
        Self::new(bytes)
    }
}

impl FromStr for RepoPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        Self::new(text.as_bytes())
    }
}

/// The name of a submodule, whose git directory is at `modules/<name>`: a [`RepoPath`] that `\` does not
/// lead out of either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmoduleName(RepoPath);

impl SubmoduleName {
    /// Takes a name that passes all rules.
    ///
    /// # Errors
    /// With the first rule that it breaks.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, InvalidPath> {
        let path = RepoPath::new(bytes)?;
        // Git takes `\` for a separator here on every system, so that a name means the same on each.
        let mut parts = path.0.split(|&byte| matches!(byte, b'/' | b'\\'));
        if parts.any(|part| part == b"..") {
            return Err(InvalidPath::new(&path.0, PathRule::Climbs));
        }
        Ok(Self(path))
    }

    /// The name as a path, to be opened beneath `modules`.
    pub fn as_path(&self) -> &RepoPath {
        &self.0
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for SubmoduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A path that a repository may not name, with the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" {rule}")]
pub struct InvalidPath {
    /// The path, escaped and cut for people.
    pub shown: String,
    /// What is wrong with it.
    pub rule: PathRule,
}

impl InvalidPath {
    fn new(bytes: &[u8], rule: PathRule) -> Self {
        Self {
            shown: escaped(bytes),
            rule,
        }
    }
}

/// A rule of [`RepoPath`] or [`SubmoduleName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRule {
    /// There is nothing.
    #[error("is an empty path")]
    Empty,
    /// It begins with `/`.
    #[error("is an absolute path")]
    Absolute,
    /// It has an empty component: `a//b`, `a/`.
    #[error("has an empty component")]
    EmptyComponent,
    /// A component is `.`.
    #[error("has a component \".\"")]
    Dot,
    /// A component is `..`.
    #[error("leads out of its directory by \"..\"")]
    Climbs,
    /// A component is `.git`, or what a file system takes for it.
    #[error("leads into a git directory: a component is a spelling of \".git\"")]
    GitDirectory,
    /// It has a NUL byte.
    #[error("has a NUL byte")]
    Nul,
    /// It has more than [`MAX_PATH`] bytes.
    #[error("is longer than {MAX_PATH} bytes")]
    Long,
    /// A component has more than [`MAX_COMPONENT`] bytes.
    #[error("has a component of more than {MAX_COMPONENT} bytes")]
    LongComponent,
}

fn check(bytes: &[u8]) -> Result<(), PathRule> {
    if bytes.is_empty() {
        return Err(PathRule::Empty);
    }
    if bytes.len() > MAX_PATH {
        return Err(PathRule::Long);
    }
    if bytes.contains(&0) {
        return Err(PathRule::Nul);
    }
    if bytes[0] == b'/' {
        return Err(PathRule::Absolute);
    }
    for component in bytes.split(|&byte| byte == b'/') {
        match component {
            b"" => return Err(PathRule::EmptyComponent),
            b"." => return Err(PathRule::Dot),
            b".." => return Err(PathRule::Climbs),
            long if long.len() > MAX_COMPONENT => return Err(PathRule::LongComponent),
            // Windows takes `\` for a separator, and a file that is legal here would be one of the git
            // directory there.
            _ if component.split(|&byte| byte == b'\\').any(is_dot_git) => {
                return Err(PathRule::GitDirectory);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Shows bytes from outside to people: what is no text, and what steers a terminal, is escaped; a long name
/// is cut.
pub fn escaped(bytes: &[u8]) -> String {
    use fmt::Write as _;

    let mut shown = String::new();
    let mut count = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            count += 1;
            if count > MAX_SHOWN {
                shown.push('…');
                return shown;
            }
            if c.is_control() || is_ignorable(c) || matches!(c, '\u{2028}' | '\u{2029}') {
                // Of these `escape_debug` lets some pass.
                match c {
                    '\n' | '\r' | '\t' => shown.extend(c.escape_debug()),
                    c => shown.extend(c.escape_unicode()),
                }
            } else {
                shown.extend(c.escape_debug());
            }
        }
        for byte in chunk.invalid() {
            count += 1;
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests;

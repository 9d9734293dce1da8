//! The index, in all versions of its format, and a fresh one made of what was read.
//!
//! Source: git's `gitformat-index`. Git does not check names when it reads an index; here each is a
//! [`RepoPath`].

use super::oid::{ObjectFormat, Oid};
use crate::repo_path::{InvalidPath, RepoPath};

mod ewah;
mod parse;
mod split;
mod write;

pub use parse::parse;

/// The largest file, in bytes.
pub const MAX_FILE: usize = 512 << 20;

/// The most entries.
pub const MAX_ENTRIES: usize = 5_000_000;

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The hash of its objects.
    pub format: ObjectFormat,
    /// In git's order: by name, then by stage. A directory's name has a slash behind it in that order.
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is in the work tree.
    pub path: RepoPath,
    /// What it is.
    pub mode: Mode,
    /// Its content, or the commit of a submodule.
    pub oid: Oid,
    /// 0, or 1 to 3 for the sides of a conflict.
    pub stage: u8,
    /// What the file's stat data were when git last compared it.
    pub stat: Stat,
    /// Git is told to believe that the file is unchanged (`update-index --assume-unchanged`).
    pub assume_valid: bool,
    /// It is not in the work tree (`update-index --skip-worktree`, sparse checkouts).
    pub skip_worktree: bool,
    /// It is only noted for being added later (`add -N`).
    pub intent_to_add: bool,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A file.
    Regular,
    /// A file that may be run.
    Executable,
    /// A symbolic link.
    Symlink,
    /// A submodule's commit.
    Gitlink,
    /// A whole directory of a sparse index.
    Tree,
}

impl Mode {
    /// Takes one of the modes that git writes.
    pub fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            0o100_644 => Some(Self::Regular),
            0o100_755 => Some(Self::Executable),
            0o120_000 => Some(Self::Symlink),
            0o160_000 => Some(Self::Gitlink),
            0o040_000 => Some(Self::Tree),
            _ => None,
        }
    }

    /// The mode as git writes it.
    pub fn bits(self) -> u32 {
        match self {
            Self::Regular => 0o100_644,
            Self::Executable => 0o100_755,
            Self::Symlink => 0o120_000,
            Self::Gitlink => 0o160_000,
            Self::Tree => 0o040_000,
        }
    }
}

/// Stat data as an index keeps them, each cut to 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Last change of its data about it: seconds and nanoseconds.
    pub ctime: (u32, u32),
    /// Last change of its content: seconds and nanoseconds.
    pub mtime: (u32, u32),
    /// The device.
    pub dev: u32,
    /// The inode.
    pub ino: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its size in bytes.
    pub size: u32,
}

/// Why bytes are no index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIndex {
    /// It is larger than [`MAX_FILE`].
    #[error("it has {size} bytes, at most {MAX_FILE} are allowed")]
    Large {
        /// Its size in bytes.
        size: usize,
    },
    /// It ends before what its head says is there.
    #[error("it is cut short")]
    Cut,
    /// It does not begin as an index.
    #[error("it does not begin with \"DIRC\"")]
    Signature,
    /// A version other than 2, 3 and 4.
    #[error("its version is {0}, known are 2, 3, and 4")]
    Version(u32),
    /// More entries than [`MAX_ENTRIES`].
    #[error("it has {0} entries, at most {MAX_ENTRIES} are allowed")]
    Many(u64),
    /// The names of all entries together are longer than [`MAX_FILE`].
    #[error("its names have more than {MAX_FILE} bytes together")]
    Names,
    /// What it ends with is not the hash of it, nor zero.
    #[error("its checksum is wrong for a repository of {} objects", .0.name())]
    Checksum(ObjectFormat),
    /// An entry's name is no path of a repository.
    #[error("entry {number} {path}")]
    Path {
        /// Which entry, counted from 1.
        number: usize,
        /// What is wrong with its name.
        path: InvalidPath,
    },
    /// An entry is not understood.
    #[error("entry {number} {problem}")]
    Entry {
        /// Which entry, counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: EntryProblem,
    },
    /// An extension that has to be understood, and is not.
    #[error("its extension \"{0}\" is not known, and must be")]
    Extension(String),
    /// An extension that is known does not hold what it should.
    #[error("its extension \"{0}\" is not well formed")]
    Malformed(&'static str),
    /// It is split, and the shared index that it needs was not given.
    #[error("it is split, and sharedindex.{0} is not there")]
    NoShared(Oid),
    /// The shared index is not understood.
    #[error("sharedindex.{name}: {why}")]
    Shared {
        /// Its name.
        name: Oid,
        /// What is wrong with it.
        why: Box<InvalidIndex>,
    },
    /// It says to be split from another one that is split.
    #[error("it is split itself")]
    SplitTwice,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// A mode that git does not write.
    #[error("({path}) has the unknown mode {mode:o}")]
    Mode {
        /// Its name, escaped.
        path: String,
        /// The mode.
        mode: u32,
    },
    /// A directory where none can be, or a directory's name with another mode.
    #[error(
        "({0}) is a directory in an index that is not sparse, or no directory with a directory's name"
    )]
    Directory(String),
    /// A link in the place of `.gitmodules`.
    #[error("({0}) is a symbolic link in the place of .gitmodules")]
    ModulesLink(String),
    /// Bits that no version has.
    #[error("({0}) has unknown flags")]
    Flags(String),
    /// The length of its name is not what it says.
    #[error("has a name of another length than it says")]
    NameLength,
    /// It does not come behind the one before it.
    #[error("({0}) is not behind the one before it, or the same again")]
    Order(String),
    /// Another entry is a file where this one needs a directory.
    #[error("({0}) is beneath another entry, which is no directory")]
    Beneath(String),
    /// It should have a name, or none.
    #[error("of a split index has a name where it takes that of the shared one, or has none")]
    SplitName,
}

#[cfg(test)]
mod tests;

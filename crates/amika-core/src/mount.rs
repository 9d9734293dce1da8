//! What is mounted into a sandbox: at the user's word (`--mount` and `--volume`), and at its repository's.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::text::shell_quote;

mod conflict;
mod file;
mod target;

pub use conflict::{MountConflict, OwnMount, check, check_file, covering};
pub use file::{FileMount, FileSource, Found, RepositoryMount};
pub use target::{InvalidTarget, Target};

/// A host path or a volume at a place in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Mount {
    /// `--mount`
    Host(HostMount),
    /// `--volume`
    Volume(VolumeMount),
    /// `[sandbox] mounts` of the repository's file.
    Repository(RepositoryMount),
}

impl Mount {
    /// Returns the place in the container.
    pub fn target(&self) -> &Target {
        match self {
            Self::Host(mount) => &mount.target,
            Self::Volume(mount) => &mount.target,
            Self::Repository(mount) => &mount.asked.target,
        }
    }
}

/// Prints the flag that means the mount, or the entry of the repository's file.
impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(mount) => write!(f, "--mount {mount}"),
            Self::Volume(mount) => write!(f, "--volume {mount}"),
            Self::Repository(mount) => {
                write!(
                    f,
                    "mounts \"{}\" of {}",
                    mount.asked,
                    crate::contract::REPO_CONFIG
                )
            }
        }
    }
}

/// `--mount source:target[:ro|rw|rwcopy]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostMount {
    /// The path on the host, as it was given: relative ones are for the caller to resolve.
    pub source: String,
    /// The place in the container.
    pub target: Target,
    /// What may be done to it.
    pub access: Access,
}

/// What a sandbox may do to a host path that is mounted into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// `ro`: read the host's files.
    Ro,
    /// `rw`: change the host's files.
    Rw,
    /// `rwcopy`: change a copy; the host's files stay as they are.
    #[default]
    RwCopy,
}

impl Access {
    /// Returns the word that a flag has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ro => "ro",
            Self::Rw => "rw",
            Self::RwCopy => "rwcopy",
        }
    }
}

/// `--volume name:target[:ro|rw]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VolumeMount {
    /// The volume's name.
    pub name: String,
    /// The place in the container.
    pub target: Target,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

impl FromStr for HostMount {
    type Err = InvalidMount;

    fn from_str(text: &str) -> Result<Self, InvalidMount> {
        let invalid = |problem| InvalidMount {
            flag: "--mount",
            text: text.to_owned(),
            problem,
        };
        let [source, target, mode] = split(text, "source").map_err(invalid)?;
        let access = match mode {
            "" => Access::default(),
            "ro" => Access::Ro,
            "rw" => Access::Rw,
            "rwcopy" => Access::RwCopy,
            _ => {
                let (mode, modes) = (mode.to_owned(), "ro, rw or rwcopy");
                return Err(invalid(MountProblem::Mode { mode, modes }));
            }
        };
        if source.contains('\0') {
            return Err(invalid(MountProblem::Nul));
        }
        let target = target
            .parse()
            .map_err(|problem| invalid(MountProblem::Target(problem)))?;
        Ok(Self {
            source: source.to_owned(),
            target,
            access,
        })
    }
}

impl HostMount {
    /// The flag that mounts the same with another access, as it can be pasted.
    pub fn flag(&self, access: Access) -> String {
        let other = Self {
            access,
            ..self.clone()
        };
        format!("--mount {}", shell_quote(&other.to_string()))
    }
}

impl fmt::Display for HostMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.source,
            self.target,
            self.access.as_str()
        )
    }
}

impl FromStr for VolumeMount {
    type Err = InvalidMount;

    fn from_str(text: &str) -> Result<Self, InvalidMount> {
        let invalid = |problem| InvalidMount {
            flag: "--volume",
            text: text.to_owned(),
            problem,
        };
        let [name, target, mode] = split(text, "name").map_err(invalid)?;
        let read_only = match mode {
            "" | "rw" => false,
            "ro" => true,
            _ => {
                let (mode, modes) = (mode.to_owned(), "ro or rw");
                return Err(invalid(MountProblem::Mode { mode, modes }));
            }
        };
        if name.contains('/') || name.starts_with(['.', '~']) {
            return Err(invalid(MountProblem::HostPath {
                path: name.to_owned(),
            }));
        }
        if !is_volume_name(name) {
            return Err(invalid(MountProblem::VolumeName {
                name: name.to_owned(),
            }));
        }
        let target = target
            .parse()
            .map_err(|problem| invalid(MountProblem::Target(problem)))?;
        Ok(Self {
            name: name.to_owned(),
            target,
            read_only,
        })
    }
}

impl fmt::Display for VolumeMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.name,
            self.target,
            if self.read_only { "ro" } else { "rw" }
        )
    }
}

/// As the engine has it: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`
fn is_volume_name(name: &str) -> bool {
    let inner = |found: char| found.is_ascii_alphanumeric() || "_.-".contains(found);
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(inner)
}

/// Splits into source, target and mode; the mode is empty when it was left out.
fn split<'t>(text: &'t str, source: &'static str) -> Result<[&'t str; 3], MountProblem> {
    let parts: Vec<&str> = text.split(':').collect();
    let [from, target, mode @ ..] = parts.as_slice() else {
        return Err(MountProblem::NoTarget {
            source_word: source,
        });
    };
    if from.is_empty() {
        return Err(MountProblem::NoSource {
            source_word: source,
        });
    }
    match mode {
        [] => Ok([from, target, ""]),
        [""] => Err(MountProblem::EmptyMode),
        [mode] => Ok([from, target, mode]),
        _ => Err(MountProblem::Colons {
            source_word: source,
        }),
    }
}

/// A value of `--mount`, `--volume` or `mounts` that means nothing, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} \"{}\": {problem}", .text.escape_debug())]
pub struct InvalidMount {
    /// The flag, or the key of the repository's file.
    pub flag: &'static str,
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: MountProblem,
}

/// What is wrong with a value of `--mount`, `--volume` or `mounts`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountProblem {
    /// There is no colon.
    #[error("target is missing: write {source_word}:/path/in/the/sandbox")]
    NoTarget {
        /// What stands before the target.
        source_word: &'static str,
    },
    /// Nothing stands before the first colon.
    #[error("{source_word} is missing: write {source_word}:/path/in/the/sandbox")]
    NoSource {
        /// What stands before the target.
        source_word: &'static str,
    },
    /// More than two colons.
    #[error(
        "too many colons: write {source_word}:target:mode; a path with a colon cannot be mounted"
    )]
    Colons {
        /// What stands before the target.
        source_word: &'static str,
    },
    /// A colon at the end.
    #[error("mode is missing behind the last colon")]
    EmptyMode,
    /// An unknown mode.
    #[error("unknown mode \"{}\": use {modes}", .mode.escape_debug())]
    Mode {
        /// What was given.
        mode: String,
        /// What is known.
        modes: &'static str,
    },
    /// A NUL byte in a path.
    #[error("a path may not contain a NUL byte")]
    Nul,
    /// A path where a volume's name belongs.
    #[error("\"{}\" is a path, not the name of a volume: use --mount for it", .path.escape_debug())]
    HostPath {
        /// What was given.
        path: String,
    },
    /// The host's own files, which no repository's file is given.
    #[error("a path of the repository is mounted as a copy: leave \":{}\" out", .mode.escape_debug())]
    OnlyCopies {
        /// What was given.
        mode: String,
    },
    /// A name that is too long for one part of a volume's name.
    #[error("the name of a volume has at most {most} characters here")]
    LongName {
        /// How many it may have.
        most: usize,
    },
    /// No name for a volume.
    #[error("\"{}\" is no name of a volume: use letters, digits, '_', '.' and '-', at least two", .name.escape_debug())]
    VolumeName {
        /// What was given.
        name: String,
    },
    /// The target is bad.
    #[error(transparent)]
    Target(InvalidTarget),
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn host_mounts_are_copies_unless_said_otherwise() {
        for (text, printed) in [
            ("./data:/data", "./data:/data:rwcopy"),
            ("/src:/data:ro", "/src:/data:ro"),
            ("/src:/data:rw", "/src:/data:rw"),
            ("/src:/data/:rwcopy", "/src:/data:rwcopy"),
            ("a b:/data//x/./y", "a b:/data/x/y:rwcopy"),
        ] {
            let read = text.parse::<HostMount>().map(|mount| mount.to_string());
            assert_eq!(read.as_deref(), Ok(printed));
        }
    }

    #[test]
    fn volumes_are_writable_unless_said_otherwise() {
        for (text, printed) in [
            ("cache:/cache", "cache:/cache:rw"),
            ("cache:/cache:ro", "cache:/cache:ro"),
            ("amika-git-a.b_c:/x:rw", "amika-git-a.b_c:/x:rw"),
        ] {
            let read = text.parse::<VolumeMount>().map(|mount| mount.to_string());
            assert_eq!(read.as_deref(), Ok(printed));
        }
    }

    #[test]
    fn each_mistake_has_its_message() {
        for (text, message) in [
            ("", "target is missing: write source:/path/in/the/sandbox"),
            (
                "/src",
                "target is missing: write source:/path/in/the/sandbox",
            ),
            (
                ":/data",
                "source is missing: write source:/path/in/the/sandbox",
            ),
            ("/src:/data:", "mode is missing behind the last colon"),
            ("/src:/data:RO", "unknown mode \"RO\": use ro, rw or rwcopy"),
            (
                "/a:b:/data:ro",
                "too many colons: write source:target:mode; a path with a colon cannot be mounted",
            ),
            ("/src:data", "target \"data\" is not absolute"),
            ("/a\0b:/data", "a path may not contain a NUL byte"),
        ] {
            assert_eq!(
                text.parse::<HostMount>().unwrap_err().problem.to_string(),
                message
            );
        }
        for (text, message) in [
            (
                "cache",
                "target is missing: write name:/path/in/the/sandbox",
            ),
            (
                "./cache:/cache",
                "\"./cache\" is a path, not the name of a volume: use --mount for it",
            ),
            (
                "/cache:/cache",
                "\"/cache\" is a path, not the name of a volume: use --mount for it",
            ),
            (
                "c:/cache",
                "\"c\" is no name of a volume: use letters, digits, '_', '.' and '-', at least two",
            ),
            (
                "cache:/cache:rwcopy",
                "unknown mode \"rwcopy\": use ro or rw",
            ),
        ] {
            assert_eq!(
                text.parse::<VolumeMount>().unwrap_err().problem.to_string(),
                message
            );
        }
        assert_eq!(
            "x".parse::<VolumeMount>().unwrap_err().to_string(),
            "--volume \"x\": target is missing: write name:/path/in/the/sandbox"
        );
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_as_it_prints(text in "\\PC{0,20}|[a-c./]{1,6}:/[a-c./]{0,9}(:ro|:rw|:rwcopy)?") {
            if let Ok(mount) = text.parse::<HostMount>() {
                prop_assert_eq!(mount.to_string().parse(), Ok(mount));
            }
            if let Ok(mount) = text.parse::<VolumeMount>() {
                prop_assert_eq!(mount.to_string().parse(), Ok(mount));
            }
        }
    }
}

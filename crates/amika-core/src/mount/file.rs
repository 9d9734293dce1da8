//! What a repository's file mounts: volumes of its own, and copies of what is in the repository.
//!
//! An entry is written as the flags are, `SOURCE:TARGET[:MODE]`, and reaches less: a repository that somebody cloned names
//! no volume that another one uses, and no file of the host.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{InvalidMount, MountProblem, Target, is_volume_name, split};

/// The longest name of a volume in a file, in bytes: it is a part of the engine's name for it.
const LONGEST: usize = 64;

/// An entry of `[sandbox] mounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileMount {
    /// What is mounted.
    pub source: FileSource,
    /// The place in the container.
    pub target: Target,
    /// Whether it cannot be written to; of a volume alone.
    pub read_only: bool,
}

/// What an entry names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FileSource {
    /// A volume, by the name that the repository has for it.
    Volume(String),
    /// A path of the repository, as it was written; whether it stays in there is for the caller to find out.
    Path(String),
}

impl FromStr for FileMount {
    type Err = InvalidMount;

    fn from_str(text: &str) -> Result<Self, InvalidMount> {
        read(text).map_err(|problem| InvalidMount {
            flag: "mounts",
            text: text.to_owned(),
            problem,
        })
    }
}

fn read(text: &str) -> Result<FileMount, MountProblem> {
    let [source, target, mode] = split(text, "source")?;
    // As Compose tells them apart: a name has no slash, and no dot before it.
    let is_path = source.contains('/') || source.starts_with(['.', '~']);
    let unknown = |modes| {
        let mode = mode.to_owned();
        Err(MountProblem::Mode { mode, modes })
    };
    let (source, read_only) = if is_path {
        match mode {
            "" | "rwcopy" => {}
            "ro" | "rw" => {
                let mode = mode.to_owned();
                return Err(MountProblem::OnlyCopies { mode });
            }
            _ => return unknown("rwcopy"),
        }
        (FileSource::Path(source.to_owned()), false)
    } else {
        if !is_volume_name(source) {
            let name = source.to_owned();
            return Err(MountProblem::VolumeName { name });
        }
        if source.len() > LONGEST {
            return Err(MountProblem::LongName { most: LONGEST });
        }
        let read_only = match mode {
            "" | "rw" => false,
            "ro" => true,
            _ => return unknown("ro or rw"),
        };
        (FileSource::Volume(source.to_owned()), read_only)
    };
    Ok(FileMount {
        source,
        target: target.parse().map_err(MountProblem::Target)?,
        read_only,
    })
}

impl fmt::Display for FileMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, mode) = match &self.source {
            FileSource::Path(path) => (path, "rwcopy"),
            FileSource::Volume(name) if self.read_only => (name, "ro"),
            FileSource::Volume(name) => (name, "rw"),
        };
        write!(f, "{source}:{}:{mode}", self.target)
    }
}

/// An entry of a repository's file, and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepositoryMount {
    /// The entry.
    pub asked: FileMount,
    /// What it means here.
    pub found: Found,
}

/// What an entry of a repository's file means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// The volume that the engine has for it.
    Volume(String),
    /// A directory of the repository, from its root and through no link; empty for the root itself.
    Directory(String),
    /// A file of the repository, likewise.
    File {
        /// Its path.
        path: String,
        /// Whether it may be executed.
        executable: bool,
    },
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_volumes_and_paths_are_copies() {
        for (text, printed) in [
            ("cache:/cache", "cache:/cache:rw"),
            ("cache:/cache/:ro", "cache:/cache:ro"),
            ("./data:/data", "./data:/data:rwcopy"),
            (".:/all:rwcopy", ".:/all:rwcopy"),
            ("conf/a b:/etc/a b", "conf/a b:/etc/a b:rwcopy"),
            // Who asks for these is answered with the place in the file.
            ("/etc:/x", "/etc:/x:rwcopy"),
            ("~/x:/x", "~/x:/x:rwcopy"),
            ("../x:/x", "../x:/x:rwcopy"),
        ] {
            let read = text.parse::<FileMount>().map(|mount| mount.to_string());
            assert_eq!(read.as_deref(), Ok(printed), "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_message() {
        let long = format!("{}:/x", "v".repeat(65));
        for (text, message) in [
            (
                "cache",
                "target is missing: write source:/path/in/the/sandbox",
            ),
            (
                ":/x",
                "source is missing: write source:/path/in/the/sandbox",
            ),
            ("cache:x", "target \"x\" is not absolute"),
            ("cache:/x:", "mode is missing behind the last colon"),
            ("cache:/x:rwcopy", "unknown mode \"rwcopy\": use ro or rw"),
            ("./x:/x:exec", "unknown mode \"exec\": use rwcopy"),
            (
                "./x:/x:ro",
                "a path of the repository is mounted as a copy: leave \":ro\" out",
            ),
            (
                "./x:/x:rw",
                "a path of the repository is mounted as a copy: leave \":rw\" out",
            ),
            (
                "c:/x",
                "\"c\" is no name of a volume: use letters, digits, '_', '.' and '-', at least two",
            ),
            (&long, "the name of a volume has at most 64 characters here"),
        ] {
            let error = text.parse::<FileMount>().unwrap_err();
            assert_eq!(error.problem.to_string(), message, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_as_it_prints(text in "\\PC{0,20}|[a-c./]{1,6}:/[a-c./]{0,9}(:ro|:rw|:rwcopy)?") {
            if let Ok(mount) = text.parse::<FileMount>() {
                prop_assert_eq!(mount.to_string().parse(), Ok(mount));
            }
        }
    }
}

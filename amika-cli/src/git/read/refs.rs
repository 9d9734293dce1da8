//! The files of refs beneath a git directory: `HEAD`, `packed-refs`, and all below `refs/`.

use amika_core::git_files::oid::ObjectFormat;
use amika_core::git_files::refs::{
    InvalidRefFile, MAX_PACKED_FILE, MAX_REF_FILE, MAX_REFS, PackedRef, Target, parse_packed,
    parse_ref,
};
use amika_core::ref_name::RefName;
use amika_core::repo_path::{RepoPath, escaped};

use super::dir::{Dir, Kind, ReadError, Refusal};

/// How deep directories of refs stand in each other.
const MAX_DEPTH: usize = 64;

/// Why refs could not be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::git) enum RefsError {
    /// A file could not be read, or is none.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file is not understood.
    #[error("{place} is not understood: {why}")]
    Content {
        /// The file.
        place: &'static str,
        /// What is wrong with it.
        why: InvalidRefFile,
    },
}

/// A ref with a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::git) struct LooseRef {
    /// The full name.
    pub(in crate::git) name: RefName,
    /// What it leads to.
    pub(in crate::git) target: Target,
}

/// A file beneath `refs/` that is no ref, which git leaves out with a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::git) struct Skipped {
    /// The path, escaped for people.
    pub(in crate::git) place: String,
    /// Why it is no ref.
    pub(in crate::git) why: String,
}

/// What stands beneath `refs/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::git) struct LooseRefs {
    /// In the order of their names.
    pub(in crate::git) refs: Vec<LooseRef>,
    /// What was left out.
    pub(in crate::git) skipped: Vec<Skipped>,
}

/// What `HEAD` leads to; `None` when it is not there.
pub(in crate::git) fn head(
    git_dir: &Dir,
    format: ObjectFormat,
) -> Result<Option<Target>, RefsError> {
    let content = |why| RefsError::Content { place: "HEAD", why };
    let bytes = read(git_dir, "HEAD", MAX_REF_FILE)?;
    bytes
        .map(|bytes| parse_ref(&bytes, format).map_err(content))
        .transpose()
}

/// The refs of `packed-refs`; none when it is not there.
pub(in crate::git) fn packed(
    git_dir: &Dir,
    format: ObjectFormat,
) -> Result<Vec<PackedRef>, RefsError> {
    let content = |why| RefsError::Content {
        place: "packed-refs",
        why,
    };
    let bytes = read(git_dir, "packed-refs", MAX_PACKED_FILE)?.unwrap_or_default();
    parse_packed(&bytes, format).map_err(content)
}

fn read(git_dir: &Dir, name: &'static str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
    let refused = |_| ReadError::new(name.as_bytes(), Refusal::Large(limit as u64));
    let path: RepoPath = name.parse().map_err(refused)?;
    git_dir.read(&path, limit as u64)
}

/// All refs that have a file of their own.
///
/// As git does, it leaves out what begins with a dot or ends in `.lock` silently, and what is broken with a
/// word. A link is an error, though git once took it for a symbolic ref, and so are pipes and devices.
pub(in crate::git) fn loose(git_dir: &Dir, format: ObjectFormat) -> Result<LooseRefs, RefsError> {
    let mut walk = Walk {
        format,
        left: MAX_REFS,
        found: LooseRefs::default(),
    };
    let root = b"refs";
    let Ok(path) = RepoPath::new(*root) else {
        return Ok(walk.found);
    };
    if let Some(dir) = git_dir.dir(&path)? {
        walk.directory(&dir, root, 1)?;
    }
    walk.found.refs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(walk.found)
}

struct Walk {
    format: ObjectFormat,
    /// How many names may still be met, directories included.
    left: usize,
    found: LooseRefs,
}

impl Walk {
    fn directory(&mut self, dir: &Dir, place: &[u8], depth: usize) -> Result<(), ReadError> {
        if depth > MAX_DEPTH {
            return Err(ReadError::new(place, Refusal::Deep(MAX_DEPTH)));
        }
        let listed = dir.list(self.left).map_err(|error| error.beneath(place))?;
        self.left -= listed.len();
        for one in listed {
            let full = [place, b"/", &one.name].concat();
            if one.name.starts_with(b".") || one.name.ends_with(b".lock") {
                continue;
            }
            match one.kind {
                Kind::File => self.file(dir, &one.name, full)?,
                Kind::Directory => self.enter(dir, &one.name, &full, depth)?,
                found @ (Kind::Link | Kind::Special) => {
                    let wanted = "a ref";
                    return Err(ReadError::new(&full, Refusal::Kind { found, wanted }));
                }
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        dir: &Dir,
        name: &[u8],
        full: &[u8],
        depth: usize,
    ) -> Result<(), ReadError> {
        let path = match RepoPath::new(name) {
            Ok(path) => path,
            Err(error) => {
                self.skip(full, &error);
                return Ok(());
            }
        };
        let parent = &full[..full.len() - name.len() - 1];
        match dir.dir(&path).map_err(|error| error.beneath(parent))? {
            Some(beneath) => self.directory(&beneath, full, depth + 1),
            // Git removed it meanwhile.
            None => Ok(()),
        }
    }

    fn file(&mut self, dir: &Dir, name: &[u8], full: Vec<u8>) -> Result<(), ReadError> {
        let parent = full[..full.len() - name.len() - 1].to_vec();
        let ref_name = match RefName::new(full.as_slice()) {
            Ok(ref_name) => ref_name,
            Err(error) => {
                self.skip(&full, &error);
                return Ok(());
            }
        };
        // The last component of a name that passed is a path by itself.
        let Ok(last) = RepoPath::new(name) else {
            return Ok(());
        };
        let limit = MAX_REF_FILE as u64;
        let Some(bytes) = dir
            .read(&last, limit)
            .map_err(|error| error.beneath(&parent))?
        else {
            return Ok(());
        };
        match parse_ref(&bytes, self.format) {
            Ok(target) => self.found.refs.push(LooseRef {
                name: ref_name,
                target,
            }),
            Err(error) => self.skip(&full, &error),
        }
        Ok(())
    }

    fn skip(&mut self, place: &[u8], why: &impl ToString) {
        self.found.skipped.push(Skipped {
            place: escaped(place),
            why: why.to_string(),
        });
    }
}

#[cfg(test)]
mod tests;

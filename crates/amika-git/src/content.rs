//! Single files of the tree that the sandbox will hold: are they there, what are they, what do they say.

use std::io::Read as _;
use std::path::Path;

use rustix::fs::FileType;

use super::dir::{Dir, kind};
use super::error::GitError;
use super::index::{Entry as IndexEntry, Mode};
use super::plan::{Plan, Tree};
use super::tree;
use super::worktree::{Found, Reader};

/// What a path of the repository leads to, symbolic links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is after all links, from the root of the repository.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of things in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its owner may execute it.
        executable: bool,
    },
    /// A directory.
    Directory,
}

/// One step of a look-up, no link followed.
enum Node {
    Missing,
    Directory,
    File { executable: bool },
    Symlink(Vec<u8>),
}

/// The longest target of a symbolic link on Linux.
const LINK_LIMIT: u64 = 4096;
/// Links that are followed for one path, as many as Linux would.
const LINKS: usize = 40;

/// Looks a path up in the tree that is copied.
pub(super) fn entry(plan: &Plan, path: &str) -> Result<Option<Entry>, GitError> {
    resolve(path, |path| node(plan, path))
}

/// The content of a regular file; `None` when the path leads to none.
pub(super) fn read(plan: &Plan, path: &str, limit: u64) -> Result<Option<Vec<u8>>, GitError> {
    let Some(Entry {
        path,
        kind: Kind::File { .. },
    }) = entry(plan, path)?
    else {
        return Ok(None);
    };
    let too_large = || GitError::TooLarge {
        path: path.clone(),
        limit,
    };
    let (plan, inner) = innermost(plan, path.as_bytes());
    match &plan.tree {
        Tree::Committed { entries, .. } => {
            let Some(found) = find(entries, inner) else {
                return Ok(None);
            };
            let content = blob(plan, found, limit);
            content.map(Some).map_err(|error| match error {
                GitError::TooLarge { .. } => too_large(),
                error => error,
            })
        }
        Tree::Disk { .. } => {
            let Some(root) = plan.location.tree() else {
                return Ok(None);
            };
            let failed = || GitError::io("read", root.place(inner));
            let found = Reader::new(root).find(inner).map_err(failed())?;
            let Found::File { file, .. } = found else {
                return Ok(None);
            };
            let mut content = Vec::new();
            file.take(limit + 1)
                .read_to_end(&mut content)
                .map_err(failed())?;
            if content.len() as u64 > limit {
                return Err(too_large());
            }
            Ok(Some(content))
        }
    }
}

/// Why what stands at a path of the work tree is not in the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// It is none of what git knows, but this: `a FIFO`, `a socket`, `a device`.
    Special(&'static str),
    /// Git ignores it, and what is ignored was not asked for.
    Ignored,
}

/// Why a path of the work tree leads to nothing in its copy, though something is there; `None` where nothing is,
/// and where the copy is of what is committed.
pub(super) fn left_out(plan: &Plan, path: &str) -> Result<Option<LeftOut>, GitError> {
    let mut why = None;
    resolve(path, |path| {
        why = None;
        let looked = node(plan, path)?;
        let (plan, path) = innermost(plan, path);
        let (Node::Missing, Tree::Disk { .. }, Some(root)) =
            (&looked, &plan.tree, plan.location.tree())
        else {
            return Ok(looked);
        };
        let failed = || GitError::io("read", root.place(path));
        let found = root.find(path).map_err(failed())?.map(kind);
        why = found.map(|found| match found {
            FileType::Fifo => LeftOut::Special("a FIFO"),
            FileType::Socket => LeftOut::Special("a socket"),
            FileType::CharacterDevice | FileType::BlockDevice => LeftOut::Special("a device"),
            _ => LeftOut::Ignored,
        });
        // What is in a directory without any file of the copy is looked at all the same.
        Ok(match found {
            Some(FileType::Directory) => Node::Directory,
            _ => looked,
        })
    })?;
    Ok(why)
}

/// Looks a path up beneath a directory of this machine, whatever of it is committed. A path that
/// leaves the directory, even to come back, is refused as it is in a copy.
pub(super) fn beneath(root: &Path, path: &str) -> Result<Option<Entry>, GitError> {
    let root = root.canonicalize().map_err(GitError::io("read", root))?;
    let root = Dir::open(&root).map_err(GitError::io("read", &root))?;
    resolve(path, |path| {
        let failed = || GitError::io("read", root.place(path));
        let Some(stat) = root.find(path).map_err(failed())? else {
            return Ok(Node::Missing);
        };
        Ok(match kind(stat) {
            FileType::Directory => Node::Directory,
            FileType::Symlink => Node::Symlink(root.link(path).map_err(failed())?),
            _ => Node::File {
                executable: stat.st_mode & 0o111 != 0,
            },
        })
    })
}

/// The repository inside this one, at whatever depth, that a path is in, and the path from its root; of a
/// path in none, or of such a repository's own root, this one.
fn innermost<'p>(plan: &'p Plan, path: &'p [u8]) -> (&'p Plan, &'p [u8]) {
    for child in &plan.children {
        let Some(root) = root_in(child, plan) else {
            continue;
        };
        if let Some([b'/', inner @ ..]) = path.strip_prefix(root) {
            return innermost(child, inner);
        }
    }
    (plan, path)
}

/// Where a repository stands in the one that it is in.
fn root_in<'p>(child: &'p Plan, parent: &Plan) -> Option<&'p [u8]> {
    let root = child.place.tree.strip_prefix(&parent.place.tree[..])?;
    Some(root.strip_prefix(b"/").unwrap_or(root))
}

fn node(plan: &Plan, path: &[u8]) -> Result<Node, GitError> {
    let (plan, path) = innermost(plan, path);
    let is_root = |child: &Plan| root_in(child, plan) == Some(path);
    if plan.children.iter().any(is_root) {
        return Ok(Node::Directory);
    }
    match &plan.tree {
        Tree::Committed { entries, .. } => {
            let Some(found) = find(entries, path) else {
                return Ok(
                    if has_below(entries.iter().map(|entry| &entry.path[..]), path) {
                        Node::Directory
                    } else {
                        Node::Missing
                    },
                );
            };
            Ok(match found.mode {
                Mode::Gitlink => Node::Directory,
                Mode::Symlink => Node::Symlink(blob(plan, found, LINK_LIMIT)?),
                mode => Node::File {
                    executable: mode == Mode::Executable,
                },
            })
        }
        Tree::Disk { paths, .. } => {
            let Some(root) = plan.location.tree() else {
                return Ok(Node::Missing);
            };
            if path.is_empty() {
                return Ok(Node::Directory);
            }
            let found = Reader::new(root)
                .find(path)
                .map_err(GitError::io("read", root.place(path)))?;
            let copied = paths.files.contains_key(path);
            Ok(match found {
                Found::Directory if has_below(paths.files.keys().map(|path| &path[..]), path) => {
                    Node::Directory
                }
                Found::File { mode, .. } if copied => Node::File {
                    executable: mode & 0o100 != 0,
                },
                Found::Symlink { target, .. } if copied => Node::Symlink(target),
                _ => Node::Missing,
            })
        }
    }
}

/// The content of an entry, held to its name: it decides on the sandbox.
fn blob(plan: &Plan, entry: &IndexEntry, limit: u64) -> Result<Vec<u8>, GitError> {
    let git = plan.location.git_in(None);
    tree::whole(&git, "blob", &entry.oid, plan.location.format(), limit)
}

fn find<'a>(entries: &'a [IndexEntry], path: &[u8]) -> Option<&'a IndexEntry> {
    let at = entries
        .binary_search_by(|entry| (*entry.path).cmp(path))
        .ok()?;
    Some(&entries[at])
}

fn has_below<'a>(mut paths: impl Iterator<Item = &'a [u8]>, directory: &[u8]) -> bool {
    paths.any(|path| {
        path.strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with(b"/"))
    })
}

/// Follows a path from the root, step by step. One that leaves the root, even to come back, is an error.
fn resolve(
    path: &str,
    mut look: impl FnMut(&[u8]) -> Result<Node, GitError>,
) -> Result<Option<Entry>, GitError> {
    let outside = || GitError::Outside {
        path: path.to_owned(),
    };
    if path.starts_with('/') {
        return Err(outside());
    }
    let mut links = 0;
    let mut steps: Vec<Vec<u8>> = split(path.as_bytes());
    let mut walked: Vec<Vec<u8>> = Vec::new();
    let mut kind = Kind::Directory;
    while let Some(step) = steps.pop() {
        if !matches!(kind, Kind::Directory) {
            return Ok(None);
        }
        match step.as_slice() {
            b"." => continue,
            b".." => {
                walked.pop().ok_or_else(outside)?;
                continue;
            }
            _ => {}
        }
        walked.push(step);
        match look(&walked.join(&b'/'))? {
            Node::Missing => return Ok(None),
            Node::Directory => {}
            Node::File { executable } => kind = Kind::File { executable },
            Node::Symlink(target) => {
                links += 1;
                if links > LINKS {
                    return Ok(None);
                }
                if target.starts_with(b"/") {
                    return Err(outside());
                }
                walked.pop();
                steps.extend(split(&target));
            }
        }
    }
    Ok(Some(Entry {
        path: String::from_utf8_lossy(&walked.join(&b'/')).into_owned(),
        kind,
    }))
}

/// The steps of a path, the first one last.
fn split(path: &[u8]) -> Vec<Vec<u8>> {
    let mut steps: Vec<Vec<u8>> = path
        .split(|&byte| byte == b'/')
        .filter(|step| !step.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    steps.reverse();
    steps
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// `bin/run` is a file, `link` leads to it, `out` and `abs` lead outside, `loop` to itself.
    #[allow(clippy::unnecessary_wraps, reason = "the signature of a look-up")]
    fn look(path: &[u8]) -> Result<Node, GitError> {
        Ok(match path {
            b"bin" => Node::Directory,
            b"bin/run" => Node::File { executable: true },
            b"bin/link" => Node::Symlink(b"../bin/./run".to_vec()),
            b"dir" => Node::Symlink(b"bin".to_vec()),
            b"out" => Node::Symlink(b"bin/../../etc/passwd".to_vec()),
            b"abs" => Node::Symlink(b"/etc/passwd".to_vec()),
            b"loop" => Node::Symlink(b"loop".to_vec()),
            _ => Node::Missing,
        })
    }

    #[test]
    fn links_inside_are_followed() {
        for path in [
            "bin/run",
            "./bin//run",
            "bin/link",
            "dir/link",
            "dir/../bin/run",
        ] {
            let found = resolve(path, look).unwrap().unwrap();
            assert_eq!(
                (found.path.as_str(), found.kind),
                ("bin/run", Kind::File { executable: true }),
                "{path}"
            );
        }
        for path in ["none", "bin/none", "bin/run/x", "loop"] {
            assert_eq!(resolve(path, look).unwrap(), None, "{path}");
        }
        assert_eq!(resolve("dir", look).unwrap().unwrap().kind, Kind::Directory);
    }

    #[test]
    fn a_path_that_leaves_is_refused_even_if_it_would_come_back() {
        for path in [
            "/etc/passwd",
            "..",
            "bin/../../x",
            "out",
            "abs",
            "../repo/bin/run",
        ] {
            assert!(
                matches!(resolve(path, look), Err(GitError::Outside { .. })),
                "{path}"
            );
        }
    }
}

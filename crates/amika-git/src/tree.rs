//! The tree of a commit, read object by object: each is what its name says, or the copy ends.
//!
//! Git does not look at that when it reads. What decides on the copy (which files there are, the
//! configuration, submodules) must not be something else than what the commit's name stands for.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::sync::mpsc;

use amika_core::git_files::oid::{ObjectFormat, Oid};
use amika_core::repo_path::{MAX_PATH, RepoPath, escaped};

use super::blobs::{BlobError, Blobs};
use super::command::Git;
use super::error::GitError;
use super::index::{Entry, Mode};

/// Files and directories of one tree, at most: a few small objects can stand for any number of them.
pub(super) const MAX_FILES: usize = 2_000_000;
/// Bytes of one directory, and of a commit.
const MAX_OBJECT: u64 = 256 << 20;

/// What a commit says.
#[derive(Debug)]
pub(super) struct Commit {
    /// Its tree.
    pub(super) tree: String,
    /// When it was made, in Unix seconds.
    pub(super) time: u64,
}

/// Reads a commit.
pub(super) fn commit(git: &Git, oid: &str, format: ObjectFormat) -> Result<Commit, GitError> {
    let content = whole(git, "commit", oid, format, MAX_OBJECT)?;
    let damaged = || GitError::Lie {
        oid: oid.to_owned(),
        why: "it is no commit",
    };
    let tree = content
        .strip_prefix(b"tree ")
        .and_then(|rest| rest.get(..2 * format.length()))
        .and_then(|hex| Oid::from_hex(format, hex))
        .ok_or_else(damaged)?;
    let head = content.split(|&byte| byte == b'\n');
    let mut head = head.take_while(|line| !line.is_empty());
    let committer = head.find_map(|line| line.strip_prefix(b"committer "));
    let time = committer.and_then(|line| {
        let end = line.iter().rposition(|&byte| byte == b'>')?;
        let text = std::str::from_utf8(&line[end + 1..]).ok()?;
        text.split_whitespace().next()?.parse().ok()
    });
    Ok(Commit {
        tree: tree.to_string(),
        time: time.unwrap_or(0),
    })
}

/// Reads one object of at most `limit` bytes, and holds it to its name.
pub(super) fn whole(
    git: &Git,
    kind: &str,
    oid: &str,
    format: ObjectFormat,
    limit: u64,
) -> Result<Vec<u8>, GitError> {
    std::thread::scope(|scope| {
        let mut blobs = Blobs::start(scope, git, std::iter::once(oid))?;
        read(&mut blobs, kind, oid, format, limit)
    })
}

/// Reads the next of the objects that were asked for, and holds it to its name.
pub(super) fn read(
    blobs: &mut Blobs,
    kind: &str,
    oid: &str,
    format: ObjectFormat,
    limit: u64,
) -> Result<Vec<u8>, GitError> {
    let size = match blobs.next_of(kind, oid) {
        Ok(size) => size,
        Err(BlobError::Missing) => {
            return Err(GitError::Lie {
                oid: oid.to_owned(),
                why: "it is not there",
            });
        }
        Err(BlobError::Broken(error)) => return Err(broken(error)),
    };
    if size > limit {
        return Err(GitError::TooLarge {
            path: format!("object {oid}"),
            limit,
        });
    }
    let mut content = format!("{kind} {size}\0").into_bytes();
    let begin = content.len();
    let mut limited = blobs.content().take(size);
    limited.read_to_end(&mut content).map_err(broken)?;
    blobs.after().map_err(broken)?;
    if content.len() - begin != usize::try_from(size).unwrap_or(usize::MAX)
        || format.hash(&content).to_string() != oid
    {
        return Err(GitError::Lie {
            oid: oid.to_owned(),
            why: "its content is that of another",
        });
    }
    content.drain(..begin);
    Ok(content)
}

/// An error of reading from git, which may be one of ours.
fn broken(error: io::Error) -> GitError {
    match error.downcast::<GitError>() {
        Ok(ours) => ours,
        Err(error) => GitError::NoGit(error),
    }
}

/// What a directory says of one name in it.
struct Named {
    name: Box<[u8]>,
    /// `None` for a directory.
    mode: Option<Mode>,
    oid: Box<str>,
}

/// All files of a tree, in the order of an index.
pub(super) fn entries(git: &Git, tree: &str, format: ObjectFormat) -> Result<Vec<Entry>, GitError> {
    let mut files: Vec<Entry> = Vec::new();
    let mut count = 0;
    std::thread::scope(|scope| {
        let (ask, asked) = mpsc::channel::<String>();
        let mut blobs = Blobs::answering(scope, git, asked)?;
        // By their names: the same directory may be in many places.
        let mut known: HashMap<Box<str>, Vec<Named>> = HashMap::new();
        let mut level: Vec<(Vec<u8>, Box<str>)> = vec![(Vec::new(), tree.into())];
        while !level.is_empty() {
            let mut new: Vec<Box<str>> = Vec::new();
            for (_, oid) in &level {
                if !known.contains_key(oid) {
                    known.insert(oid.clone(), Vec::new());
                    new.push(oid.clone());
                    // One that ended early is seen by what it does not answer.
                    let _ = ask.send(oid.to_string());
                }
            }
            for oid in new {
                let content = read(&mut blobs, "tree", &oid, format, MAX_OBJECT)?;
                known.insert(oid, directory(&content, format)?);
            }
            let mut next = Vec::new();
            for (path, oid) in level {
                for one in known.get(&oid).into_iter().flatten() {
                    count += 1;
                    if count > MAX_FILES {
                        return Err(GitError::TooManyFiles { limit: MAX_FILES });
                    }
                    let full = if path.is_empty() {
                        one.name.to_vec()
                    } else {
                        [&path[..], b"/", &one.name].concat()
                    };
                    if full.len() > MAX_PATH {
                        return Err(GitError::BadPath {
                            of: "a tree",
                            why: format!("\"{}\" is longer than {MAX_PATH} bytes", escaped(&full)),
                        });
                    }
                    match one.mode {
                        Some(mode) => files.push(Entry {
                            mode,
                            oid: one.oid.clone(),
                            path: full.into(),
                        }),
                        None => next.push((full, one.oid.clone())),
                    }
                }
            }
            level = next;
        }
        Ok(())
    })?;
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    if let Some(twice) = files.windows(2).find(|two| two[0].path == two[1].path) {
        return Err(GitError::BadPath {
            of: "a tree",
            why: format!("\"{}\" is in it twice", escaped(&twice[0].path)),
        });
    }
    Ok(files)
}

/// Reads one directory.
fn directory(content: &[u8], format: ObjectFormat) -> Result<Vec<Named>, GitError> {
    let mut rest = content;
    let mut names = Vec::new();
    let bad = |why: &str| GitError::BadPath {
        of: "a tree",
        why: why.to_owned(),
    };
    while !rest.is_empty() {
        let space = rest.iter().position(|&byte| byte == b' ');
        let zero = rest.iter().position(|&byte| byte == 0);
        let (Some(space), Some(zero)) = (space, zero) else {
            return Err(bad("it is damaged"));
        };
        let end = zero + 1 + format.length();
        if space > zero || end > rest.len() {
            return Err(bad("it is damaged"));
        }
        let mode = std::str::from_utf8(&rest[..space]).ok();
        let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok());
        let mode = match mode {
            Some(0o040_000) => None,
            Some(0o120_000) => Some(Mode::Symlink),
            Some(0o160_000) => Some(Mode::Gitlink),
            Some(file) if file & 0o170_000 == 0o100_000 => Some(if file & 0o100 == 0 {
                Mode::File
            } else {
                Mode::Executable
            }),
            _ => return Err(bad("it has an entry of an unknown kind")),
        };
        let name = &rest[space + 1..zero];
        if name.contains(&b'/') {
            return Err(bad(&format!("\"{}\" is no name", escaped(name))));
        }
        RepoPath::new(name.to_vec()).map_err(|error| bad(&error.to_string()))?;
        let oid =
            Oid::from_bytes(format, &rest[zero + 1..end]).ok_or_else(|| bad("it is damaged"))?;
        names.push(Named {
            name: name.into(),
            mode,
            oid: oid.to_string().into(),
        });
        rest = &rest[end..];
    }
    Ok(names)
}

//! The object files that go into the sandbox: packs as they are, and the loose objects that are needed.
//!
//! Packs are copied whole, also when they hold something that nothing refers to any more; looking into
//! them would cost what `git gc` costs. Loose objects are what a person did lately, and among them may be
//! a file that was added and taken back, or a stash: of a clean copy only those go along that a ref that
//! goes along reaches.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::blobs::enlarge;
use super::command::Git;
use super::error::GitError;
use crate::regular_file::{self, Links};

/// What the object directories of a repository hold, those of its alternates included.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// Files of packs, by their names; open, since a `git gc` may remove them at any time.
    pub(super) packs: BTreeMap<String, (PathBuf, File)>,
    /// Loose objects: the directory of each, by its name. Sorted, so that directories stay together.
    pub(super) loose: BTreeMap<String, usize>,
    /// The object directories.
    pub(super) directories: Vec<PathBuf>,
}

/// Files that belong to a pack and say something without the host's other files: not `.keep`, not
/// bitmaps, of which git uses one only.
const PACK_FILES: [&str; 4] = ["idx", "rev", "promisor", "mtimes"];

impl Store {
    /// Lists what is there now.
    pub(super) fn list(common_dir: &Path) -> Result<Self, GitError> {
        let mut store = Self {
            directories: object_directories(&common_dir.join("objects"))?,
            ..Self::default()
        };
        for number in 0..store.directories.len() {
            let directory = store.directories[number].clone();
            store.list_packs(&directory)?;
            for name in names(&directory)? {
                if name.len() != 2 || !hexadecimal(&name) {
                    continue;
                }
                for rest in names(&directory.join(&name))? {
                    if matches!(rest.len(), 38 | 62) && hexadecimal(&rest) {
                        store.loose.entry(format!("{name}{rest}")).or_insert(number);
                    }
                }
            }
        }
        Ok(store)
    }

    fn list_packs(&mut self, objects: &Path) -> Result<(), GitError> {
        let directory = objects.join("pack");
        let all: HashSet<String> = names(&directory)?.into_iter().collect();
        for name in &all {
            let Some(stem) = name.strip_suffix(".pack") else {
                continue;
            };
            if !all.contains(&format!("{stem}.idx")) || self.packs.contains_key(name) {
                continue;
            }
            let files = PACK_FILES.iter().map(|suffix| format!("{stem}.{suffix}"));
            for file in files
                .filter(|file| all.contains(file))
                .chain([name.clone()])
            {
                let path = directory.join(&file);
                let (open, _) = regular_file::open(&path, Links::Refused)
                    .map_err(GitError::io("read", &path))?;
                self.packs.insert(file, (path, open));
            }
        }
        Ok(())
    }

    /// Where a loose object is.
    pub(super) fn loose_path(&self, oid: &str, directory: usize) -> PathBuf {
        self.directories[directory].join(&oid[..2]).join(&oid[2..])
    }
}

/// An object directory and those that it borrows from, the nearest first.
fn object_directories(objects: &Path) -> Result<Vec<PathBuf>, GitError> {
    let mut directories = vec![objects.to_owned()];
    let mut next = 0;
    while next < directories.len() {
        let directory = directories[next].clone();
        next += 1;
        let file = directory.join("info/alternates");
        let listed = match std::fs::read(&file) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(GitError::io("read", file)(error)),
        };
        for line in listed.split(|&byte| byte == b'\n') {
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let borrowed = super::source::join(&directory, &unquoted(line));
            // Git goes on without one that is gone, and so do we.
            if let Ok(borrowed) = borrowed.canonicalize()
                && !directories.contains(&borrowed)
            {
                directories.push(borrowed);
            }
        }
    }
    Ok(directories)
}

/// A line of `alternates`, which git quotes as C does when it begins with a quotation mark.
fn unquoted(line: &[u8]) -> Vec<u8> {
    let Some(inner) = line
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return line.to_vec();
    };
    let mut plain = Vec::new();
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b'0'..=b'3')) => {
                let mut value = 0_u8;
                for digit in bytes.by_ref().take(3) {
                    value = value.wrapping_mul(8).wrapping_add(digit.wrapping_sub(b'0'));
                }
                plain.push(value);
            }
            (b'\\', Some(_)) => plain.push(match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(other) => other,
                None => b'\\',
            }),
            _ => plain.push(byte),
        }
    }
    plain
}

/// The names in a directory that are text; none when the directory is not there.
fn names(directory: &Path) -> Result<Vec<String>, GitError> {
    let listed = match std::fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(GitError::io("read", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in listed {
        let entry = entry.map_err(GitError::io("read", directory))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

fn hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A running walk from some commits to all that they reach.
pub(super) struct Walk {
    child: Child,
    git: Git,
}

impl Walk {
    /// Starts at these objects. In a partial clone what was promised may be missing.
    pub(super) fn start(git: &Git, tips: &[String], partial: bool) -> Result<Self, GitError> {
        let mut arguments = vec!["rev-list", "--objects", "--no-object-names", "--stdin"];
        if partial {
            arguments.push("--missing=allow-promisor");
        }
        let mut child = git
            .command(&arguments)
            // Replaced objects go along with what replaces them.
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(GitError::NoGit)?;
        if let Some(stdout) = &child.stdout {
            enlarge(stdout);
        }
        let stdin = child.stdin.take();
        let tips = tips.join("\n") + "\n";
        std::thread::spawn(move || {
            if let Some(mut stdin) = stdin {
                // A walk that ended early says why by its exit code.
                let _ = stdin.write_all(tips.as_bytes());
            }
        });
        Ok(Self {
            child,
            git: git.clone(),
        })
    }

    /// Keeps of the loose objects those that are reached. Ends as soon as all of them are.
    pub(super) fn reached(
        mut self,
        loose: &BTreeMap<String, usize>,
    ) -> Result<HashMap<String, usize>, GitError> {
        let mut reached = HashMap::new();
        let stdout = self.child.stdout.take();
        let mut lines = stdout.map(|stdout| BufReader::with_capacity(256 * 1024, stdout));
        let mut line = String::new();
        while reached.len() < loose.len() {
            line.clear();
            let read = match &mut lines {
                Some(lines) => lines.read_line(&mut line),
                None => Ok(0),
            };
            if read.map_err(GitError::NoGit)? == 0 {
                return self.ended(reached);
            }
            let oid = line.trim_end();
            if let Some(&directory) = loose.get(oid) {
                reached.insert(oid.to_owned(), directory);
            }
        }
        Ok(reached)
    }

    fn ended(
        &mut self,
        reached: HashMap<String, usize>,
    ) -> Result<HashMap<String, usize>, GitError> {
        let mut stderr = String::new();
        if let Some(mut output) = self.child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut output, &mut stderr);
        }
        let status = self.child.wait().map_err(GitError::NoGit)?;
        if status.success() {
            Ok(reached)
        } else {
            Err(self.git.failed(&["rev-list", "--objects"], stderr.trim()))
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn quoted_alternates_are_read_as_git_writes_them() {
        assert_eq!(unquoted(b"../x y/objects"), b"../x y/objects");
        assert_eq!(
            unquoted(br#""/a\"b\\c\n\303\244""#),
            "/a\"b\\c\n\u{e4}".as_bytes()
        );
    }

    #[test]
    fn a_ring_of_alternates_ends() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir_all(directory.path().join(name).join("info")).unwrap();
        }
        let root = directory.path().canonicalize().unwrap();
        std::fs::write(root.join("a/info/alternates"), "../b\n# none\n/gone\n").unwrap();
        std::fs::write(
            root.join("b/info/alternates"),
            format!("{}\n", root.join("a").display()),
        )
        .unwrap();
        assert_eq!(
            object_directories(&root.join("a")).unwrap(),
            [root.join("a"), root.join("b")]
        );
    }
}

//! Files beneath a directory that may be anybody's, such as a repository's: reached name by name, through no symbolic
//! link, and never by waiting for a pipe. What is written cannot end up elsewhere, whatever somebody puts in its way.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::unfollowed::{DIRECTORY, FILE};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// What the temporary name of a file begins with until it is whole.
const PART: &str = ".amika-part-";

/// An open directory.
#[derive(Debug)]
pub struct Beneath(OwnedFd);

/// A file that was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it.
    Content(Vec<u8>),
    /// It is there and is not read: it is too large, cannot be read, or is no regular file.
    Unread(String),
}

impl Beneath {
    /// Opens a directory, whose own path is the user's and may lead through links.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Reads a file of at most `limit` bytes; nothing where nothing is, or where a link or another thing that is
    /// no directory is on the way.
    pub fn find(&self, path: &str, limit: u64) -> Option<Found> {
        let (way, name) = path.rsplit_once('/').unwrap_or(("", path));
        let directory = self.directory(way).ok()?;
        let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Some(Found::Unread("it is not a regular file".to_owned()));
        }
        Some(match read(&directory, name, limit) {
            Ok(content) => Found::Content(content),
            Err(error) => Found::Unread(error.to_string()),
        })
    }

    /// Names of the directories in it, at most so many of them, sorted; links to directories are none.
    pub fn directories(&self, path: &str, most: usize) -> Vec<String> {
        let Ok(mut entries) = self
            .directory(path)
            .and_then(|it| Dir::read_from(it).map_err(io::Error::from))
        else {
            return Vec::new();
        };
        let mut names = Vec::new();
        while let Some(Ok(entry)) = entries.read() {
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let is_directory = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => self.directory(&join(path, name)).is_ok(),
                kind => kind == FileType::Directory,
            };
            if is_directory && name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        names.truncate(most);
        names
    }

    /// Whether something is there, whatever it is.
    pub fn is_there(&self, path: &str) -> bool {
        let (way, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.directory(way).is_ok_and(|directory| {
            rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        })
    }

    /// Writes a file as a whole, and makes the directory that it is in. Another one in its place is replaced only
    /// where that is wanted; a link in its place is replaced, and not followed.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::AlreadyExists`] where it is there and is not to be replaced.
    pub fn write(&self, path: &str, content: &[u8], mode: u32, replace: bool) -> io::Result<()> {
        let (way, name) = path.rsplit_once('/').unwrap_or(("", path));
        for end in way.match_indices('/').map(|(at, _)| at).chain([way.len()]) {
            if end > 0 {
                match rustix::fs::mkdirat(&self.0, &way[..end], Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        let directory = self.directory(way)?;
        let part = format!("{PART}{}", std::process::id());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let written = rustix::fs::openat(&directory, &part, flags, mode)
            .map_err(io::Error::from)
            .and_then(|fd| {
                let mut file = File::from(fd);
                file.write_all(content)?;
                file.sync_all()?;
                put(&directory, &part, name, replace)
            });
        if written.is_err() {
            // What could not be put in its place is no use; what was there is untouched.
            let _ = rustix::fs::unlinkat(&directory, &part, AtFlags::empty());
        }
        written
    }

    fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        let mut found = self.0.try_clone()?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            found = rustix::fs::openat(&found, name, DIRECTORY, Mode::empty())?;
        }
        // A descriptor of its own, whose place in the directory is nobody else's.
        Ok(rustix::fs::openat(&found, ".", DIRECTORY, Mode::empty())?)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}/{name}")
    }
}

fn read(directory: &OwnedFd, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::from(rustix::fs::openat(directory, name, FILE, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!(
            "it is too large: at most {limit} bytes are read"
        )));
    }
    Ok(bytes)
}

/// Gives a whole file its name.
fn put(directory: &OwnedFd, part: &str, name: &str, replace: bool) -> io::Result<()> {
    if replace {
        return Ok(rustix::fs::renameat(directory, part, directory, name)?);
    }
    // A rename would take the place of what somebody made in the meantime.
    rustix::fs::linkat(directory, part, directory, name, AtFlags::empty())?;
    Ok(rustix::fs::unlinkat(directory, part, AtFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn files_are_written_as_a_whole_and_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Beneath::open(dir.path()).expect("open");
        root.write("a/b/c.sh", b"one", 0o755, false).expect("write");
        assert_eq!(
            root.find("a/b/c.sh", 3),
            Some(Found::Content(b"one".to_vec()))
        );
        assert!(matches!(root.find("a/b/c.sh", 2), Some(Found::Unread(_))));
        assert_eq!(
            root.find("a/b", 9),
            Some(Found::Unread("it is not a regular file".into()))
        );
        assert_eq!(root.find("a/no/c", 9), None);
        let mode = dir
            .path()
            .join("a/b/c.sh")
            .metadata()
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o700, 0o700);
        let again = root
            .write("a/b/c.sh", b"two", 0o644, false)
            .expect_err("there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        root.write("a/b/c.sh", b"two", 0o644, true)
            .expect("replace");
        assert_eq!(
            root.find("a/b/c.sh", 9),
            Some(Found::Content(b"two".to_vec()))
        );
        assert_eq!(root.directories("", 9), ["a"]);
        let left = std::fs::read_dir(dir.path().join("a/b"))
            .expect("there")
            .count();
        assert_eq!(left, 1);
    }

    #[test]
    fn no_link_leads_out() {
        let (dir, outside) = (
            tempfile::tempdir().expect("a directory"),
            tempfile::tempdir().expect("another"),
        );
        std::fs::write(outside.path().join("secret"), "s").expect("write");
        symlink(outside.path(), dir.path().join("way")).expect("a link");
        symlink(outside.path().join("secret"), dir.path().join("file")).expect("a link");
        let root = Beneath::open(dir.path()).expect("open");
        assert_eq!(root.find("way/secret", 9), None);
        assert_eq!(
            root.find("file", 9),
            Some(Found::Unread("it is not a regular file".into()))
        );
        assert_eq!(root.directories("", 9), [""; 0]);
        assert!(root.is_there("file") && !root.is_there("way/secret"));
        assert!(root.write("way/new", b"x", 0o644, true).is_err());
        assert!(root.write("file", b"x", 0o644, false).is_err());
        root.write("file", b"x", 0o644, true)
            .expect("replace the link");
        let names = std::fs::read_dir(outside.path()).expect("there").count();
        assert_eq!(names, 1);
        assert_eq!(
            std::fs::read(outside.path().join("secret")).expect("there"),
            b"s"
        );
    }
}

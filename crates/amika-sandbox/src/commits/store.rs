//! A directory for what is received, beside a repository's objects: on the same file system, so that a pack comes
//! into the repository by a link. It is made, used and removed beneath the descriptor of the object directory that
//! was found: whatever takes the place of a directory on the way meanwhile, nothing is written elsewhere.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_core::hex::hex;
use amika_host::unfollowed::DIRECTORY;
use rustix::fs::{AtFlags, Dir, FileType, Mode, fstat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

/// What `git gc` knows for something that a killed process left.
const PREFIX: &str = "tmp_objdir-amika-";
/// Directories in each other, at most, that are removed.
const MAX_DEPTH: usize = 8;

/// The directory. It goes when it is dropped; what a killed process leaves of it, `git gc` removes, by its name.
pub(super) struct Store {
    objects: OwnedFd,
    name: String,
    directory: OwnedFd,
    packs: OwnedFd,
    /// Where it was made, for systems without `/proc`.
    place: PathBuf,
}

impl Store {
    /// Makes one in an object directory that is held open, and was found at `place`.
    ///
    /// # Errors
    /// When nothing can be made there.
    pub(super) fn make(objects: OwnedFd, place: &Path) -> io::Result<Self> {
        let name = format!("{PREFIX}{}", hex(&rand::random::<[u8; 8]>()));
        mkdirat(&objects, name.as_str(), Mode::RWXU)?;
        let made = (|| {
            let directory = openat(&objects, name.as_str(), DIRECTORY, Mode::empty())?;
            for inner in ["info", "pack"] {
                mkdirat(&directory, inner, Mode::RWXU)?;
            }
            let packs = openat(&directory, "pack", DIRECTORY, Mode::empty())?;
            Ok::<_, Errno>((directory, packs))
        })();
        let (directory, packs) = made.inspect_err(|_| {
            let _ = unlinkat(&objects, name.as_str(), AtFlags::REMOVEDIR);
        })?;
        Ok(Self {
            place: place.join(&name),
            objects,
            name,
            directory,
            packs,
        })
    }

    /// A path by which programs that this one starts reach it, while this one lives: through the descriptor.
    pub(super) fn path(&self) -> PathBuf {
        if cfg!(target_os = "linux") {
            let (own, open) = (std::process::id(), self.directory.as_raw_fd());
            return format!("/proc/{own}/fd/{open}").into();
        }
        self.place.clone()
    }

    /// Its packs with their indexes, which come last: git looks for those.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn packs(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.packs)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes().to_vec();
            let found = statat(
                &self.packs,
                OsStr::from_bytes(&name),
                AtFlags::SYMLINK_NOFOLLOW,
            )?;
            if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
                names.push(name);
            }
        }
        names.sort_by_key(|name| name.ends_with(b".idx"));
        Ok(names)
    }

    /// Brings one of those into another directory, whole or not at all. The same content has the same name.
    ///
    /// # Errors
    /// When that cannot be written to.
    pub(super) fn give(&self, name: &[u8], to: &OwnedFd) -> io::Result<()> {
        let name = OsStr::from_bytes(name);
        match rustix::fs::linkat(&self.packs, name, to, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(_) => Ok(rustix::fs::renameat(&self.packs, name, to, name)?),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let is_ours = |name: &str| {
            let there = statat(&self.objects, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let own = fstat(&self.directory)?;
            Ok::<_, Errno>((there.st_dev, there.st_ino) == (own.st_dev, own.st_ino))
        };
        // What took its place is not this one's to remove; what is left `git gc` finds.
        if is_ours(&self.name) == Ok(true) && clear(&self.directory, 0).is_ok() {
            let _ = unlinkat(&self.objects, self.name.as_str(), AtFlags::REMOVEDIR);
        }
    }
}

/// Removes all that is in a directory, through no link.
fn clear(directory: &OwnedFd, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other("directories are too deep in each other"));
    }
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        names.push(entry?.file_name().to_bytes().to_vec());
    }
    for name in names
        .iter()
        .filter(|name| !matches!(&name[..], b"." | b".."))
    {
        let name = OsStr::from_bytes(name);
        match openat(directory, name, DIRECTORY, Mode::empty()) {
            Ok(inner) => {
                clear(&inner, depth + 1)?;
                unlinkat(directory, name, AtFlags::REMOVEDIR)?;
            }
            Err(Errno::NOTDIR | Errno::LOOP) => unlinkat(directory, name, AtFlags::empty())?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::open(path, DIRECTORY, Mode::empty()).unwrap()
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn what_takes_the_object_directorys_place_is_neither_written_to_nor_cleared() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["objects", "elsewhere"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        let objects = open(&at("objects"));
        // Found, and then another is in its place.
        std::fs::rename(at("objects"), at("moved")).unwrap();
        symlink("elsewhere", at("objects")).unwrap();
        let store = Store::make(objects, &at("objects")).unwrap();
        std::fs::write(store.path().join("pack/a.pack"), "x").unwrap();
        std::fs::write(store.path().join("pack/a.idx"), "x").unwrap();
        std::fs::create_dir(store.path().join("ab")).unwrap();
        symlink("../../../elsewhere", store.path().join("ab/link")).unwrap();
        std::fs::write(at("elsewhere/kept"), "x").unwrap();
        assert_eq!(names(&at("moved")), [store.name.as_str()]);
        assert_eq!(store.packs().unwrap(), [&b"a.pack"[..], b"a.idx"]);
        let to = open(&at("elsewhere"));
        store.give(b"a.pack", &to).unwrap();
        store.give(b"a.pack", &to).unwrap();
        drop(store);
        assert_eq!(names(&at("moved")), [""; 0]);
        let mut left = names(&at("elsewhere"));
        left.sort();
        assert_eq!(left, ["a.pack", "kept"]);
    }

    #[test]
    fn what_takes_its_own_place_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::make(open(root.path()), root.path()).unwrap();
        let place = store.place.clone();
        std::fs::rename(&place, root.path().join("moved")).unwrap();
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("theirs"), "x").unwrap();
        drop(store);
        assert_eq!(names(&place), ["theirs"]);
    }
}

//! Removing a directory with all that is in it, however deep, with a handful of descriptors.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use amika_host::unfollowed::DIRECTORY;
use rustix::fs::{AtFlags, Dir, Mode};
use rustix::io::Errno;

/// Removes what has this name in a directory; a link goes, and what it leads to stays. False when there was
/// nothing.
///
/// # Errors
/// When something in it cannot be removed.
pub(super) fn remove(at: impl AsFd, name: &Path) -> io::Result<bool> {
    let at = at.as_fd();
    if unlink(at, name)? {
        return Ok(true);
    }
    let Some(top) = open(at, name)? else {
        return Ok(false);
    };
    // Directories are brought up to the top one and emptied there, so that no path is ever long.
    let mut count = 0_u64;
    loop {
        let mut inner = None;
        for name in names(&top)? {
            if !unlink(top.as_fd(), Path::new(&name))? {
                inner = Some(name);
                empty_into(&top, inner.as_deref().map(Path::new), &mut count)?;
            }
        }
        if inner.is_none() {
            break;
        }
    }
    drop(top);
    rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)?;
    Ok(true)
}

/// Removes a directory in `top`, after its own directories were brought up.
fn empty_into(top: &OwnedFd, name: Option<&Path>, count: &mut u64) -> io::Result<()> {
    let Some(name) = name else {
        return Ok(());
    };
    let Some(inner) = open(top.as_fd(), name)? else {
        return Ok(());
    };
    for child in names(&inner)? {
        if unlink(inner.as_fd(), Path::new(&child))? {
            continue;
        }
        loop {
            *count += 1;
            let up = format!(".amika-{count}");
            if open(top.as_fd(), Path::new(&up))?.is_none() {
                // It is moved with what is in it, which needs the right to write to it.
                let _ = open(inner.as_fd(), Path::new(&child))?;
                rustix::fs::renameat(&inner, &child, top, &up)?;
                break;
            }
        }
    }
    drop(inner);
    rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Removes what is no directory; false when it is one, or nothing.
fn unlink(at: BorrowedFd<'_>, name: &Path) -> io::Result<bool> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        // PERM is POSIX's word for a directory, ISDIR Linux's.
        Err(Errno::NOENT | Errno::ISDIR) => Ok(false),
        Err(Errno::PERM) => match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir() => Ok(false),
            _ => Err(Errno::PERM.into()),
        },
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a directory, and gives its owner the rights to empty it.
fn open(at: BorrowedFd<'_>, name: &Path) -> io::Result<Option<OwnedFd>> {
    let opened = match rustix::fs::openat(at, name, DIRECTORY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat(at, name, DIRECTORY, Mode::empty())
        }
        opened => opened,
    };
    match opened {
        Ok(opened) => {
            let mode = Mode::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
            if !mode.contains(Mode::RWXU) {
                rustix::fs::fchmod(&opened, mode | Mode::RWXU)?;
            }
            Ok(Some(opened))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn names(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn all_goes_and_nothing_beside_it() {
        let stage = tempfile::tempdir().expect("a directory");
        let at = |name: &str| stage.path().join(name);
        std::fs::create_dir_all(at("x/a/b/c")).expect("made");
        std::fs::create_dir_all(at("x/a/.amika-1/c")).expect("made");
        std::fs::write(at("x/a/b/c/file"), "x").expect("written");
        std::fs::write(at("beside"), "x").expect("written");
        std::os::unix::fs::symlink(at("beside"), at("x/a/link")).expect("linked");
        std::os::unix::fs::symlink(stage.path(), at("x/up")).expect("linked");
        std::fs::set_permissions(at("x/a/b"), std::fs::Permissions::from_mode(0o000))
            .expect("locked");
        let root = std::fs::File::open(stage.path()).expect("opened");
        assert!(remove(&root, Path::new("x")).expect("removed"));
        assert!(!remove(&root, Path::new("x")).expect("nothing"));
        let left = std::fs::read_dir(stage.path()).expect("read").count();
        assert_eq!(left, 1);
        assert!(at("beside").exists());
    }

    #[test]
    fn depth_does_not_matter() {
        let stage = tempfile::tempdir().expect("a directory");
        let root: OwnedFd = std::fs::File::open(stage.path()).expect("opened").into();
        let mut at = root.try_clone().expect("cloned");
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "deeper", Mode::RWXU).expect("made");
            at = rustix::fs::openat(&at, "deeper", DIRECTORY, Mode::empty()).expect("opened");
        }
        assert!(remove(&root, Path::new("deeper")).expect("removed"));
        assert_eq!(std::fs::read_dir(stage.path()).expect("read").count(), 0);
    }
}

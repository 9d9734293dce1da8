//! The side of a copy that is on this machine.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::inert;
use super::landing::{Found, Landing, Source};
use super::unpack::Git;
use crate::error::{Error, Kind, Result};
use crate::host_path;

/// What is copied from here.
pub(super) struct HostSource {
    /// Its path.
    pub path: PathBuf,
    /// What it is.
    pub kind: Source,
    /// Its own name; none for the root of the file system.
    pub name: Option<OsString>,
}

/// Looks at what is to be copied.
///
/// # Errors
/// [`Kind::NotFound`] when nothing is there, [`Kind::Invalid`] when it cannot be copied.
pub(super) fn source(path: &Path) -> Result<HostSource> {
    let failed = |error: &std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Failure,
        };
        host_path::unreadable(code, "", path, error)
    };
    let metadata = path.metadata().map_err(|error| failed(&error))?;
    let typed = path.as_os_str().as_bytes();
    let kind = if metadata.is_dir() {
        if typed == b"." || typed.ends_with(b"/.") {
            Source::Contents
        } else {
            Source::Directory
        }
    } else if metadata.is_file() {
        Source::File
    } else {
        return Err(Error::new(
            Kind::Invalid,
            format!("{} is neither a file nor a directory", path.display()),
        )
        .hint("a stream is copied as a tar archive: `-` in its place reads one"));
    };
    // `..` and the like have their name where they lead.
    let name = match path.file_name() {
        Some(name) => Some(name.to_owned()),
        None => path
            .canonicalize()
            .map_err(|error| failed(&error))?
            .file_name()
            .map(ToOwned::to_owned),
    };
    Ok(HostSource {
        path: path.to_owned(),
        kind,
        name,
    })
}

/// Where a copy to here may go.
pub(super) struct HostTarget {
    /// The path that is meant, links at its end followed.
    path: PathBuf,
    /// What is there.
    pub found: Found,
    /// Whether it was named with a slash behind it.
    pub slash: bool,
}

/// Looks at where a copy is to go.
///
/// # Errors
/// When it cannot be looked at, or is a device, pipe or socket.
pub(super) fn target(path: &Path) -> Result<HostTarget> {
    let failed = |error: &std::io::Error| {
        Error::new(Kind::Failure, format!("{} cannot be used", path.display())).caused_by(error)
    };
    let slash = path.as_os_str().as_bytes().ends_with(b"/");
    // Without the slash: the kernel's word for a file behind it would be the same as for no file.
    let path = path.components().as_path();
    let (path, found) = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => (path.to_owned(), Found::Directory),
        Ok(metadata) if metadata.is_file() => {
            let real = path.canonicalize().map_err(|error| failed(&error))?;
            (real, Found::File)
        }
        Ok(_) => {
            return Err(Error::new(
                Kind::Invalid,
                format!("{} is neither a file nor a directory", path.display()),
            )
            .hint("`-` in its place writes a tar archive to standard output"));
        }
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            let found = if path.is_symlink() || !parent(path).is_dir() {
                Found::NoParent
            } else {
                Found::Nothing
            };
            (path.to_owned(), found)
        }
        Err(error) => return Err(failed(&error)),
    };
    Ok(HostTarget { path, found, slash })
}

impl HostTarget {
    /// Opens the directory that the copy is unpacked in, and tells the copy's name in there; `own`
    /// is the source's own name.
    ///
    /// # Errors
    /// When the directory cannot be opened; [`Kind::Conflict`] when it is a git directory, or in one,
    /// and what comes is to be inert.
    pub(super) fn open(
        &self,
        landing: Landing,
        own: Option<OsString>,
        git: Git,
    ) -> Result<(OwnedFd, Option<OsString>)> {
        let (directory, name) = match landing {
            Landing::Into => (self.path.as_path(), own),
            Landing::Spread => (self.path.as_path(), None),
            Landing::As => (
                parent(&self.path),
                self.path.file_name().map(ToOwned::to_owned),
            ),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty()).map_err(|errno| {
            Error::new(
                Kind::Failure,
                format!("{} cannot be opened", directory.display()),
            )
            .caused_by(&std::io::Error::from(errno))
        })?;
        let within = inert::is_within(directory, opened.as_fd());
        if let Some(within) = within.filter(|_| git == Git::Inert) {
            return Err(Error::new(
                Kind::Conflict,
                format!("{} is in {within} what stands there", directory.display()),
            )
            .hint(
                "copy to another place and look at it, or pass `--as-is` if you trust what comes",
            ));
        }
        Ok((opened, name))
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

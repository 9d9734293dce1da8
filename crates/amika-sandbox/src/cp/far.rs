//! The side of a copy that is on this machine, where the other one is reached by archives alone: a sandbox of a server's.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use amika_core::archive_name::Names;
use amika_engine::EngineError;
use amika_host::archive::{self, Modes, Report, TarOut, Top};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};

use super::landing::{Found, Landing, Source, land};
use super::transfer::{broken, refused};
use super::unpack::Git;
use super::{host_side, unpack};
use crate::bridge::{self, joined};
use crate::error::{Error, Kind, Result};

/// What stands at a place over there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// Nothing, as far as is known.
    Nothing,
}

/// What goes there.
pub struct Sending {
    /// The directory over there that it is unpacked in.
    pub directory: String,
    /// The archive.
    pub archive: BoxStream<'static, io::Result<Bytes>>,
    /// What was packed.
    pub report: BoxFuture<'static, io::Result<Report>>,
}

/// Packs a path of this machine for the place `to` over there, where `there` stands.
///
/// # Errors
/// As for a copy into a sandbox here.
pub fn send(from: &Path, to: &str, there: There) -> Result<Sending> {
    let source = host_side::source(from)?;
    let found = match there {
        There::Directory => Found::Directory,
        There::File => Found::File,
        There::Nothing => Found::Nothing,
    };
    let landing =
        land(source.kind, found, to.ends_with('/')).map_err(|error| refused(to, error))?;
    let (directory, name) = match landing {
        Landing::Into => (to.to_owned(), source.name.clone()),
        Landing::Spread => (to.to_owned(), None),
        Landing::As => {
            let (directory, name) = split(to);
            (directory, Some(OsString::from(name)))
        }
    };
    let path = source.path;
    let (archive, thread) = bridge::produce(move |to| {
        // Whose it is, is decided there.
        let tar = TarOut::new(to, (0, 0), Modes::WithoutBorrowedRights, "");
        let name = name.as_deref().map(Path::new);
        archive::pack(&path, name.map_or(Top::Contents, Top::Named), tar)
    });
    Ok(Sending {
        directory,
        archive: archive.boxed(),
        report: Box::pin(async move { joined(thread.await) }),
    })
}

/// Unpacks an archive from over there, of what was named `from`, at a path of this machine.
///
/// # Errors
/// As for a copy out of a sandbox here.
pub async fn take(
    archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    (from, is_directory): (&str, bool),
    to: &Path,
    git: Git,
) -> Result<Report> {
    let is_contents = matches!(from, "" | "." | "/") || from.ends_with("/.");
    let kind = match (is_directory, is_contents) {
        (true, true) => Source::Contents,
        (true, false) => Source::Directory,
        (false, _) => Source::File,
    };
    let target = host_side::target(to)?;
    let landing = land(kind, target.found, target.slash)
        .map_err(|error| refused(&to.display().to_string(), error))?;
    let (_, own) = split(from);
    // It is the copy's own name here, and names no other place.
    if kind != Source::Contents && matches!(own.as_str(), "" | "." | ".." | "~") {
        let message = format!("{from} does not say what the copy is to be called");
        let error = Error::new(Kind::Invalid, message);
        return Err(
            error.hint("name it by its last part, or write `/.` behind it for what is in it")
        );
    }
    let (directory, name) = target.open(landing, Some(OsString::from(own)), git)?;
    let failed = |error: io::Error| EngineError::Broken(error.to_string());
    let (reader, pump) = bridge::consume(archive.map(move |piece| piece.map_err(failed)));
    let names = Names::rooted(name);
    let thread = tokio::task::spawn_blocking(move || unpack::unpack(reader, names, directory, git));
    let (pumped, unpacked) = tokio::join!(pump, thread);
    pumped?;
    joined(unpacked).map_err(|error| broken(&error))
}

/// Directory and last name of a path that may be relative to the agent's directory; links are not looked at.
fn split(path: &str) -> (String, String) {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((directory, name)) => (directory.to_owned(), name.to_owned()),
        None => (".".to_owned(), path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_of_a_path_is_told_from_its_directory() {
        for (path, directory, name) in [
            ("a", ".", "a"),
            ("a/b/", "a", "b"),
            ("/a", "/", "a"),
            ("~/x", "~", "x"),
            ("/a/b", "/a", "b"),
        ] {
            assert_eq!(
                split(path),
                (directory.to_owned(), name.to_owned()),
                "{path}"
            );
        }
    }
}

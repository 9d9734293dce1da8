//! Carrying out a copy, whichever sides it has.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use futures_util::Stream;

use super::beginning::NoArchive;
use super::landing::{Landing, Source, land};
use super::place::Place;
use super::unpack::Git;
use super::{beginning, host_side, repack, sandbox_side, times, unpack};
use crate::bridge::{self, joined};
use crate::deliver::{self, Fault};
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_core::archive_name::Names;
use amika_engine::{Base, EngineError, Existing};
use amika_host::archive::{self, Modes, Report, TarOut, Top};

/// Opens the stream that [`Place::Stream`] stands for; it is called and read on a thread of its own.
pub(super) type Input = Box<dyn FnOnce() -> Box<dyn io::Read> + Send>;

/// Copies one place to another, or what `input` gives; `git` says what becomes of git directories out of a sandbox. An archive to standard output is none of its business.
///
/// # Errors
/// [`Kind::NotFound`] for a source or sandbox that is not there, [`Kind::Conflict`] for a
/// destination that does not take it, [`Kind::Invalid`] for sides that make no copy.
pub async fn copy(
    engine: &Sandboxes,
    from: &Place,
    to: &Place,
    git: Git,
    input: Input,
) -> Result<Report> {
    match (from, to) {
        (Place::Host(from), Place::Sandbox { name, path }) => {
            let source = host_side::source(from)?;
            let sandbox = Sandbox::find_made(engine, name.as_str()).await?;
            put(engine, Incoming::Host(source), &sandbox, path).await
        }
        (Place::Stream, Place::Sandbox { name, path }) => {
            put_archive(engine, name.as_str(), path, input).await
        }
        (
            Place::Sandbox {
                name: from,
                path: source,
            },
            Place::Sandbox { name, path },
        ) => {
            if from == name {
                // The engine locks a container while it sends an archive of it, and would wait for
                // the end of that to take one in: for ever.
                return Err(Error::new(
                    Kind::Invalid,
                    format!("both sides are in sandbox \"{name}\""),
                )
                .hint(format!(
                    "copy inside it: `amika sandbox exec {name} -- cp -a SOURCE DESTINATION`"
                )));
            }
            let other = Sandbox::find_made(engine, from.as_str()).await?;
            let sandbox = Sandbox::find_made(engine, name.as_str()).await?;
            let source = sandbox_side::source(engine, &other, source).await?;
            put(engine, Incoming::Sandbox(source), &sandbox, path).await
        }
        (Place::Sandbox { name, path }, Place::Host(to)) => {
            let sandbox = Sandbox::find_made(engine, name.as_str()).await?;
            get(engine, &sandbox, path, to, git).await
        }
        (Place::Host(_) | Place::Stream, Place::Host(_) | Place::Stream)
        | (Place::Sandbox { .. }, Place::Stream) => Err(Error::new(
            Kind::Invalid,
            "one of the two must be in a sandbox, written NAME:PATH",
        )
        .hint("such as `amika sandbox cp notes.md teal-tokyo:docs/`")),
    }
}

/// Unpacks an archive into a directory of a sandbox.
///
/// # Errors
/// As [`copy`].
pub(super) async fn put_archive(
    engine: &Sandboxes,
    name: &str,
    path: &str,
    input: Input,
) -> Result<Report> {
    let sandbox = Sandbox::find_made(engine, name).await?;
    put(engine, Incoming::Stream(input), &sandbox, path).await
}

/// The archive of what stands at a path in a sandbox, as the engine makes it.
///
/// # Errors
/// As [`copy`].
pub(super) async fn download(
    engine: &Sandboxes,
    name: &str,
    path: &str,
) -> Result<impl Stream<Item = Result<Bytes, EngineError>> + use<>> {
    let sandbox = Sandbox::find_made(engine, name).await?;
    let source = sandbox_side::source(engine, &sandbox, path).await?;
    Ok(engine.get_archive(&source.container, &source.named_path))
}

/// What comes into a sandbox.
enum Incoming {
    Host(host_side::HostSource),
    Stream(Input),
    Sandbox(sandbox_side::SandboxSource),
}

async fn put(
    engine: &Sandboxes,
    incoming: Incoming,
    sandbox: &Sandbox,
    typed: &str,
) -> Result<Report> {
    let target = sandbox_side::target(engine, sandbox, typed).await?;
    let kind = match &incoming {
        Incoming::Host(source) => source.kind,
        Incoming::Sandbox(source) => source.kind,
        // An archive is what is in a directory, and the directory must be there.
        Incoming::Stream(_) => Source::Contents,
    };
    let landing = land(kind, target.found, target.slash);
    let landing = match (&incoming, landing) {
        (Incoming::Stream(_), Ok(Landing::As)) => Err(super::landing::NoLanding::NoDirectory),
        (_, landing) => landing,
    }
    .map_err(|error| refused(&sandbox_side::shown(sandbox, typed), error))?;
    let owner = crate::owner::of(engine, sandbox).await?;
    let (at, mut report) = match incoming {
        Incoming::Host(source) => {
            let own = source.name.as_ref().map(|name| name.to_string_lossy());
            let (directory, name) = target.place(landing, own.map(Into::into));
            // What is not text arrives under its own name all the same.
            let name = match landing {
                Landing::Into => source.name.clone(),
                Landing::As | Landing::Spread => name.map(OsString::from),
            };
            let Base { at, prefix } = engine.base(&directory).await?;
            let sent = put_into(engine, &target.container, &at, move |to| {
                let tar = TarOut::new(to, owner, Modes::WithoutBorrowedRights, &prefix);
                let name = name.as_deref().map(Path::new);
                archive::pack(&source.path, name.map_or(Top::Contents, Top::Named), tar)
            });
            let sent = sent.await;
            (at, told(sent, &sandbox.name)?)
        }
        Incoming::Stream(input) => {
            let (directory, _) = target.place(landing, None);
            let Base { at, prefix } = engine.base(&directory).await?;
            let sent = put_into(engine, &target.container, &at, move |to| {
                let from = beginning::archive(input())?;
                repack::repack(from, Names::kept(), owner, &prefix, to)
            });
            let sent = sent.await;
            (at, told(sent, &sandbox.name)?)
        }
        Incoming::Sandbox(source) => {
            let (directory, name) = target.place(landing, source.name);
            let names = Names::rooted(name.map(OsString::from));
            let Base { at, prefix } = engine.base(&directory).await?;
            let (reader, pump) =
                bridge::consume(engine.get_archive(&source.container, &source.path));
            let sent = put_into(engine, &target.container, &at, move |to| {
                repack::repack(reader, names, owner, &prefix, to)
            });
            let (pumped, sent) = tokio::join!(pump, sent);
            pumped?;
            (at, told(sent, &sandbox.name)?)
        }
    };
    let missing = times::give(engine, sandbox, &at, &report.odd_times).await?;
    report.untimely_count = u64::try_from(missing).unwrap_or(u64::MAX);
    Ok(report)
}

async fn get(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    typed: &str,
    to: &Path,
    git: Git,
) -> Result<Report> {
    let source = sandbox_side::source(engine, sandbox, typed).await?;
    let target = host_side::target(to)?;
    let landing = land(source.kind, target.found, target.slash)
        .map_err(|error| refused(&to.display().to_string(), error))?;
    let (directory, name) = target.open(landing, source.name.map(OsString::from), git)?;
    let (reader, pump) = bridge::consume(engine.get_archive(&source.container, &source.path));
    let names = Names::rooted(name);
    let thread = tokio::task::spawn_blocking(move || unpack::unpack(reader, names, directory, git));
    let (pumped, unpacked) = tokio::join!(pump, thread);
    pumped?;
    joined(unpacked).map_err(|error| broken(&error))
}

/// Puts what was named into a sandbox: no directory makes way for a file, and no file for a directory.
async fn put_into(
    engine: &Sandboxes,
    container: &str,
    at: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<Report> + Send + 'static,
) -> Result<Report, Fault> {
    deliver::put(engine, container, at, Existing::KeptInKind, write).await
}

/// What came of a copy into a sandbox.
fn told(sent: Result<Report, Fault>, sandbox: &str) -> Result<Report> {
    sent.map_err(|fault| match fault {
        Fault::Volume(error) => not_taken(error, sandbox),
        Fault::Source(fault) => broken(&fault),
    })
}

fn broken(error: &io::Error) -> Error {
    let inner = error.get_ref();
    if let Some(what) = inner.and_then(|inner| inner.downcast_ref::<NoArchive>()) {
        return (*what).into();
    }
    let mut broken = Error::new(Kind::Failure, "the copy broke off")
        .caused_by(error)
        .hint("what was copied before stays");
    for cause in &mut broken.causes {
        // Of a header that cannot be read, the bytes are told too.
        if cause.contains(|found: char| found.is_control() || found == char::REPLACEMENT_CHARACTER)
        {
            "a header of the archive is damaged".clone_into(cause);
        }
    }
    broken.causes.dedup();
    broken
}

fn not_taken(error: EngineError, sandbox: &str) -> Error {
    let base: Error = error.into();
    let code = match base.kind {
        // A directory and a file in each other's place.
        Kind::Failure if base.message.contains("directory") => Kind::Conflict,
        code => code,
    };
    Error::new(code, format!("sandbox \"{sandbox}\" did not take the copy")).cause(base.message)
}

fn refused(place: &str, error: super::landing::NoLanding) -> Error {
    use super::landing::NoLanding;
    match error {
        NoLanding::NoParent => {
            let parent = parent(place);
            Error::new(Kind::NotFound, format!("{parent}: {error}")).hint("make it first")
        }
        NoLanding::NoDirectory => Error::new(Kind::NotFound, format!("{place}: {error}"))
            .hint("make it first, or leave the slash at the end out to copy under that name"),
        NoLanding::NotDirectory => Error::new(Kind::Conflict, format!("{place}: {error}")),
    }
}

/// The directory that a place is in, as the place is shown.
fn parent(place: &str) -> &str {
    let place = place.trim_end_matches('/');
    match place.rfind('/') {
        // The root keeps its slash.
        Some(at) if at == 0 || place[..at].ends_with(':') => &place[..=at],
        Some(at) => &place[..at],
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_that_is_missing_is_named() {
        for (place, expected) in [
            ("box:/nope/x", "box:/nope"),
            ("box:/nope/x/", "box:/nope"),
            ("/nope/deep/x", "/nope/deep"),
            ("nope/x", "nope"),
            ("/x", "/"),
            ("box:/x", "box:/"),
        ] {
            assert_eq!(parent(place), expected, "{place}");
        }
    }

    #[test]
    fn no_message_has_bytes_of_an_archive() {
        let garbage = io::Error::other("numeric field did not have utf-8 text: 9\u{fffd}E\u{1}");
        assert_eq!(
            broken(&garbage).causes,
            ["a header of the archive is damaged"]
        );
        let plain = io::Error::other("failed to read entire block");
        assert_eq!(broken(&plain).causes, ["failed to read entire block"]);
    }
}

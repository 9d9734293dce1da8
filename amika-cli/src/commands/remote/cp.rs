//! `amika sandbox cp --remote`: one tar stream between this machine and a sandbox of a server's.

use std::io;

use amika_host::archive::Report;
use amika_remote::client::Call;
use amika_sandbox::bridge;
use amika_sandbox::cp::far::{self, Sending, There};
use amika_sandbox::cp::{Git, Place};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::sandbox::CpArgs;
use crate::commands::sandbox::cp::{READER_LEFT, must_be_an_archives, tell};
use crate::error::{Error, Kind, Result};
use crate::terminal::{Output, Target};

/// What the server wrote.
#[derive(Deserialize)]
struct Written {
    files: u64,
    bytes: u64,
    skipped_count: u64,
}

/// Copies; the value is the exit code, which a reader that leaves an archive makes another one.
pub(super) async fn run(args: &CpArgs, server: &Server, app: &App) -> Result<u8> {
    let report = match (&args.source, &args.destination) {
        (Place::Sandbox { name, path }, Place::Stream) => {
            must_be_an_archives(app)?;
            return out(name.as_str(), path, server).await;
        }
        (Place::Sandbox { name, path }, Place::Host(to)) => {
            let git = if args.as_is { Git::AsIs } else { Git::Inert };
            let (is_directory, archive) = server.archive(name.as_str(), path).await?;
            let archive = archive.map_err(|failure| io::Error::other(failure.to_string()));
            far::take(archive, (path, is_directory), to, git).await?
        }
        (Place::Host(from), Place::Sandbox { name, path }) => {
            let there = server.there(name.as_str(), path).await?;
            let sending = far::send(from, path, there)?;
            server.put(name.as_str(), sending).await?
        }
        (Place::Stream, Place::Sandbox { name, path }) => {
            let (archive, thread) = bridge::produce(|to| io::copy(&mut io::stdin().lock(), to));
            let report = async move { bridge::joined(thread.await).map(|_| Report::default()) };
            let sending = Sending {
                directory: path.clone(),
                archive: archive.boxed(),
                report: Box::pin(report),
            };
            server.put(name.as_str(), sending).await?
        }
        (Place::Sandbox { .. }, Place::Sandbox { .. }) => {
            let error = Error::new(Kind::Invalid, "both sides are in sandboxes of the server");
            return Err(error.hint(
                "`amika sandbox cp --remote A:PATH - | amika sandbox cp --remote - B:PATH` goes by this machine",
            ));
        }
        (Place::Host(_) | Place::Stream, Place::Host(_) | Place::Stream) => {
            let message = "one of the two must be in a sandbox, written NAME:PATH";
            let error = Error::new(Kind::Invalid, message);
            return Err(error.hint("such as `amika sandbox cp notes.md teal-tokyo:docs/`"));
        }
    };
    tell(args, report, app)?;
    Ok(0)
}

/// Writes an archive to standard output, as the server sends it.
async fn out(name: &str, path: &str, server: &Server) -> Result<u8> {
    let (_, pieces) = server.archive(name, path).await?;
    let mut pieces = std::pin::pin!(pieces);
    let output = Output::start();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(told)?;
        if output.send(Target::Stdout, piece).await.is_err() {
            break;
        }
    }
    let left = output.finish().await.map_err(|error| {
        Error::new(Kind::Failure, "standard output cannot be written").caused_by(&error)
    })?;
    Ok(if left { READER_LEFT } else { 0 })
}

impl Server {
    async fn archive(
        &self,
        name: &str,
        path: &str,
    ) -> Result<(
        bool,
        impl futures_util::Stream<Item = amika_remote::Result<bytes::Bytes>> + Send + use<>,
    )> {
        let route = ["sandboxes", name, "files"];
        let path = if path.is_empty() { "." } else { path };
        let call = Call::get(&route).with("path", path);
        self.client.archive(call).await.map_err(told)
    }

    /// What stands at a path: the beginning of its archive tells.
    async fn there(&self, name: &str, path: &str) -> Result<There> {
        // Of one that is not there the sandbox itself is asked after, too.
        match self.archive(name, path).await {
            Ok((true, _)) => Ok(There::Directory),
            Ok((false, _)) => Ok(There::File),
            Err(error) if error.kind == Kind::NotFound => {
                self.sandbox(name).await?;
                Ok(There::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends an archive; the report says what was packed, and how much of it was taken.
    async fn put(&self, name: &str, sending: Sending) -> Result<Report> {
        let Sending {
            directory,
            archive,
            report,
        } = sending;
        let route = ["sandboxes", name, "files"];
        let directory = if directory.is_empty() {
            "."
        } else {
            &directory
        };
        let call = Call::put(&route).with("path", directory);
        let sent = self.client.upload(call, "application/x-tar", archive);
        let sent = sent.await;
        let packed = super::upload::packed(&sent, report).await;
        let packed = packed
            .map_err(|error| Error::new(Kind::Failure, "the copy broke off").caused_by(&error))?;
        let written: Written = sent.map_err(told)?;
        let packed = packed.unwrap_or_default();
        Ok(Report {
            files: written.files,
            bytes: written.bytes,
            skipped_count: packed.skipped_count + written.skipped_count,
            ..packed
        })
    }
}

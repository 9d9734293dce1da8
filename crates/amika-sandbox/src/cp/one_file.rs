//! One file as an archive of itself, and out of one again.

use std::io;

use amika_engine::EngineError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::bridge;

/// An archive's blocks.
const BLOCK: u64 = 512;

/// The bytes of the file that an archive has.
pub(super) fn bytes(
    archive: impl Stream<Item = Result<Bytes, EngineError>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (reader, pump) = bridge::consume(archive);
    // It ends with the reader.
    tokio::spawn(pump);
    let (bytes, _thread) = bridge::produce(move |to| {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            if entry.header().entry_type().is_file() {
                return io::copy(&mut entry, to);
            }
        }
        Err(io::Error::other("the engine sent no file"))
    });
    bytes
}

/// The directory and the name of a file, as they were typed; none where no file is named.
pub(super) fn split(path: &str) -> Option<(String, String)> {
    let (directory, name) = match path.rsplit_once('/') {
        Some((directory, name)) => (format!("{directory}/"), name),
        None => (String::new(), path),
    };
    let is_name = !matches!(name, "" | "." | "..") && path != "~" && !path.contains('\0');
    is_name.then(|| (directory, name.to_owned()))
}

/// An archive of one file, of as many bytes as were promised.
///
/// # Errors
/// For a name that no archive has.
pub(super) fn archive(
    name: &str,
    (mode, size): (u32, u64),
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(amika_host::clock::now_millis() / 1000);
    let mut head = tar::Builder::new(Vec::new());
    head.append_data(&mut header, name, io::empty())?;
    // What the builder would write at the end comes after the bytes.
    let mut head = head.into_inner()?;
    let end = usize::try_from(2 * BLOCK).unwrap_or_default();
    head.truncate(head.len() - end);
    let filled = (BLOCK - size % BLOCK) % BLOCK;
    let end = Bytes::from(vec![
        0;
        usize::try_from(filled + 2 * BLOCK).unwrap_or_default()
    ]);
    let whole = Whole { left: size };
    let bytes = futures_util::stream::unfold(Some((Box::pin(bytes), whole)), |state| async {
        let (mut bytes, mut whole) = state?;
        match bytes.next().await {
            Some(Ok(piece)) => match whole.take(piece.len()) {
                Ok(()) => Some((Ok(piece), Some((bytes, whole)))),
                Err(error) => Some((Err(error), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
            None => whole.end().err().map(|error| (Err(error), None)),
        }
    });
    let first = futures_util::stream::iter([Ok(Bytes::from(head))]);
    Ok(first
        .chain(bytes)
        .chain(futures_util::stream::iter([Ok(end)])))
}

/// How many bytes are yet to come.
struct Whole {
    left: u64,
}

impl Whole {
    fn take(&mut self, count: usize) -> io::Result<()> {
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| io::Error::other("more came than was promised"))?;
        Ok(())
    }

    fn end(&self) -> io::Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        Err(io::Error::other("less came than was promised"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_file_has_a_directory_as_it_was_typed() {
        for (path, directory, name) in [
            ("a", "", "a"),
            ("a/b", "a/", "b"),
            ("/b", "/", "b"),
            ("../b", "../", "b"),
            ("~/b", "~/", "b"),
        ] {
            let expected = (directory.to_owned(), name.to_owned());
            assert_eq!(split(path), Some(expected), "{path}");
        }
        for path in ["", "/", "a/", "a/..", ".", "~", "a\0b"] {
            assert_eq!(split(path), None, "{path:?}");
        }
    }

    async fn written(name: &str, size: u64, pieces: &[&'static [u8]]) -> io::Result<Vec<u8>> {
        let pieces: Vec<_> = pieces.iter().map(|it| Ok(Bytes::from_static(it))).collect();
        let archive = archive(name, (0o640, size), futures_util::stream::iter(pieces))?;
        let mut all = Vec::new();
        let mut archive = std::pin::pin!(archive);
        while let Some(piece) = archive.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn an_archive_of_a_file_has_that_file_and_nothing_else() {
        let long = "n".repeat(200);
        for (name, pieces) in [
            ("a", &[&b"hello "[..], b"there"][..]),
            (long.as_str(), &[&[7; 512][..]]),
            ("empty", &[]),
        ] {
            let size = pieces.iter().map(|it| it.len() as u64).sum();
            let all = written(name, size, pieces).await.unwrap();
            assert_eq!(all.len() % 512, 0);
            let mut archive = tar::Archive::new(all.as_slice());
            let mut entries = archive.entries().unwrap();
            let mut entry = entries.next().unwrap().unwrap();
            assert_eq!(entry.path_bytes(), name.as_bytes());
            assert_eq!(entry.header().mode().unwrap(), 0o640);
            let mut found = Vec::new();
            entry.read_to_end(&mut found).unwrap();
            assert_eq!(found, pieces.concat());
            assert!(entries.next().is_none());
        }
    }

    #[tokio::test]
    async fn bytes_that_were_not_promised_break_it_off() {
        assert!(written("a", 4, &[b"hello"]).await.is_err());
        assert!(written("a", 6, &[b"hello"]).await.is_err());
    }
}

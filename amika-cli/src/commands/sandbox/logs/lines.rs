//! A log's lines, put aside in a file: one document can be printed only when all of them came, and a
//! log is larger than what should be in memory.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use futures_util::StreamExt as _;
use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::{Pieces, target};
use crate::error::{Error, Kind, Result};
use crate::terminal::Target;

/// Lines, oldest first, in a file without a name.
#[derive(Debug)]
pub(in crate::commands) struct Lines(File);

impl Lines {
    /// Takes all lines of a log, and puts them aside in a directory.
    ///
    /// # Errors
    /// The log's own, and those of the file.
    pub(in crate::commands) async fn gather(mut pieces: Pieces, directory: &Path) -> Result<Self> {
        let unkept = |error: &std::io::Error| unkept(directory, error);
        let made = tempfile::tempfile_in(directory).map_err(|error| unkept(&error))?;
        let mut file = BufWriter::new(made);
        // A line may come in several pieces, with pieces of the other stream in between.
        let mut begun = [Vec::new(), Vec::new()];
        while let Some(piece) = pieces.next().await {
            let (target, bytes) = target(piece?);
            let begun = &mut begun[usize::from(target == Target::Stderr)];
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                begun.extend_from_slice(part);
                if begun.ends_with(b"\n") {
                    file.write_all(begun).map_err(|error| unkept(&error))?;
                    begun.clear();
                }
            }
        }
        for rest in begun.iter_mut().filter(|rest| !rest.is_empty()) {
            rest.push(b'\n');
            file.write_all(rest).map_err(|error| unkept(&error))?;
        }
        let file = file
            .into_inner()
            .map_err(|error| unkept(&error.into_error()))?;
        Ok(Self(file))
    }
}

impl Serialize for Lines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut file = &self.0;
        file.seek(SeekFrom::Start(0)).map_err(S::Error::custom)?;
        let mut lines = serializer.serialize_seq(None)?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(S::Error::custom)?;
            lines.serialize_element(&String::from_utf8_lossy(&line))?;
        }
        lines.end()
    }
}

fn unkept(directory: &Path, error: &std::io::Error) -> Error {
    Error::new(
        Kind::Failure,
        format!("the log cannot be put aside in {}", directory.display()),
    )
    .caused_by(error)
    .hint("make room there, or name another directory in TMPDIR")
}

#[cfg(test)]
mod tests {
    use amika_engine::ExecOutput;
    use bytes::Bytes;

    use super::*;

    async fn gathered(pieces: Vec<(Target, &'static [u8])>) -> serde_json::Value {
        let pieces = pieces.into_iter().map(|(target, bytes)| {
            let bytes = Bytes::from_static(bytes);
            Ok(match target {
                Target::Stdout => ExecOutput::Stdout(bytes),
                Target::Stderr => ExecOutput::Stderr(bytes),
            })
        });
        let place = tempfile::tempdir().expect("a directory");
        let pieces = Box::pin(futures_util::stream::iter(pieces));
        let lines = Lines::gather(pieces, place.path())
            .await
            .expect("no error is in it");
        serde_json::to_value(&lines).expect("a file that was written")
    }

    #[tokio::test]
    async fn lines_are_put_together_stream_by_stream() {
        let lines = gathered(vec![
            (Target::Stdout, b"out "),
            (Target::Stderr, b"err\n\n"),
            (Target::Stdout, b"goes on\nl\xffst"),
        ]);
        let expected = serde_json::json!(["err", "", "out goes on", "l\u{fffd}st"]);
        assert_eq!(lines.await, expected);
        assert_eq!(gathered(Vec::new()).await, serde_json::json!([]));
    }
}

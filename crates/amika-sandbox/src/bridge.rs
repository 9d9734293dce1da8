//! Archives between the engine's streams and threads that read and write files: bounded, so that a
//! copy of any size takes the same memory.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use amika_engine::EngineError;

/// Bytes in one chunk.
const CHUNK: usize = 128 * 1024;
/// Chunks that may wait for the other end.
const CHUNKS: usize = 8;

/// A chunk, an error that breaks the archive off, or `None` for its good end.
type Message = Option<io::Result<Bytes>>;

/// Runs `produce` on a thread of its own; what it writes is the stream, which ends well only after
/// `produce` did.
pub fn produce<T: Send + 'static>(
    produce: impl FnOnce(&mut Writer) -> io::Result<T> + Send + 'static,
) -> (
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    JoinHandle<io::Result<T>>,
) {
    let (sender, receiver) = mpsc::channel::<Message>(CHUNKS);
    let thread = tokio::task::spawn_blocking(move || {
        let mut writer = Writer {
            sender,
            buffer: Vec::with_capacity(CHUNK),
        };
        let result = produce(&mut writer).and_then(|value| writer.flush().map(|()| value));
        let end = match &result {
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::new(error.kind(), error.to_string()))),
        };
        // Nobody listens any more: nothing to end.
        let _ = writer.sender.blocking_send(end);
        result
    });
    let stream = futures_util::stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(Ok(chunk))) => Some((Ok(chunk), Some(receiver))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            // Half an archive must never be taken for a whole one.
            None => Some((Err(io::Error::other("the archive broke off")), None)),
        }
    });
    (stream, thread)
}

/// What came of a thread that reads or writes an archive.
pub fn joined<T>(thread: Result<io::Result<T>, JoinError>) -> io::Result<T> {
    thread.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Hands a stream of the engine to a thread that reads it. The future ends with the stream, or when
/// the reader went away.
pub fn consume<S>(stream: S) -> (Reader, impl Future<Output = Result<(), EngineError>>)
where
    S: Stream<Item = Result<Bytes, EngineError>>,
{
    let (sender, receiver) = mpsc::channel::<Message>(CHUNKS);
    let pump = async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(item) = stream.next().await {
            match item {
                Ok(chunk) => {
                    if sender.send(Some(Ok(chunk))).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    let broken = io::Error::other(error.to_string());
                    let _ = sender.send(Some(Err(broken))).await;
                    return Err(error);
                }
            }
        }
        let _ = sender.send(None).await;
        Ok(())
    };
    let reader = Reader {
        receiver,
        chunk: Bytes::new(),
        ended: false,
    };
    (reader, pump)
}

/// The writing end of [`produce`].
pub struct Writer {
    sender: mpsc::Sender<Message>,
    buffer: Vec<u8>,
}

impl Write for Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&data[..taken]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sender
            .blocking_send(Some(Ok(full.into())))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The reading end of [`consume`].
pub struct Reader {
    receiver: mpsc::Receiver<Message>,
    chunk: Bytes,
    ended: bool,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(Ok(chunk))) => self.chunk = chunk,
                Some(Some(Err(error))) => return Err(error),
                Some(None) => self.ended = true,
                None => return Err(io::Error::other("the archive broke off")),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        Ok(count)
    }
}

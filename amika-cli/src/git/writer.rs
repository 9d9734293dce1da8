//! One tar archive, written once, front to back, into a bounded channel.

use std::io::{self, Read, Write};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

/// Bytes in one chunk of the stream.
const CHUNK: usize = 256 * 1024;
/// Chunks that may wait for the reader.
const CHUNKS: usize = 8;

/// Who owns what is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

enum Message {
    Chunk(Bytes),
    Failed(io::Error),
    Done,
}

/// The writing end of the channel.
pub(super) struct ChannelWriter {
    sender: mpsc::Sender<Message>,
    buffer: Vec<u8>,
}

impl ChannelWriter {
    fn send(&self, message: Message) -> io::Result<()> {
        self.sender
            .blocking_send(message)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn send_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= CHUNK {
            let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
            self.send(Message::Chunk(full.into()))?;
        }
        Ok(())
    }

    /// Moves exactly `size` bytes, without another buffer between.
    fn copy(&mut self, from: &mut dyn Read, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let space = (CHUNK - self.buffer.len()) as u64;
            let read = from.take(space.min(left)).read_to_end(&mut self.buffer)? as u64;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read;
            self.send_if_full()?;
        }
        Ok(())
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&data[..taken]);
        self.send_if_full()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `produce` on a thread of its own and returns what it writes as a stream.
///
/// The stream ends well only after `produce` returned `Ok`: an error, or a panic, ends it with an error,
/// so that half an archive is never taken for a whole one. Dropping the stream ends the thread at its
/// next write.
pub(super) fn stream(
    owner: Owner,
    produce: impl FnOnce(&mut TarWriter) -> io::Result<()> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    std::thread::spawn(move || {
        let mut tar = TarWriter {
            to: ChannelWriter {
                sender,
                buffer: Vec::with_capacity(CHUNK),
            },
            owner,
            directory: Vec::new(),
        };
        let end = match produce(&mut tar).and_then(|()| tar.finish()) {
            Ok(()) => Message::Done,
            Err(error) => Message::Failed(error),
        };
        // Nobody listens any more: nothing to report to.
        let _ = tar.to.send(end);
    });
    futures_util::stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Message::Chunk(chunk)) => Some((Ok(chunk), Some(receiver))),
            Some(Message::Done) => None,
            Some(Message::Failed(error)) => Some((Err(error), None)),
            None => Some((
                Err(io::Error::other("the copy of the repository broke off")),
                None,
            )),
        }
    })
}

/// Writes entries with one owner; parents of an entry come before it by themselves.
pub(super) struct TarWriter {
    to: ChannelWriter,
    owner: Owner,
    /// The directory of the entry before, with a slash at its end.
    directory: Vec<u8>,
}

impl TarWriter {
    /// A directory; `path` without a slash at its end, empty for the root.
    ///
    /// The root is named `/`: Docker passes over an entry `.`, and the directory would stay root's.
    pub(super) fn directory(&mut self, path: &[u8], mtime: u64) -> io::Result<()> {
        let mut name = path.to_vec();
        if !path.is_empty() {
            self.parents(path, mtime)?;
        }
        name.push(b'/');
        self.header(tar::EntryType::Directory, &name, b"", 0o755, 0, mtime)?;
        if !path.is_empty() {
            self.directory = name;
        }
        Ok(())
    }

    /// A regular file with content that is in memory.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        mode: u32,
        mtime: u64,
        content: &[u8],
    ) -> io::Result<()> {
        self.file_from(path, mode, mtime, content.len() as u64, &mut &*content)
    }

    /// A regular file whose content is read now; an early end of it is an error.
    pub(super) fn file_from(
        &mut self,
        path: &[u8],
        mode: u32,
        mtime: u64,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.parents(path, mtime)?;
        self.header(tar::EntryType::Regular, path, b"", mode, size, mtime)?;
        self.to.copy(content, size)?;
        self.pad(size)
    }

    /// A symbolic link, its target as it is.
    pub(super) fn symlink(&mut self, path: &[u8], target: &[u8], mtime: u64) -> io::Result<()> {
        self.parents(path, mtime)?;
        self.header(tar::EntryType::Symlink, path, target, 0o777, 0, mtime)
    }

    fn parents(&mut self, path: &[u8], mtime: u64) -> io::Result<()> {
        let end = path
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(0, |at| at + 1);
        let parent = &path[..end];
        if parent == self.directory.as_slice() {
            return Ok(());
        }
        let common = parent
            .iter()
            .zip(&self.directory)
            .take_while(|(a, b)| a == b)
            .count();
        // Both end with a slash, so a directory whose slash is common was written before.
        let new: Vec<usize> = (common..parent.len())
            .filter(|&at| parent[at] == b'/')
            .collect();
        for at in new {
            self.header(
                tar::EntryType::Directory,
                &parent[..=at],
                b"",
                0o755,
                0,
                mtime,
            )?;
        }
        self.directory = parent.to_vec();
        Ok(())
    }

    fn header(
        &mut self,
        kind: tar::EntryType,
        path: &[u8],
        target: &[u8],
        mode: u32,
        size: u64,
        mtime: u64,
    ) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        let fields = header
            .as_gnu_mut()
            .map(|gnu| (&mut gnu.name, &mut gnu.linkname));
        if let Some((name_field, target_field)) = fields {
            if path.len() > name_field.len() {
                self.long(tar::EntryType::GNULongName, path)?;
            }
            if target.len() > target_field.len() {
                self.long(tar::EntryType::GNULongLink, target)?;
            }
            put(name_field, path);
            put(target_field, target);
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(self.owner.uid.into());
        header.set_gid(self.owner.gid.into());
        header.set_size(size);
        header.set_mtime(mtime);
        header.set_cksum();
        self.to.write_all(header.as_bytes())
    }

    /// The entry that carries a name too long for a header (more than 100 bytes), ended by a zero byte.
    fn long(&mut self, kind: tar::EntryType, name: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        if let Some(gnu) = header.as_gnu_mut() {
            put(&mut gnu.name, b"././@LongLink");
        }
        let size = name.len() as u64 + 1;
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.to.write_all(header.as_bytes())?;
        self.to.write_all(name)?;
        self.to.write_all(&[0])?;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = (size % 512) as usize;
        if over == 0 {
            return Ok(());
        }
        self.to.write_all(&[0; 512][over..])
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.write_all(&[0; 1024])?;
        let rest = std::mem::take(&mut self.to.buffer);
        if rest.is_empty() {
            return Ok(());
        }
        self.to.send(Message::Chunk(rest.into()))
    }
}

/// As much of a name as its field holds; the whole stands in a long-name entry before.
fn put(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

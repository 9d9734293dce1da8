//! One frame of a terminal at a time.

use std::io;

use amika_core::terminal::{HEADER, Kind, header, parse};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Reads a frame; its content replaces what is in `content`.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] when the stream ends; [`io::ErrorKind::InvalidData`] for what is no frame.
pub async fn read_frame(
    from: &mut (impl AsyncRead + Unpin),
    content: &mut Vec<u8>,
) -> io::Result<Kind> {
    let mut head = [0; HEADER];
    from.read_exact(&mut head).await?;
    let (kind, length) = parse(head)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no frame of a terminal"))?;
    content.resize(length, 0);
    from.read_exact(content).await?;
    Ok(kind)
}

/// Writes a frame and sees it off.
///
/// # Errors
/// As the writer has them; [`io::ErrorKind::InvalidInput`] for content that no frame holds.
pub async fn write_frame(
    to: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    content: &[u8],
) -> io::Result<()> {
    let head = header(kind, content.len())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "too much for one frame"))?;
    let mut whole = Vec::with_capacity(HEADER + content.len());
    whole.extend(head);
    whole.extend(content);
    to.write_all(&whole).await?;
    to.flush().await
}

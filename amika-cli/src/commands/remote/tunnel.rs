//! Tunnels to the ports of a sandbox of a server's: the frames of [`amika_core::tunnel`], carried by a WebSocket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use amika_core::port::Port;
use amika_core::tunnel::{CONTENT, Kind, Upgrade};
use amika_remote::client::Call;
use amika_remote::socket::{Message, Receiver, Sender, Socket};
use amika_remote::{Client, Failure as Refused};
use amika_sandbox::forward::{Failure, Opens, Tunnel};
use amika_tunnel::{read_frame, write_frame};
use futures_util::future::BoxFuture;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf,
};

/// Bytes on their way between both ends.
const ROOM: usize = 256 << 10;
/// Bytes of a connection in one message.
const PIECE: usize = 32 << 10;
/// Nothing more comes in this direction.
const END: &str = "{\"end\":true}";

/// The way to a sandbox of a server's.
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) sandbox: String,
}

impl Opens for Remote {
    fn open(&self, port: Port, protocol: Upgrade) -> BoxFuture<'_, Result<Tunnel, Failure>> {
        Box::pin(self.opened(port, protocol))
    }
}

impl Remote {
    async fn opened(&self, port: Port, protocol: Upgrade) -> Result<Tunnel, Failure> {
        let number = port.to_string();
        let path = [
            "sandboxes",
            self.sandbox.as_str(),
            "tunnel",
            number.as_str(),
        ];
        let mut call = Call::get(&path);
        if protocol == Upgrade::Udp {
            call = call.with("protocol", "udp");
        }
        let socket = self
            .client
            .socket(call)
            .await
            .map_err(|failure| match failure.status() {
                Some(409) => Failure::Stopped,
                Some(502) => Failure::Nobody(words(&failure)),
                _ => Failure::Other(words(&failure)),
            })?;
        let (ours, theirs) = tokio::io::duplex(ROOM);
        let Socket { sender, receiver } = socket;
        if protocol == Upgrade::Tcp {
            let is_broken = Arc::new(AtomicBool::new(false));
            tokio::spawn(plain(ours, sender, receiver, Arc::clone(&is_broken)));
            Ok(Box::new(Plain { theirs, is_broken }))
        } else {
            tokio::spawn(framed(ours, sender, receiver));
            Ok(Box::new(theirs))
        }
    }
}

fn words(failure: &Refused) -> String {
    match failure {
        Refused::Refused(refusal) => match refusal.hints.first() {
            Some(hint) => format!("{}; {hint}", refusal.message),
            None => refusal.message.clone(),
        },
        other => other.to_string(),
    }
}

/// Carries frames: an end goes by itself, and whatever breaks is a reset.
async fn framed(ours: DuplexStream, to: Sender, from: Receiver) {
    let (reading, writing) = tokio::io::split(ours);
    let (mut reading, mut writing) = (reading, writing);
    let both = async {
        let out = forth(&mut reading, to);
        let back = back(&mut writing, from);
        tokio::try_join!(out, back).map(|_| ())
    };
    if both.await.is_err() {
        let _ = write_frame(&mut writing, Kind::Reset, &[]).await;
    }
    let _ = writing.shutdown().await;
}

/// It broke.
struct Broken;

async fn forth(from: &mut (impl AsyncRead + Unpin), mut to: Sender) -> Result<Sender, Broken> {
    loop {
        let mut content = Vec::new();
        match read_frame(from, &mut content).await.map_err(|_| Broken)? {
            Kind::Data => to
                .send(Message::Binary(content.into()))
                .await
                .map_err(|_| Broken)?,
            Kind::End => {
                to.send(Message::Text(END.to_owned()))
                    .await
                    .map_err(|_| Broken)?;
                return Ok(to);
            }
            Kind::Reset => return Err(Broken),
        }
    }
}

async fn back(to: &mut (impl AsyncWrite + Unpin), mut from: Receiver) -> Result<(), Broken> {
    loop {
        match from.next().await {
            Ok(Some(Message::Binary(bytes))) => {
                if bytes.is_empty() {
                    write_frame(to, Kind::Data, &bytes)
                        .await
                        .map_err(|_| Broken)?;
                }
                // No datagram is as long.
                for piece in bytes.chunks(CONTENT) {
                    write_frame(to, Kind::Data, piece)
                        .await
                        .map_err(|_| Broken)?;
                }
            }
            Ok(Some(Message::Text(text))) if text == END => {
                return write_frame(to, Kind::End, &[]).await.map_err(|_| Broken);
            }
            _ => return Err(Broken),
        }
    }
}

/// The bytes of a connection, as they are. Where it broke its end is an error: what came would seem whole.
struct Plain {
    theirs: DuplexStream,
    is_broken: Arc<AtomicBool>,
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.theirs).poll_read(context, buffer);
        let is_end = matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() == before;
        if is_end && self.is_broken.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.theirs).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.theirs).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.theirs).poll_shutdown(context)
    }
}

/// Carries the bytes of a connection, as they are; notes where it broke.
async fn plain(ours: DuplexStream, mut to: Sender, mut from: Receiver, is_broken: Arc<AtomicBool>) {
    let (mut reading, mut writing) = tokio::io::split(ours);
    let out = async move {
        let mut buffer = vec![0; PIECE];
        loop {
            match reading.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let bytes = bytes::Bytes::copy_from_slice(&buffer[..count]);
                    if to.send(Message::Binary(bytes)).await.is_err() {
                        break;
                    }
                }
            }
        }
        let _ = to.send(Message::Text(END.to_owned())).await;
        to
    };
    let back = async move {
        loop {
            match from.next().await {
                Ok(Some(Message::Binary(bytes))) => {
                    if writing.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                Ok(Some(Message::Text(text))) if text == END => break,
                _ => {
                    is_broken.store(true, Ordering::Release);
                    break;
                }
            }
        }
        let _ = writing.shutdown().await;
    };
    tokio::join!(out, back);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_broke_is_no_end() {
        for is_broken in [false, true] {
            let (mut ours, theirs) = tokio::io::duplex(64);
            let mut plain = Plain {
                theirs,
                is_broken: Arc::new(AtomicBool::new(is_broken)),
            };
            ours.write_all(b"half").await.unwrap();
            ours.shutdown().await.unwrap();
            let mut came = Vec::new();
            let ended = plain.read_to_end(&mut came).await;
            assert_eq!((came.as_slice(), ended.is_err()), (&b"half"[..], is_broken));
        }
    }
}

//! A TCP connection in frames.

use std::io;

use amika_core::tunnel::{HEADER, Kind, header};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, split};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::frame::{read_frame, write_frame};

/// So much is read at once: what a frame holds at most.
const CHUNK: usize = 32 << 10;

/// How one direction came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Its source said all that it had to say, and the other side was told.
    Ended,
    /// The connection on this side broke.
    Broken,
    /// The other side broke, or is gone.
    Gone,
}

/// Carries `connection` over `tunnel` until both directions are over, or one side broke: an end of one direction
/// leaves the other open, a reset is a reset on the other side. What comes out of the tunnel is shown to `seen`.
pub async fn carry<T>(mut connection: TcpStream, tunnel: T, seen: impl FnMut(&[u8]))
where
    T: AsyncRead + AsyncWrite,
{
    let (from_tunnel, mut to_tunnel) = split(tunnel);
    let is_whole = {
        let (from_here, to_here) = connection.split();
        both(from_here, to_here, from_tunnel, &mut to_tunnel, seen).await
    };
    if !is_whole {
        // Dropped with this, it is a reset and no end.
        let _ = connection.set_zero_linger();
    }
    let _ = to_tunnel.shutdown().await;
}

/// Whether both directions came to their end by themselves.
async fn both(
    from_here: ReadHalf<'_>,
    to_here: WriteHalf<'_>,
    from_tunnel: impl AsyncRead + Unpin,
    to_tunnel: &mut (impl AsyncWrite + Unpin),
    seen: impl FnMut(&[u8]),
) -> bool {
    let mut incoming = std::pin::pin!(incoming(from_tunnel, to_here, seen));
    let (out, back) = {
        let mut outgoing = std::pin::pin!(outgoing(from_here, to_tunnel));
        tokio::select! {
            out = &mut outgoing => match out {
                Over::Ended => (out, incoming.await),
                Over::Broken | Over::Gone => (out, Over::Ended),
            },
            back = &mut incoming => match back {
                Over::Gone => (Over::Ended, back),
                // What this side said before it broke is still to be read, and its reset behind it.
                Over::Ended | Over::Broken => (outgoing.await, back),
            },
        }
    };
    let is_broken_here = out == Over::Broken || back == Over::Broken;
    if is_broken_here {
        let _ = write_frame(to_tunnel, Kind::Reset, &[]).await;
    }
    out == Over::Ended && back == Over::Ended
}

/// From this side's connection into the tunnel.
async fn outgoing(mut from: ReadHalf<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Over {
    // The header's place is before what is read: a frame is one write.
    let mut buffer = vec![0; HEADER + CHUNK];
    loop {
        let count = match from.read(&mut buffer[HEADER..]).await {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Over::Broken,
        };
        let Some(head) = header(Kind::Data, count) else {
            return Over::Broken;
        };
        buffer[..HEADER].copy_from_slice(&head);
        let sent = to.write_all(&buffer[..HEADER + count]).await;
        if sent.is_err() || to.flush().await.is_err() {
            return Over::Gone;
        }
    }
    match write_frame(to, Kind::End, &[]).await {
        Ok(()) => Over::Ended,
        Err(_) => Over::Gone,
    }
}

/// From the tunnel into this side's connection.
async fn incoming(
    from: impl AsyncRead + Unpin,
    mut to: WriteHalf<'_>,
    mut seen: impl FnMut(&[u8]),
) -> Over {
    let mut from = BufReader::with_capacity(CHUNK, from);
    let mut content = Vec::new();
    loop {
        match read_frame(&mut from, &mut content).await {
            Ok(Kind::Data) => {
                seen(&content);
                if to.write_all(&content).await.is_err() {
                    return Over::Broken;
                }
            }
            Ok(Kind::End) => {
                return match to.shutdown().await {
                    Ok(()) => Over::Ended,
                    Err(_) => Over::Broken,
                };
            }
            Ok(Kind::Reset) | Err(_) => return Over::Gone,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests: a panic is how they fail")]
mod tests {
    use std::time::Duration;

    use tokio::io::DuplexStream;
    use tokio::net::TcpListener;

    use super::*;

    /// Two connected sockets of this machine.
    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
        (one.unwrap(), other.unwrap().0)
    }

    /// A client and a server, with a tunnel between them.
    async fn tunnelled() -> (TcpStream, TcpStream) {
        let (client, outside) = connected().await;
        let (inside, server) = connected().await;
        let (one, other): (DuplexStream, DuplexStream) = tokio::io::duplex(1024);
        tokio::spawn(carry(outside, one, |_| {}));
        tokio::spawn(carry(inside, other, |_| {}));
        (client, server)
    }

    async fn all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        let read = stream.read_to_end(&mut all);
        tokio::time::timeout(Duration::from_secs(30), read)
            .await
            .expect("an end")
            .map(|_| all)
    }

    #[tokio::test]
    async fn each_direction_ends_by_itself() {
        let (mut client, mut server) = tunnelled().await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(all(&mut server).await.unwrap(), b"question");
        // The other one goes on, with more than any buffer between holds.
        let answer = vec![7; 3 << 20];
        let told = answer.clone();
        let told = tokio::spawn(async move {
            server.write_all(&told).await.unwrap();
            server.shutdown().await.unwrap();
        });
        assert!(all(&mut client).await.unwrap() == answer);
        told.await.unwrap();
    }

    #[tokio::test]
    async fn the_server_may_end_first_and_still_listen() {
        let (mut client, mut server) = tunnelled().await;
        server.write_all(b"bye").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(all(&mut client).await.unwrap(), b"bye");
        client.write_all(b"but wait").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(all(&mut server).await.unwrap(), b"but wait");
    }

    #[tokio::test]
    async fn a_reset_is_a_reset_on_the_other_side_behind_what_was_said_before() {
        let (mut client, mut server) = tunnelled().await;
        server.write_all(b"last words").await.unwrap();
        let mut words = [0; 10];
        client.read_exact(&mut words).await.unwrap();
        server.set_zero_linger().unwrap();
        drop(server);
        let error = all(&mut client).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

        let (client, mut server) = tunnelled().await;
        client.set_zero_linger().unwrap();
        drop(client);
        let error = all(&mut server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_a_server_said_before_it_refused_the_rest_arrives() {
        let (mut client, mut server) = tunnelled().await;
        let talk = tokio::spawn(async move {
            // More than anybody takes.
            let _ = client.write_all(&vec![1; 8 << 20]).await;
            let mut answer = [0; 9];
            client.read_exact(&mut answer).await.map(|_| answer)
        });
        let mut some = [0; 1024];
        server.read_exact(&mut some).await.unwrap();
        server.write_all(b"too large").await.unwrap();
        // With a reset the kernel drops what it has not sent yet; by then it has.
        tokio::time::sleep(Duration::from_millis(100)).await;
        // Unread bytes make a reset of it.
        drop(server);
        assert_eq!(&talk.await.unwrap().unwrap(), b"too large");
    }

    #[tokio::test]
    async fn a_tunnel_that_vanishes_or_talks_nonsense_is_a_reset() {
        for nonsense in [&b""[..], b"GET", b"\x00\x00\x05abc", b"\x01\x00\x01x"] {
            let (mut client, outside) = connected().await;
            let (one, mut other) = tokio::io::duplex(1024);
            let carried = tokio::spawn(carry(outside, one, |_| {}));
            other.write_all(nonsense).await.unwrap();
            drop(other);
            assert!(all(&mut client).await.is_err(), "{nonsense:?}");
            carried.await.unwrap();
        }
    }
}

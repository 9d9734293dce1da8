//! What goes through a tunnel once it is open, until either end is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amika_core::tunnel::{CONTENT, Kind};
use amika_tunnel::{carry, read_frame, write_frame};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional_with_sizes, split};
use tokio::net::{TcpStream, UdpSocket};

use crate::activity::{Inward, Own, Watched};
use crate::http::stall::Stalling;

/// Bytes on their way in each direction.
const BUFFER: usize = 32 << 10;
/// A conversation of datagrams has no end that anybody could see: it is over when nobody says anything.
const SILENCE: Duration = Duration::from_mins(5);

/// Bytes as they are. An end of one direction is carried over, and the other goes on.
pub(super) async fn bytes(outside: Upgraded, mut inside: TcpStream, inward: &mut Inward) {
    // The connection itself, where it is one: a reset can then be one on the other side.
    match outside.downcast::<TokioIo<Stalling<Own>>>() {
        Ok(parts) => {
            let mut outside = parts.io.into_inner().into_inner();
            inward.count(&parts.read_buf);
            let begun = inside.write_all(&parts.read_buf).await.is_ok();
            let mut watched = Watched::new(&mut outside, inward);
            let copied = begun
                && copy_bidirectional_with_sizes(&mut watched, &mut inside, BUFFER, BUFFER)
                    .await
                    .is_ok();
            if !copied {
                let _ = outside.stream().set_zero_linger();
                let _ = inside.set_zero_linger();
            }
        }
        Err(outside) => {
            let mut outside = TokioIo::new(outside);
            let mut watched = Watched::new(&mut outside, inward);
            let copied =
                copy_bidirectional_with_sizes(&mut watched, &mut inside, BUFFER, BUFFER).await;
            if copied.is_err() {
                let _ = inside.set_zero_linger();
            }
        }
    }
}

/// The same in frames, which carry a reset through any way.
pub(super) async fn frames(outside: Upgraded, inside: TcpStream, inward: &mut Inward) {
    carry(inside, TokioIo::new(outside), |bytes| inward.count(bytes)).await;
}

/// Datagrams. Those that come while the client does not read are lost, as anywhere.
pub(super) async fn datagrams(outside: Upgraded, inside: UdpSocket, inward: &mut Inward) {
    let (mut from_outside, mut to_outside) = split(TokioIo::new(outside));
    // How often anything was said.
    let said = AtomicU64::new(0);
    let up = async {
        let mut content = Vec::new();
        // A reset, an end, or no tunnel any more: there is nobody to answer to.
        while let Ok(Kind::Data) = read_frame(&mut from_outside, &mut content).await {
            said.fetch_add(1, Ordering::Relaxed);
            inward.count(&content);
            // Nobody there at the moment, or too long: the sender is told as little as on any network.
            let _ = inside.send(&content).await;
        }
    };
    let down = async {
        let mut buffer = vec![0; CONTENT];
        loop {
            // An error is the answer to an earlier datagram, that nobody is there; there may be later.
            let Ok(count) = inside.recv(&mut buffer).await else {
                continue;
            };
            said.fetch_add(1, Ordering::Relaxed);
            let sent = write_frame(&mut to_outside, Kind::Data, &buffer[..count]).await;
            if sent.is_err() {
                return;
            }
        }
    };
    let silence = async {
        let mut before = None;
        while before != Some(said.load(Ordering::Relaxed)) {
            before = Some(said.load(Ordering::Relaxed));
            tokio::time::sleep(SILENCE).await;
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = silence => {}
    }
}

//! Datagrams: each sender of this machine has a tunnel of its own, so that answers find their way back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amika_core::tunnel::{CONTENT, Kind, Upgrade};
use amika_tunnel::{read_frame, write_frame};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::To;

/// Senders at a time; those that were silent longest do not make way, they end by themselves.
const SENDERS: usize = 100;
/// Datagrams of one sender on their way to its tunnel; more are lost, as on any network.
const QUEUE: usize = 64;
/// A sender that neither says nor is told anything for so long is gone.
const SILENCE: Duration = Duration::from_mins(1);

/// Serves until it is aborted.
pub(super) async fn serve(sockets: Vec<UdpSocket>, to: To) {
    let mut loops = JoinSet::new();
    for socket in sockets {
        loops.spawn(receive(socket, to.clone()));
    }
    while loops.join_next().await.is_some() {}
}

async fn receive(socket: UdpSocket, to: To) {
    let socket = Arc::new(socket);
    let mut senders: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut buffer = vec![0; CONTENT];
    // Ends with this: nobody could be answered any more.
    let mut tunnels = JoinSet::new();
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            Some(_) = tunnels.join_next() => continue,
        };
        // An error is the answer to what was sent to a sender that is gone.
        let Ok((count, from)) = received else {
            continue;
        };
        senders.retain(|_, sender| !sender.is_closed());
        if !senders.contains_key(&from) {
            if senders.len() >= SENDERS {
                continue;
            }
            let (sender, queue) = mpsc::channel(QUEUE);
            senders.insert(from, sender);
            let back = (Arc::clone(&socket), from);
            tunnels.spawn(one(queue, back, to.clone()));
        }
        if let Some(sender) = senders.get(&from) {
            let _ = sender.try_send(buffer[..count].to_vec());
        }
    }
}

/// One sender's conversation.
async fn one(
    mut queue: mpsc::Receiver<Vec<u8>>,
    (socket, sender): (Arc<UdpSocket>, SocketAddr),
    to: To,
) {
    let Some(tunnel) = to.open(Upgrade::Udp).await else {
        return;
    };
    let (mut from_tunnel, mut to_tunnel) = tokio::io::split(tunnel);
    let (heard, mut said) = mpsc::channel::<()>(1);
    let back = async {
        let mut content = Vec::new();
        while let Ok(Kind::Data) = read_frame(&mut from_tunnel, &mut content).await {
            let _ = socket.send_to(&content, sender).await;
            let _ = heard.try_send(());
        }
    };
    let forth = async {
        loop {
            tokio::select! {
                datagram = queue.recv() => {
                    let Some(datagram) = datagram else { return };
                    if write_frame(&mut to_tunnel, Kind::Data, &datagram).await.is_err() {
                        return;
                    }
                }
                Some(()) = said.recv() => {}
                () = tokio::time::sleep(SILENCE) => return,
            }
        }
    };
    tokio::select! {
        () = back => {}
        () = forth => {}
    }
}

//! TCP connections of this machine, each through a tunnel of its own.

use std::time::Duration;

use amika_core::tunnel::Upgrade;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::To;

/// After a connection could not be taken: too many open files, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is aborted.
pub(super) async fn serve(listeners: Vec<TcpListener>, to: To) {
    let mut loops = JoinSet::new();
    for listener in listeners {
        let to = to.clone();
        loops.spawn(async move {
            loop {
                match listener.accept().await {
                    // It outlives the listener: what is under way is not broken off.
                    Ok((stream, _)) => drop(tokio::spawn(one(stream, to.clone()))),
                    Err(error) => {
                        tracing::debug!(%error, "a connection could not be taken");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
    }
    while loops.join_next().await.is_some() {}
}

async fn one(stream: TcpStream, to: To) {
    // Keystrokes are small; without it they wait for each other.
    let _ = stream.set_nodelay(true);
    match to.open(Upgrade::TcpFrames).await {
        Some(tunnel) => amika_tunnel::carry(stream, tunnel, |_| {}).await,
        // Nobody there is a refusal, as far as a connection that was taken can be refused.
        None => drop(stream.set_zero_linger()),
    }
}

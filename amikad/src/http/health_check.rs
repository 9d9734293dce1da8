//! Whether the OpenCode server is up: asks its `/global/health`, with the password.
//!
//! While it starts it may accept a connection and stay silent for seconds, and with a password set
//! it answers any other path with HTML and 200: only JSON in time counts.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use amika_core::contract::OPENCODE_PORT;
use amika_core::wire::ServiceState;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::publish::{Command, Shared};

/// From one check to the next while the server is not ready.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same once it is: only to notice that it hangs.
const READY_INTERVAL: Duration = Duration::from_secs(10);
/// So many checks in a row must fail before a server that was ready is not.
const PATIENCE: u32 = 3;
/// How long one check may take.
const TIMEOUT: Duration = Duration::from_millis(900);

/// Checks the server for as long as there is one; sleeps without a timer while there is none.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut published = shared.subscribe();
    loop {
        published.mark_unchanged();
        let opencode = shared.status().services.opencode;
        let interval = match (opencode.state, opencode.pid) {
            (ServiceState::Starting, Some(_)) => INTERVAL,
            (ServiceState::Ready, Some(_)) => READY_INTERVAL,
            _ => {
                if published.changed().await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Some(pid) = opencode.pid else { continue };
        if !outlives(pid, interval, &shared, &mut published).await {
            continue;
        }
        let is_ready = opencode.state == ServiceState::Ready;
        let mut healthy = false;
        // One slow answer of a server that was up says that it is busy.
        let mut left = if is_ready { PATIENCE } else { 1 };
        while left > 0 {
            healthy = tokio::time::timeout(TIMEOUT, check(&shared)).await == Ok(Some(()));
            left -= 1;
            if healthy || left > 0 && !outlives(pid, INTERVAL, &shared, &mut published).await {
                break;
            }
        }
        if healthy != is_ready {
            shared.mailbox.send(Command::Probed { pid, healthy });
        }
    }
}

/// Waits for `interval`; false as soon as the server is not `pid` any more.
async fn outlives(
    pid: i32,
    interval: Duration,
    shared: &Shared,
    published: &mut watch::Receiver<u64>,
) -> bool {
    let mut interval = std::pin::pin!(tokio::time::sleep(interval));
    loop {
        tokio::select! {
            () = &mut interval => return true,
            _ = published.changed() => {
                if shared.status().services.opencode.pid != Some(pid) {
                    return false;
                }
            }
        }
    }
}

/// One check; none unless the answer is a JSON object that says so.
async fn check(shared: &Shared) -> Option<()> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, OPENCODE_PORT))
        .await
        .ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let talk = async {
        let secrets = &shared.secrets;
        let pair = format!("{}:{}", secrets.opencode_user, secrets.opencode_password());
        let request = Request::get("/global/health")
            .header(header::HOST, "127.0.0.1")
            .header(
                header::AUTHORIZATION,
                format!("Basic {}", base64(pair.as_bytes())),
            )
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .ok()?;
        let response = sender.send_request(request).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let body = Limited::new(response.into_body(), 64 << 10)
            .collect()
            .await
            .ok()?;
        let document: serde_json::Value = serde_json::from_slice(&body.to_bytes()).ok()?;
        let unhealthy = document.get("healthy") == Some(&false.into());
        (document.is_object() && !unhealthy).then_some(())
    };
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        result = &mut talk => result,
        // The connection ends first when the server closes it; the answer may be in already.
        _ = connection => talk.await,
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * position) & 63) as usize];
            text.push(if position > chunk.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_matches_the_vectors_of_the_rfc() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}

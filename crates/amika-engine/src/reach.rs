//! What of an engine is this machine's, measured: a socket here is no engine here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UnixStream;

use super::Endpoint;

/// Programs that pass a socket on from somewhere else.
const FORWARDERS: [&str; 12] = [
    "ssh",
    "sshd",
    "sshd-session",
    "autossh",
    "dbclient",
    "dropbear",
    "socat",
    "nc",
    "ncat",
    "docker-proxy",
    "kubectl",
    "haproxy",
];

/// Whether an engine's published ports are this machine's, as all clients of the engine found out.
#[derive(Clone, Debug, Default)]
pub struct Reach(Arc<AtomicBool>);

impl Reach {
    /// Whether a port was asked in vain while amikad answered through the engine.
    pub fn is_elsewhere(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Remembers that the engine publishes where this process has no way to.
    pub fn publishes_elsewhere(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether the engine runs on this machine: its paths and its processor are ours.
pub(super) async fn is_of_this_machine(endpoint: &Endpoint) -> bool {
    if let Some(path) = endpoint.host.strip_prefix("unix://") {
        return listens_here(path).await;
    }
    if endpoint.host.starts_with("npipe://") {
        return true;
    }
    let Some(port) = endpoint.loopback() else {
        return false;
    };
    // It reads a file of each process.
    let asked = tokio::task::spawn_blocking(move || port.is_an_engines());
    asked.await.unwrap_or(false)
}

/// Whether who listens on a socket is a program of this machine, as far as can be seen, and not one that
/// passes it on. In doubt it is, as docker's own command has it.
async fn listens_here(path: &str) -> bool {
    let Ok(Ok(peer)) = UnixStream::connect(path).await.map(|it| it.peer_cred()) else {
        return true;
    };
    let Some(pid) = peer.pid() else { return true };
    let command = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    is_here(pid, command.ok().as_deref().map(str::trim_end))
}

/// The kernel shows a process outside this PID namespace as 0: then this is a container into which the
/// socket is mounted.
fn is_here(pid: i32, command: Option<&str>) -> bool {
    pid > 0 && !command.is_some_and(|command| FORWARDERS.contains(&command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_or_forwarded_socket_is_no_engine_of_this_machine() {
        for (pid, command, expected) in [
            (812, Some("dockerd"), true),
            (1, Some("systemd"), true),
            (812, None, true),
            (0, None, false),
            (812, Some("ssh"), false),
            (812, Some("sshd"), false),
            (812, Some("sshd-session"), false),
            (812, Some("socat"), false),
            (812, Some("docker-proxy"), false),
        ] {
            assert_eq!(is_here(pid, command), expected, "{pid} {command:?}");
        }
    }

    #[tokio::test]
    async fn who_listens_here_is_of_this_machine() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let _listener = tokio::net::UnixListener::bind(&path).expect("bound");
        assert!(listens_here(path.to_str().expect("text")).await);
    }
}

//! Whose a port of the loopback is: whether who listens there belongs to the process that should.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt as _;

use amika_core::port::Protocol;

use super::{Socket, diag, owner, tables};
use crate::ordered;
use crate::process_tree;

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Nobody does.
    Nobodys,
    /// The process that was meant, or one of those that it started.
    Its,
    /// Another one; who it is, for people.
    Foreign(String),
}

/// Whether who takes what comes to this port at 127.0.0.1 belongs to `leader`.
pub(crate) async fn whose(port: u16, leader: i32) -> Whose {
    // A look that failed shows nobody: who asks goes without.
    tokio::task::spawn_blocking(move || look(port, leader))
        .await
        .unwrap_or(Whose::Nobodys)
}

fn look(port: u16, leader: i32) -> Whose {
    let sockets = diag::ask(Protocol::Tcp).unwrap_or_else(|| tables::read(Protocol::Tcp));
    let takes = |socket: &Socket| match socket.address {
        IpAddr::V4(address) => address == Ipv4Addr::LOCALHOST || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unspecified() && !socket.ipv6_only,
    };
    let listeners: Vec<Socket> = sockets
        .into_iter()
        .filter(|socket| socket.port == port && takes(socket))
        .collect();
    let family = process_tree::of_leader(leader, None);
    // Each of them may be the one that the kernel gives a connection to.
    let foreign = listeners
        .iter()
        .find(|socket| !belongs(socket, leader, &family));
    match foreign {
        Some(socket) => Whose::Foreign(describe(socket)),
        None if listeners.is_empty() => Whose::Nobodys,
        None => Whose::Its,
    }
}

fn belongs(socket: &Socket, leader: i32, family: &[i32]) -> bool {
    let inode = ordered::set([socket.inode]);
    let looks: Vec<Option<bool>> = family
        .iter()
        .map(|pid| owner::has_any(*pid, &inode))
        .collect();
    if looks.iter().any(Option::is_some) {
        return looks.contains(&Some(true));
    }
    // None of them can be looked at: its user tells as much as there is.
    let user = fs::metadata(format!("/proc/{leader}")).map(|data| data.uid());
    user.is_ok_and(|user| user == socket.uid)
}

fn describe(socket: &Socket) -> String {
    let owners = owner::find(ordered::set([socket.inode]));
    match owners.get(&socket.inode) {
        Some(owner) => format!("`{}` (process {})", owner.program, owner.pid),
        None => format!("a program of uid {}", socket.uid),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_listens_is_told_from_who_should() {
        let own = std::process::id().cast_signed();
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            assert_eq!(look(port, own), Whose::Its, "{address}");
            // Init has none of it, and cannot be the parent of who should.
            let mut other = std::process::Command::new("sleep")
                .arg("60")
                .spawn()
                .unwrap();
            let foreign = look(port, other.id().cast_signed());
            other.kill().unwrap();
            other.wait().unwrap();
            let Whose::Foreign(who) = foreign else {
                panic!("{address}: {foreign:?}");
            };
            assert!(who.contains(&format!("(process {own})")), "{who}");
            drop(listener);
            assert_eq!(look(port, own), Whose::Nobodys, "{address}");
        }
    }
}

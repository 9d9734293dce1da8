//! What listens in a sandbox of a server's.

use std::collections::BTreeMap;

use amika_core::port::{Port, Protocol};
use amika_core::wire::Listener;
use amika_remote::client::Call;
use amika_sandbox::forward::Key;
use serde::Deserialize;

use super::Server;
use super::failure::told;
use crate::error::Result;

#[derive(Deserialize)]
struct Ports {
    items: Vec<Item>,
}

/// What listens, as the server tells it.
#[derive(Deserialize)]
struct Item {
    port: u16,
    protocol: Protocol,
    address: String,
    loopback_only: bool,
    ipv6_only: bool,
    #[serde(default)]
    ephemeral: bool,
    pid: Option<i32>,
    program: Option<String>,
    user: Option<String>,
    since: String,
}

impl Server {
    /// Ports, and the program that has each where it was seen.
    pub(super) async fn ports(&self, name: &str) -> Result<BTreeMap<Key, Option<String>>> {
        let heard = self.listeners(name).await?.into_iter().filter_map(|it| {
            let port = Port::new(it.port)?;
            Some(((port, it.protocol), it.program))
        });
        Ok(heard.collect())
    }

    /// All that listens in a sandbox that runs.
    pub(super) async fn listeners(&self, name: &str) -> Result<Vec<Listener>> {
        let path = ["sandboxes", name, "ports"];
        let Ports { items } = self.client.ask(Call::get(&path)).await.map_err(told)?;
        let listeners = items.into_iter().map(|item| Listener {
            port: item.port,
            protocol: item.protocol,
            address: item.address,
            loopback_only: item.loopback_only,
            ipv6_only: item.ipv6_only,
            ephemeral: item.ephemeral,
            pid: item.pid,
            program: item.program,
            user: item.user,
            since: since(&item.since),
        });
        Ok(listeners.collect())
    }
}

/// Milliseconds since the Unix epoch, of a time as the server writes it.
fn since(text: &str) -> u64 {
    let time = text
        .parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond);
    u64::try_from(time.unwrap_or_default()).unwrap_or_default()
}

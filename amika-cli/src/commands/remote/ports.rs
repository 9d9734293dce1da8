//! What listens in a sandbox of a server's.

use std::collections::BTreeMap;

use amika_core::port::{Port, Protocol};
use amika_remote::client::Call;
use amika_sandbox::forward::Key;
use serde::Deserialize;

use super::Server;
use super::failure::told;
use crate::error::Result;

#[derive(Deserialize)]
struct Ports {
    items: Vec<Listener>,
}

#[derive(Deserialize)]
struct Listener {
    port: u16,
    protocol: Protocol,
    program: Option<String>,
}

impl Server {
    /// Ports, and the program that has each where it was seen.
    pub(super) async fn ports(&self, name: &str) -> Result<BTreeMap<Key, Option<String>>> {
        let path = ["sandboxes", name, "ports"];
        let Ports { items } = self.client.ask(Call::get(&path)).await.map_err(told)?;
        let heard = items.into_iter().filter_map(|it| {
            let port = Port::new(it.port)?;
            Some(((port, it.protocol), it.program))
        });
        Ok(heard.collect())
    }
}

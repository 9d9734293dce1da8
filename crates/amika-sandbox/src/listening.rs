//! Who listens on a sandbox's ports, and whether publishing them reaches it.

use std::fmt;

use amika_core::port::Protocol;
use amika_core::untrusted::Untrusted;
use amika_core::wire::Listener;
use schemars::JsonSchema;
use serde::Serialize;

use crate::daemon::Client;
use amika_core::text::shell_quote;
use amika_engine::PublishedPort;

/// Whether anybody listens on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// Nothing does.
    Nothing,
    /// A program does, where a published port reaches it.
    Listening,
    /// A program does, on the sandbox's loopback only, where a published port does not reach it.
    LoopbackOnly,
    /// A program does, by IPv6 only, which a published port does not speak inside.
    Ipv6Only,
}

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListeningView {
    /// Whether anybody does, and where.
    state: Heard,
    /// The program's name, as it calls itself.
    program: Option<String>,
    /// Its process id in the sandbox.
    pid: Option<i32>,
    /// Who it runs as.
    user: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    since: Option<u64>,
}

impl ListeningView {
    /// Looks a port up in what amikad says of a sandbox.
    pub fn of(list: &[Listener], port: u16, protocol: Protocol) -> Self {
        let mut has_it: Vec<&Listener> = list
            .iter()
            .filter(|listener| (listener.port, listener.protocol) == (port, protocol))
            .collect();
        // The one that most reach stands for all.
        has_it.sort_by_key(|listener| (listener.loopback_only, listener.ipv6_only));
        let first = has_it.first();
        let state = match first {
            None => Heard::Nothing,
            Some(listener) if listener.can_be_published() => Heard::Listening,
            Some(listener) if listener.loopback_only => Heard::LoopbackOnly,
            Some(_) => Heard::Ipv6Only,
        };
        Self {
            state,
            program: first.and_then(|listener| listener.program.clone()),
            pid: first.and_then(|listener| listener.pid),
            user: first.and_then(|listener| listener.user.clone()),
            since: first.map(|listener| listener.since),
        }
    }

    /// What is amiss with it, in two words; nothing where a published port reaches who listens.
    pub fn amiss(&self) -> Option<&'static str> {
        match self.state {
            Heard::Listening => None,
            Heard::Nothing => Some("nothing listens"),
            Heard::LoopbackOnly => Some("loopback only"),
            Heard::Ipv6Only => Some("IPv6 only"),
        }
    }

    /// Who it is, in a few words.
    fn who(&self) -> String {
        match (&self.program, self.pid) {
            (Some(program), Some(pid)) => format!("{} (pid {pid})", Untrusted::new(program)),
            _ => "a program".to_owned(),
        }
    }
}

/// As a cell of a table has it.
impl fmt::Display for ListeningView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            Heard::Nothing => f.write_str("nothing"),
            Heard::Listening => f.write_str(&self.who()),
            Heard::LoopbackOnly => write!(f, "{}, loopback only", self.who()),
            Heard::Ipv6Only => write!(f, "{}, IPv6 only", self.who()),
        }
    }
}

/// What is to be said of published ports that do not reach who listens on them. An amikad that cannot be asked is no
/// reason to say anything.
pub async fn out_of_reach(
    client: &Client,
    sandbox: &str,
    published: &[PublishedPort],
) -> Vec<String> {
    let own = amika_core::contract::RESERVED_PORTS;
    let mut ports: Vec<(u16, Protocol)> = published
        .iter()
        .map(|port| (port.container_port, port.protocol))
        .filter(|(port, _)| !own.contains(port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() {
        return Vec::new();
    }
    let list = client.ports().await.unwrap_or_default();
    ports
        .into_iter()
        .filter_map(|(port, protocol)| warning(&list, sandbox, port, protocol))
        .collect()
}

fn warning(list: &[Listener], sandbox: &str, port: u16, protocol: Protocol) -> Option<String> {
    let view = ListeningView::of(list, port, protocol);
    let place = match view.state {
        Heard::Nothing | Heard::Listening => return None,
        Heard::LoopbackOnly => "on the sandbox's loopback only",
        Heard::Ipv6Only => "by IPv6 only",
    };
    let udp = match protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
    };
    Some(format!(
        "port {port}/{protocol} is published and not reached: {} listens {place}; let it listen on 0.0.0.0, or use `amika forward {} {port}{udp} --any`",
        view.who(),
        shell_quote(sandbox)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(port: u16, address: &str, loopback_only: bool, ipv6_only: bool) -> Listener {
        Listener {
            port,
            protocol: Protocol::Tcp,
            address: address.into(),
            loopback_only,
            ipv6_only,
            ephemeral: false,
            pid: Some(7),
            program: Some("node".into()),
            user: Some("amika".into()),
            since: 5,
        }
    }

    #[test]
    fn a_port_is_what_its_widest_listener_makes_it() {
        let list = [
            listener(3000, "127.0.0.1", true, false),
            listener(3000, "0.0.0.0", false, false),
            listener(3001, "127.0.0.1", true, false),
            listener(3001, "::1", true, true),
            listener(3002, "::", false, true),
        ];
        let told = |port| ListeningView::of(&list, port, Protocol::Tcp).to_string();
        assert_eq!(told(3000), "node (pid 7)");
        assert_eq!(told(3001), "node (pid 7), loopback only");
        assert_eq!(told(3002), "node (pid 7), IPv6 only");
        assert_eq!(told(3003), "nothing");
        let udp = ListeningView::of(&list, 3000, Protocol::Udp);
        assert_eq!(udp.state, Heard::Nothing);
    }

    #[test]
    fn a_name_cannot_steer_a_terminal() {
        let mut hostile = listener(3000, "127.0.0.1", true, false);
        hostile.program = Some("\u{1b}[31m\nx".into());
        let told = warning(&[hostile], "teal-tokyo", 3000, Protocol::Tcp).expect("a warning");
        assert!(!told.contains('\u{1b}') && !told.contains('\n'), "{told}");
    }

    #[test]
    fn only_who_is_not_reached_is_warned_of_with_what_to_do() {
        let list = [
            listener(3000, "0.0.0.0", false, false),
            listener(3001, "127.0.0.1", true, false),
        ];
        let told = |port| warning(&list, "teal-tokyo", port, Protocol::Tcp);
        assert_eq!(told(3000), None);
        assert_eq!(told(3002), None);
        let text = told(3001).expect("a warning");
        assert!(
            text.contains("loopback only")
                && text.contains("`amika forward teal-tokyo 3001 --any`"),
            "{text}"
        );
    }
}

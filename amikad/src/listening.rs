//! `amikad listening`: whether a program in the container listens on a port, read from the kernel's
//! tables: nothing is connected to, so nobody notices being asked.

/// State of a listening TCP socket in `/proc/net/tcp`, `TCP_LISTEN` of the kernel.
const TCP_LISTEN: &str = "0A";
/// State of an unconnected UDP socket there, `TCP_CLOSE`: one that takes what comes.
const UDP_UNCONNECTED: &str = "07";

/// Exits 0 if somebody listens, 1 if nobody does.
pub(crate) fn listening(port: u16, udp: bool) -> i32 {
    let (tables, state) = if udp {
        (["/proc/net/udp", "/proc/net/udp6"], UDP_UNCONNECTED)
    } else {
        (["/proc/net/tcp", "/proc/net/tcp6"], TCP_LISTEN)
    };
    // A kernel without IPv6 has no table for it.
    let found = tables
        .into_iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .any(|table| has_listener(&table, port, state));
    i32::from(!found)
}

/// Whether a table has a socket on that port in that state: `local_address` is the second field,
/// with the port behind its colon in hexadecimal, the state the fourth; proc(5).
pub(crate) fn has_listener(table: &str, port: u16, state: &str) -> bool {
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next().and_then(|local| local.rsplit_once(':'));
        let matches = local.is_some_and(|(_, found)| u16::from_str_radix(found, 16) == Ok(port));
        matches && fields.nth(1) == Some(state)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:0BB8 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1
   2: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0 0 0 0 0 3
";

    #[test]
    fn only_a_socket_that_waits_counts() {
        assert!(has_listener(TABLE, 3000, TCP_LISTEN));
        assert!(!has_listener(TABLE, 8080, TCP_LISTEN));
        assert!(!has_listener(TABLE, 53, TCP_LISTEN));
        assert!(has_listener(TABLE, 53, UDP_UNCONNECTED));
        assert!(!has_listener("", 3000, TCP_LISTEN));
    }
}

//! What holds for every text that amikad reads and others write: shared by the fuzz targets, by the test that replays
//! their corpus, and by the property tests. Each panics when a promise is broken.
#![allow(clippy::missing_panics_doc, reason = "that is what they are for")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::args::{self, Command};
use crate::logs::{Bounds, Found, Log, gap_note};
use crate::mounts;
use crate::terminal::Screen;
use crate::users::Accounts;
use crate::{http, listening, mapping, process_tree};

/// One target: its name, which is also its corpus' directory, and what it promises of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Target; 8] = [
    ("accounts", accounts),
    ("mountinfo", mountinfo),
    ("proc_net", proc_net),
    ("host", host),
    ("arguments", arguments),
    ("process_stat", process_stat),
    ("log", log),
    ("terminal", terminal),
];

/// The texts that bytes hold, with a NUL after each.
fn texts<const N: usize>(bytes: &[u8]) -> [String; N] {
    let mut texts = bytes.split(|byte| *byte == 0);
    [(); N].map(|()| String::from_utf8_lossy(texts.next().unwrap_or_default()).into_owned())
}

/// `/etc/passwd`, `/etc/group`, and what `--user` says.
pub fn accounts(bytes: &[u8]) {
    let [passwd, group, user] = texts(bytes);
    let accounts = Accounts { passwd, group };
    if let Ok(user) = accounts.resolve(&user) {
        let identity = user.identity;
        // To the kernel it means "leave it as it is": whoever asked to become that user would stay root.
        assert_ne!(identity.uid, u32::MAX);
        assert_ne!(identity.gid, u32::MAX);
        assert!(!identity.groups.contains(&u32::MAX));
        assert_eq!(identity.groups.first(), Some(&identity.gid));
        if let Some(name) = &user.name {
            assert!(!name.is_empty() && !name.contains([':', '\n']), "{name:?}");
        }
        assert_eq!(accounts.by_uid(identity.uid).identity.uid, identity.uid);
    }
    for number in [33, 1000, 4242] {
        let once = mapping::renumber(&accounts.passwd, 2, number, Some((3, 77)));
        assert_eq!(mapping::renumber(&once, 2, number, Some((3, 77))), once);
        let before = Accounts {
            passwd: accounts.passwd.clone(),
            group: String::new(),
        };
        let after = Accounts {
            passwd: once,
            group: String::new(),
        };
        if before.resolve("amika").is_ok() && after.passwd != before.passwd {
            assert_eq!(after.by_uid(number).name.as_deref(), Some("amika"));
        }
    }
}

/// `/proc/self/mountinfo`; and a mount point of any name, as the kernel writes it.
pub fn mountinfo(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(mounts::points(&text).len() <= text.lines().count());
    let name: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let escaped: Vec<u8> = name
        .iter()
        .flat_map(|byte| match byte {
            b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
            byte => vec![*byte],
        })
        .collect();
    // The list is read as text; a name that is none cannot come back whole.
    if let Ok(escaped) = String::from_utf8(escaped)
        && !escaped.contains('\r')
    {
        let line = format!("36 35 98:0 / /{escaped} rw - ext4 /dev/root rw\n");
        let expected = [b"/", name.as_slice()].concat();
        assert_eq!(
            mounts::points(&line),
            [(36, OsString::from(OsStr::from_bytes(&expected)).into())]
        );
    }
}

/// `/proc/net/tcp` and the like, after two bytes of a port.
pub fn proc_net(bytes: &[u8]) {
    let Some((port, table)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let port = u16::from_be_bytes(*port);
    let table = String::from_utf8_lossy(table);
    let listens = listening::has_listener(&table, port, "0A");
    // By words alone, the other way round.
    let expected = table.lines().skip(1).any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let port_of = |word: &str| {
            let digits = word.rsplit_once(':')?.1;
            u16::from_str_radix(digits, 16).ok()
        };
        words.get(3) == Some(&"0A") && words.get(1).and_then(|word| port_of(word)) == Some(port)
    });
    assert_eq!(listens, expected);
    let line = format!("head\n 0: 00000000:{port:04X} 00000000:0000 0A rest\n");
    assert!(listening::has_listener(&line, port, "0A"));
    assert!(!listening::has_listener(&line, port ^ 1, "0A"));
}

/// A `Host` header, after the sandbox's own name.
pub fn host(bytes: &[u8]) {
    let [own, authority] = texts(bytes);
    let [own, authority] = [own.trim(), authority.as_str()];
    if !http::is_own_name(authority, own) {
        return;
    }
    // An address, or one of two names: whoever rebinds a name of his own has neither.
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => {
            assert!(port.parse::<u16>().is_ok(), "{authority:?}");
            host
        }
        _ => authority,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_address = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok(),
    };
    let is_name =
        host.eq_ignore_ascii_case("localhost") || !own.is_empty() && host.eq_ignore_ascii_case(own);
    assert!(is_address || is_name, "{authority:?}");
}

/// amikad's arguments, with a NUL after each.
pub fn arguments(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == 0);
    let words: Vec<OsString> = words
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    let is_plain = |id: &str| {
        // It becomes the name of a file in a directory of root's.
        assert!(!id.is_empty() && id.len() <= 64, "{id:?}");
        assert!(!id.contains(['/', '.', '\0']), "{id:?}");
    };
    match args::parse(words.clone()) {
        Ok(Command::ExecAs(exec)) => {
            if let Some(id) = &exec.id {
                is_plain(id);
            }
            for (key, _) in &exec.env {
                assert!(!key.is_empty() && !key.as_bytes().contains(&b'='));
            }
        }
        Ok(Command::Kill { id, signo }) => {
            is_plain(&id);
            assert!((0..=64).contains(&signo));
        }
        Ok(Command::Listening { port, .. }) => assert_ne!(port, 0),
        Ok(Command::Run { place, cmd }) => {
            if let Some(workdir) = place.workdir {
                let climbs = workdir.as_bytes().split(|byte| *byte == b'/');
                assert!(climbs.into_iter().all(|name| name != b".."));
            }
            // What comes after the options comes through as it is.
            assert!(words.ends_with(&cmd));
        }
        Ok(_) => {}
        Err(problem) => assert!(!problem.is_empty()),
    }
}

/// `/proc/PID/stat` and `/proc/PID/limits`; and a process of any name, as the kernel writes it.
pub fn process_stat(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = process_tree::parse_stat(7, &text);
    let _ = process_tree::parse_limits(&text);
    let stat = format!("7 ({text}) S 3 4 5 0 -1 4194560 0");
    let process = process_tree::parse_stat(7, &stat).expect("any name is a name");
    assert_eq!((process.parent, process.group, process.session), (3, 4, 5));
}

/// What a log keeps, told by the whole stream.
struct Model {
    head: usize,
    ring: usize,
    stream: Vec<u8>,
}

impl Model {
    /// First offset from which on all is kept to the end.
    fn kept_from(&self) -> usize {
        let total = self.stream.len();
        if total > self.head + self.ring {
            total - self.ring
        } else {
            0
        }
    }

    fn tail_offset(&self, lines: usize) -> usize {
        let total = self.stream.len();
        if lines == 0 {
            return total;
        }
        let ends = (self.kept_from()..total.saturating_sub(1))
            .rev()
            .filter(|index| self.stream[*index] == b'\n');
        let last = ends.map(|index| index + 1).nth(lines - 1);
        last.unwrap_or(self.kept_from())
    }

    /// The bytes as a reader from the beginning gets them, with the note where some are missing.
    fn whole(&self) -> Vec<u8> {
        let from = self.kept_from();
        if from == 0 {
            return self.stream.clone();
        }
        let note = gap_note((from - self.head) as u64);
        let (head, end) = (&self.stream[..self.head], &self.stream[from..]);
        [head, note.as_bytes(), end].concat()
    }
}

/// Sizes of a log, a number of lines, and pieces that are appended to it: two bytes of a piece's length and one of its
/// lines'.
pub fn log(bytes: &[u8]) {
    let Some(([head, ring_high, ring_low, lines], pieces)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let (head, lines) = (usize::from(*head), usize::from(*lines));
    let ring = usize::from(u16::from_be_bytes([*ring_high, *ring_low]) % 12_000) + 1;
    let mut model = Model {
        head,
        ring,
        stream: Vec::new(),
    };
    let bounds = Bounds {
        head: head as u64,
        ring: ring as u64,
    };
    // In memory: there is no such directory.
    let log = Log::create("/proc/nowhere/log".as_ref(), bounds);
    for piece in pieces.chunks_exact(3).take(16) {
        let length = usize::from(u16::from_be_bytes([piece[0], piece[1]]) % 10_000);
        let line = usize::from(piece[2]) + 1;
        // No two lines are alike.
        let piece: Vec<u8> = (model.stream.len()..model.stream.len() + length)
            .map(|offset| match offset % line {
                0 => b'\n',
                _ => b'a' + u8::try_from(offset % 23).unwrap_or(0),
            })
            .collect();
        log.append(&piece);
        model.stream.extend(&piece);
    }
    assert_eq!(log.total(), model.stream.len() as u64);
    assert_eq!(log.truncated(), model.stream.len() > head + ring);
    let (mut offset, mut whole, mut buffer) = (0, Vec::new(), [0; 1000]);
    loop {
        match log.read(offset, &mut buffer) {
            Found::Bytes(read) => {
                whole.extend_from_slice(&buffer[..read]);
                offset += read as u64;
            }
            Found::Gone { resume } => {
                assert!(resume > offset);
                whole.extend_from_slice(gap_note(resume - offset).as_bytes());
                offset = resume;
            }
            Found::End => break,
        }
    }
    assert!(whole == model.whole(), "what is kept");
    let tail = model.tail_offset(lines);
    assert_eq!(log.tail_offset(lines), tail as u64);
    let text = String::from_utf8_lossy(&model.stream[tail..]);
    assert!(log.tail(lines, usize::MAX) == text.lines().collect::<Vec<_>>());
}

/// What a program writes to a terminal, after two sizes of it of a byte each, and how much of it came before the second.
pub fn terminal(bytes: &[u8]) {
    let Some(([columns, rows, wide, high, cut], written)) = bytes.split_first_chunk::<5>() else {
        return;
    };
    let size = |columns: &u8, rows: &u8| (u16::from(*columns).max(1), u16::from(*rows % 64).max(1));
    let (early, late) = written.split_at(usize::from(*cut).min(written.len()));
    let mut screen = Screen::new(size(columns, rows));
    screen.process(early);
    screen.resize(size(wide, high));
    // Who comes now sees the same text, and nothing that is told twice.
    let mut viewer = Screen::new(size(wide, high));
    viewer.process(&screen.picture());
    assert_eq!(viewer.text(), screen.text());
    screen.process(late);
    // Its size is its own: no text has more lines, and none is longer.
    assert!(screen.text().lines().count() <= usize::from(size(wide, high).1));
    let _ = screen.picture();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_corpus_keeps_the_promises() {
        for (name, promise) in ALL {
            let directory = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let mut replayed = 0;
            for entry in std::fs::read_dir(&directory).unwrap() {
                promise(&std::fs::read(entry.unwrap().path()).unwrap());
                replayed += 1;
            }
            assert!(replayed >= 3, "{directory}");
        }
    }

    /// Bytes that look like what is read: words of it, with others between.
    fn like_it(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            8 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..6),
            1 => any::<u32>().prop_map(|number| number.to_string().into_bytes()),
        ];
        proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn any_accounts(bytes in like_it(&[
            "amika", "root", ":", ":x:", "0", "1000", "4294967295", "\n", "\0", ",", "+", "-", "#",
            "amika:x:1000:1000::/home/amika:/bin/sh\n", "sudo:x:27:amika\n",
        ])) {
            accounts(&bytes);
        }

        #[test]
        fn any_mountinfo(bytes in like_it(&[
            " ", " - ", "\\040", "\\", "\\999", "/", "36", "0:50", "rw", "ext4", "\n", "\t",
        ])) {
            mountinfo(&bytes);
        }

        #[test]
        fn any_table_of_sockets(bytes in like_it(&[
            " ", "\n", ":", "0A", "07", "0BB8", "0100007F:0BB8", "00000000:0000", "\x0b\u{b8}",
        ])) {
            proc_net(&bytes);
        }

        #[test]
        fn any_host(bytes in like_it(&[
            "teal", "\0", "localhost", ":", "60999", "[", "]", "::1", "127.0.0.1", ".", "@", "evil",
        ])) {
            host(&bytes);
        }

        #[test]
        fn any_arguments(bytes in like_it(&[
            "run", "exec-as", "kill", "\0", "--id", "=", "--workdir", "..", "/", "--env", "--", "TERM",
            "RTMIN+3", "a", "listening", "80/udp", "shell",
        ])) {
            arguments(&bytes);
        }

        #[test]
        fn any_process(bytes in like_it(&[
            "(", ")", " ", "S", "Z", "Max file locks", "\n", "1", "unlimited",
        ])) {
            process_stat(&bytes);
        }

        #[test]
        fn any_terminal(bytes in like_it(&[
            "\x1b[", "\x1b]", "\x1bP", "\x1b", ";", "?", "1049h", "1049l", "m", "H", "J", "K", "r", "S", "T", "L", "M", "@",
            "P", "X", "A", "99999", "0", "\r", "\n", "\x08", "\t", "字", "é", "e\u{301}", "\u{200d}", "text", "\x07", "\x18", "(0",
        ])) {
            terminal(&bytes);
        }

        #[test]
        fn any_log(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            log(&bytes);
        }
    }
}

//! What logs keep, drop and find again.

use super::*;

const SMALL: Bounds = Bounds { head: 10, ring: 20 };

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("amikad-log-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn whole(log: &Log) -> Vec<u8> {
    let (mut offset, mut all, mut buffer) = (0, Vec::new(), [0; 7]);
    loop {
        match log.read(offset, &mut buffer) {
            Found::Bytes(read) => {
                all.extend_from_slice(&buffer[..read]);
                offset += read as u64;
            }
            Found::Gone { resume } => {
                all.extend_from_slice(gap_note(resume - offset).as_bytes());
                offset = resume;
            }
            Found::End => return all,
        }
    }
}

#[test]
fn what_fits_is_kept_whole() {
    let path = scratch("fits");
    let log = Log::create(&path, SMALL);
    log.append(b"0123456789abcdefghij");
    log.append(b"KLMNOPQRST");
    log.finish();
    assert!(!log.truncated());
    assert_eq!(whole(&log), b"0123456789abcdefghijKLMNOPQRST");
    assert_eq!(std::fs::read(&path).unwrap(), whole(&log));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_middle_is_dropped_and_the_finished_file_reads_in_order() {
    let path = scratch("wraps");
    let log = Log::create(&path, SMALL);
    for chunk in [
        &b"0123456789"[..],
        b"abcdefghijklm",
        b"nopqrstuvwxyz",
        b"ABC",
    ] {
        log.append(chunk);
    }
    log.finish();
    let expected = b"0123456789\n[amikad: 9 bytes left out]\njklmnopqrstuvwxyzABC";
    assert_eq!(whole(&log), expected);
    assert_eq!(std::fs::read(&path).unwrap(), expected);
    log.append(b"late");
    assert!(std::fs::read(&path).unwrap().ends_with(b"ABClate"));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn tails_are_found_by_lines() {
    let path = scratch("tail");
    let log = Log::create(&path, Bounds { head: 4, ring: 100 });
    log.append(b"one\ntwo\nthree\nfour\n");
    assert_eq!(log.tail(2, 1000), ["three", "four"]);
    assert_eq!(log.tail(100, 1000), ["one", "two", "three", "four"]);
    assert_eq!(log.tail(0, 1000), Vec::<String>::new());
    assert_eq!(
        log.tail(3, 7),
        ["\u{65}", "four"],
        "cut to the last seven bytes"
    );
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_moves_the_log_to_memory() {
    let log = Log::create(Path::new("/proc/nowhere/setup.log"), SMALL);
    log.append(b"kept");
    assert_eq!(whole(&log), b"kept");
}

/// What a log keeps, told by the whole stream.
struct Model {
    bounds: Bounds,
    stream: Vec<u8>,
}

impl Model {
    /// First offset from which on all is kept to the end.
    fn kept_from(&self) -> usize {
        let (head, ring) = (as_index(self.bounds.head), as_index(self.bounds.ring));
        if self.stream.len() > head + ring {
            self.stream.len() - ring
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
        ends.map(|index| index + 1)
            .nth(lines - 1)
            .unwrap_or(self.kept_from())
    }

    /// The bytes as a reader from the beginning gets them, with the note where some are missing.
    fn whole(&self) -> Vec<u8> {
        let (head, from) = (as_index(self.bounds.head), self.kept_from());
        if from == 0 {
            return self.stream.clone();
        }
        let note = gap_note((from - head) as u64);
        [&self.stream[..head], note.as_bytes(), &self.stream[from..]].concat()
    }
}

fn as_index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

proptest::proptest! {
    #[test]
    fn a_log_keeps_and_finds_what_its_bounds_say(
        head in 0..40_u64,
        ring in 1..12_000_u64,
        pieces in proptest::collection::vec((0..9_000_usize, 1..80_usize), 0..8),
        lines in 0..300_usize,
        finished: bool,
    ) {
        let path = scratch(&format!("model-{head}-{ring}-{lines}"));
        let bounds = Bounds { head, ring };
        let log = Log::create(&path, bounds);
        let mut model = Model { bounds, stream: Vec::new() };
        for (length, line) in pieces {
            // Lines of a length, with the offset in them, so that no two are alike.
            let piece: Vec<u8> = (model.stream.len()..model.stream.len() + length)
                .map(|offset| if offset % line == line - 1 { b'\n' } else { b'a' + u8::try_from(offset % 23).unwrap() })
                .collect();
            log.append(&piece);
            model.stream.extend(&piece);
        }
        if finished {
            log.finish();
            proptest::prop_assert_eq!(std::fs::read(&path).unwrap(), model.whole());
        }
        proptest::prop_assert_eq!(log.total(), model.stream.len() as u64);
        proptest::prop_assert_eq!(whole(&log), model.whole());
        proptest::prop_assert_eq!(log.tail_offset(lines), model.tail_offset(lines) as u64);
        let text = String::from_utf8(model.stream[model.tail_offset(lines)..].to_vec()).unwrap();
        proptest::prop_assert_eq!(log.tail(lines, usize::MAX), text.lines().collect::<Vec<_>>());
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn no_line_of_a_log_that_went_round_is_none() {
    let log = Log::create(&scratch("none"), SMALL);
    log.append(&b"line\n".repeat(20));
    assert_eq!(log.tail_offset(0), 100);
    assert_eq!(log.tail(2, 1000), ["line", "line"]);
}

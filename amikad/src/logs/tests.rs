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

#[test]
fn no_line_of_a_log_that_went_round_is_none() {
    let log = Log::create(&scratch("none"), SMALL);
    log.append(&b"line\n".repeat(20));
    assert_eq!(log.tail_offset(0), 100);
    assert_eq!(log.tail(2, 1000), ["line", "line"]);
}

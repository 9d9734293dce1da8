//! `amikad times`: gives files the times that an engine cannot, which makes 1970 of what is before that year or
//! after 2262.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

/// No path is longer, nor a number.
const LONGEST: u64 = 8192;

/// Reads `SECONDS PATH`, each ended by a zero byte, and gives each path beneath `directory` its time; 0 once all
/// have theirs. No link is followed but those that lead to `directory`.
pub(crate) fn times(directory: &Path) -> i32 {
    let input = BufReader::new(io::stdin().lock());
    match File::open(directory).and_then(|root| give_all(&root.into(), input)) {
        Ok(0) => 0,
        Ok(_) => 1,
        Err(error) => {
            crate::say::say(&error);
            1
        }
    }
}

/// Returns how many could not be given theirs: somebody else may be at work in there.
fn give_all(root: &OwnedFd, mut input: impl BufRead) -> io::Result<usize> {
    let mut failed = 0;
    let mut record = Vec::new();
    loop {
        record.clear();
        let read = input.by_ref().take(LONGEST).read_until(0, &mut record)?;
        if read == 0 {
            return Ok(failed);
        }
        let Some((seconds, path)) = parse(&record) else {
            return Err(io::Error::other("a record is damaged"));
        };
        if let Err(error) = give(root, path, seconds) {
            failed += 1;
            crate::say::say(format!("{}: {error}", path.escape_ascii()));
        }
    }
}

fn parse(record: &[u8]) -> Option<(i64, &[u8])> {
    let record = record.strip_suffix(&[0])?;
    let space = record.iter().position(|byte| *byte == b' ')?;
    let seconds = std::str::from_utf8(&record[..space]).ok()?.parse().ok()?;
    Some((seconds, &record[space + 1..]))
}

fn give(root: &OwnedFd, path: &[u8], seconds: i64) -> io::Result<()> {
    let mut names: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect();
    if names.contains(&&b".."[..]) {
        return Err(io::Error::other("leads out of the directory"));
    }
    let last = names.pop().unwrap_or(b".");
    let mut directory = root.try_clone()?;
    for name in names {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        directory = openat(directory.as_fd(), name, flags, Mode::empty())?;
    }
    let time = TimeSpec::new(seconds, 0);
    let no_link = UtimensatFlags::NoFollowSymlink;
    Ok(utimensat(&directory, last, &time, &time, no_link)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_named_gets_its_time_and_nothing_behind_a_link_does() {
        let dir = tempfile::tempdir().expect("made");
        let place = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(place("in/deep")).expect("made");
        std::fs::write(place("in/deep/a file"), "").expect("written");
        std::fs::write(place("out"), "").expect("written");
        std::os::unix::fs::symlink("../out", place("in/link")).expect("linked");
        std::os::unix::fs::symlink("..", place("in/up")).expect("linked");
        let out = std::fs::metadata(place("out")).expect("there").mtime();
        let root = File::open(place("in")).expect("opened").into();
        let input = b"-315619200 deep/a file\09223372 link\0-5 deep\0-6 up/out\0-7 ../out\0";
        assert_eq!(give_all(&root, &input[..]).expect("read"), 2);
        let time = |name: &str| {
            std::fs::symlink_metadata(place(name))
                .expect("there")
                .mtime()
        };
        assert_eq!(time("in/deep/a file"), -315_619_200);
        assert_eq!((time("in/deep"), time("in/link")), (-5, 9_223_372));
        assert_eq!(time("out"), out);
        for damaged in [&b"5 a"[..], b"x a\0", b"5\0", b"\0"] {
            assert!(give_all(&root, damaged).is_err(), "{damaged:?}");
        }
    }
}

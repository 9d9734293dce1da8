//! Why the kernel refuses to execute a file that asks for more than this sandbox has.
//!
//! A file may carry capabilities (`setcap`). Where its flag "effective" is set and one of them is not in
//! the bounding set of the process, exec fails with EPERM, for root as well: capabilities(7), "Safety
//! checking for capability-dumb binaries".

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_core::capability::Capability;

use crate::sys;

/// Where a file's capabilities stand.
const ATTRIBUTE: &std::ffi::CStr = c"security.capability";
/// Bytes of a script that the kernel looks at for its interpreter.
const HEAD: u64 = 256;

/// What to say of files that could not be executed for want of a capability; nothing where that is not
/// the reason.
pub(crate) fn explain(candidates: &[PathBuf]) -> Option<String> {
    let bounding = bounding_set(&fs::read_to_string("/proc/self/status").ok()?)?;
    let file = candidates.iter().find(|path| path.is_file())?;
    let interpreter = interpreter(file);
    std::iter::once(file)
        .chain(&interpreter)
        .find_map(|file| {
            let missing = missing(&sys::attribute(file, ATTRIBUTE)?, bounding);
            let names: Vec<&str> = missing.into_iter().map(Capability::as_str).collect();
            let flags: Vec<String> = names.iter().map(|it| format!("--cap-add {it}")).collect();
            (!names.is_empty()).then(|| {
                format!(
                    "{} carries file capabilities that this sandbox does not have ({}); \
                     a sandbox made with `amika sandbox create {}` has them, and `setcap -r` takes them off the file",
                    file.display(),
                    names.join(", "),
                    flags.join(" "),
                )
            })
        })
}

/// The program that a script names in its first line.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    fs::File::open(script)
        .ok()?
        .take(HEAD)
        .read_to_end(&mut head)
        .ok()?;
    let line = head
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(words.next()?)))
}

/// The capabilities that no process of this sandbox can have more than, as a mask.
fn bounding_set(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Those that a file demands and that are not in the bounding set: `struct vfs_cap_data` of the kernel.
fn missing(attribute: &[u8], bounding: u64) -> Vec<Capability> {
    let word = |at: usize| {
        let bytes = attribute.get(at * 4..at * 4 + 4)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    let Some(magic) = word(0) else {
        return Vec::new();
    };
    // Revision 1 has 32 of them; 2 and 3 have 64, in two halves with the inheritable ones in between.
    let upper = match magic >> 24 {
        1 => Some(0),
        2 | 3 => word(3),
        _ => None,
    };
    let (true, Some(lower), Some(upper)) = (magic & 1 == 1, word(1), upper) else {
        return Vec::new();
    };
    Capability::of_mask((upper << 32 | lower) & !bounding)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const NET_RAW: u32 = 1 << 13;
    const EFFECTIVE: u32 = 1;

    fn attribute(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_file_demands_what_its_effective_capabilities_are() {
        let all = u64::MAX;
        let without = all & !u64::from(NET_RAW);
        for (words, bounding, expected) in [
            // What `setcap cap_net_raw+ep` writes, in its revisions.
            (
                &[2 << 24 | EFFECTIVE, NET_RAW, 0, 0, 0][..],
                without,
                &["NET_RAW"][..],
            ),
            (
                &[3 << 24 | EFFECTIVE, NET_RAW, 0, 0, 0, 0],
                without,
                &["NET_RAW"],
            ),
            (&[1 << 24 | EFFECTIVE, NET_RAW, 0], without, &["NET_RAW"]),
            (&[2 << 24 | EFFECTIVE, NET_RAW, 0, 0, 0], all, &[]),
            // `+p`: the program is executed without them.
            (&[2 << 24, NET_RAW, 0, 0, 0], without, &[]),
            // `+ei`: what is inheritable only is not demanded.
            (&[2 << 24 | EFFECTIVE, 0, NET_RAW, 0, 0], without, &[]),
            (
                &[2 << 24 | EFFECTIVE, 1 << 27, 0, 1 << 7, 0],
                0,
                &["MKNOD", "BPF"],
            ),
            (&[2 << 24 | EFFECTIVE, NET_RAW], without, &[]),
            (&[9 << 24 | EFFECTIVE, NET_RAW, 0, 0, 0], without, &[]),
            (&[], without, &[]),
        ] {
            let found = missing(&attribute(words), bounding);
            let found: Vec<&str> = found.into_iter().map(Capability::as_str).collect();
            assert_eq!(found, expected, "{words:x?}");
        }
    }

    #[test]
    fn the_bounding_set_is_read_from_the_kernels_table() {
        let status = "Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t00000000a00405fb\n";
        assert_eq!(bounding_set(status), Some(0xa004_05fb));
        assert_eq!(bounding_set("Name:\tx\n"), None);
        assert_eq!(bounding_set("CapBnd:\tx\n"), None);
    }

    #[test]
    fn a_script_is_executed_by_what_its_first_line_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("script");
        for (text, expected) in [
            ("#!/usr/bin/ping -c 1\nx", Some("/usr/bin/ping")),
            ("#! /bin/sh", Some("/bin/sh")),
            ("#!\n/bin/sh", None),
            ("\u{7f}ELF", None),
            ("", None),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(interpreter(&file), expected.map(PathBuf::from), "{text}");
        }
        assert_eq!(interpreter(&dir.path().join("missing")), None);
    }
}

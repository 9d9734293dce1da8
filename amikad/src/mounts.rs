//! Which directories are mounts from the host: reads the text of `/proc/self/mountinfo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mounts of this container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// The directory within its file system that is mounted.
    root: PathBuf,
    /// Where it is mounted.
    point: PathBuf,
    /// Type of the file system.
    kind: String,
}

impl Mounts {
    /// Reads the container's mounts; none where `/proc` is not there.
    pub(crate) fn read() -> Self {
        let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Self {
        let mounts = text.lines().filter_map(|line| {
            let (fields, source) = line.split_once(" - ")?;
            let mut fields = fields.split(' ').skip(3);
            Some(Mount {
                root: unescape(fields.next()?),
                point: unescape(fields.next()?),
                kind: source.split(' ').next()?.to_owned(),
            })
        });
        Self(mounts.collect())
    }

    /// Whether something is mounted right at `path`.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.0.iter().any(|mount| mount.point == path)
    }

    /// Where something is mounted, of `path` and what is below it.
    pub(crate) fn at_or_below(&self, path: &Path) -> Vec<PathBuf> {
        let points = self.0.iter().map(|mount| &mount.point);
        points
            .filter(|point| point.starts_with(path))
            .cloned()
            .collect()
    }

    /// Whether `path` lies on what an engine brought in from the host: anything but the
    /// container's own root, a tmpfs, and a named volume.
    pub(crate) fn is_from_host(&self, path: &Path) -> bool {
        // The last of the longest: a later mount hides an earlier one at the same place.
        let covering = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        let Some(mount) = covering.max_by_key(|mount| mount.point.as_os_str().len()) else {
            return false;
        };
        let root = mount.root.as_path();
        let own_root = mount.point == Path::new("/");
        let whole_tmpfs = mount.kind == "tmpfs" && root == Path::new("/");
        // Docker: …/volumes/NAME/_data, Podman: the same below its own storage.
        let volume = root.file_name().is_some_and(|name| name == "_data")
            && root
                .ancestors()
                .nth(2)
                .is_some_and(|dir| dir.ends_with("volumes"));
        !(own_root || whole_tmpfs || volume)
    }
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let octal = bytes
            .get(index + 1..index + 4)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let value = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let (b'\\', Some(value)) = (byte, value) {
            plain.push(value);
            index += 4;
        } else {
            plain.push(*byte);
            index += 1;
        }
    }
    OsString::from_vec(plain).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
100 1 0:50 / / rw - overlay overlay rw
101 100 8:1 /var/lib/docker/volumes/amika-home-x/_data /home/amika rw - ext4 /dev/sda1 rw
102 101 8:1 /home/ada/my\\040src /home/amika/workspace/src rw - ext4 /dev/sda1 rw
103 101 0:60 / /home/amika/.cache rw - tmpfs tmpfs rw
104 101 0:61 /dir /home/amika/shm rw - tmpfs tmpfs rw
105 101 8:1 /s/volumes/_data /home/amika/odd rw - ext4 /dev/sda1 rw
";

    #[test]
    fn volumes_are_ours_and_directories_of_the_host_are_not() {
        let mounts = Mounts::parse(TEXT);
        for (path, from_host) in [
            ("/etc", false),
            ("/home/amika/x", false),
            ("/home/amika/workspace/src/deep", true),
            ("/home/amika/workspace/srcs", false),
            ("/home/amika/.cache", false),
            ("/home/amika/shm", true),
            ("/home/amika/odd", true),
        ] {
            assert_eq!(mounts.is_from_host(Path::new(path)), from_host, "{path}");
        }
        assert_eq!(mounts.0[2].root, Path::new("/home/ada/my src"));
    }

    #[test]
    fn garbage_is_no_mount() {
        assert!(Mounts::parse("nonsense\n1 2 3 - x\n").0.is_empty());
    }
}

//! Which files lie on mounts from the host: reads the text of `/proc/self/mountinfo`.
//!
//! A file's mount is told by the kernel, by number, from an open descriptor: a path may lead through links, so that its
//! text is not where the mount stands in the list.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// The mounts of this container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// Its number, as the kernel tells it of a file.
    id: u64,
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
            let mut fields = fields.split(' ');
            let id = fields.next()?.parse().ok()?;
            let mut fields = fields.skip(2);
            Some(Mount {
                id,
                root: unescape(fields.next()?),
                point: unescape(fields.next()?),
                kind: source.split(' ').next()?.to_owned(),
            })
        });
        Self(mounts.collect())
    }

    /// Whether what `file` means lies on what an engine brought in from the host: anything but the container's own root,
    /// a tmpfs, and a named volume. What cannot be told counts as the host's.
    pub(crate) fn is_from_host(&self, file: BorrowedFd<'_>) -> bool {
        let Some(id) = id_of(file) else { return true };
        match self.0.iter().find(|mount| mount.id == id) {
            Some(mount) => mount.is_from_host(),
            // A list that was not to be had: the root's own files are ours.
            None => nix::fcntl::open("/", PATH, Mode::empty())
                .map_or(true, |root| id_of(root.as_fd()) != Some(id)),
        }
    }

    /// Where something is mounted, of `path` and what is below it.
    pub(crate) fn at_or_below(&self, path: &Path) -> Vec<PathBuf> {
        let points = self.0.iter().map(|mount| &mount.point);
        points
            .filter(|point| point.starts_with(path))
            .cloned()
            .collect()
    }
}

impl Mount {
    fn is_from_host(&self) -> bool {
        let root = self.root.as_path();
        let own_root = self.point == Path::new("/");
        let whole_tmpfs = self.kind == "tmpfs" && root == Path::new("/");
        !(own_root || whole_tmpfs || is_volume(root))
    }
}

/// Whether a directory of a host's file system is an engine's volume, or lies in one (`--mount volume-subpath`), by where
/// engines keep them: nothing else tells it from in here. Who mounts a directory of his own that is laid out like this
/// has it taken for a volume.
fn is_volume(root: &Path) -> bool {
    let names: Vec<&OsStr> = root.iter().collect();
    // Docker: …/volumes/NAME/_data, Podman: the same below its own storage.
    let of_engine = |names: &[&OsStr]| names[0] == "volumes" && names[2] == "_data";
    // Kubernetes: …/pods/UID/volumes/kubernetes.io~empty-dir/NAME, which begins empty and goes with the pod.
    let of_pod = |names: &[&OsStr]| {
        names[0] == "pods" && names[2] == "volumes" && names[3] == "kubernetes.io~empty-dir"
    };
    names.windows(3).any(of_engine) || names.windows(5).any(of_pod)
}

/// The numbers and points of the mounts in a text.
#[cfg(any(test, fuzzing))]
pub(crate) fn points(text: &str) -> Vec<(u64, PathBuf)> {
    let mounts = Mounts::parse(text).0.into_iter();
    mounts.map(|mount| (mount.id, mount.point)).collect()
}

/// Opens something to ask about it only.
const PATH: OFlag = OFlag::O_PATH
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// The number of the mount that what `file` means lies on.
pub(crate) fn id_of(file: BorrowedFd<'_>) -> Option<u64> {
    if let Ok(Some(id)) = crate::sys::mount_id(file, c"") {
        return Some(id);
    }
    // Before Linux 5.8, and where a filter has no such call: proc(5).
    let info = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    let text = std::fs::read_to_string(info).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    id.trim().parse().ok()
}

/// The number of the mount that `name` in directory `at` lies on: another than the directory's own where something is
/// mounted right there.
pub(crate) fn id_at(at: BorrowedFd<'_>, name: &CStr) -> Option<u64> {
    if let Ok(Some(id)) = crate::sys::mount_id(at, name) {
        return Some(id);
    }
    let file = openat(at, name, PATH, Mode::empty()).ok()?;
    id_of(file.as_fd())
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
        let from_host: Vec<(u64, bool)> = mounts
            .0
            .iter()
            .map(|mount| (mount.id, mount.is_from_host()))
            .collect();
        assert_eq!(
            from_host,
            [
                (100, false),
                (101, false),
                (102, true),
                (103, false),
                (104, true),
                (105, true)
            ]
        );
        assert_eq!(mounts.0[2].root, Path::new("/home/ada/my src"));
        assert_eq!(mounts.0[2].point, Path::new("/home/amika/workspace/src"));
    }

    #[test]
    fn a_volume_is_known_by_where_engines_keep_it_and_so_is_a_part_of_one() {
        for (root, volume) in [
            ("/var/lib/docker/volumes/amika-home-x/_data", true),
            ("/volumes/x/_data", true),
            ("/@/srv/docker/volumes/x/_data/sub/directory", true),
            (
                "/home/ada/.local/share/containers/storage/volumes/x/_data",
                true,
            ),
            (
                "/var/lib/kubelet/pods/7f-11/volumes/kubernetes.io~empty-dir/scratch",
                true,
            ),
            (
                "/var/lib/kubelet/pods/7f-11/volumes/kubernetes.io~empty-dir/scratch/sub",
                true,
            ),
            (
                "/var/lib/kubelet/pods/7f-11/volumes/kubernetes.io~empty-dir",
                false,
            ),
            (
                "/var/lib/kubelet/pods/7f-11/volumes/kubernetes.io~configmap/c",
                false,
            ),
            ("/var/lib/kubelet/pods/7f-11/volume-subpaths/c/1", false),
            ("/var/lib/docker/volumes/x", false),
            ("/var/lib/docker/volumes", false),
            ("/volumes/_data", false),
            ("/home/ada/_data", false),
            ("/home/ada/volumes/x/y/_data", false),
            ("/home/ada/src", false),
            ("/", false),
        ] {
            assert_eq!(is_volume(Path::new(root)), volume, "{root}");
        }
    }

    #[test]
    fn a_descriptor_tells_its_mount_and_one_that_is_not_listed_is_the_hosts() {
        let id = |path: &str| {
            let file = std::fs::File::open(path).unwrap();
            id_of(file.as_fd()).unwrap()
        };
        assert_ne!(id("/"), id("/proc"));
        let root = std::fs::File::open("/").unwrap();
        assert_eq!(id_at(root.as_fd(), c"proc"), Some(id("/proc")));
        let nothing = Mounts::default();
        assert!(!nothing.is_from_host(root.as_fd()));
        let proc = std::fs::File::open("/proc").unwrap();
        assert!(nothing.is_from_host(proc.as_fd()));
        let listed = Mounts::read();
        assert!(listed.0.iter().any(|mount| mount.id == id("/proc")));
    }

    #[test]
    fn garbage_is_no_mount() {
        assert!(
            Mounts::parse("nonsense\n1 2 3 - x\nx 1 0:5 / / rw - ext4 a rw\n")
                .0
                .is_empty()
        );
    }
}

//! Whether this user may use the engine's socket, and how to get there.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use amika_core::text::shell_path;
use rustix::fs::{Access, access};

use super::Endpoint;

/// What this user may do with the engine's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketRights {
    /// Read and write it: all that an engine asks for.
    Granted,
    /// Nothing; the inner value says what to do.
    Refused(String),
}

impl Endpoint {
    /// Path of the socket, where the engine listens on one.
    pub fn socket(&self) -> Option<&Path> {
        self.host.strip_prefix("unix://").map(Path::new)
    }

    /// This user's rights on the socket; none where there is no socket, or nothing at its path.
    pub fn socket_rights(&self) -> Option<SocketRights> {
        let path = self.socket()?;
        match access(path, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) => Some(SocketRights::Granted),
            Err(rustix::io::Errno::ACCESS) => {
                let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
                let owner = std::fs::metadata(path)
                    .ok()
                    .map(|meta| (meta.mode(), meta.gid()));
                Some(SocketRights::Refused(way_in(path, owner, &groups)))
            }
            Err(_) => None,
        }
    }
}

/// What gives a user rights on a socket of this mode and group. None where a directory above it
/// hides them.
fn way_in(path: &Path, owner: Option<(u32, u32)>, groups: &str) -> String {
    let shared_with = owner
        .filter(|(mode, _)| mode & 0o060 == 0o060)
        .and_then(|(_, gid)| group_name(groups, gid))
        // Who is in root's group is as good as root.
        .filter(|name| *name != "root");
    match shared_with {
        Some(group) => format!(
            "`sudo usermod -aG {group} $USER`, then log in again: group \"{group}\" may use the socket\n\
             or run with sudo"
        ),
        None => format!(
            "run with sudo: the socket is its owner's alone\n\
             or give it to group docker, with you in it: `sudo chgrp docker {path} && sudo chmod 660 {path} && sudo usermod -aG docker $USER`, then log in again",
            path = shell_path(&path.display().to_string())
        ),
    }
}

fn group_name(groups: &str, gid: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_in_is_the_group_that_has_rights_or_sudo() {
        let groups = "root:x:0:\ndocker:x:103:ann\nbroken\n";
        let way = |owner| way_in(Path::new("/run/docker.sock"), owner, groups);
        let group = way(Some((0o140_660, 103)));
        assert!(
            group.starts_with("`sudo usermod -aG docker $USER`"),
            "{group}"
        );
        for owner in [
            Some((0o140_600, 103)),
            Some((0o140_660, 0)),
            Some((0o140_660, 999)),
            None,
        ] {
            let sudo = way(owner);
            assert!(sudo.starts_with("run with sudo"), "{owner:?}: {sudo}");
            assert!(sudo.contains("chgrp docker /run/docker.sock"), "{sudo}");
        }
        let odd = way_in(Path::new("/run/a $(b)/x"), None, groups);
        assert!(odd.contains("chgrp docker '/run/a $(b)/x' &&"), "{odd}");
    }
}

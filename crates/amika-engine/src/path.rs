//! What stands at a path in a container, whether it runs or not.

use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;

use super::{Engine, EngineError};

/// Bits of Go's `os.FileMode`, in which the engine tells a mode.
const GO_DIRECTORY: u32 = 1 << 31;
const GO_SYMLINK: u32 = 1 << 27;
const GO_SPECIAL: u32 = 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, with the absolute path that it leads to in the container.
    Symlink(String),
    /// A device, pipe or socket.
    Special,
}

impl Engine {
    /// Looks at a path without following it if it is a link (with a slash behind it, the engine
    /// follows); `None` when nothing is there. What a mount hides from the engine, such as a tmpfs,
    /// is not seen.
    pub async fn stat_path(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<PathKind>, EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        let answer = self
            .docker
            .get_container_archive_info(container, Some(options))
            .await
            .map_err(EngineError::from_bollard);
        match answer {
            Ok(stat) => Ok(Some(kind(stat.file_mode, stat.link_target))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn kind(mode: u32, link_target: String) -> PathKind {
    if mode & GO_DIRECTORY != 0 {
        PathKind::Directory
    } else if mode & GO_SYMLINK != 0 {
        PathKind::Symlink(link_target)
    } else if mode & GO_SPECIAL != 0 {
        PathKind::Special
    } else {
        PathKind::File
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_go_s() {
        let cases = [
            (0o755 | GO_DIRECTORY, PathKind::Directory),
            (0o644, PathKind::File),
            (0o777 | GO_SYMLINK, PathKind::Symlink("/t".into())),
            // A character device has the device bit too.
            (0o666 | 1 << 26 | 1 << 21, PathKind::Special),
            // The sticky bit says nothing of what it is.
            (0o777 | GO_DIRECTORY | 1 << 20, PathKind::Directory),
            (0o4755 | 1 << 23, PathKind::File),
        ];
        for (mode, expected) in cases {
            assert_eq!(kind(mode, "/t".into()), expected, "{mode:o}");
        }
    }
}

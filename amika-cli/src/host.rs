//! This machine and its user: directories, name, and clock.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// The user's home directory; `/` when there is none.
pub fn home_dir() -> PathBuf {
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .unwrap_or_else(|| "/".into())
}

/// Where docker keeps its configuration: `$DOCKER_CONFIG`, else `~/.docker`.
pub fn docker_config_dir() -> PathBuf {
    std::env::var_os("DOCKER_CONFIG")
        .filter(|value| !value.is_empty())
        .map_or_else(|| home_dir().join(".docker"), PathBuf::from)
}

/// Where Amika keeps what belongs to the user: `$XDG_DATA_HOME/amika`, else `~/.local/share/amika`.
pub fn data_dir() -> PathBuf {
    xdg("XDG_DATA_HOME", ".local/share")
}

/// Where the user's settings are: `$XDG_CONFIG_HOME/amika`, else `~/.config/amika`.
pub fn config_dir() -> PathBuf {
    xdg("XDG_CONFIG_HOME", ".config")
}

/// Where Amika keeps what one boot of the machine needs, such as locks: `$XDG_RUNTIME_DIR/amika`, else
/// in the data directory, else in a private directory of the temporary ones. The first is taken that
/// is, or could be made, this user's own: `su` leaves another user's in the environment.
pub fn runtime_dir() -> PathBuf {
    let own = rustix::process::geteuid().as_raw();
    let of_session = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("amika"));
    let of_data = data_dir().join("run");
    of_session
        .into_iter()
        // A lock directory that another user made there is as useless as another's parent.
        .chain([of_data.clone()])
        .find(|dir| is_usable(&dir.join("locks"), own))
        .or_else(|| private_dir(&temporary_dir(), own))
        .unwrap_or(of_data)
}

/// Whether a directory is this user's and can be written to; one that is not there, whether it can be
/// made.
fn is_usable(dir: &Path, user: u32) -> bool {
    let mut nearest = dir.ancestors().filter_map(|dir| {
        let facts = dir.metadata().ok()?;
        Some((dir, facts))
    });
    nearest.next().is_some_and(|(dir, facts)| {
        facts.is_dir()
            && facts.uid() == user
            && rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
            // /proc says that root may write, and lets nobody.
            && !dir.starts_with("/proc")
            && dir != Path::new("/")
    })
}

/// A directory that no other user can look into or has made; none where somebody else took its name.
fn private_dir(parent: &Path, user: u32) -> Option<PathBuf> {
    let dir = parent.join(format!("amika-{user}"));
    // Whether it was there already is asked below.
    let _ = std::fs::DirBuilder::new().mode(0o700).create(&dir);
    let facts = dir.symlink_metadata().ok()?;
    (facts.is_dir() && facts.uid() == user && facts.mode() & 0o777 == 0o700).then_some(dir)
}

/// Where temporary files go: `$TMPDIR`, or what is usual where nothing can be made there.
pub fn temporary_dir() -> PathBuf {
    amika_host::temporary::directory(&std::env::temp_dir())
}

fn xdg(variable: &str, fallback: &str) -> PathBuf {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .unwrap_or_else(|| home_dir().join(fallback))
        .join("amika")
}

/// Milliseconds since the Unix epoch.
pub fn now_millis() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_a_directory_of_the_users_own_holds_locks() {
        let own = rustix::process::geteuid().as_raw();
        let dir = tempfile::tempdir().expect("a directory");
        assert!(is_usable(dir.path(), own));
        assert!(is_usable(&dir.path().join("not/yet/there"), own));
        assert!(!is_usable(dir.path(), own + 1), "another user's");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert!(!is_usable(&file.join("below"), own), "not a directory");
        assert!(!is_usable(Path::new("/proc/nope/amika"), own));
        assert!(!is_usable(Path::new("/nope/amika"), own));
    }

    #[test]
    fn the_last_resort_is_private_or_is_not_taken() {
        let own = rustix::process::geteuid().as_raw();
        let parent = tempfile::tempdir().expect("a directory");
        let made = private_dir(parent.path(), own).expect("made");
        assert_eq!(private_dir(parent.path(), own).as_ref(), Some(&made));
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o770)).expect("changed");
        assert_eq!(private_dir(parent.path(), own), None, "open to a group");
        std::fs::remove_dir(&made).expect("removed");
        symlink("/", &made).expect("linked");
        assert_eq!(private_dir(parent.path(), own), None, "a link");
    }
}

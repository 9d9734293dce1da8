//! The directories of this machine's user.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::machine::Machine;

impl Machine {
    /// The user's home directory; `/` when there is none.
    pub fn home_dir(&self) -> PathBuf {
        self.home()
            .filter(|home| !home.as_os_str().is_empty())
            .map_or_else(|| "/".into(), Path::to_owned)
    }

    /// Where docker keeps its configuration: `$DOCKER_CONFIG`, else `~/.docker`.
    pub fn docker_config_dir(&self) -> PathBuf {
        self.variable("DOCKER_CONFIG")
            .filter(|value| !value.is_empty())
            .map_or_else(|| self.home_dir().join(".docker"), PathBuf::from)
    }

    /// Where Amika keeps what belongs to the user: `$XDG_DATA_HOME/amika`, else `~/.local/share/amika`;
    /// or where [`Machine::keeping_data_in`] says.
    pub fn data_dir(&self) -> PathBuf {
        if let Some(data) = self.data() {
            return data.to_owned();
        }
        self.xdg("XDG_DATA_HOME", ".local/share")
    }

    /// Where the user's settings are: `$XDG_CONFIG_HOME/amika`, else `~/.config/amika`.
    pub fn config_dir(&self) -> PathBuf {
        self.xdg("XDG_CONFIG_HOME", ".config")
    }

    /// Where Amika keeps what one boot of the machine needs, such as locks: `$XDG_RUNTIME_DIR/amika`, else
    /// in the data directory, else in a private directory of the temporary ones. The first is taken that
    /// is, or could be made, this user's own: `su` leaves another user's in the environment.
    pub fn runtime_dir(&self) -> PathBuf {
        let own = rustix::process::geteuid().as_raw();
        let of_session = self
            .variable("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join("amika"));
        let of_data = self.data_dir().join("run");
        of_session
            .into_iter()
            // A lock directory that another user made there is as useless as another's parent.
            .chain([of_data.clone()])
            .find(|dir| is_usable(&dir.join("locks"), own))
            .or_else(|| private_dir(self.temporary(), own))
            .unwrap_or(of_data)
    }

    fn xdg(&self, variable: &str, fallback: &str) -> PathBuf {
        self.variable(variable)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .unwrap_or_else(|| self.home_dir().join(fallback))
            .join("amika")
    }
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
